"""A part of a picture: only the groups that it needs are read and decoded.

The synthesis of a pixel sees `halo` blocks of 64 pixels beyond its own. Everything further away is left out,
so the part equals that of the whole picture to float noise.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from aecodec.container import Header
from aecodec.errors import UsageError
from aecodec.windows import Span, span

BLOCK = 64


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels of the picture as stored (orientation not applied)."""

    x: int
    y: int
    width: int
    height: int

    def check(self, header: Header) -> None:
        """UsageError when it is empty or not inside the picture."""
        inside = 0 <= self.x and 0 <= self.y and self.x + self.width <= header.width
        if self.width < 1 or self.height < 1 or not inside or self.y + self.height > header.height:
            raise UsageError(
                f"region {self.x},{self.y},{self.width},{self.height} is not inside the picture "
                f"of {header.width} x {header.height}"
            )


def region_of(given: Sequence[int]) -> Region:
    """x, y, width, height -> Region. UsageError for anything else."""
    try:
        x, y, width, height = (operator.index(value) for value in given)
    except (TypeError, ValueError):
        raise UsageError(f"region {given!r}: x, y, width and height are needed, whole numbers") from None
    return Region(x, y, width, height)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a region needs: blocks high and wide, with the halo, and the groups that hold them."""

    rows: Span
    columns: Span
    groups: tuple[int, ...]


def plan(header: Header, region: Region, halo: int) -> Plan:
    """halo: blocks that the synthesis sees beyond a block. The region has been checked."""
    height, width = (positions // 4 for positions in header.latent_size)
    bottom, right = region.y + region.height, region.x + region.width
    rows = span(region.y // BLOCK, -(-bottom // BLOCK), halo, height)
    columns = span(region.x // BLOCK, -(-right // BLOCK), halo, width)
    edge = header.group_edge // 4
    _, per_row = header.group_grid
    numbers = tuple(
        row * per_row + column
        for row in range(rows.first // edge, -(-rows.last // edge))
        for column in range(columns.first // edge, -(-columns.last // edge))
    )
    return Plan(rows, columns, numbers)
