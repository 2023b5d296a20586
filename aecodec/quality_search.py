"""The whole quality at which a value of the file is nearest to a goal.

Size and PSNR grow with quality, their logarithm and their decibels nearly in proportion, so a bracketed
secant search needs few encodings. Each is a real one: the entropy coder is a small part of the time, so
an estimate instead of its bytes would save little and be wrong by its error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Encode = Callable[[int], bytes]
"""Stored quality -> file."""
Stuck = Callable[["Search", tuple[int, int], float], bool]
"""A search that jumps over its goal, the qualities around it, the ceiling -> has another way come near?
What it makes goes into Search.others."""

STEPS = 63 * 256
"""Stored qualities are 0 .. STEPS."""
PATIENCE = 8
"""Encodings after which the search halves its bracket instead."""
JUMPS = 4
"""Encodings after which it takes values to jump."""
STEEPEST = 16
"""How much faster than expected values may grow; what is faster is a jump."""
MOST = 16
"""Encodings after which it ends where values jump, if there are files made in another way (Search.others) and
any file is an answer. Without those it halves until hardly any quality is left, 14 times at most."""


@dataclass(frozen=True, slots=True)
class Found:
    """The file, its stored quality, how often the picture was encoded, and what the user should know."""

    data: bytes
    quality: int
    runs: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the value of a file should be.

    value      of a file; it grows with quality
    wanted     of it
    tolerance  how near is a hit
    near       how near is enough where values jump
    steps      of quality for a step of 1 in value, before two files are known
    """

    value: Callable[[bytes], float]
    wanted: float
    tolerance: float
    near: float
    steps: float

    def distance(self, value: float) -> float:
        return abs(value - self.wanted)


class Search:
    """Encodes until a file hits the goal, or no quality is left that could."""

    def __init__(self, encode: Encode, goal: Goal, stuck: Stuck | None = None, highest: int = STEPS) -> None:
        """highest: no quality above it is an answer."""
        self._encode, self.goal, self._stuck, self.highest = encode, goal, stuck, highest
        self.files: dict[int, bytes] = {}
        self.values: dict[int, float] = {}
        self.others: list[tuple[float, int, bytes]] = []
        """Values, qualities and files that were made in another way, in that order."""

    def add(self, quality: int, data: bytes) -> None:
        self.files[quality] = data
        self.values[quality] = self.goal.value(data)

    def encoded(self, quality: int) -> bytes:
        if quality not in self.files:
            self.add(quality, self._encode(quality))
        return self.files[quality]

    def hits(self, quality: int, ceiling: float) -> bool:
        value = self.values[quality]
        return self.goal.distance(value) <= self.goal.tolerance and value <= ceiling

    def run(self, start: int, ceiling: float = math.inf) -> Found:
        """`ceiling`: values above it are no answer, however near."""
        low, high = -1, self.highest + 1  # the answer is above low and below high
        quality, stuck = start, self._stuck
        while True:
            self.encoded(quality)
            if self.hits(quality, ceiling):
                break
            low, high = self._narrowed(quality, low, high)
            if stuck and len(self.values) >= JUMPS:
                if stuck(self, (low, high), ceiling):
                    break
                stuck = None
            if high - low <= 1 or (self.others and self._suffices(ceiling)):
                break
            if len(self.values) >= JUMPS and self._gap(low, high):
                break
            found = self._next() if len(self.values) < PATIENCE else (low + high) // 2
            quality = self._far(low, high) if found is None else min(max(found, low + 1), high - 1)
        return self._best(ceiling)

    def approach(self, known: int, ceiling: float) -> bool:
        """run() from one known quality on, for a while -> is the goal reached?"""
        if self.hits(known, ceiling):
            return True
        low, high = self._narrowed(known, -1, self.highest + 1)
        while high - low > 1 and len(self.values) < PATIENCE:
            found = self._next()
            quality = found if found is not None and low < found < high else self._far(low, high)
            self.encoded(quality)
            if self.hits(quality, ceiling):
                return True
            low, high = self._narrowed(quality, low, high)
        return False

    def _narrowed(self, quality: int, low: int, high: int) -> tuple[int, int]:
        return (quality, high) if self.values[quality] < self.goal.wanted else (low, quality)

    def _far(self, low: int, high: int) -> int:
        """Is there an answer at all? An end that was not tried; else the middle."""
        return self.highest if high > self.highest else 0 if low < 0 else (low + high) // 2

    def _gap(self, low: int, high: int) -> bool:
        """Do values jump over the goal, and are so few qualities left that none is much nearer to it?"""
        if low not in self.values or high not in self.values:
            return False
        change = (high - low) / self.goal.steps
        return all(self.goal.distance(self.values[q]) > STEEPEST * change for q in (low, high))

    def _next(self) -> int | None:
        """Where the line through the nearest two known points, or the expected slope, meets the goal; None
        where the value does not grow from one of them to the other."""
        nearest = sorted(self.values, key=lambda q: self.goal.distance(self.values[q]))[:2]
        steps = self.goal.steps
        if len(nearest) == 2:
            a, b = nearest
            rise = self.values[b] - self.values[a]
            if rise * (b - a) <= 0:
                return None
            steps = (b - a) / rise
        return round(nearest[0] + (self.goal.wanted - self.values[nearest[0]]) * steps)

    def _suffices(self, ceiling: float) -> bool:
        """Where values jump: is a file near enough, or are there enough of them?"""
        values = [v for v in (*self.values.values(), *(v for v, _, _ in self.others)) if v <= ceiling]
        many = len(self.values) + len(self.others) >= MOST
        return any(many or self.goal.distance(value) <= self.goal.near for value in values)

    def _best(self, ceiling: float) -> Found:
        made = [*((self.values[q], q, data) for q, data in self.files.items()), *self.others]
        allowed = [m for m in made if m[0] <= ceiling] or [min(made, key=lambda m: m[0])]
        value, quality, data = min(allowed, key=lambda m: (self.goal.distance(m[0]), len(m[2]), -m[1]))
        missed = self.goal.distance(value) > self.goal.tolerance
        note = ""
        if missed and self.values.get(STEPS, math.inf) < self.goal.wanted:
            note = "quality 100 does not reach the target"
        elif missed and self.values.get(0, -math.inf) > self.goal.wanted and math.isinf(ceiling):
            note = "quality 0 is above the target already"
        elif missed and math.isinf(ceiling):
            note = "no quality comes much nearer to the target"
        return Found(data, quality, note=note)
