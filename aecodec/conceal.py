"""Lost parts of a picture, filled from what surrounds them.

Push-pull (Gortler et al., The Lumigraph, SIGGRAPH 1996): known pixels are averaged down a pyramid until
nothing is unknown, then unknown pixels take the value of the next coarser level on the way back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]
Mask = NDArray[np.bool_]
Values = NDArray[np.float32]


def fill(pixels: Pixels, lost: Mask) -> Pixels:
    """pixels [H, W, C], lost [H, W] -> a copy, its lost pixels interpolated; mid grey if all are lost."""
    largest = np.iinfo(pixels.dtype).max
    if lost.all():
        return np.full_like(pixels, (largest + 1) // 2)
    weight = (~lost).astype(np.float32)[:, :, None]
    filled = _fill(pixels * weight, weight)
    rounded = np.rint(filled).clip(0, largest).astype(pixels.dtype)
    return np.where(lost[:, :, None], rounded, pixels)


def _fill(total: Values, weight: Values) -> Values:
    """weight 0..1: how far a value is known, total: weight * value -> values everywhere."""
    if weight.min() == 1 or weight.shape[:2] == (1, 1):
        return total / weight
    known = _halve(weight)
    share = (np.minimum(known, 1) / np.maximum(known, 1e-6)).astype(np.float32)
    coarse = _fill(_halve(total) * share, known * share)
    height, width = weight.shape[:2]
    below = _smooth(coarse.repeat(2, 0).repeat(2, 1)[:height, :width])
    return total + (1 - weight) * below


def _halve(a: Values) -> Values:
    height, width = a.shape[:2]
    even = np.pad(a, ((0, height % 2), (0, width % 2), (0, 0)))
    summed: Values = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return summed


def _smooth(a: Values) -> Values:
    """Takes the steps out of a repeated level: [1, 2, 1] / 4 along both axes."""
    for axis in (0, 1):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        wide = np.pad(a, padding, mode="edge")
        before, here, after = (np.take(wide, range(k, k + a.shape[axis]), axis) for k in range(3))
        a = (before + 2 * here + after) * np.float32(0.25)
    return a
