"""Ranges of numeric settings: what lies outside them is refused by name, before a run begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

Range = tuple[str, Callable[[float], bool]]

COUNT: Range = ("1 or more", lambda value: value >= 1)
NOT_NEGATIVE: Range = ("0 or more", lambda value: value >= 0)
POSITIVE: Range = ("a number above 0", lambda value: value > 0)
SHARE: Range = ("0 to 1", lambda value: 0 <= value <= 1)
DECAY: Range = ("0 to below 1", lambda value: 0 <= value < 1)
RATE: Range = ("0 to 1e9", lambda value: 0 <= value <= 1e9)  # of learning; more overflows in the optimisers
SEED: Range = ("0 to 4294967295", lambda value: 0 <= value < 2**32)


def check_ranges(settings: Any, ranges: Iterable[tuple[Range, tuple[str, ...]]]) -> None:
    """ranges: names of settings with the range of each.  ValueError naming the first that is outside."""
    for (words, holds), keys in ranges:
        for key in keys:
            value = getattr(settings, key)
            if not (math.isfinite(value) and holds(value)):
                raise ValueError(f"setting {key!r} wants {words}, got {value}")
