"""16-bit colour through Pillow, which keeps the high byte of such samples and drops the low one.

Reading: Pillow has unpackers for both byte orders. Told the other one, it keeps the low bytes, so two loads
give the whole samples, of every PNG and TIFF that it can read; those of a PPM are read here. Writing: png.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from aecodec import png as png_rows
from aecodec.errors import InputError
from aecodec.raster import STRIP, ChannelRaster, Raster, Window, is_large, spilled

Samples = NDArray[np.uint16]
Opener: TypeAlias = "Callable[[], AbstractContextManager[ImageFile.ImageFile]]"

LAYOUTS = ("RGB;16", "RGBA;16", "RGBX;16")
GREY_ALPHA = "LA;16B"
PACKED = ("BGR;16",)
"""Three channels in 16 bits."""
PLANES, BITS = 284, 258
"""Tags of a TIFF."""
HEAD = 1 << 16
"""Bytes of a file in which its depth is looked for."""
HEADERS: dict[str, tuple[bytes, int, Callable[[int], bool]]] = {
    "AVIF": (b"av1C", 2, lambda byte: bool(byte & 64)),
    "JPEG2000": (b"\xff\x4f\xff\x51", 38, lambda byte: byte & 127 > 7),
}
"""Formats: what stands before the byte that says how deep a sample is, bytes between, and what it says."""


def rawmode(image: Image.Image) -> str:
    """Pillow's name for how the samples of a file that is not loaded yet are stored; '' if it is."""
    found = {_rawmode(tile.args) for tile in getattr(image, "tile", ())}
    return found.pop() if len(found) == 1 else ""


def _rawmode(args: Any) -> str:
    return str(args[0] if isinstance(args, tuple) else args)


def is_deep(image: Image.Image) -> bool:
    """Does the file hold more than 8 bits a sample? Known only until it is loaded."""
    tiles = getattr(image, "tile", ())
    if any("16" in (mode := _rawmode(tile.args)) and mode not in PACKED for tile in tiles):
        return True
    if image.format == "PPM":
        return image.mode == "RGB" and any(_largest(tile) > 255 for tile in tiles)
    if image.format == "SGI":
        return any(tile[0] == "SGI16" or tile.args[2:] == (2,) for tile in tiles)
    return image.format in HEADERS and image.mode in ("L", "LA", "RGB", "RGBA") and _says_deep(image)


def _largest(tile: Any) -> int:
    """What a sample of a PPM may be."""
    return tile.args[1] if isinstance(tile.args, tuple) and len(tile.args) == 2 else 255


def _says_deep(image: Image.Image) -> bool:
    """Of formats whose readers in Pillow do not tell: AV1-ISOBMFF, section 2.3.3; ISO 15444-1, A.5.1."""
    stream = getattr(image, "fp", None)
    if stream is None:
        return False
    try:
        at = stream.tell()
        stream.seek(0)
        head = stream.read(HEAD)
        stream.seek(at)
    except (OSError, ValueError):  # closed, as Pillow has read all of it
        return False
    mark, skipped, bits = HEADERS[str(image.format)]
    found = head.find(mark) + len(mark) + skipped
    return mark in head and found < len(head) and bits(head[found])


def refuse_planes(image: Image.Image) -> None:
    """InputError for what Pillow takes for bytes: 16-bit samples of a TIFF in a plane for each channel."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or tags.get(PLANES) != 2:
        return
    if len(image.getbands()) > 1 and max(tags.get(BITS, (1,))) > 8:
        raise InputError(
            "a TIFF with more than 8 bits a sample and a plane for each channel; store its samples "
            "interleaved (tiffcp -p contig)"
        )


def is_joined(image: Image.Image) -> bool:
    """Can read() give all bits of an image that is not loaded?"""
    stored = rawmode(image)
    return stored == GREY_ALPHA or (stored[:-1] in LAYOUTS and stored[-1] in "BLN") or _is_wide_ppm(image)


def _is_wide_ppm(image: Image.Image) -> bool:
    """Of the form in bytes, P6."""
    tiles = getattr(image, "tile", ())
    return image.format == "PPM" and is_deep(image) and [tile[0] for tile in tiles] == ["ppm"]


def read(open_again: Opener) -> Raster | None:
    """uint16 [H, W, 3 or 4] (LA as [H, W, 2]) of a file of 16-bit colour; None where there is no way to it.

    A large picture's samples wait in temporary files, but for those of a PPM: 6 bytes a pixel are too many
    beside the networks.
    open_again: gives the file afresh, not loaded.
    """
    with open_again() as image:
        if not is_joined(image):
            return None
        if _is_wide_ppm(image):
            return _words(image)
        stored, large = rawmode(image), is_large(*image.size)
        if stored == GREY_ALPHA:  # four bytes a pixel, as those of RGBA
            both = _load(image, "RGBA")
            high: Raster = ChannelRaster(both, slice(0, 4, 2))
            low: Raster = ChannelRaster(both, slice(1, 4, 2))
        else:
            high = _load(image, stored)
    if stored != GREY_ALPHA:
        del image  # and its pixels, before there are others
        with open_again() as other:
            low = _load(other, stored[:-1] + _other_order(stored[-1]))
    joined = JoinedRaster(high, low)
    height, width, _ = joined.shape
    return joined if large else joined[0:height, 0:width]


def _words(image: ImageFile.ImageFile) -> Samples:
    """The samples of a PPM, most significant byte first, as parts of 65535."""
    width, height = image.size
    (tile,) = image.tile
    assert image.fp is not None  # it is not loaded
    image.fp.seek(tile.offset)
    largest, samples = _largest(tile), np.empty((height, width, 3), np.uint16)
    for top in range(0, height, STRIP):
        rows = samples[top : top + STRIP]
        words: NDArray[Any] = np.frombuffer(image.fp.read(rows.nbytes), ">u2").reshape(rows.shape)
        if largest < 65535:
            words = (np.minimum(words, largest).astype(np.uint32) * 65535 + largest // 2) // largest
        rows[:] = words
    return samples


def _other_order(order: str) -> str:
    native = "L" if sys.byteorder == "little" else "B"
    return "L" if order.replace("N", native) == "B" else "B"


def _load(image: ImageFile.ImageFile, mode: str) -> Raster:
    """The image's bytes, unpacked as if they were stored in this raw mode."""
    image.tile = [
        tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
        for tile in image.tile
    ]
    if not is_large(*image.size):
        return np.asarray(image)
    image.load()
    return spilled(image)


@dataclass(frozen=True, slots=True, eq=False)
class JoinedRaster:
    """uint16 samples whose two bytes lie apart."""

    high: Raster
    low: Raster

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.high.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16)

    def __getitem__(self, window: Window) -> Samples:
        joined: Samples = self.high[window].astype(np.uint16)
        joined <<= 8
        joined |= self.low[window]
        return joined


def with_transparency(samples: NDArray[Any], value: Any) -> NDArray[Any]:
    """[H, W] or [H, W, 3] -> with alpha: 0 where a pixel has exactly this value, else the largest one."""
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    hidden = (samples == np.asarray(value)).all(axis=2, keepdims=True)
    return np.concatenate(
        [samples, np.where(hidden, 0, np.iinfo(samples.dtype).max).astype(samples.dtype)], 2
    )


def png(samples: NDArray[Any], **metadata: Any) -> bytes:
    """uint16 [H, W, 2], [H, W, 3] or [H, W, 4] -> a PNG file; metadata: options of Pillow's writer."""
    height, width, channels = samples.shape
    out = BytesIO()
    png_rows.write(out, (width, height), channels, 16, [samples], **metadata)
    return out.getvalue()
