"""Pictures of any size in bounded memory: float networks run on overlapping windows.

A window is an inner part, which tiles the picture, and a halo around it as wide as the network's receptive
field. What the network says about the inner part is then what it says on the whole picture, to float noise.
Windows beside each other are a band, which is as wide as the picture; bands follow each other downwards.
All positions are those of z: blocks of 64 x 64 pixels, 4 x 4 of y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Network = Callable[..., Sequence[Float]]
Cut = Callable[["Span", "Span"], Sequence[NDArray[Any]]]
"""Rows and columns of a window -> the network's inputs there, halo included."""

LARGEST = 1024
"""Blocks of the largest window, halo included: 4.2 megapixels. A picture up to this size is one window.
Smaller ones take less memory, and more time for their halos."""


@dataclass(frozen=True, slots=True)
class Span:
    """One side of a window: the inner part start..stop, and first..last with the halo."""

    start: int
    stop: int
    first: int
    last: int

    def outer(self, scale: int) -> slice:
        """The window in an array of `scale` rows a block."""
        return slice(self.first * scale, self.last * scale)

    def inner(self, scale: int) -> slice:
        """The inner part in the whole array."""
        return slice(self.start * scale, self.stop * scale)

    def kept(self, scale: int) -> slice:
        """The inner part in the window's own array."""
        return slice((self.start - self.first) * scale, (self.stop - self.first) * scale)


def span(start: int, stop: int, halo: int, length: int) -> Span:
    """The blocks start..stop of `length`, and a halo as far as there are blocks."""
    return Span(start, stop, max(0, start - halo), min(length, stop + halo))


def spans(length: int, halo: int, largest: int, part: Span | None = None) -> Iterator[Span]:
    """`length` blocks, or a part of them, in inner parts of nearly equal size, none with its halo above
    `largest`."""
    whole = part or span(0, length, halo, length)
    size = whole.stop - whole.start
    room = size if whole.last - whole.first <= largest else max(1, largest - 2 * halo)
    count = -(-size // room)
    for i in range(count):
        start, stop = (whole.start + k * size // count for k in (i, i + 1))
        yield span(start, stop, halo, length)


def band_height(height: int, width: int, halo: int, largest: int, widest: int) -> int:
    """Rows of blocks in a band, halo left out, that make its windows nearly square.

    widest: blocks of a band, but for bands of one row."""
    if height * width <= largest:
        return height
    square = max(1, isqrt(largest) - 2 * halo)
    return max(1, min(height, square, widest // width))


def band(
    network: Network,
    cut: Cut,
    rows: Span,
    width: int,
    halo: int,
    largest: int,
    columns: Span | None = None,
    needed: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[Span, list[Float]]]:
    """A network on one band of a picture `width` blocks wide, window by window.

    halo     blocks that the network sees beyond each side
    largest  blocks of a window, halo included
    columns  the part of the band that is wanted; None: all of it
    needed   [width]: windows without such a column are left out; None: none are
    -> the columns of a window, and what the network says about its inner part
    """
    for column in spans(width, halo, max(1, largest // (rows.last - rows.first)), columns):
        if needed is None or needed[column.inner(1)].any():
            yield column, _inner(network(*cut(rows, column)), rows, column)


def _inner(whole: Sequence[Float], rows: Span, columns: Span) -> list[Float]:
    """What a network says about a window, without the halo."""
    scales = [part.shape[2] // (rows.last - rows.first) for part in whole]
    return [part[:, :, rows.kept(s), columns.kept(s)] for part, s in zip(whole, scales, strict=True)]


def tiles(height: int, width: int, halo: int, largest: int) -> Iterator[tuple[Span, Span]]:
    """Rows and columns of windows for height x width blocks; one where it is no larger than `largest`."""
    if height * width <= largest:
        yield span(0, height, halo, height), span(0, width, halo, width)
        return
    for rows in spans(height, halo, isqrt(largest)):
        for columns in spans(width, halo, max(1, largest // (rows.last - rows.first))):
            yield rows, columns


def run(
    network: Network, inputs: Sequence[NDArray[Any]], scales: Sequence[int], halo: int, largest: int
) -> list[Float]:
    """A network on the whole of its inputs, [1, C, scale * blocks high, scale * blocks wide] each."""
    height, width = (side // scales[0] for side in inputs[0].shape[2:])
    if height * width <= largest:
        return list(network(*inputs))

    def cut(row: Span, column: Span) -> list[NDArray[Any]]:
        return [
            np.ascontiguousarray(a[:, :, row.outer(s), column.outer(s)])
            for a, s in zip(inputs, scales, strict=True)
        ]

    results: list[Float] = []
    for row, column in tiles(height, width, halo, largest):
        parts = _inner(network(*cut(row, column)), row, column)
        factors = [part.shape[2] // (row.stop - row.start) for part in parts]
        if not results:
            sizes = [(1, p.shape[1], height * s, width * s) for p, s in zip(parts, factors, strict=True)]
            results = [np.empty(size, np.float32) for size in sizes]
        for whole, part, s in zip(results, parts, factors, strict=True):
            whole[:, :, row.inner(s), column.inner(s)] = part
    return results
