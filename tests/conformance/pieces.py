"""Parts of files, right or wrong on purpose, with checksums that fit."""

from __future__ import annotations

import struct
import zlib

import reference_coder

from aecodec import _core
from aecodec.errors import AecodecError

Case = tuple[str, bytes, type[AecodecError], str]
HEADER = 41
PNG = b"\x89PNG\r\n\x1a\n"


def patch(data: bytes, at: int, new: bytes, crc: bool = True) -> bytes:
    """Header bytes replaced; its CRC made right again."""
    head = data[:at] + new + data[at + len(new) : 37]
    return head + (struct.pack("<I", _core.crc32c(head)) if crc else data[37:41]) + data[HEADER:]


def raw_section(tag: bytes, size: bytes, payload: bytes) -> bytes:
    """A section with a right CRC around whatever tag and size are given."""
    body = tag + size + payload
    return body + struct.pack("<I", _core.crc32c(body))


def section(tag: str, payload: bytes) -> bytes:
    return raw_section(tag.encode(), reference_coder.varint(len(payload)), payload)


def body(*payloads: bytes) -> bytes:
    """GIDX and GDAT around payloads, right or wrong."""
    index = b"".join(reference_coder.varint(len(p)) + struct.pack("<I", _core.crc32c(p)) for p in payloads)
    return section("GIDX", index) + section("GDAT", b"".join(payloads))


def png_chunk(tag: str, data: bytes) -> bytes:
    body = tag.encode() + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


PNG_END = png_chunk("IEND", b"")
