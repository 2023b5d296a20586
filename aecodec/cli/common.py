"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import sys


def quality(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..100")
    return value


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
