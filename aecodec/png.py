"""Rows of samples -> a PNG file, part by part: for 16-bit colour, which Pillow does not write, and for
pictures that are never held whole.

Pillow makes the header and all metadata, on a picture of one pixel; the pixel chunks are made here (PNG
specification, third edition, sections 7 and 9).  Parts are deflated in parallel, as pigz does: each is a run
of blocks of its own that ends on a byte boundary (RFC 1951), and the one checksum is taken over all of them.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.parallel import Workers, workers

Bytes = NDArray[np.uint8]

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
PART = 1 << 20
"""Bytes of rows that are filtered and deflated together, as far as one row allows."""
LEVEL = 6
END = b"\x03\x00"
"""A last block that holds nothing."""


def write(
    out: BinaryIO,
    size: tuple[int, int],
    channels: int,
    depth: int,
    bands: Iterable[NDArray[Any]],
    threads: int = 1,
    **metadata: Any,
) -> None:
    """size: width, height; bands: uint8 or uint16 [rows, width, channels], from top to bottom.

    metadata: options of Pillow's writer."""
    small = BytesIO()
    Image.new(MODES[channels], (1, 1)).save(small, "PNG", **metadata)
    out.write(b"\x89PNG\r\n\x1a\n")
    written = False
    for tag, body in _chunks(small.getvalue()):
        if tag == b"IHDR":
            body = struct.pack(">IIB", *size, depth) + body[9:]
        if tag != b"IDAT":
            _write_chunk(out, tag, body)
        elif not written:
            with workers(threads) as pool:
                for part in _deflated(bands, channels * depth // 8, pool, 2 * threads):
                    _write_chunk(out, b"IDAT", part)
            written = True


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def _write_chunk(out: BinaryIO, tag: bytes, body: bytes) -> None:
    out.write(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(tag)))
    )


def _deflated(bands: Iterable[NDArray[Any]], step: int, pool: Workers, most: int) -> Iterator[bytes]:
    """The zlib stream of all rows; at most so many parts are on their way at a time."""
    yield b"\x78\x9c"
    checksum = zlib.adler32(b"")
    waiting: deque[Callable[[], tuple[bytes, bytes]]] = deque()
    for rows, above in _parts(bands):
        waiting.append(pool.submit(_part, rows, above, step))
        if len(waiting) >= most:
            filtered, part = waiting.popleft()()
            checksum = zlib.adler32(filtered, checksum)
            yield part
    for result in waiting:
        filtered, part = result()
        checksum = zlib.adler32(filtered, checksum)
        yield part
    yield END + struct.pack(">I", checksum)


def _parts(bands: Iterable[NDArray[Any]]) -> Iterator[tuple[Bytes, Bytes]]:
    """Some rows [n, bytes] and the row above them [1, bytes]."""
    above: Bytes | None = None
    for band in bands:
        many = max(1, PART // max(1, band[0].nbytes))
        for top in range(0, band.shape[0], many):
            part = np.ascontiguousarray(band[top : top + many])
            rows = (
                part.astype(part.dtype.newbyteorder(">"), copy=False)
                .view(np.uint8)
                .reshape(part.shape[0], -1)
            )
            yield rows, np.zeros_like(rows[:1]) if above is None else above
            above = rows[-1:].copy()


def _part(rows: Bytes, above: Bytes, step: int) -> tuple[bytes, bytes]:
    """-> filtered, and deflated"""
    filtered = _filtered(rows, np.concatenate([above, rows[:-1]]), step).tobytes()
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return filtered, stream.compress(filtered) + stream.flush(zlib.Z_SYNC_FLUSH)


def _filtered(rows: Bytes, up: Bytes, step: int) -> Bytes:
    """[n, bytes] -> [n, 1 + bytes]: each row behind the number of the filter that leaves the smallest sum of
    sizes."""
    left, corner = _shifted(rows, step), _shifted(up, step)
    average = (left & up) + ((left ^ up) >> 1)
    trials = rows, rows - left, rows - up, rows - average, rows - _paeth(left, up, corner)
    sizes = np.stack([np.minimum(trial, -trial).sum(axis=1, dtype=np.int64) for trial in trials])
    best = sizes.argmin(axis=0)
    out = np.empty((rows.shape[0], 1 + rows.shape[1]), np.uint8)
    out[:, 0] = best
    for number, trial in enumerate(trials):
        out[best == number, 1:] = trial[best == number]
    return out


def _shifted(rows: Bytes, step: int) -> Bytes:
    out = np.zeros_like(rows)
    out[:, step:] = rows[:, :-step]
    return out


def _paeth(a: Bytes, b: Bytes, c: Bytes) -> Bytes:
    """Of left, above and corner the one nearest to left + above - corner."""
    to_b, to_a = a.astype(np.int16), b.astype(np.int16)
    to_b -= c  # left - corner: how far the sum is from above
    to_a -= c
    far_c = np.abs(to_a + to_b)
    far_a, far_b = np.abs(to_a, out=to_a), np.abs(to_b, out=to_b)
    best = np.where(far_b <= far_c, b, c)
    np.copyto(best, a, where=(far_a <= far_b) & (far_a <= far_c))
    return best
