"""Files of which Pillow gives a picture although a part of it is missing. Used by aecodec.pixels.

Looking through a file takes time; what was read of it shows, for next to nothing, whether it may be needed.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import jpeg_scans, png_rows
from aecodec.errors import InputError
from aecodec.raster import Raster

JPEGS = ("JPEG", "MPO")


def refuse(
    image: Image.Image,
    stream: BinaryIO,
    pixels: Raster,
    alpha: NDArray[np.uint8 | np.uint16] | None,
    where: str,
) -> None:
    """InputError for a file that lacks rows, or blocks. pixels, alpha: what was read of the image."""
    if image.format == "PNG" and _may_lack_rows(image, pixels, alpha) and not png_rows.are_all_there(stream):
        raise InputError(f"{where}the picture is cut short: its data ends before its last row")
    if image.format in JPEGS and _may_lack_blocks(image, pixels) and not jpeg_scans.are_all_there(stream):
        raise InputError(
            f"{where}the JPEG is damaged or cut short: its scans end before their last block, "
            "and what is missing would be grey, or coarse"
        )


def _may_lack_rows(image: Image.Image, pixels: Raster, alpha: NDArray[np.uint8 | np.uint16] | None) -> bool:
    """Rows that a reader did not get are of one colour."""
    height, width, _ = pixels.shape
    last = pixels[height - 1 : height, 0:width]
    hidden = alpha is not None and not alpha[-1].any()
    return bool(image.info.get("interlace")) or hidden or bool((last == last[:, :1]).all())


def _may_lack_blocks(image: Image.Image, pixels: Raster) -> bool:
    """Scans are in the order of the blocks: the last one lacks where any lacks, and is grey. But scans of a
    progressive file may lack anything, and what is converted from CMYK shows no more what it was."""
    height, width, _ = pixels.shape
    last = pixels[height - 1 : height, width - 1 : width].ravel().tolist()
    return bool(image.info.get("progressive")) or image.mode == "CMYK" or jpeg_scans.is_grey(last)
