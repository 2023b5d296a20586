"""EXIF data, which may be damaged: Pillow raises many types for it, and then the picture is still good.

Used where metadata comes in (modes) and goes out (pixels), by the Pillow plugin and by the decode command.
"""

from __future__ import annotations

import re

from PIL import ExifTags, Image

ORIENTATION = ExifTags.Base.Orientation
TURNED = (5, 6, 7, 8)
"""Orientations that exchange width and height."""
IN_XMP = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)(\d)")
"""As an attribute or an element, with the space that XML allows; Pillow knows `="6"` and `>6` alone."""


def load(data: bytes) -> Image.Exif | None:
    """A TIFF structure, with or without the prefix 'Exif\\0\\0' -> its tags; None when it is damaged."""
    found = Image.Exif()
    try:
        found.load(data)
        found.get(ORIENTATION)  # values are unpacked when they are asked for
    except MemoryError:
        raise
    except Exception:
        return None
    return found


def orientation_in(found: Image.Exif | None) -> int:
    """1..8; 1 where there is none, or another value."""
    return _valid(1 if found is None else found.get(ORIENTATION, 1))


def orientation_in_xmp(xmp: bytes) -> int:
    """1..8; 1 where there is none, or another value."""
    stated = IN_XMP.search(xmp)
    return _valid(int(stated[2]) if stated else 1)


def _valid(stated: object) -> int:
    return stated if isinstance(stated, int) and 1 <= stated <= 8 else 1


def with_orientation(data: bytes, orientation: int, xmp: bytes = b"") -> bytes:
    """EXIF data that says so, without prefix: `data` itself where it does. Damaged data makes room for it
    where an orientation has to be stated.

    xmp: where it states another orientation, EXIF data has to state this one."""
    found, elsewhere = load(data), IN_XMP.search(xmp)
    needed = orientation != 1 or (elsewhere is not None and elsewhere[2] != b"1")
    if orientation_in(found) == orientation and not (needed and (found is None or ORIENTATION not in found)):
        return data
    if found is not None:
        found[ORIENTATION] = orientation
        try:
            return found.tobytes().removeprefix(b"Exif\0\0")
        except MemoryError:
            raise
        except Exception:  # values of other tags that cannot be packed
            pass
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found.tobytes().removeprefix(b"Exif\0\0")
