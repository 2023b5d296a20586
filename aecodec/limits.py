"""How much a reader accepts before it allocates anything. Raise them knowingly, per call.

SECURITY.md tells how. Imported by the container and by everything that reads a file; imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive. The defaults are part of docs/format.md."""

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


DEFAULT_LIMITS = Limits()
