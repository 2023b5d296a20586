"""What the user of the package should know, though the result is fine."""

from __future__ import annotations

import sys
import warnings

OWN = ("aecodec", "PIL")
"""Packages between the user's code and the place that warns."""


def tell(note: str) -> None:
    """A UserWarning at the line that called aecodec, or Pillow."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] in OWN:
        frame, level = frame.f_back, level + 1
    warnings.warn(note, UserWarning, stacklevel=level)
