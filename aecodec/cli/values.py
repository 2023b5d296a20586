"""What stands behind options, as numbers: sizes, regions, qualities. argparse tells what is none."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Callable

from aecodec.limits import MOST_THREADS

SCALES = {"1": 1.0, "1/2": 1 / 2, "1/4": 1 / 4, "1/8": 1 / 8, "1/16": 1 / 16}
FACTORS = {"k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3}


def within(largest: int, name: str) -> Callable[[str], float]:
    """Parses 0 .. largest; argparse calls a text that is no number an invalid `name`."""

    def parse(text: str) -> float:
        value = float(text)
        if not 0 <= value <= largest:
            raise argparse.ArgumentTypeError(f"{text} is outside 0..{largest}")
        return value

    parse.__name__ = name
    return parse


quality = within(100, "quality")


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def size(text: str) -> int:
    """Bytes, or a limit's number, with k for a thousand, M for a million and G for a thousand millions."""
    factor = FACTORS.get(text[-1:], 1)
    number = text[:-1] if factor > 1 else text
    try:
        value = round(float(number) * factor)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; 40000, 40k, 1.5M and 2G are") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT") from None
    return x, y, width, height


def scale(text: str) -> float:
    """1/N, or the same as a decimal."""
    if text in SCALES:
        return SCALES[text]
    with contextlib.suppress(ValueError):
        if (value := float(text)) in SCALES.values():
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SCALES)}, nor one of them as a decimal")


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def threads(text: str) -> int:
    if (value := count(text)) > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text} is above {MOST_THREADS}")
    return value
