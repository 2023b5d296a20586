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

LEVELS = 4
"""Of the pyramid that are never made of the whole picture: a pixel of them takes 60 bytes and more."""
CELL = 1 << LEVELS
TILE = 32 * CELL
"""Side of the parts in which they are made."""


def fill(pixels: Pixels, lost: Mask) -> Pixels:
    """pixels [H, W, C], lost [H, W] -> a copy, its lost pixels interpolated; mid grey if all are lost."""
    filled = np.array(pixels, order="C")
    fill_in_place(filled, lost)
    return filled


def fill_in_place(pixels: Pixels, lost: Mask) -> None:
    """fill() without a copy of the picture.

    Only the levels from LEVELS on are made of the whole picture; the finer ones, of tiles in which something
    is lost and as much around them as the smoothing reaches: the values are those of whole levels."""
    largest = np.iinfo(pixels.dtype).max
    if lost.all():
        pixels[:] = (largest + 1) // 2
        return
    coarse = _coarse(pixels, lost)
    height, width = lost.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            own = slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))
            if lost[own].any():
                _fill_tile(pixels, lost, coarse, own)


def _coarse(pixels: Pixels, lost: Mask) -> Values:
    """The level CELL times as coarse, filled: [ceil(H / CELL), ceil(W / CELL), C]."""
    parts, rows = [], CELL * max(1, TILE * TILE // (CELL * lost.shape[1]))
    for top in range(0, lost.shape[0], rows):
        weight = (~lost[top : top + rows]).astype(np.float32)[:, :, None]
        total = pixels[top : top + rows] * weight
        for _ in range(LEVELS):
            total, weight = _coarser(total, weight)
        parts.append((total, weight))
    totals, weights = zip(*parts, strict=True)
    return _fill(np.concatenate(totals), np.concatenate(weights))


def _fill_tile(pixels: Pixels, lost: Mask, coarse: Values, own: tuple[slice, slice]) -> None:
    """The lost pixels of rows and columns that begin at multiples of CELL."""
    seen = [slice(max(0, axis.start - CELL), axis.stop + CELL) for axis in own]
    weight = (~lost[seen[0], seen[1]]).astype(np.float32)[:, :, None]
    levels = [(pixels[seen[0], seen[1]] * weight, weight)]
    while len(levels) < LEVELS:
        levels.append(_coarser(*levels[-1]))
    rows, columns = (slice(axis.start // CELL, -(-axis.stop // CELL)) for axis in seen)
    values = coarse[rows, columns]
    for total, weight in reversed(levels):
        values = _finer(total, weight, values)
    inner = [slice(o.start - s.start, o.stop - s.start) for o, s in zip(own, seen, strict=True)]
    found = np.rint(values[inner[0], inner[1]]).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    np.copyto(pixels[own], found, where=lost[own][:, :, None])


def _fill(total: Values, weight: Values) -> Values:
    """weight 0..1: how far a value is known, total: weight * value -> values everywhere."""
    if weight.min() == 1 or weight.shape[:2] == (1, 1):
        return total / weight
    return _finer(total, weight, _fill(*_coarser(total, weight)))


def _coarser(total: Values, weight: Values) -> tuple[Values, Values]:
    """Means of 2 x 2 values, of which those that are known count."""
    known = _halve(weight)
    share = (np.minimum(known, 1) / np.maximum(known, 1e-6)).astype(np.float32)
    return _halve(total) * share, known * share


def _finer(total: Values, weight: Values, coarse: Values) -> Values:
    """What is not known of a level, from the next coarser one."""
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
