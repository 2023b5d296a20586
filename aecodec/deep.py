"""16-bit colour through Pillow, which keeps the high byte of such samples and drops the low one.

Reading: Pillow has unpackers for both byte orders. Told the other one, it keeps the low bytes, so two loads
give the whole samples, of every PNG and TIFF that it can read. Writing: png.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from aecodec import png as png_rows

Samples = NDArray[np.uint16]

LAYOUTS = ("RGB;16", "RGBA;16", "RGBX;16")


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
    out = BytesIO()
    png_rows.write(out, (width, height), channels, 16, [samples], **metadata)
    return out.getvalue()
