"""Latents of the part of a picture that is worked on, which moves downwards."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.groups import Group


class Rows:
    """Some rows of an array [C, h, w] of latents, numbered from the picture's top in blocks of 64 pixels.

    scale: rows of the array in a block, 4 of y and 1 of z; width: blocks of the picture."""

    def __init__(self, channels: int, scale: int, width: int, dtype: type[Any]) -> None:
        self._scale, self._first = scale, 0
        self._held = np.empty((channels, 0, scale * width), dtype)

    def move(self, first: int, last: int) -> NDArray[Any]:
        """Forgets what is above `first`, makes room down to `last` -> the new rows."""
        s = self._scale
        kept = self._held[:, s * (first - self._first) :]
        self._held = np.empty((kept.shape[0], s * (last - first), kept.shape[2]), kept.dtype)
        self._held[:, : kept.shape[1]] = kept
        self._first = first
        return self._held[:, kept.shape[1] :]

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """-> a view [C, scale * (last - first), w]"""
        s = self._scale
        return self._held[:, s * (first - self._first) : s * (last - self._first)]

    def group(self, group: Group) -> NDArray[Any]:
        """-> a view of a group's valid part"""
        top, k = group.top // 4, 4 // self._scale
        rows = self.rows(top, top + group.height // 4)
        return rows[:, :, group.left // k : (group.left + group.width) // k]
