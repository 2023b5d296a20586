"""Colours of files made of boxes, which Pillow does not read: profiles of JPEG 2000, codes of AVIF and HEIC.

Part of the first step of encoding; used by aecodec.pixels alone. Boxes: ISO 14496-12, section 4.2; JPEG 2000:
15444-1, annex I; items and what belongs to them: 14496-12, section 8.11, and 23008-12, section 9.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL import Image

from aecodec.errors import InputError

MOST_BOXES = 1000
"""That are looked at beside each other."""
LARGEST_TABLE = 1 << 20
"""Bytes read of what says which property belongs to which item."""
PROFILES = (2, 3)
"""Methods of a colr box of JPEG 2000: a profile of ICC, restricted and any."""
SPACE = slice(16, 20)
"""Where a profile says which colours it is of."""
FULL_RANGE = 0x80


class Box(NamedTuple):
    kind: bytes
    start: int
    """Of what it holds."""
    end: int


class Colours(NamedTuple):
    profile: bytes = b""
    codes: bytes | None = None
    """Primaries, transfer, matrix, full range (ITU-T H.273), as in the cICP chunk of a PNG."""


def colours_of(image: Image.Image, most: int) -> Colours:
    """Of an image before it is loaded, beside what Pillow says of it.

    most: bytes of a profile; of a larger one there is one more. InputError for what Pillow reads wrongly."""
    if image.format == "HEIF":  # pillow-heif's
        return Colours(codes=_codes_in(image.info.get("nclx_profile")))
    stream = getattr(image, "fp", None)
    if image.format not in ("JPEG2000", "AVIF") or stream is None:
        return Colours()
    try:
        at = stream.tell()
        size = stream.seek(0, 2)
        try:
            if image.format == "AVIF":
                return Colours(codes=_codes(stream, size))
            profile = _profile(stream, size, most)
        finally:
            stream.seek(at)
    except (OSError, ValueError):  # closed, as all of it has been read
        return Colours()
    if image.mode == "RGBA" and profile[SPACE] == b"CMYK":
        raise InputError("a JPEG 2000 of CMYK, which Pillow takes for RGB and alpha; convert it to RGB first")
    return Colours(profile)


def _boxes(stream: BinaryIO, at: int, end: int) -> Iterator[Box]:
    """Up to the first one that is damaged."""
    for _ in range(MOST_BOXES):
        stream.seek(at)
        head = stream.read(16)
        size, start = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16], "big"), at + 16
        stop = end if size == 0 else at + size
        if len(head) < 8 or not start <= stop <= end:
            return
        yield Box(head[4:8], start, stop)
        at = stop


def _find(stream: BinaryIO, at: int, end: int, kind: bytes) -> Box:
    """The first one; an empty one where there is none."""
    return next((box for box in _boxes(stream, at, end) if box.kind == kind), Box(kind, end, end))


def _read(stream: BinaryIO, box: Box, most: int) -> bytes:
    stream.seek(box.start)
    return stream.read(min(box.end - box.start, most))


def _profile(stream: BinaryIO, size: int, most: int) -> bytes:
    """Of a JPEG 2000; empty where there is none."""
    header = _find(stream, 0, size, b"jp2h")
    for box in _boxes(stream, header.start, header.end):
        if box.kind == b"colr" and (found := _read(stream, box, 3 + most + 1))[:1] and found[0] in PROFILES:
            return found[3:]
    return b""


def _codes(stream: BinaryIO, size: int) -> bytes | None:
    """Of the picture itself: a file may have those of a thumbnail or of a gain map, too."""
    meta = _find(stream, 0, size, b"meta")
    parts = {box.kind: box for box in _boxes(stream, meta.start + 4, meta.end)}
    if not parts.keys() >= {b"pitm", b"iprp"}:
        return None
    primary = _read(stream, parts[b"pitm"], 8)
    item = int.from_bytes(primary[4:6] if primary[:1] == b"\0" else primary[4:8], "big")
    properties = list(_boxes(stream, parts[b"iprp"].start, parts[b"iprp"].end))
    container = next((box for box in properties if box.kind == b"ipco"), None)
    if container is None:
        return None
    held = list(_boxes(stream, container.start, container.end))
    for table in (_read(stream, box, LARGEST_TABLE) for box in properties if box.kind == b"ipma"):
        for number in _properties_of(table, item):
            if not 1 <= number <= len(held) or held[number - 1].kind != b"colr":
                continue
            found = _read(stream, held[number - 1], 11)
            if found[:4] == b"nclx" and len(found) == 11:
                return bytes((found[5], found[7], found[9], int(found[10] >= FULL_RANGE)))
    return None


def _properties_of(table: bytes, item: int) -> list[int]:
    """Numbers, from 1 on, in an ipma box."""
    width, wide, at = (2 if table[:1] == b"\0" else 4), table[3:4] > b"" and table[3] & 1, 8
    for _ in range(int.from_bytes(table[4:8], "big")):
        if at + width >= len(table):
            break
        number, count = int.from_bytes(table[at : at + width], "big"), table[at + width]
        at += width + 1
        step = 2 if wide else 1
        if number == item:
            entries = [table[k : k + step] for k in range(at, at + step * count, step)]
            return [int.from_bytes(entry, "big") & (0x7FFF if wide else 0x7F) for entry in entries]
        at += step * count
    return []


def _codes_in(profile: object) -> bytes | None:
    if not isinstance(profile, dict):
        return None
    names = "color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag"
    values = [profile.get(name) for name in names]
    whole = [int(value) for value in values if isinstance(value, int) and 0 <= value <= 255]
    return bytes(whole) if len(whole) == len(names) else None
