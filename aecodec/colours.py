"""Blocks with fewer colours, for blocks.py: what is frequent stays exact, what is near to it becomes it.

Drawn pictures have a few flat colours and, along their edges, many mixtures of them.  A uniform quantiser
moves the flat colours, which is most of the error, and leaves most of the mixtures.  Here frequent colours
are the leaders of clusters (Hartigan, Clustering Algorithms, 1975, chapter 3), so flat places keep their
colour and their edges take fewer steps from one side to the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]
Numbers = NDArray[np.float32]
"""Colours as float32 in products: all sums stay below 2^24, so every machine finds the same."""

LEADERS = 256
"""At most: as many as a palette of WebP has.  Only the most frequent colours become leaders."""
FLAT = 0.5
"""A flat colour: so many of its pixels are like their neighbours to the left and above.  It stays, however
near another is: that would cost as much error as its area is large, and save what its edges take at most."""
COMPARED = 1 << 14
"""Colours that are compared with all leaders at once."""


class Colours:
    """The colours of some blocks, most frequent first, and where they are."""

    def __init__(self, blocks: Pixels) -> None:
        """Of type uint8, [k, H, W, C], C = 1 or 3"""
        self._blocks = blocks
        flat = blocks.reshape(-1, blocks.shape[-1]).astype(np.uint32)
        key = flat @ (np.uint32(256) ** np.arange(flat.shape[1], dtype=np.uint32))
        _, first, which, count = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        self._which = which.reshape(blocks.shape[:-1])  # [k, H, W]
        self._colours = flat[first].astype(np.float32)  # [U, C]
        alike = np.bincount(self._which[:, 1:, 1:][_alike(self._which)], minlength=len(count))
        order = np.argsort(-count, kind="stable")[:LEADERS]
        self._frequent, self._flat = self._colours[order], (alike > FLAT * count)[order]

    def merged(self, tolerance: int) -> Pixels:
        """The blocks in fewer colours, each about `tolerance` from its own at most (the root of the sum of
        squares); 0: as they are.

        A colour that is too far from all leaders goes to a grid whose steps are the tolerance."""
        if not tolerance:
            return self._blocks
        leaders = self._leaders(tolerance)
        grid = (self._colours + tolerance // 2) // tolerance * tolerance
        found = grid.clip(0, 255)
        for start in range(0, len(found), COMPARED):
            part = slice(start, start + COMPARED)
            nearest, distance = _nearest(self._colours[part], leaders)
            near = distance <= tolerance**2
            found[part][near] = leaders[nearest[near]]
        return found.astype(np.uint8)[self._which]

    def _leaders(self, tolerance: int) -> Numbers:
        """[L, C]: all flat colours, then of the other frequent ones each that no leader before is near to."""
        leaders = list(self._frequent[self._flat])
        left = self._frequent[~self._flat]
        for leader in leaders:
            left = left[np.square(left - leader).sum(1) > tolerance**2]
        while len(left):
            leaders.append(left[0])
            left = left[np.square(left - left[0]).sum(1) > tolerance**2]
        return np.array(leaders)


def _alike(which: NDArray[np.intp]) -> NDArray[np.bool_]:
    """[k, H, W] -> [k, H - 1, W - 1]: the pixels that are like their neighbours to the left and above."""
    own = which[:, 1:, 1:]
    alike: NDArray[np.bool_] = (own == which[:, 1:, :-1]) & (own == which[:, :-1, 1:])
    return alike


def _nearest(colours: Numbers, leaders: Numbers) -> tuple[NDArray[np.intp], Numbers]:
    """Of each of [U, C] the nearest of [L, C], the first of such, and the squared distance to it."""
    rest = np.square(leaders).sum(1) - 2 * (colours @ leaders.T)  # [U, L]
    nearest = rest.argmin(1)
    return nearest, np.take_along_axis(rest, nearest[:, None], 1)[:, 0] + np.square(colours).sum(1)
