"""The groups of a file: sections GIDX, GDAT and BLOK <-> where each group's payload lies, and if it is whole.

See docs/format.md, section 4.  Sections have been found, and their checksums verified, by container.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aecodec import _core
from aecodec.errors import CorruptError


class Section(NamedTuple):
    """Where a section's payload lies in the file."""

    tag: str
    offset: int
    size: int


class Part(NamedTuple):
    """A group's payload: symbols, and then its pixel blocks if it has any."""

    begin: int
    size: int
    crc: int
    held: memoryview
    """What the file holds of it: less than `size` bytes in a file that is cut short."""

    def damage(self, group: int, file_size: int) -> str:
        """What is wrong with it in a file of this size; empty when it is whole."""
        end = self.begin + self.size
        if end > file_size:
            return (
                f"group {group} ends at byte {end}, but the file has {file_size} bytes; the file is cut short"
            )
        if _core.crc32c(self.held) != self.crc:
            where = f"group {group}, which ends at byte {end} of {file_size}"
            return f"{where}, is damaged: its checksum does not match"
        return ""


def find(view: memoryview, where: Mapping[str, Section], n_groups: int) -> list[Part]:
    """Every group's part. CorruptError when the index does not fit the picture or GDAT."""
    index, body = where["GIDX"], where["GDAT"]
    try:
        entries = _core.group_index_read(view[index.offset : index.offset + index.size], n_groups)
    except _core.CoreError as error:
        raise CorruptError(f"section GIDX: {error}; {n_groups} groups are needed") from None
    total = sum(size for size, _ in entries)
    if total != body.size:
        raise CorruptError(f"section GDAT has {body.size} bytes, but the groups of GIDX have {total}")
    parts = []
    begin = body.offset
    for size, crc in entries:
        parts.append(Part(begin, size, crc, view[begin : begin + size]))
        begin += size
    return parts


def block_sizes(view: memoryview, where: Mapping[str, Section], parts: Sequence[Part]) -> list[int]:
    """How many of each group's bytes, the last ones, are its pixel blocks: 0 without a section BLOK."""
    if "BLOK" not in where:
        return [0] * len(parts)
    section = where["BLOK"]
    sizes = unpack_sizes(view[section.offset : section.offset + section.size], len(parts))
    for group, (size, part) in enumerate(zip(sizes, parts, strict=True)):
        if size > part.size:
            raise CorruptError(
                f"section BLOK: {size} bytes of blocks in group {group}, which has {part.size}"
            )
    if not any(sizes):
        raise CorruptError("section BLOK is there, but no group has pixel blocks")
    return sizes


def pack_sizes(sizes: Sequence[int]) -> bytes:
    """Varints, one after the other: docs/format.md, section 1."""
    packed = bytearray()
    for size in sizes:
        while size > 127:
            packed.append(size & 127 | 128)
            size >>= 7
        packed.append(size)
    return bytes(packed)


def unpack_sizes(data: memoryview, count: int) -> list[int]:
    """Exactly `count` varints. CorruptError for more, fewer, or one that is not the shortest."""
    found: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if (byte == 0 and shift > 7) or value >= 1 << 31:
                break
            found.append(value)
            value = shift = 0
        elif shift > 28:
            break
    if shift or len(found) != count:
        raise CorruptError(f"section BLOK does not hold one size for each of {count} groups")
    return found
