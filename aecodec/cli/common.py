"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math
import sys

SCALES = {"1": 1.0, "1/2": 1 / 2, "1/4": 1 / 4, "1/8": 1 / 8, "1/16": 1 / 16}


def quality(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..100")
    return value


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def size(text: str) -> int:
    """Bytes, with k for a thousand and M for a million."""
    factor = {"k": 1000, "M": 1000000}.get(text[-1:], 1)
    number = text[:-1] if factor > 1 else text
    try:
        value = round(float(number) * factor)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; 40000, 40k and 1.5M are") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than a byte")
    return value


def region(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,WIDTH,HEIGHT") from None
    return x, y, width, height


def scale(text: str) -> float:
    if text not in SCALES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SCALES)}")
    return SCALES[text]


def threads(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def add_runtime_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME", help="name or folder of a model bundle")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (CUDA where it works), cpu, or cuda (an error where it does not work)",
    )
    parser.add_argument("--threads", type=threads, metavar="N", help="CPU threads (default: automatic)")


def note(text: str) -> None:
    """Something the user should know; the result is fine."""
    print(f"aecodec: note: {text}", file=sys.stderr)
