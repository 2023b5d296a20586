"""Rows of samples -> an uncompressed TIFF file, row by row, for pictures that are never held whole.

Pillow makes all that stands before the samples, on a picture of one pixel; the fields that say how large it
is are set here (TIFF revision 6, sections 2 and 8). The samples are one strip, as in what Pillow writes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
LONG = 4
WIDTH, LENGTH, ROWS_PER_STRIP, STRIP_SIZES = 256, 257, 278, 279
LARGEST = (1 << 32) - 1
"""Bytes of a file, whose places are 32 bits."""


def write(
    out: BinaryIO,
    size: tuple[int, int],
    channels: int,
    depth: int,
    bands: Iterable[NDArray[Any]],
    **metadata: Any,
) -> None:
    """size: width, height; bands: [rows, width, channels], from top to bottom, of uint8, or uint16 where
    channels is 1 and depth 16.

    metadata: options of Pillow's writer. ValueError where the picture does not fit into a TIFF."""
    width, height = size
    small = BytesIO()
    Image.new("I;16" if depth == 16 else MODES[channels], (1, 1)).save(small, "TIFF", **metadata)
    data, step = bytearray(small.getvalue()), channels * depth // 8
    order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
    start = len(data) - step  # the one pixel is what the file ends with
    sizes = {WIDTH: width, LENGTH: height, ROWS_PER_STRIP: height, STRIP_SIZES: step * width * height}
    if start + sizes[STRIP_SIZES] > LARGEST:
        raise ValueError("files are at most 4 GB")
    (directory,) = struct.unpack_from(order + "I", data, 4)
    (fields,) = struct.unpack_from(order + "H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * fields, 12):
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag in sizes:
            struct.pack_into(order + "HII", data, at + 2, LONG, 1, sizes[tag])
    out.write(data[:start])
    for band in bands:
        out.write(np.ascontiguousarray(band.astype(band.dtype.newbyteorder(order), copy=False)).data)
