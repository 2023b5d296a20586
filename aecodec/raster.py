"""Pixels that are read window by window: what the encoder takes, beside arrays.

An array is a raster, too. The others give a window as an array when they are asked for it, so that no second
copy of a large picture is made: of a Pillow image that is loaded, or of a file that holds rows of samples,
which may be one that was made for it.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from aecodec import conceal

Pixels = NDArray[np.uint8 | np.uint16]
Window: TypeAlias = "tuple[slice, slice]"
TILE = 2048
"""Side of the parts in which hidden colour of a large picture is filled."""
MARGIN = 128
"""What such a part sees of its surroundings."""
STRIP = 256
"""Rows that are converted, or compared, together."""


class Raster(Protocol):
    """uint8 or uint16 [H, W, C] of which windows can be had."""

    @property
    def shape(self) -> tuple[Any, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, window: Window, /) -> Any:
        """Rows, columns -> [height, width, C]; slices with a start and a stop inside the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageRaster:
    """A loaded Pillow image of mode L, LA, RGB or RGBA, which must not change; alpha is left out."""

    image: Image.Image

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.image.height, self.image.width, 1 if self.image.mode in ("L", "LA") else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def __getitem__(self, window: Window) -> Pixels:
        rows, columns = window
        part = np.asarray(self.image.crop((columns.start, rows.start, columns.stop, rows.stop)))
        return part.reshape(*part.shape[:2], -1)[:, :, : self.shape[2]]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FileRaster:
    """uint8 samples as they lie in a file, row by row from `offset`."""

    file: str | BinaryIO
    """Its path, or the open file."""
    offset: int
    shape: tuple[int, int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def __getitem__(self, window: Window) -> Pixels:
        # Mapped afresh each time: pages that were looked at count as memory as long as they are mapped.
        mapped = np.memmap(self.file, np.uint8, "r", self.offset, self.shape)
        part: Pixels = np.array(mapped[window])
        return part


@dataclass(frozen=True, slots=True, eq=False)
class ChannelRaster:
    """Some channels of a raster."""

    whole: Raster
    channels: slice

    @property
    def shape(self) -> tuple[Any, ...]:
        height, width, channels = self.whole.shape
        return height, width, len(range(channels)[self.channels])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.whole.dtype

    def __getitem__(self, window: Window) -> Pixels:
        part: Pixels = self.whole[window][:, :, self.channels]
        return part


@dataclass(frozen=True, slots=True, eq=False)
class HiddenRaster:
    """Colours that continue smoothly where alpha [H, W] is 0: they cost few bytes. See alpha.hide."""

    colours: Raster
    alpha: Pixels
    _kept: dict[int, dict[int, Pixels]] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.colours.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.colours.dtype

    def __getitem__(self, window: Window) -> Pixels:
        rows, columns = window
        out = np.empty((rows.stop - rows.start, columns.stop - columns.start, self.shape[2]), self.dtype)
        for top in range(rows.start // TILE * TILE, rows.stop, TILE):
            for left in range(columns.start // TILE * TILE, columns.stop, TILE):
                y = slice(max(top, rows.start), min(top + TILE, rows.stop))
                x = slice(max(left, columns.start), min(left + TILE, columns.stop))
                own = slice(y.start - rows.start, y.stop - rows.start)
                out[own, x.start - columns.start : x.stop - columns.start] = self._part(top, left, y, x)
        return out

    def _part(self, top: int, left: int, y: slice, x: slice) -> Pixels:
        """Pixels of one tile, which are the same however they are asked for."""
        if self.alpha[y, x].all():
            part: Pixels = self.colours[y, x]
            return part
        filled = self._filled(top, left)
        return filled[y.start - top : y.stop - top, x.start - left : x.stop - left]

    def _filled(self, top: int, left: int) -> Pixels:
        """A tile. Those of two rows are kept: most who look go on in small steps, and some in threads."""
        with self._lock:
            row = self._kept.pop(top, {})
            if left not in row:
                row[left] = self._fill(top, left)
            while len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            self._kept[top] = row  # the last one is the one last looked at
            return row[left]

    def _fill(self, top: int, left: int) -> Pixels:
        height, width = self.alpha.shape
        rows = slice(max(0, top - MARGIN), min(height, top + TILE + MARGIN))
        columns = slice(max(0, left - MARGIN), min(width, left + TILE + MARGIN))
        hidden = self.alpha[rows, columns] == 0
        y, x = top - rows.start, left - columns.start
        own = slice(y, y + TILE), slice(x, x + TILE)
        if hidden.all():
            return np.broadcast_to(np.zeros((), self.dtype), (*hidden[own].shape, self.shape[2]))
        return conceal.fill(self.colours[rows, columns], hidden)[own].copy()


def psnr(a: Pixels, b: Raster, alpha: Pixels | None = None) -> float:
    """dB between [H, W, C] and a raster of its shape and type: one mean over all samples; infinite for equal
    ones.

    alpha [H, W]: pixels where it is 0 do not count, whose colours, as alpha.hide makes them, would be nearly
    exact; infinite where it is 0 everywhere."""
    return psnr_of_rows([(0, a)], b, alpha)


def psnr_of_rows(rows: Iterable[tuple[int, Pixels]], raster: Raster, alpha: Pixels | None = None) -> float:
    """psnr() of what comes as rows: (number of the first, pixels [rows, W, C]), from the top down."""
    total = count = 0
    for top, part in rows:
        for start in range(0, part.shape[0], STRIP):
            strip = part[start : start + STRIP]
            own = slice(top + start, top + start + strip.shape[0])
            seen = None if alpha is None else alpha[own] > 0
            if seen is not None and not seen.any():
                continue  # nothing has to be filled for it
            difference = np.subtract(strip, raster[own, 0 : strip.shape[1]], dtype=np.int64)
            if seen is not None:
                difference = difference[seen]
            count += difference.size
            total += int(np.square(difference, out=difference).sum())
    error = total / max(count, 1)
    return 10 * math.log10(float(np.iinfo(raster.dtype).max) ** 2 / error) if error else math.inf


def is_large(width: int, height: int) -> bool:
    """Is a copy of the picture's pixels worth avoiding?"""
    return width * height > TILE * TILE


def strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """A loaded image in parts from top to bottom: their rows, and they themselves."""
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def spilled(image: Image.Image) -> Raster:
    """The bytes of a loaded image in the folder for temporary files; in memory where that has no room.

    The file has no name, and is gone when the raster is."""
    shape = image.height, image.width, len(image.getbands())
    with contextlib.ExitStack() as unfinished:
        try:
            stream = unfinished.enter_context(tempfile.TemporaryFile(prefix="aecodec-"))
            for _, part in strips(image):
                stream.write(np.asarray(part).data)
            stream.flush()
        except OSError:  # no room, or no such folder
            return np.asarray(image).reshape(shape)
        unfinished.pop_all()
    raster = FileRaster(stream, 0, shape)
    weakref.finalize(raster, stream.close)
    return raster


def detached(image: Image.Image) -> Image.Image:
    """The same pixels without what read them, which may hold copies of its own (WebP: 8 bytes a pixel)."""
    return image._new(image.im)


def file_raster(image: ImageFile.ImageFile, path: str | None) -> FileRaster | None:
    """The pixels of a Pillow image that is not loaded, where its file holds them as plain rows (PPM, PGM)."""
    mode, stride = image.mode, len(image.getbands()) * image.width
    if path is None or mode not in ("L", "RGB") or len(image.tile) != 1 or "transparency" in image.info:
        return None
    codec, extents, offset, args = image.tile[0]
    args = args if isinstance(args, tuple) else (args,)
    plain = codec == "raw" and args in ((mode,), (mode, 0, 1), (mode, stride, 1))
    if not plain or extents not in (None, (0, 0, *image.size)):
        return None
    if os.path.getsize(path) < offset + stride * image.height:
        return None  # Pillow says what is wrong
    return FileRaster(os.path.abspath(path), offset, (image.height, image.width, len(image.getbands())))
