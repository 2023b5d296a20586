"""16-bit colour through Pillow, which keeps the high byte of such samples and drops the low one.

Reading: Pillow has unpackers for both byte orders. Told the other one, it keeps the low bytes, so two loads
give the whole samples, of every PNG and TIFF that it can read. Writing: Pillow makes a PNG file with all
the metadata, and its pixel chunks are replaced (PNG specification, third edition, sections 7 and 9).
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

Samples = NDArray[np.uint16]

LAYOUTS = ("RGB;16", "RGBA;16", "RGBX;16")
ROWS = 256
"""Rows that are filtered together; bounds the memory for it."""


def rawmode(image: Image.Image) -> str:
    """Pillow's name for how the samples of a file that is not loaded yet are stored; '' if it is."""
    found = {_rawmode(tile.args) for tile in getattr(image, "tile", ())}
    return found.pop() if len(found) == 1 else ""


def _rawmode(args: Any) -> str:
    return str(args[0] if isinstance(args, tuple) else args)


def is_deep(image: Image.Image) -> bool:
    """Does the file hold more than 8 bits a sample? Known only until it is loaded."""
    return any("16" in _rawmode(tile.args) for tile in getattr(image, "tile", ()))


def read(open_again: Callable[[], ImageFile.ImageFile]) -> Samples | None:
    """uint16 [H, W, 3 or 4] (LA as [H, W, 2]) of a file of 16-bit colour; None where there is no way to it.

    open_again: gives the file afresh, not loaded.
    """
    with open_again() as image:
        stored = rawmode(image)
        if stored == "LA;16B":  # four bytes a pixel, as those of RGBA
            grey, alpha = np.moveaxis(_load(image, "RGBA").reshape(*image.size[::-1], 2, 2), 2, 0)
            return np.stack([_join(grey[:, :, 0], grey[:, :, 1]), _join(alpha[:, :, 0], alpha[:, :, 1])], 2)
        if stored[:-1] not in LAYOUTS or stored[-1] not in "BLN":
            return None
        high = _load(image, stored)
    with open_again() as image:
        return _join(high, _load(image, stored[:-1] + _other_order(stored[-1])))


def _other_order(order: str) -> str:
    native = "L" if sys.byteorder == "little" else "B"
    return "L" if order.replace("N", native) == "B" else "B"


def _load(image: ImageFile.ImageFile, mode: str) -> NDArray[np.uint8]:
    """The image's pixels, unpacked as if they were stored in this raw mode."""
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
        for tile in image.tile
    ]
    return np.asarray(image)


def _join(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> Samples:
    joined = high.astype(np.uint16)
    joined <<= 8
    joined |= low
    return joined


def with_transparency(samples: Samples, value: Any) -> Samples:
    """[H, W] or [H, W, 3] -> with alpha: 0 where a pixel has exactly this value, else 65535."""
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    hidden = (samples == np.asarray(value, np.uint16)).all(axis=2, keepdims=True)
    return np.concatenate([samples, np.where(hidden, 0, 65535).astype(np.uint16)], 2)


def png(samples: NDArray[Any], **metadata: Any) -> bytes:
    """uint16 [H, W, 2], [H, W, 3] or [H, W, 4] -> a PNG file; metadata: options of Pillow's writer."""
    height, width, channels = samples.shape
    mode = {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    shallow = BytesIO()
    Image.new(mode, (width, height)).save(shallow, "PNG", **metadata)
    chunks = _chunks(shallow.getvalue())
    out, written = [b"\x89PNG\r\n\x1a\n"], False
    for tag, body in chunks:
        if tag == b"IHDR":
            body = body[:8] + b"\x10" + body[9:]
        if tag == b"IDAT":
            if written:
                continue
            body, written = _compress(samples), True
        out.append(struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body)))
    return b"".join(out)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    at, found = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def _compress(samples: NDArray[Any]) -> bytes:
    """Rows in the filter of each that leaves the smallest sum of sizes, deflated."""
    height, width, channels = samples.shape
    step = 2 * channels
    stream, parts = zlib.compressobj(6), []
    above = np.zeros((1, width * step), np.uint8)
    for top in range(0, height, ROWS):
        rows = samples[top : top + ROWS].astype(">u2").view(np.uint8).reshape(-1, width * step)
        up = np.concatenate([above, rows[:-1]])
        parts.append(stream.compress(_filtered(rows, up, step).tobytes()))
        above = rows[-1:]
    return b"".join([*parts, stream.flush()])


def _filtered(rows: NDArray[np.uint8], up: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """[n, bytes] -> [n, 1 + bytes]: each row behind the number of its filter."""
    left, corner = _shifted(rows, step), _shifted(up, step)
    trials = np.stack([rows, rows - left, rows - up, rows - _paeth(left, up, corner)])
    size = np.abs(trials.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = size.argmin(axis=0)
    kind = np.array([0, 1, 2, 4], np.uint8)[best]
    return np.concatenate([kind[:, None], trials[best, np.arange(len(rows))]], axis=1)


def _shifted(rows: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    out = np.zeros_like(rows)
    out[:, step:] = rows[:, :-step]
    return out


def _paeth(a: NDArray[np.uint8], b: NDArray[np.uint8], c: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of left, above and corner the one nearest to left + above - corner."""
    p = a.astype(np.int16) + b - c
    far_a, far_b, far_c = np.abs(p - a), np.abs(p - b), np.abs(p - c)
    return np.where((far_a <= far_b) & (far_a <= far_c), a, np.where(far_b <= far_c, b, c))
