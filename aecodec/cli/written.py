"""A decoded picture -> a file in one of Pillow's formats, with what that can hold of it (formats.py)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from aecodec import deep, jpeg, pixels, png, tiff
from aecodec.cli import formats
from aecodec.cli.files import Contents, UnfitError
from aecodec.pixels import Picture, Pixels

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
ROWS = 256
"""That are written together of a picture that is held."""

Rows = Iterator[tuple[int, Pixels]]
"""The number of the first row, pixels [rows, W, C]; from top to bottom."""


def at_once(picture: Picture, form: str) -> tuple[bytes, tuple[str, ...]]:
    """-> the file, notes"""
    options, notes = formats.options_of(picture, form)
    picture = formats.without_alpha(picture, form)
    if formats.depth_of(picture, form) == 8:
        picture = pixels.shallow(picture)
    if picture.depth == 16 and (picture.pixels.shape[2] > 1 or picture.alpha is not None):
        # Only PNG holds these, and Pillow has no such images.
        return deep.png(pixels.to_array(picture), **options), tuple(notes)
    out = BytesIO()
    if form == "TIFF":
        samples = pixels.to_array(picture)
        samples = samples if samples.ndim == 3 else samples[:, :, None]
        height, width, channels = samples.shape
        try:
            tiff.write(out, (width, height), channels, picture.depth, [samples], **options)
        except ValueError as error:
            raise _refused(MODES[channels], form, error) from None
    else:
        _save(pixels.to_pil(picture), out, form, options)
    return out.getvalue(), tuple(notes)


def by_rows(blank: Picture, rows: Rows, form: str, threads: int) -> tuple[Contents, tuple[str, ...]]:
    """at_once() of a picture that is not held, but comes in rows; blank: all of it but its colours.

    PNG, JPEG, TIFF and PPM are written as the rows come. For other formats Pillow has to hold the picture."""
    options, notes = formats.options_of(blank, form, unseen=True)
    blank = formats.without_alpha(blank, form)
    height, width, channels = blank.pixels.shape
    channels += blank.alpha is not None
    depth = formats.depth_of(blank, form)

    def write(out: BinaryIO) -> None:
        bands = (_with_alpha(blank, top, part, depth) for top, part in rows)
        try:
            if form == "PNG":
                png.write(out, (width, height), channels, depth, bands, threads, **options)
            elif form == "JPEG" and channels in (1, 3):
                jpeg.write(out, (width, height), bands, **options)
            elif form == "TIFF":
                tiff.write(out, (width, height), channels, depth, bands, **options)
            elif form in ("PPM", "PGM") and channels in (1, 3):
                out.write(b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height))
                for band in bands:
                    out.write(np.ascontiguousarray(band).data)
            else:
                info = formats.info_of(blank)
                _save(_painted((width, height), MODES[channels], bands, info), out, form, options)
        except ValueError as error:  # metadata, or a picture, that the format cannot hold
            raise _refused(MODES[channels], form, error) from None

    return write, tuple(notes)


def rows_of(picture: Picture) -> Rows:
    """A picture that is held, for by_rows()."""
    for top in range(0, picture.pixels.shape[0], ROWS):
        bottom = min(top + ROWS, picture.pixels.shape[0])
        yield top, picture.pixels[top:bottom, 0 : picture.pixels.shape[1]]


def _with_alpha(blank: Picture, top: int, colours: Pixels, depth: int) -> Pixels:
    """[rows, W, C] -> with the same rows of alpha, where there is one; in that many bits."""
    found = colours
    if blank.alpha is not None:
        found = np.concatenate([colours, blank.alpha[top : top + colours.shape[0], :, None]], axis=2)
    return pixels.sixteen_to_eight(found) if depth < blank.depth else found


def _painted(size: tuple[int, int], mode: str, bands: Iterator[Pixels], info: dict[str, Any]) -> Image.Image:
    image, top = Image.new(mode, size), 0
    image.info.update(info)
    for band in bands:
        image.paste(Image.fromarray(band if band.shape[2] > 1 else band[:, :, 0]), (0, top))
        top += band.shape[0]
    return image


def _save(image: Image.Image, out: BinaryIO, form: str, options: dict[str, Any]) -> None:
    # Where the disk is full Pillow's writer of JPEG 2000 tries for ever.
    file = BytesIO() if form == "JPEG2000" else out
    try:
        image.save(file, formats.SAVED_AS.get(form, form), **options)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk; Pillow's own have none
            raise
        raise _refused(image.mode, form, error) from None
    if file is not out:
        file.seek(0)
        shutil.copyfileobj(file, out)


def _refused(mode: str, form: str, error: Exception) -> UnfitError:
    what = f"cannot write mode {mode} as {form}"
    return UnfitError(f"{what}; use .png" if str(error) == what else f"{what}: {error}; use .png")
