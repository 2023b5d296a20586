"""Rows of samples -> a JPEG file, part by part, for pictures that are never held whole.

Pillow codes each part as a picture of its own, with a restart marker after every row of blocks. A restart
sets back all that the coder remembers, so the scans of the parts, one behind the other, are the scan that the
whole picture has with such markers (ITU-T T.81, sections E.1.4 and F.1.2); the header is the first part's,
with the height of the whole. The tables are the standard's, the same in all parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PART = 64
"""Rows coded together: eight rows of blocks, after which the numbers of the restart markers begin anew."""
LARGEST = 65500
"""Of libjpeg: rows, and columns."""
START_OF_FRAME, START_OF_SCAN, LAST_RESTART = 0xC0, 0xDA, b"\xff\xd7"
END = b"\xff\xd9"


def write(
    out: BinaryIO, size: tuple[int, int], bands: Iterable[NDArray[Any]], quality: int, **metadata: Any
) -> None:
    """size: width, height; bands: uint8 [rows, width, 1 or 3], from top to bottom. Colour is not subsampled.

    metadata: options of Pillow's writer. ValueError where it does not fit into a JPEG, or the picture."""
    if max(size) > LARGEST:
        raise ValueError(f"sides are at most {LARGEST} pixels")
    coding = {"quality": quality, "subsampling": 0, "restart_marker_rows": 1}
    for number, part in enumerate(_parts(bands)):
        options = coding if number else coding | metadata
        coded = BytesIO()
        Image.fromarray(part if part.shape[2] > 1 else part[:, :, 0]).save(coded, "JPEG", **options)
        data = bytearray(coded.getvalue())
        frame, scan = _places(data)
        if number:
            out.write(LAST_RESTART + data[scan : -len(END)])
        else:
            data[frame + 5 : frame + 7] = size[1].to_bytes(2, "big")
            out.write(data[: -len(END)])
    out.write(END)


def _parts(bands: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """The same rows, PART at a time; the last ones may be fewer."""
    held: list[NDArray[Any]] = []
    for band in bands:
        top = 0
        while top < band.shape[0]:
            room = PART - sum(part.shape[0] for part in held)
            held.append(band[top : top + room])
            top += room
            if top <= band.shape[0]:
                yield np.concatenate(held)
                held = []
    if held:
        yield np.concatenate(held)


def _places(data: bytearray) -> tuple[int, int]:
    """Where the frame header begins, and where the coded blocks do."""
    at, frame = 2, 0
    while True:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == START_OF_FRAME:
            frame = at
        at += 2 + size
        if kind == START_OF_SCAN:
            return frame, at
