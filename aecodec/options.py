"""How a picture is to be encoded, whoever asks: Python, Pillow, the command line."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

from aecodec.describe import LEVELS_PER_QUALITY
from aecodec.errors import UsageError
from aecodec.rate_control import Target

NO_TARGET = Target()
DEFAULT_QUALITY = 60.0
INSTEAD = {"target_bpp": "bpp", "target_size": "size", "target_psnr": "psnr"}
"""Targets that find the quality, and the fields of Target; max_size lowers one."""
EFFORTS = range(3)
CLASH = "exclude each other, as the target finds the quality; leave one out (max_size alone goes with one)"


@dataclass(frozen=True, slots=True)
class Options:
    """UsageError for what is no number, or out of range.

    quality        0 (smallest) .. 100 (best); with a target, of its max_size alone
    target         what the file should come out as, instead of a quality
    alpha_quality  0 .. 100 codes transparency with loss; None keeps it exact
    thumbnail      adds the picture at 1/16, which decodes without any network
    effort         0 .. 2, how often the encoder looks at what the decoder will make of its file, to mend it:
                   fewer bytes for the same picture (at one quality the file grows a little, and is better)
    """

    quality: float = DEFAULT_QUALITY
    target: Target = NO_TARGET
    alpha_quality: float | None = None
    thumbnail: bool = False
    effort: int = 0

    def __post_init__(self) -> None:
        stored_quality(self.quality)
        if self.alpha_quality is not None:
            stored_quality(self.alpha_quality)
        if not isinstance(self.effort, numbers.Integral) or self.effort not in EFFORTS:
            raise UsageError(f"effort {self.effort!r}: a whole number from 0 to {EFFORTS[-1]} is needed")


def quality_of(quality: float | None, target: Target) -> float:
    """The quality that is asked for, or the default. UsageError for one beside a target that finds it."""
    if quality is None:
        return DEFAULT_QUALITY
    for name, field in INSTEAD.items():
        if getattr(target, field) is not None:
            raise UsageError(f"quality and {name} {CLASH}")
    return quality


def stored_quality(quality: float) -> int:
    """As in the header of a file."""
    if not isinstance(quality, numbers.Real):
        raise UsageError(f"quality {quality!r}: a number from 0 to 100 is needed")
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality} is outside 0..100")
    return round(quality * LEVELS_PER_QUALITY * 256)
