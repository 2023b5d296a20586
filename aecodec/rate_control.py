"""Which quality gives a file of this size, or a picture of this PSNR?

Size and PSNR grow with quality, their logarithm and their decibels nearly in proportion, so a bracketed
secant search needs few encodings. Each is a real one: the entropy coder is a small part of the time, so
an estimate instead of its bytes would save little and be wrong by its error.

Which blocks are coded as pixels (blocks.py) changes with the quality, and then both jump. So where the search
does not come near, it goes on with the blocks of the files on both sides of the target kept as they are, and
then with some of the one file's and the rest of the other's.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace

from aecodec.errors import UsageError

Encode = Callable[[int], bytes]
"""Stored quality -> file."""
Psnr = Callable[[bytes], float]
Keep = Callable[[bytes, bytes, float], Encode | None]
"""Two files and a share -> an encoder that codes, at any quality, those blocks as pixels which the second
file does, at that share of all places, and elsewhere those of the first. None where neither has any."""

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
JUMPS = 4
"""Encodings after which it keeps pixel blocks as they are, where there are some."""
MOST = 16
"""Encodings after which it ends where values jump, if any file is an answer."""
LARGEST = 1e18
SHARES = 5
"""Shares of two files' blocks that are tried between none and all."""
IDENTICAL = 100.0
"""Decibels that an exact picture counts as."""


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
            if not isinstance(value, numbers.Real):
                raise UsageError(f"target {name} {value!r}: a number is needed")
            if not 0 < value < LARGEST:  # type: ignore[operator]
                raise UsageError(f"target {name} {value} is not above 0, or far too large")

    def __bool__(self) -> bool:
        return any(v is not None for v in (self.bpp, self.size, self.psnr, self.max_size))


@dataclass(frozen=True, slots=True)
class Found:
    """The file, its stored quality, how often the picture was encoded, and what the user should know."""

    data: bytes
    quality: int
    runs: int = 0
    note: str = ""


def _no_blocks(first: bytes, second: bytes, share: float) -> None:
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

    def keeping(first: bytes, second: bytes, share: float) -> Encode | None:
        kept = keep(first, second, share)
        return kept and counted(kept)

    found = _reach(target, pixels, start, counted(encode), psnr, keeping)
    return replace(found, runs=runs)


def _reach(target: Target, pixels: int, start: int, encode: Encode, psnr: Psnr, keep: Keep) -> Found:
    """reach(), whose `runs` are not counted."""
    if target.psnr is not None:
        decibels = lambda data: min(psnr(data), IDENTICAL)  # noqa: E731
        search = _Search(encode, decibels, target.psnr, PSNR_TOLERANCE, DECIBEL_STEPS, keep)
        return search.run(START)
    if target.max_size is not None:
        limit = target.max_size
        data = encode(start)
        if len(data) <= limit:
            return Found(data, start)
        search = _size_search(encode, limit * (1 - SIZE_TOLERANCE), keep)
        search.add(start, data)
        found = search.run(start, ceiling=math.log(limit))
        if len(found.data) > limit:
            raise _too_small(limit, search)
        return found
    size = target.size if target.size is not None else round((target.bpp or 0) * pixels / 8)
    search = _size_search(encode, max(size, 1), keep)
    found = search.run(START)
    most = size * (1 + SIZE_TOLERANCE)
    if len(found.data) > most and len(search.encoded(0)) > most:
        raise _too_small(size, search)
    return found


def _size_search(encode: Encode, size: float, keep: Keep) -> _Search:
    def value(data: bytes) -> float:
        return math.log(len(data))

    return _Search(encode, value, math.log(size), SIZE_TOLERANCE, LOG_SIZE_STEPS, keep)


def _too_small(size: int, search: _Search) -> UsageError:
    smallest = len(search.encoded(0))
    return UsageError(f"the picture does not fit into {size} bytes; the smallest file has {smallest}")


