"""How much a reader accepts before it allocates anything. Raise them knowingly, per call: see SECURITY.md.

Imported by the container and by everything that reads a file.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple

from aecodec.errors import UsageError


class _Fields(NamedTuple):
    max_pixels: int = 1 << 28
    """Width times height of the picture: 268 million."""
    max_side: int = 65535 * 4
    """Width, and height, in pixels."""
    max_sections: int = 64
    max_section_size: int = 1 << 30
    """Bytes of one section's payload."""
    max_groups: int = 1 << 16
    max_metadata: int = 64 << 20
    """Bytes of one metadata section (ICC, EXIF, XMP) after inflation."""
    max_pixels_per_byte: int = 1 << 13
    """Pixels that one byte of a file may stand for, in pictures above FREE_PIXELS: the work that a sender of
    few bytes can cause. The densest files, large flat pictures, have 3,800."""


class Limits(_Fields):
    """Upper bounds, all inclusive. The defaults are part of docs/format.md.

    UsageError for what is no whole number from 0 on."""

    __slots__ = ()
    if not TYPE_CHECKING:  # who checks types sees those of the fields

        @wraps(_Fields.__new__)
        def __new__(cls, *values, **named):
            limits = super().__new__(cls, *values, **named)
            check(limits)
            return limits

        @classmethod
        def _make(cls, values: Iterable[int]) -> Limits:
            """_replace() takes this way."""
            return cls(*values)


FREE_PIXELS = 1 << 20
"""A picture of so few pixels, padding included, may have any number for each byte of its file."""

MOST_THREADS = 1024
"""onnxruntime makes as many as it is told, and each takes memory."""


def check(limits: Limits) -> None:
    """UsageError for what is no Limits of whole numbers, none below 0."""
    if not isinstance(limits, Limits):
        raise UsageError(f"limits: a Limits is needed, not {type(limits).__name__}")
    for name, value in limits._asdict().items():
        try:
            valid = operator.index(value) >= 0
        except TypeError:
            valid = False
        if not valid:
            raise UsageError(f"limits: {name} {value!r}: a whole number from 0 on is needed")


DEFAULT_LIMITS = Limits()
