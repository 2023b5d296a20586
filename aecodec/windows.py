"""Pictures of any size in bounded memory: float networks run on overlapping windows.

A window is an inner part, which tiles the picture, and a halo around it as wide as the network's receptive
field. What the network says about the inner part is then what it says on the whole picture, to float noise.
All positions are those of z: blocks of 64 x 64 pixels, 4 x 4 of y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Network = Callable[..., Sequence[Float]]

LARGEST = 48
"""Side of the largest window, halo included: 3072 pixels."""


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


def spans(length: int, halo: int, largest: int) -> Iterator[Span]:
    """`length` blocks in inner parts of nearly equal size, none with its halo above `largest`."""
    room = largest if length <= largest else max(1, largest - 2 * halo)
    count = -(-length // room)
    for i in range(count):
        start, stop = i * length // count, (i + 1) * length // count
        yield Span(start, stop, max(0, start - halo), min(length, stop + halo))


def run(
    network: Network,
    inputs: Sequence[NDArray[Any]],
    scales: Sequence[int],
    results: Sequence[tuple[int, int]],
    halo: int,
    largest: int,
) -> list[Float]:
    """A network on the whole of its inputs, window by window.

    inputs   [1, C, scale * blocks high, scale * blocks wide] each, its scale in `scales`
    results  (channels, scale) of each output
    halo     blocks that the network sees beyond each side
    largest  blocks of a window's side, halo included
    """
    height, width = (side // scales[0] for side in inputs[0].shape[2:])
    rows, columns = list(spans(height, halo, largest)), list(spans(width, halo, largest))
    if len(rows) == len(columns) == 1:
        return list(network(*inputs))
    whole = [np.empty((1, c, height * s, width * s), np.float32) for c, s in results]
    for row in rows:
        for column in columns:
            parts = [
                np.ascontiguousarray(a[:, :, row.outer(s), column.outer(s)])
                for a, s in zip(inputs, scales, strict=True)
            ]
            for out, part, (_, s) in zip(whole, network(*parts), results, strict=True):
                out[:, :, row.inner(s), column.inner(s)] = part[:, :, row.kept(s), column.kept(s)]
    return whole
