"""Does a PNG hold all of its rows, and just them?  Pillow does not look at how its compressed stream ends.

PNG specification, third edition, sections 5, 8 and 10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of each pass."""
HEADER = 13
"""Bytes of IHDR."""
TAKEN, PART = 1 << 16, 1 << 20
"""Bytes that are inflated together, and that may come out."""


def are_all_there(stream: BinaryIO) -> bool:
    """stream: a PNG that Pillow could read, from its beginning."""
    stream.seek(8)
    wanted, inflate = 0, zlib.decompressobj()
    for tag, body in _chunks(stream):
        if tag == b"IHDR":
            wanted = _size(body)
        if tag != b"IDAT":
            continue
        try:
            wanted -= _inflated(inflate, body, wanted)
        except zlib.error:  # Pillow has seen it, too
            return True
        if wanted <= 0:
            break
    return wanted <= 0


def are_exact(stream: BinaryIO) -> bool:
    """The same, and nothing else: IHDR is first, checksums are right, IEND is there, and what is compressed
    is one whole zlib stream of these rows."""
    stream.seek(8)
    wanted, inflate = 0, zlib.decompressobj()
    for number, (tag, body) in enumerate(_chunks(stream)):
        if (tag == b"IHDR") != (number == 0) or not _is_whole(stream, tag, body):
            return False
        if tag == b"IEND":
            return wanted == 0 and inflate.eof and not inflate.unused_data
        if tag == b"IHDR":
            if len(body) != HEADER:
                return False
            wanted = _size(body)
        if tag != b"IDAT" or not body:
            continue
        if inflate.eof:
            return False
        try:
            wanted -= _inflated(inflate, body, wanted)
        except zlib.error:
            return False
        if wanted < 0:
            return False
    return False


def _inflated(inflate: Any, body: bytes, wanted: int) -> int:
    """How many bytes come out, or some number above `wanted`.  In parts of both: the rest of what goes in is
    copied each time."""
    found = 0
    for at in range(0, len(body), TAKEN):
        part = body[at : at + TAKEN]
        while part and not inflate.eof and found <= wanted:
            found += len(inflate.decompress(part, PART))
            part = inflate.unconsumed_tail
    return found


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while len(head := stream.read(8)) == 8:
        length, tag = struct.unpack(">I4s", head)
        yield tag, stream.read(length)
        stream.seek(4, 1)


def _is_whole(stream: BinaryIO, tag: bytes, body: bytes) -> bool:
    """Is the chunk there, and its checksum, before which the stream stands, right?"""
    stored = stream.read(4)
    stream.seek(-len(stored), 1)
    return stored == struct.pack(">I", zlib.crc32(body, zlib.crc32(tag)))


def _size(header: bytes) -> int:
    """Bytes of all rows, each with its filter."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header[:HEADER])
    bits, size = depth * CHANNELS[kind], 0
    for left, top, across, down in ADAM7 if interlaced else WHOLE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + -(-columns * bits // 8))
    return size
