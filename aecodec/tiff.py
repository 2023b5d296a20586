"""Rows of samples -> an uncompressed TIFF file, row by row, for pictures that are never held whole.

EXIF data is a TIFF structure itself, whose places count from its beginning. So the file begins with it, as it
is, and a directory of its own follows: the tags of the picture that Pillow writes of one pixel, their sizes
set here (TIFF revision 6, sections 2 and 8), and those of EXIF data. The samples are one strip.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import directories
from aecodec.directories import ENTRY, INLINE, LONG, SIZES

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
WIDTH, LENGTH, STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_SIZES = 256, 257, 273, 278, 279
STRUCTURE = frozenset(
    (*range(254, 260), 262, 263, 266, 273, *range(277, 282), 284, *range(290, 294), 301)
    + (*range(317, 326), 330, *range(332, 348), *range(512, 533), 34675)
)
"""Tags that say how samples are stored. EXIF data may have them of the picture that it was made with."""
NO_EXIF = b"II*\0" + bytes(4)
WORDS = {5: 4, 10: 4}
"""Bytes of what has an order, of types for which it is not the size."""
LARGEST = (1 << 32) - 1
"""Bytes of a file, whose places are 32 bits."""


def write(
    out: BinaryIO,
    size: tuple[int, int],
    channels: int,
    depth: int,
    bands: Iterable[NDArray[Any]],
    exif: bytes = b"",
    **metadata: Any,
) -> None:
    """size: width, height; bands: [rows, width, channels], from top to bottom, of uint8, or uint16 where
    channels is 1 and depth 16.

    exif: as exif.for_tiff() gives it, or empty. metadata: options of Pillow's writer. ValueError where the
    picture does not fit into a TIFF."""
    width, height = size
    small = BytesIO()
    Image.new("I;16" if depth == 16 else MODES[channels], (1, 1)).save(small, "TIFF", **metadata)
    base = exif or NO_EXIF
    order, row = directories.order_of(base) or "<", channels * depth // 8 * width
    tags = _tags_of(small.getvalue(), order)
    sizes = {WIDTH: width, LENGTH: height, ROWS_PER_STRIP: height, STRIP_SIZES: row * height}
    tags |= {tag: (LONG, 1, struct.pack(order + "I", min(n, LARGEST))) for tag, n in sizes.items()}
    own = directories.first(exif)
    kept = {e.tag: e.raw for e in own.entries if e.tag not in STRUCTURE | tags.keys()} if own else {}
    head = _with_directory(base, order, tags, kept)
    if len(head) + row * height > LARGEST:
        raise ValueError("files are at most 4 GB")
    out.write(head)
    for band in bands:
        out.write(np.ascontiguousarray(band.astype(band.dtype.newbyteorder(order), copy=False)).data)


def _tags_of(data: bytes, order: str) -> dict[int, tuple[int, int, bytes]]:
    """Type, count and values of a whole TIFF's tags, in another order of bytes."""
    found, own = directories.first(data), directories.order_of(data) or "<"
    assert found is not None
    tags = {}
    for tag, raw in found.entries:
        _, kind, count, place = struct.unpack(own + "HHII", raw)
        size = SIZES[kind] * count
        values = raw[8 : 8 + size] if size <= INLINE else data[place : place + size]
        if order != own:
            word = WORDS.get(kind, SIZES[kind])
            values = np.frombuffer(values, np.uint8).reshape(-1, word)[:, ::-1].tobytes()
        tags[tag] = kind, count, values
    return tags


def _with_directory(
    base: bytes, order: str, tags: dict[int, tuple[int, int, bytes]], kept: dict[int, bytes]
) -> bytes:
    """All that stands before the samples. kept: entries whose values are in `base`."""
    base += bytes(len(base) % 2)
    behind = len(base) + 2 + ENTRY * (len(tags) + len(kept)) + 4
    start = behind + sum(len(v) + len(v) % 2 for _, _, v in tags.values() if len(v) > INLINE)
    tags[STRIP_OFFSETS] = LONG, 1, struct.pack(order + "I", start)
    entries, values = dict(kept), b""
    for tag, (kind, count, value) in sorted(tags.items()):
        if len(value) > INLINE:
            place = struct.pack(order + "I", behind + len(values))
            values += value + bytes(len(value) % 2)
        else:
            place = value.ljust(INLINE, b"\0")
        entries[tag] = struct.pack(order + "HHI", tag, kind, count) + place
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries[tag] for tag in sorted(entries))
    return base[:4] + struct.pack(order + "I", len(base)) + base[8:] + directory + bytes(4) + values
