"""What networks run with: one check for all who make a Codec, or will."""

from __future__ import annotations

from aecodec import limits as bounds
from aecodec import precision as numbers
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.precision import Precision
from aecodec.session import Device, check_threads


def check(
    device: Device,
    threads: int | None,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> None:
    """UsageError for what a Codec cannot be made with. Nothing is loaded."""
    numbers.check(precision, device)
    check_threads(threads)
    bounds.check(limits)
