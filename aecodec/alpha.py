"""Transparency: a lossless plane of its own, and colour that nobody sees made cheap.

Used by aecodec.pixels on the way in and by aecodec.datapath for section ALPH.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from aecodec import conceal, png_rows
from aecodec.errors import CorruptError
from aecodec.raster import HiddenRaster, Raster, is_large

Pixels = NDArray[np.uint8 | np.uint16]
MODES = {8: ("L",), 16: ("I;16", "I;16B")}
BITS = 24
"""Where a PNG says how many bits a sample has."""


def hide(colour: Raster, alpha: Pixels | None) -> Raster:
    """Colour under alpha 0 is replaced by a smooth continuation of its surroundings: it costs few bytes.

    colour [H, W, C], alpha [H, W] -> [H, W, C], as contiguous array if it was one and is not large; 0 where
    nothing is seen at all."""
    if alpha is None or alpha.all():
        return np.ascontiguousarray(colour) if isinstance(colour, np.ndarray) else colour
    if is_large(*alpha.shape):
        return HiddenRaster(colour, alpha)
    whole: Pixels = colour[0 : alpha.shape[0], 0 : alpha.shape[1]]
    if not alpha.any():
        return np.zeros_like(whole, order="C")
    return conceal.fill(whole, alpha == 0)


def pack(alpha: Pixels) -> bytes:
    """[H, W] -> PNG of one grey channel, the payload of section ALPH."""
    out = BytesIO()
    Image.fromarray(alpha).save(out, "PNG", optimize=True)
    return out.getvalue()


def unpack(payload: bytes | memoryview, width: int, height: int, depth: int) -> Pixels:
    """Section ALPH -> [H, W]. CorruptError when it is no grey PNG of the picture's size and depth."""
    try:
        with PngImagePlugin.PngImageFile(BytesIO(payload)) as image:
            if image.size != (width, height) or image.mode not in MODES[depth]:
                raise CorruptError(
                    f"section ALPH: a PNG of {image.size[0]} x {image.size[1]}, mode {image.mode}; "
                    f"{width} x {height}, mode {MODES[depth][0]} is needed"
                )
            if payload[BITS] != depth:
                raise CorruptError(f"section ALPH: a PNG of {payload[BITS]} bits; {depth} bits are needed")
            plane: Pixels = np.array(image).astype(np.uint8 if depth == 8 else np.uint16, copy=False)
        if not png_rows.are_exact(BytesIO(payload)):
            raise CorruptError("section ALPH: its PNG has too few rows, too many, or no end")
        return plane
    except (CorruptError, MemoryError):
        raise
    except Exception as error:  # the PNG reader raises many types for damaged data
        raise CorruptError(f"section ALPH: not a valid PNG: {error}") from None
