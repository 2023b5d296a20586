"""Directories of a TIFF structure (a TIFF, or EXIF data), read and changed where they lie.

Values stay where they are and what they are: notes of a maker hold places counted from the beginning of all
of it, and Pillow, which makes such data anew, guesses types. TIFF revision 6, section 2.
"""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

ORDERS: dict[bytes, Literal["<", ">"]] = {b"II*\0": "<", b"MM\0*": ">"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value of each type."""
SHORT, LONG = 3, 4
ENTRY, INLINE = 12, 4
"""Bytes of an entry; those of values that lie in it."""
MOST = (1 << 16) - 1
"""Entries of a directory."""
EXIF, GPS, INTEROP = 34665, 34853, 40965
PLACES = (LONG, 13)
"""Types of these."""
BELOW = {0: (EXIF, GPS), EXIF: (INTEROP,), GPS: (), INTEROP: ()}
"""Tags that say where another directory is, by the one that they are in; 0: the first."""


class Entry(NamedTuple):
    tag: int
    raw: bytes


class Directory(NamedTuple):
    at: int
    entries: list[Entry]
    next: int
    """Where another picture's is; 0 for none."""

    def number(self, tag: int, data: bytes) -> int:
        """The value of a tag that has one whole number; -1 without."""
        order = order_of(data)
        for entry in self.entries:
            if entry.tag == tag and order is not None:
                _, kind, count, value = struct.unpack(order + "HHII", entry.raw)
                return value if kind in PLACES and count == 1 else -1
        return -1


def order_of(data: bytes | bytearray) -> Literal["<", ">"] | None:
    """As struct says it; None where this is no TIFF structure."""
    return ORDERS.get(bytes(data[:4]))


def first(data: bytes) -> Directory | None:
    """None where it is not all there, as of any other."""
    order = order_of(data)
    return read(data, struct.unpack_from(order + "I", data, 4)[0]) if order and len(data) >= 8 else None


def read(data: bytes | bytearray, at: int) -> Directory | None:
    order = order_of(data)
    if order is None or not 8 <= at <= len(data) - 2:
        return None
    (count,) = struct.unpack_from(order + "H", data, at)
    end = at + 2 + ENTRY * count
    if end > len(data):
        return None
    raws = [bytes(data[place : place + ENTRY]) for place in range(at + 2, end, ENTRY)]
    entries = [Entry(struct.unpack_from(order + "H", raw)[0], raw) for raw in raws]
    return Directory(at, entries, int.from_bytes(data[end : end + 4], "little" if order == "<" else "big"))


def with_short(data: bytes, tag: int, value: int) -> bytes | None:
    """The first directory says so. Where it has the tag nothing else is changed; where not, one with it is
    added at the end. None for damaged data, and where there is no room for one more."""
    order, found = order_of(data), first(data)
    if found is None or order is None:
        return None
    changed, own = bytearray(data), struct.pack(order + "HHIH", tag, SHORT, 1, value)
    places = [found.at + 2 + ENTRY * n for n, entry in enumerate(found.entries) if entry.tag == tag]
    for place in places:
        changed[place : place + len(own)] = own
    if not places:
        if len(found.entries) == MOST:
            return None
        entries = [entry.raw for entry in found.entries]
        entries.insert(sum(entry.tag < tag for entry in found.entries), own.ljust(ENTRY, b"\0"))
        changed += bytes(len(changed) % 2)
        struct.pack_into(order + "I", changed, 4, len(changed))
        changed += struct.pack(order + "H", len(entries)) + b"".join(entries)
        changed += struct.pack(order + "I", found.next)
    return bytes(changed)


def without_dangling(data: bytes) -> tuple[bytes, bool]:
    """Data whose values are all inside it, so that other bytes may follow it; is anything left out?

    Only directories that readers of a TIFF look at count. There is a first one."""
    changed, found = bytearray(data), first(data)
    assert found is not None
    lost = _tidy(changed, found, 0)
    return bytes(changed), lost


def _tidy(data: bytearray, found: Directory, name: int) -> bool:
    """Changes data; is anything left out? A directory is one of those that BELOW knows, so this ends."""
    order, kept, lost = order_of(data) or "<", list[Entry](), False
    unique = {
        entry.tag: entry for entry in reversed(found.entries)
    }  # of two with one tag readers take the first
    for entry in found.entries:
        if unique[entry.tag] is not entry or not is_inside(entry.raw, order, len(data)):
            continue
        if entry.tag in BELOW[name]:
            _, kind, count, place = struct.unpack(order + "HHII", entry.raw)
            below = read(data, place) if (kind in PLACES and count == 1) else None
            if below is None or below.at == found.at:
                continue
            lost = _tidy(data, below, entry.tag) or lost
        kept.append(entry)
    if len(kept) == len(found.entries):
        return lost
    body = struct.pack(order + "H", len(kept)) + b"".join(entry.raw for entry in kept)
    body += struct.pack(order + "I", found.next)
    data[found.at : found.at + len(body)] = body
    return True


def is_inside(raw: bytes, order: str, size: int) -> bool:
    """Are an entry's values, if they are elsewhere, in so many bytes? Not those of unknown types."""
    _, kind, count, place = struct.unpack(order + "HHII", raw)
    length = SIZES.get(kind, 0) * count
    return kind in SIZES and (length <= INLINE or place + length <= size)
