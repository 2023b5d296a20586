"""Which quality gives a file of this size, or a picture of this PSNR?

quality_search.py finds it, kept_blocks.py where size and PSNR jump.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from aecodec import kept_blocks
from aecodec.errors import UsageError
from aecodec.kept_blocks import Keep
from aecodec.quality_search import STEPS, Encode, Found, Goal, Search

Psnr = Callable[[bytes], float]
"""Decibels of what shows of a file's picture; infinite where that is nothing."""

TARGETS = ("target_bpp", "target_size", "target_psnr", "max_size")
"""What options for Target's fields are called, in their order."""
SIZE_TOLERANCE = 0.005
PSNR_TOLERANCE = 0.02
# Where the search begins, and the growth it expects before it knows two points.
START = STEPS // 2
LOG_SIZE_STEPS = STEPS / math.log(32)
DECIBEL_STEPS = STEPS / 15.5
LARGEST = 1e18
IDENTICAL = 100.0
"""Decibels that an exact picture counts as."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a file should come out as. Give at most one of bpp, size and psnr; max_size only without them.

    bpp       bits a pixel, the whole file
    size      bytes
    psnr      decibels over all samples of the colour channels, in the picture's own depth; of a picture with
              alpha, those of the pixels where it is above 0 before it is coded
    max_size  bytes that the file must not exceed; it has the quality asked for unless that needs more
    """

    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        given = {n: v for n in ("bpp", "size", "psnr", "max_size") if (v := getattr(self, n)) is not None}
        if len(given) > 1:
            raise UsageError(f"targets exclude each other: {' and '.join(given)} were given")
        for name, value in given.items():
            if not isinstance(value, numbers.Real):
                raise UsageError(f"target {name} {value!r}: a number is needed")
            if not 0 < value < LARGEST:  # type: ignore[operator]
                raise UsageError(f"target {name} {value} is not above 0, or far too large")

    def __bool__(self) -> bool:
        return any(v is not None for v in (self.bpp, self.size, self.psnr, self.max_size))


def _no_blocks(first: bytes, second: bytes, share: float | None) -> None:
    return None


def reach(
    target: Target, pixels: int, start: int, encode: Encode, psnr: Psnr, keep: Keep = _no_blocks
) -> Found:
    """The file that comes nearest to the target; within 0.5 % of a size, within 0.02 dB of a PSNR.

    pixels: of the picture; start: the stored quality that max_size may lower. Where even the best quality
    stays below a target, that file is the answer. UsageError when the smallest file is above a size."""
    runs = 0

    def counted(encode: Encode) -> Encode:
        def counting(quality: int) -> bytes:
            nonlocal runs
            runs += 1
            return encode(quality)

        return counting

    def keeping(first: bytes, second: bytes, share: float | None) -> Encode | None:
        kept = keep(first, second, share)
        return kept and counted(kept)

    found = _reach(target, pixels, start, counted(encode), psnr, keeping)
    return replace(found, runs=runs)


def _reach(target: Target, pixels: int, start: int, encode: Encode, psnr: Psnr, keep: Keep) -> Found:
    """reach(), whose `runs` are not counted."""

    def search(goal: Goal, highest: int = STEPS) -> Search:
        return Search(encode, goal, partial(kept_blocks.approach, keep), highest)

    if target.psnr is not None:
        decibels = lambda data: min(psnr(data), IDENTICAL)  # noqa: E731
        goal = Goal(decibels, target.psnr, PSNR_TOLERANCE, target.psnr / 100, DECIBEL_STEPS)
        return search(goal).run(START)
    if target.max_size is not None:
        limit = target.max_size
        data = encode(start)
        if len(data) <= limit:
            return Found(data, start)
        sizes = search(_size_goal(limit * (1 - SIZE_TOLERANCE)), start)
        sizes.add(start, data)
        found = sizes.run(start, ceiling=math.log(limit))
        return found if len(found.data) <= limit else _without_blocks(keep, sizes, limit, limit)
    size = target.size if target.size is not None else max(round((target.bpp or 0) * pixels / 8), 1)
    sizes = search(_size_goal(max(size, 1)))
    found = sizes.run(START)
    most = size * (1 + SIZE_TOLERANCE)
    if len(found.data) <= most or _smallest(sizes) <= most:
        return found
    return _without_blocks(keep, sizes, size, most, target.bpp, pixels)


def _size_goal(size: float) -> Goal:
    def value(data: bytes) -> float:
        return math.log(len(data))

    return Goal(value, math.log(size), SIZE_TOLERANCE, 2 * SIZE_TOLERANCE, LOG_SIZE_STEPS)


def _smallest(search: Search) -> int:
    """Bytes, quality 0 tried."""
    search.encoded(0)
    return min(map(len, (*search.files.values(), *(data for _, _, data in search.others))))


def _without_blocks(
    keep: Keep, sizes: Search, size: int, most: float, bpp: float | None = None, pixels: int = 1
) -> Found:
    """Where no file fits: blocks coded as pixels have a least size. UsageError if networks need more, too.

    Coded alpha stays as it is. bpp: that `size` stands for, if it was asked for so."""
    smallest = _smallest(sizes)
    if encode := keep(sizes.files[0], sizes.files[0], None):
        alone = Search(encode, sizes.goal, highest=sizes.highest)
        found = alone.run(0, ceiling=math.log(most))
        if len(found.data) <= most:
            return found
        smallest = min(smallest, len(found.data))
    if bpp is None:
        raise UsageError(
            f"the picture does not fit into {size} bytes; the smallest file that was found has {smallest}"
        )
    raise UsageError(
        f"the picture does not fit into {bpp:g} bits a pixel (bpp), which are {size} bytes; the smallest "
        f"file that was found has {smallest}, {8 * smallest / pixels:.4g} bits a pixel"
    )
