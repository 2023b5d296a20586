"""Pixel blocks side by side in one lossless WebP (RFC 9649), for blocks.py; docs/format.md, section 6.3.

blocks [k, 64, 64, C] -beside-> a sheet [H, W, C] -webp-> bytes -read-> blocks [k, 64, 64, 3]
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.errors import CorruptError

Pixels = NDArray[np.uint8 | np.uint16]

BLOCK = 64
PER_ROW = 8
"""Blocks beside each other."""


def beside(blocks: list[Pixels]) -> Pixels:
    """[64, 64, C] each -> one picture [64 * rows, 64 * columns, C], at most PER_ROW to a row.

    The rest of the last row has the last block's last pixel."""
    wide = min(len(blocks), PER_ROW)
    filler = np.broadcast_to(blocks[-1][-1, -1], blocks[-1].shape)
    blocks = blocks + [filler] * (-len(blocks) % wide)
    return np.concatenate([np.concatenate(blocks[i : i + wide], 1) for i in range(0, len(blocks), wide)])


def webp(pixels: Pixels, effort: int = 100, method: int = 4) -> bytes:
    """uint8 [H, W, 1 or 3] -> lossless WebP; effort 0..100, method 0..6: those of libwebp."""
    _know_webp()
    out = BytesIO()
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    Image.fromarray(rgb).save(out, "WEBP", lossless=True, quality=effort, method=method)
    return out.getvalue()


def read(data: bytes | memoryview, count: int, number: int) -> Pixels:
    """The WebP of `count` blocks -> uint8 [count, 64, 64, 3]. Pillow must be able to read WebP.

    number: of the group, for messages. CorruptError for what is no lossless WebP of that many blocks."""
    wide, high = min(count, PER_ROW), -(-count // PER_ROW)
    sheet = _read_webp(data, (BLOCK * wide, BLOCK * high), number)
    blocks = sheet.reshape(high, BLOCK, wide, BLOCK, 3).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK, 3)
    return blocks[:count]


def _know_webp() -> None:
    """Pillow would load all its plugins to find this one."""
    from PIL import WebPImagePlugin  # noqa: F401


def _read_webp(data: bytes | memoryview, size: tuple[int, int], number: int) -> Pixels:
    """size: width, height -> uint8 [H, W, 3]"""
    if bytes(data[12:16]) != b"VP8L":
        raise CorruptError(f"group {number}: its pixel blocks are no lossless WebP")
    whole, chunk = (int.from_bytes(data[at : at + 4], "little") for at in (4, 16))
    if not len(data) == whole + 8 == 20 + chunk + chunk % 2:  # libwebp leaves the rest alone
        raise CorruptError(
            f"group {number}: its pixel blocks are not a valid WebP: its one chunk does not end where they do"
        )
    _know_webp()
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as image:
            if image.size != size or image.mode != "RGB":
                raise CorruptError(
                    f"group {number}: its pixel blocks are a WebP of {image.size[0]} x {image.size[1]}, "
                    f"mode {image.mode}; {size[0]} x {size[1]}, mode RGB is needed"
                )
            return np.array(image)
    except (CorruptError, MemoryError):
        raise
    except Exception as error:  # the WebP reader raises several types for damaged data
        raise CorruptError(f"group {number}: its pixel blocks are not a valid WebP: {error}") from None
