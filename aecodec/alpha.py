"""Transparency: a lossless plane of its own, and colour that nobody sees made cheap.

Used by aecodec.pixels on the way in and by aecodec.datapath for section ALPH.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from aecodec import conceal, png_rows
from aecodec.errors import CorruptError
from aecodec.raster import HiddenRaster, Raster, is_large

Pixels = NDArray[np.uint8 | np.uint16]
HEAD = 16
"""Where a PNG has its width, height, bits of a sample and colour type."""


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
        png = png_rows.stripped(payload)  # no other chunk means anything here, whatever Pillow makes of it
        found = struct.unpack_from(">IIBB", png, HEAD)
        if found != (width, height, depth, 0):
            raise CorruptError(
                f"section ALPH: a PNG of {found[0]} x {found[1]}, {found[2]} bits, colour type {found[3]}; "
                f"{width} x {height}, {depth} bits, colour type 0 is needed"
            )
        if not png_rows.are_exact(BytesIO(png)):
            raise CorruptError("section ALPH: its PNG is no one zlib stream of exactly its rows")
        with PngImagePlugin.PngImageFile(BytesIO(png)) as image:
            plane: Pixels = np.array(image).astype(np.uint8 if depth == 8 else np.uint16, copy=False)
        return plane
    except (CorruptError, MemoryError):
        raise
    except Exception as error:  # the PNG reader raises many types for damaged data
        raise CorruptError(f"section ALPH: not a valid PNG: {error}") from None
