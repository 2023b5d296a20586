"""Sections whose checksums do not match: which they are, and the file without them and what follows its end.

Works on bytes alone, below container.py. A flipped bit may lie in a section's payload, or in what says where
it ends: then the next section is looked for.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from aecodec import _core

NAMES = {
    "iCCP": "colour profile",
    "eXIF": "EXIF data",
    "xMPd": "XMP",
    "rESo": "resolution",
    "tHMB": "thumbnail",
    "fILT": "post-filter",
    "ALPH": "alpha",
    "ALPC": "alpha",
    "BLOK": "sizes of pixel blocks",
    "GIDX": "group index",
    "GDAT": "groups",
}
"""What known sections hold, in words."""
KNOWN = re.compile(b"|".join(re.escape(tag.encode()) for tag in NAMES if tag != "GDAT"))
NEEDED = ("BLOK", "GIDX", "GDAT")
"""Sections without which no pixel can be decoded."""
MAGIC = b"\x89AEC\r\n\x1a\n"
"""Of a file inside the file."""
HEAD = 9
"""Bytes of a section before its payload, at most."""
TRIES = 64
"""Places at most at which a section is looked for: each may cost a look at all of the file."""


class Place(NamedTuple):
    """A section, damaged or not."""

    tag: str
    """One letter for each byte, whatever it is."""
    begin: int
    end: int
    whole: bool
    """Its checksum matches; not looked at for GDAT, whose groups have their own."""


def name_of(tag: str) -> str:
    """What a section holds, in words; also of a tag in which one bit is wrong."""
    known = _known(tag)
    return NAMES[known] if known else f"section {tag!r}"


def explain(view: memoryview, start: int) -> str:
    """Which section is damaged, in words; empty where that cannot be said. start: of the first section."""
    at = start
    while (place := _at(view, at)) and place.tag != "GDAT":
        if not place.whole:
            name = f" ({NAMES[place.tag]})" if place.tag in NAMES else ""
            return (
                f"section {place.tag!r}{name}, which ends at byte {place.end} of {len(view)}, is damaged: "
                "its checksum does not match"
            )
        at = place.end
    return ""


def cut_out(view: memoryview, start: int, most: int) -> tuple[bytes, list[str], int]:
    """-> the file without its damaged sections and without what is behind its end, what those hold in words,
    how many bytes are behind the end.

    Nothing is left out where one is damaged that is needed, or the next one cannot be found, or there are
    more than `most`."""
    nothing: tuple[bytes, list[str], int] = bytes(view), [], 0
    kept = [view[:start]]
    lost: list[str] = []
    at, tries = start, TRIES
    for _ in range(most):
        place = _at(view, at)
        if place and place.tag == "GDAT":
            return b"".join((*kept, view[at : place.end])), lost, max(0, len(view) - place.end)
        if place and place.whole:
            kept.append(view[at : place.end])
            at = place.end
            continue
        tag = _tag(view, at)
        if _known(tag) in NEEDED:
            return nothing
        lost.append(name_of(tag))
        at, tries = _end_of(view, at, start, tries)
        if not at:
            return nothing
    return nothing


def _end_of(view: memoryview, begin: int, start: int, tries: int) -> tuple[int, int]:
    """-> where a damaged section ends, 0 if that cannot be said; how many tries are left.

    What says so may be damaged, and then point to anything that looks like a section."""
    place, end = _at(view, begin), 0
    told = place.end if place and _tag(view, place.end) in NAMES else 0
    payload = begin + HEAD + len(MAGIC)
    inner = bytes(view[begin:payload]).find(MAGIC)
    if inner >= 0:
        end = _end_of_file(view, begin + inner + start)
        end = end if _tag(view, end) in NAMES else told
    else:
        end, tries = _next(view, begin + 1, tries)
        end = min(end or told, told or end)
    # A file inside has sections of its own, which would be taken for those of this one.
    return (0 if MAGIC in bytes(view[payload:end]) else end), tries


def _end_of_file(view: memoryview, at: int) -> int:
    """Where a section ends that is a file of its own, by that file's sections, of which `at` is the first; 0
    where one of them is damaged."""
    while place := _at(view, at):
        if place.tag == "GDAT":
            return place.end + 4  # a checksum for each of the two
        if not place.whole:
            break
        at = place.end
    return 0


def _known(tag: str) -> str | None:
    """The known tag that this is, or was before one bit of it flipped."""
    if tag in NAMES:
        return tag
    bits = int.from_bytes(tag.encode("latin-1"), "big")
    return next((k for k in NAMES if (int.from_bytes(k.encode(), "big") ^ bits).bit_count() == 1), None)


def _tag(view: memoryview, at: int) -> str:
    return bytes(view[at : at + 4]).decode("latin-1")


def _at(view: memoryview, at: int) -> Place | None:
    """The section that begins there; None where none can."""
    offset, size = at + 4, 0
    for shift in itertools.count(0, 7):
        if shift > 28 or offset >= len(view):
            return None
        byte = view[offset]
        offset, size = offset + 1, size | (byte & 127) << shift
        if byte < 128:
            break
    tag, end = _tag(view, at), offset + size
    if tag == "GDAT":
        return Place(tag, at, end + 4, True)
    if end + 4 > len(view):
        return None
    checksum = int.from_bytes(view[end : end + 4], "little")
    return Place(tag, at, end + 4, checksum == _core.crc32c(view[at:end]))


def _next(view: memoryview, begin: int, tries: int) -> tuple[int, int]:
    """-> where the next known section that is whole begins, 0 if none is found; how many tries are left."""
    while tries and (found := KNOWN.search(view, begin)):
        begin, tries = found.start() + 1, tries - 1
        place = _at(view, found.start())
        if place and place.whole:
            return place.begin, tries
    return 0, tries
