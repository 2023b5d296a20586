"""Do the scans of a JPEG hold all of its blocks?

libjpeg fills what a scan lacks before a marker with grey, or leaves it as coarse as earlier scans made it,
and Pillow does not pass on its warning. But bytes behind the last block of a scan mean nothing to it: where
some are added, the picture stays as it is. If it changes, blocks were missing.

ITU-T T.81, sections B.1.1 and B.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO

SCAN, END, ESCAPED = 0xDA, 0xD9, (0x00, 0xFF, *range(0xD0, 0xD8))
"""Start of a scan, end of the image; what follows FF inside a scan: a stuffed byte, fill, restarts."""
HUFFMAN = (0xC0, 0xC1, 0xC2)
"""Frames that are looked at. An arithmetic coder may leave out zeros at the end of a scan."""
ADDED = bytes(1 + pow(75, n, 65537) % 254 for n in range(256))
"""Codes of some blocks that are not grey, without a marker: Lehmer's generator."""
GREY, NEAR = 128, 3
"""Luma of a block that is not there, and how much rounding and the chroma beside it may change it."""


def is_grey(pixel: Sequence[int]) -> bool:
    """Grey or RGB: may it be of a block that is not there?"""
    luma = pixel[0] if len(pixel) == 1 else 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
    return abs(luma - GREY) <= NEAR


def are_all_there(stream: BinaryIO) -> bool:
    """stream: a JPEG that Pillow could read, from its beginning."""
    stream.seek(0)
    data = stream.read()
    places = _ends_of_scans(data)
    if not places:
        return True
    try:
        found = _small(data)
        data = _longer(data, places)
        return found == _small(data)
    except OSError:  # it was read before
        return True


def _longer(data: bytes, places: list[int]) -> bytes:
    """With ADDED at each place. Joined from views: the file may be large."""
    view, at = memoryview(data), 0
    parts: list[bytes | memoryview] = []
    for place in places:
        parts += view[at:place], ADDED
        at = place
    return b"".join((*parts, view[at:]))


def _small(data: bytes) -> bytes:
    """Samples of a JPEG at the smallest size that all of its scans matter to."""
    from PIL.JpegImagePlugin import JpegImageFile  # which a program that reads no JPEG does without

    with JpegImageFile(BytesIO(data)) as image:
        divisor = 2 if image.info.get("progressive") else 8  # at 1/8 only means of blocks are looked at
        image.draft(image.mode, (max(1, image.width // divisor), max(1, image.height // divisor)))
        return image.tobytes()


def _ends_of_scans(data: bytes) -> list[int]:
    """Where the first image's scans end; empty where that is not to be looked at."""
    at, found = 2, list[int]()
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker in ESCAPED:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == END:
            break
        if 0xC0 <= marker < 0xD0 and marker not in (0xC4, 0xC8, 0xCC, *HUFFMAN):
            return []
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SCAN:
            at = _end_of_scan(data, at)
            found.append(at)
    return found


def _end_of_scan(data: bytes, at: int) -> int:
    """The first marker that is no restart, with the fill before it, or the end of the data."""
    start = at
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 1:
        if data[at + 1] not in ESCAPED:
            while at > start and data[at - 1] == 0xFF:
                at -= 1
            return at
        at += 1 if data[at + 1] == 0xFF else 2
    return len(data)
