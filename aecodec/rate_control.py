"""Which quality gives a file of this size, or a picture of this PSNR?

Size and PSNR grow with quality, their logarithm and their decibels nearly in proportion, so a bracketed
secant search needs few encodings. Each is a real one: the entropy coder is a small part of the time, so
an estimate instead of its bytes would save little and be wrong by its error. Where blocks are coded as pixels
(blocks.py) both jump; then the nearest that was found is the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from aecodec.errors import UsageError

Encode = Callable[[int], bytes]
"""Stored quality -> file."""
Psnr = Callable[[bytes], float]

STEPS = 63 * 256
"""Stored qualities are 0 .. STEPS."""
SIZE_TOLERANCE = 0.005
PSNR_TOLERANCE = 0.02
# Where the search begins, and the growth it expects before it knows two points.
START = STEPS // 2
LOG_SIZE_STEPS = STEPS / math.log(32)
DECIBEL_STEPS = STEPS / 15.5
PATIENCE = 8
"""Encodings after which the search halves its bracket instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a file should come out as. Give at most one of bpp, size and psnr; max_size only without them.

    bpp       bits a pixel, the whole file
    size      bytes
    psnr      decibels over all 8-bit samples of the colour channels
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
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"target {name} {value} is not above 0")

    def __bool__(self) -> bool:
        return any(v is not None for v in (self.bpp, self.size, self.psnr, self.max_size))


@dataclass(frozen=True, slots=True)
class Found:
    """The file, its stored quality, how often the picture was encoded, and what the user should know."""

    data: bytes
    quality: int
    runs: int
    note: str = ""


def reach(target: Target, pixels: int, start: int, encode: Encode, psnr: Psnr) -> Found:
    """The file that comes nearest to the target; within 0.5 % of a size, within 0.02 dB of a PSNR.

    pixels: of the picture; start: the stored quality that max_size may lower. Where even the best quality
    stays below a target, that file is the answer. UsageError when the smallest file is above a size."""
    if target.psnr is not None:
        search = _Search(encode, psnr, target.psnr, PSNR_TOLERANCE, DECIBEL_STEPS)
        return search.run(START)
    if target.max_size is not None:
        limit = target.max_size
        data = encode(start)
        if len(data) <= limit:
            return Found(data, start, 1)
        search = _size_search(encode, limit * (1 - SIZE_TOLERANCE))
        search.add(start, data)
        found = search.run(start, ceiling=math.log(limit))
        if len(found.data) > limit:
            raise _too_small(limit, search)
        return found
    size = target.size if target.size is not None else round((target.bpp or 0) * pixels / 8)
    search = _size_search(encode, max(size, 1))
    found = search.run(START)
    if found.quality == 0 and len(found.data) > size * (1 + SIZE_TOLERANCE):
        raise _too_small(size, search)
    return found


def _size_search(encode: Encode, size: float) -> _Search:
    return _Search(encode, lambda data: math.log(len(data)), math.log(size), SIZE_TOLERANCE, LOG_SIZE_STEPS)


def _too_small(size: int, search: _Search) -> UsageError:
    smallest = len(search.encoded(0))
    return UsageError(f"the picture does not fit into {size} bytes; the smallest file has {smallest}")


class _Search:
    """A value that grows with quality, and the whole quality where it is nearest to `goal`."""

    def __init__(
        self, encode: Encode, value: Callable[[bytes], float], goal: float, tolerance: float, steps: float
    ) -> None:
        self._encode, self._value, self._goal = encode, value, goal
        self._tolerance, self._steps = tolerance, steps
        self._files: dict[int, bytes] = {}
        self._values: dict[int, float] = {}

    def add(self, quality: int, data: bytes) -> None:
        self._files[quality] = data
        self._values[quality] = self._value(data)

    def encoded(self, quality: int) -> bytes:
        if quality not in self._files:
            self.add(quality, self._encode(quality))
        return self._files[quality]

    def run(self, start: int, ceiling: float = math.inf) -> Found:
        """`ceiling`: values above it are no answer, however near."""
        low, high = -1, STEPS + 1  # the answer is above low and below high
        quality = start
        while True:
            self.encoded(quality)
            error = self._values[quality] - self._goal
            if abs(error) <= self._tolerance and self._values[quality] <= ceiling:
                break
            low, high = (quality, high) if error < 0 else (low, quality)
            if high - low <= 1:
                break
            found = self._next() if len(self._values) < PATIENCE else (low + high) // 2
            quality = min(max(found, low + 1), high - 1)
        return self._best(ceiling)

    def _next(self) -> int:
        """Where the line through the nearest two known points, or the expected slope, meets the goal."""
        nearest = sorted(self._values, key=lambda q: abs(self._values[q] - self._goal))[:2]
        steps = self._steps
        if len(nearest) == 2:
            a, b = nearest
            rise = self._values[b] - self._values[a]
            if rise * (b - a) > 0:
                steps = (b - a) / rise
        return round(nearest[0] + (self._goal - self._values[nearest[0]]) * steps)

    def _best(self, ceiling: float) -> Found:
        allowed = [q for q, v in self._values.items() if v <= ceiling] or [min(self._values)]
        quality = min(allowed, key=lambda q: abs(self._values[q] - self._goal))
        missed = abs(self._values[quality] - self._goal) > self._tolerance
        note = ""
        if missed and quality == STEPS and self._values[quality] < self._goal:
            note = "quality 100 does not reach the target"
        elif missed and math.isinf(ceiling):
            note = "no quality comes nearer to the target"
        return Found(self._files[quality], quality, len(self._files), note)