class _Search:
    """A value that grows with quality, and the whole quality where it is nearest to `goal`."""

    def __init__(
        self,
        encode: Encode,
        value: Callable[[bytes], float],
        goal: float,
        tolerance: float,
        steps: float,
        keep: Keep = _no_blocks,
    ) -> None:
        self._encode, self._value, self._goal = encode, value, goal
        self._tolerance, self._steps, self._keep = tolerance, steps, keep
        self._files: dict[int, bytes] = {}
        self._values: dict[int, float] = {}
        self._kept: list[tuple[float, int, bytes]] = []
        """Values, qualities and files with pixel blocks that were kept, in the order they were made."""

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
        quality, kept = start, False
        while True:
            self.encoded(quality)
            if self._hits(self._values[quality], ceiling):
                break
            low, high = (quality, high) if self._values[quality] < self._goal else (low, quality)
            if not kept and len(self._values) >= JUMPS:
                kept = True
                if self._keep_blocks((low, high), ceiling):
                    break
            if high - low <= 1 or (self._kept and self._suffices(ceiling)):
                break
            found = self._next() if len(self._values) < PATIENCE else (low + high) // 2
            quality = min(max(found, low + 1), high - 1)
        return self._best(ceiling)

    def _hits(self, value: float, ceiling: float) -> bool:
        return abs(value - self._goal) <= self._tolerance and value <= ceiling

    def _suffices(self, ceiling: float) -> bool:
        """Where values jump: is a file near enough, or are there enough of them?"""
        values = [v for v in (*self._values.values(), *(v for v, _, _ in self._kept)) if v <= ceiling]
        near = self._goal / 100 if self._tolerance == PSNR_TOLERANCE else 2 * self._tolerance
        many = len(self._values) + len(self._kept) >= MOST
        return any(abs(value - self._goal) <= near or many for value in values)

    def _keep_blocks(self, qualities: tuple[int, int], ceiling: float) -> bool:
        """Goes on from the nearest files with their blocks kept -> is the target reached?"""
        known = {q: self._files[q] for q in qualities if q in self._files}
        low, high = known[min(known)], known[max(known)]

        def search(share: float) -> _Search | None:
            encode = self._keep(low, high, share)
            return encode and _Search(encode, self._value, self._goal, self._tolerance, self._steps)

        for quality in sorted(known, key=lambda q: abs(self._values[q] - self._goal)):
            if other := search(float(quality == qualities[1])):
                other.add(quality, known[quality])
                if self._approach(other, quality, ceiling):
                    return True
        return len(known) == 2 and self._share_blocks(search, qualities[0], ceiling)

    def _share_blocks(self, search: Callable[[float], _Search | None], quality: int, ceiling: float) -> bool:
        """The share of the blocks of the file above with which `quality` comes near, and from there on."""
        tried: list[_Search] = []
        low, high = 0.0, 1.0
        while len(tried) < SHARES and (other := search((low + high) / 2)):
            data = other.encoded(quality)
            before = [each._files[quality] for each in (self, *tried) if quality in each._files]
            if data in before:  # there are no shares between
                break
            tried.append(other)
            if abs(other._values[quality] - self._goal) <= 4 * self._tolerance:
                break
            below = other._values[quality] < self._goal
            low, high = ((low + high) / 2, high) if below else (low, (low + high) / 2)
        tried.sort(key=lambda s: abs(s._values[quality] - self._goal))
        for other in tried[1:]:
            self._kept.append((other._values[quality], quality, other._files[quality]))
        return bool(tried) and self._approach(tried[0], quality, ceiling)

    def _approach(self, other: _Search, known: int, ceiling: float) -> bool:
        hit = other._hits(other._values[known], ceiling) or other.approach(known, ceiling)
        own = self._files.get(known)
        self._kept += [(other._values[q], q, data) for q, data in other._files.items() if data is not own]
        return hit

    def approach(self, known: int, ceiling: float) -> bool:
        """run() from one known quality on, for a while -> is the target reached?"""
        below = self._values[known] < self._goal
        low, high = (known, STEPS + 1) if below else (-1, known)
        while high - low > 1 and len(self._values) < PATIENCE:
            quality = self._next()
            if not low < quality < high:  # is there an answer at all?
                quality = STEPS if high > STEPS else 0 if low < 0 else (low + high) // 2
            self.encoded(quality)
            if self._hits(self._values[quality], ceiling):
                return True
            low, high = (quality, high) if self._values[quality] < self._goal else (low, quality)
        return False

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
        made = [*((self._values[q], q, data) for q, data in self._files.items()), *self._kept]
        allowed = [m for m in made if m[0] <= ceiling] or [min(made, key=lambda m: m[0])]
        value, quality, data = min(allowed, key=lambda m: (abs(m[0] - self._goal), len(m[2])))
        missed = abs(value - self._goal) > self._tolerance
        note = ""
        if missed and self._values.get(STEPS, math.inf) < self._goal:
            note = "quality 100 does not reach the target"
        elif missed and self._values.get(0, -math.inf) > self._goal and math.isinf(ceiling):
            note = "quality 0 is above the target already"
        elif missed and math.isinf(ceiling):
            note = "no quality comes nearer to the target"
        return Found(data, quality, note=note)
