"""Does a PNG hold all of its rows, and just them?

Pillow does not look at how its compressed stream ends, and fails over chunks that do not concern the rows.

PNG specification, third edition, sections 5, 8 and 10.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain, repeat
from typing import Any, BinaryIO

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
WHOLE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps, of each pass."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = 13
"""Bytes of IHDR."""
METHODS = (("compression", 0), ("filter", 0), ("interlace", 1))
"""Its last bytes, and the largest number that stands for a method."""
LAST_FILTER = 4
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


def stripped(png: bytes | memoryview) -> bytes:
    """IHDR, IDAT and IEND alone, of a PNG in which they are in order and every chunk's checksum is right.

    ValueError: what is wrong with it."""
    view, at, before, kept = memoryview(png), len(SIGNATURE), b"", [memoryview(SIGNATURE)]
    if view[:at] != SIGNATURE:
        raise ValueError("no PNG signature")
    while before != b"IEND":
        if at + 12 > len(view):
            raise ValueError("it is cut short")
        size, tag = struct.unpack_from(">I4s", view, at)
        chunk, at = view[at : at + 12 + size], at + 12 + size
        if at > len(view):
            raise ValueError("it is cut short")
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ValueError(f"the checksum of {tag.decode('latin-1')} does not match")
        if not before and (tag != b"IHDR" or size != HEADER):
            raise ValueError("IHDR is not first")
        if before and tag == b"IHDR":
            raise ValueError("IHDR is there twice")
        if tag == b"IDAT" and len(kept) > 2 and before != tag:
            raise ValueError("its IDAT chunks do not follow each other")
        if tag in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(chunk)
        before = tag
    if size or at != len(view):
        raise ValueError("it does not end with an empty IEND")
    for (name, most), method in zip(METHODS, kept[1][18:21], strict=True):
        if method > most:
            raise ValueError(f"{name} method {method}")
    return b"".join(kept)


def are_exact(stream: BinaryIO) -> bool:
    """Is what is compressed in a PNG of `stripped` one whole zlib stream of its rows, and nothing else?"""
    stream.seek(8)
    wanted, inflate, filters = 0, zlib.decompressobj(), _Filters(())
    for tag, body in _chunks(stream):
        if tag == b"IHDR":
            wanted, filters = _size(body), _Filters(_rows(body))
        if tag != b"IDAT":
            continue
        for at in range(0, len(body), TAKEN):
            if inflate.eof:
                return False
            try:
                wanted -= _inflated(inflate, body[at : at + TAKEN], wanted, filters.see)
            except zlib.error:
                return False
            if wanted < 0:
                return False
    return wanted == 0 and inflate.eof and not inflate.unused_data and filters.known


class _Filters:
    """The filters of a PNG's rows, each the first byte of a row, while its stream comes in parts."""

    def __init__(self, rows: Iterable[int]) -> None:
        """rows: their lengths, in order."""
        self._starts = chain([0], accumulate(rows))
        self._next, self._at = next(self._starts), 0
        self.known = True
        """Does the specification know all that were seen?"""

    def see(self, part: bytes) -> None:
        end = self._at + len(part)
        while self._next < end:
            self.known &= part[self._next - self._at] <= LAST_FILTER
            self._next = next(self._starts)
        self._at = end


def _inflated(
    inflate: Any, body: bytes, wanted: int, see: Callable[[bytes], None] = lambda part: None
) -> int:
    """How many bytes come out, or some number above `wanted`.  In parts of both: the rest of what goes in is
    copied each time."""
    found = 0
    for at in range(0, len(body), TAKEN):
        part = body[at : at + TAKEN]
        while part and not inflate.eof and found <= wanted:
            out = inflate.decompress(part, PART)
            found += len(out)
            if found <= wanted:
                see(out)
            part = inflate.unconsumed_tail
    return found


def _chunks(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    while len(head := stream.read(8)) == 8:
        length, tag = struct.unpack(">I4s", head)
        yield tag, stream.read(length)
        stream.seek(4, 1)


def _size(header: bytes) -> int:
    """Bytes of all rows."""
    return sum(rows * length for rows, length in _passes(header))


def _rows(header: bytes) -> Iterator[int]:
    """Bytes of each row."""
    return chain.from_iterable(repeat(length, rows) for rows, length in _passes(header))


def _passes(header: bytes) -> Iterator[tuple[int, int]]:
    """How many rows each pass has, and the bytes of one, its filter included."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header[:HEADER])
    for left, top, across, down in ADAM7 if interlaced else WHOLE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            yield rows, 1 + -(-columns * depth * CHANNELS[kind] // 8)
