"""EXIF data, which may be damaged: Pillow raises many types for it, and then the picture is still good.

Used where metadata comes in (modes) and goes out (pixels), by the Pillow plugin and by the decode command.
"""

from __future__ import annotations

import re

from PIL import ExifTags, Image

from aecodec import directories

ORIENTATION = ExifTags.Base.Orientation
TURNED = (5, 6, 7, 8)
"""Orientations that exchange width and height."""
THUMBNAIL = 513, 514
"""Tags of where it begins, and of its bytes; of the second directory."""
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
    """EXIF data that says so, without prefix: `data` itself where it does, else with this tag alone changed.
    Damaged data makes room for it where an orientation has to be stated.

    xmp: where it states another orientation, EXIF data has to state this one."""
    found, elsewhere = load(data), IN_XMP.search(xmp)
    needed = orientation != 1 or (elsewhere is not None and elsewhere[2] != b"1")
    if orientation_in(found) == orientation and not (needed and (found is None or ORIENTATION not in found)):
        return data
    if found is not None:
        changed = directories.with_short(data, ORIENTATION, orientation)
        if changed is not None and orientation_in(load(changed)) == orientation:
            return changed
        found[ORIENTATION] = orientation  # what Pillow can read of it is made anew
        try:
            return found.tobytes().removeprefix(b"Exif\0\0")
        except MemoryError:
            raise
        except Exception:  # values of other tags that cannot be packed
            pass
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found.tobytes().removeprefix(b"Exif\0\0")


def for_tiff(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """EXIF data, without prefix, that a TIFF may begin with; notes. Empty where it is damaged."""
    found = directories.first(data)
    if found is None or load(data) is None:
        return b"", ("damaged EXIF data left out, which TIFF cannot hold",)
    whole, lost = directories.without_dangling(data)
    notes = ["damaged tags of the EXIF data left out, which TIFF cannot hold"] if lost else []
    second = directories.read(data, found.next) if found.next else None
    if second is None:
        return whole, tuple(notes)
    notes.append("thumbnail of the EXIF data left out, which a TIFF would show as a second picture")
    start, size = (second.number(tag, data) for tag in THUMBNAIL)
    return (whole[:start] if found.next < start == len(data) - size else whole), tuple(notes)


class Unchanged(Image.Exif):
    """EXIF data that a writer of Pillow's looks at, and does not make anew."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.load(data)
        self._whole = data

    def tobytes(self, offset: int = 8) -> bytes:
        return self._whole
