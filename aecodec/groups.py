"""A picture's latents cut into groups, which are coded and lost one by one (docs/format.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from aecodec.container import Header

SMALL = 6000
"""Positions of y in a picture of 1.5 megapixels; below, a lost group is more."""
LEAST_EDGE = 20
"""Smaller groups take more bytes (docs/design.md)."""
RIM = 8
"""Positions, of both sides together, that a lost group spoils beyond its edges."""


def choose_edge(latent_size: tuple[int, int], side: int) -> int:
    """Side of the groups for a picture with y of this size, whose scale networks see side x side.

    Large groups take fewer bytes and less time. But in a picture of SMALL positions or more a lost group
    should be less than a tenth of it: where that is possible, together with the rim that its neighbours lose.
    """
    positions = latent_size[0] * latent_size[1]
    if positions < SMALL:
        return side
    return min(side, max(LEAST_EDGE, int((positions / 10) ** 0.5 - RIM) // 4 * 4))


def note_of_lost(numbers: Sequence[int]) -> tuple[str, ...]:
    """What is said of groups that could not be decoded; nothing of none."""
    if not numbers:
        return ()
    return (f"groups {', '.join(map(str, numbers))} are lost, and filled from their surroundings",)


@dataclass(frozen=True, slots=True)
class Group:
    """One group's place in y, in positions. z has a quarter of everything."""

    top: int
    left: int
    height: int
    """The valid part; the edge except at the right and the bottom."""
    width: int


class Groups:
    """The latents of one picture as groups of edge x edge, in raster order."""

    def __init__(self, latent_size: tuple[int, int], edge: int) -> None:
        self.latent_size, self.edge = latent_size, edge
        height, width = latent_size
        self.all = [
            Group(top, left, min(edge, height - top), min(edge, width - left))
            for top in range(0, height, edge)
            for left in range(0, width, edge)
        ]

    @classmethod
    def of(cls, header: Header) -> Groups:
        """Those of a file."""
        return cls(header.latent_size, header.group_edge)

    @property
    def per_row(self) -> int:
        return -(-self.latent_size[1] // self.edge)

    def bands(self, blocks: int) -> list[range]:
        """The groups' numbers in bands of whole rows, `blocks` x 64 pixels high as far as one row allows."""
        if 4 * blocks >= self.latent_size[0]:
            return [range(len(self.all))]
        rows = max(1, 4 * blocks // self.edge) * self.per_row
        return [range(i, min(i + rows, len(self.all))) for i in range(0, len(self.all), rows)]

    def bottom(self, number: int) -> int:
        """Where the row of this group ends, in blocks of 64 pixels."""
        return (self.all[number].top + self.all[number].height) // 4

    def batches(self, numbers: Iterable[int], size: int) -> list[list[int]]:
        """Groups of one shape that go through the scale networks together; `size` bounds their memory.

        Those of a row come together but for the last, which may be narrower."""
        shapes: dict[tuple[int, int], list[int]] = {}
        for number in numbers:
            group = self.all[number]
            shapes.setdefault((group.height, group.width), []).append(number)
        return [same[i : i + size] for same in shapes.values() for i in range(0, len(same), size)]

    @staticmethod
    def cut(a: NDArray[Any], group: Group, of_z: bool = False) -> NDArray[Any]:
        """A view of one group's part of [C, h, w] (of z: [C, h/4, w/4])."""
        k = 4 if of_z else 1
        bottom, right = group.top + group.height, group.left + group.width
        return a[:, group.top // k : bottom // k, group.left // k : right // k]
