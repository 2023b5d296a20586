"""A decoded picture -> a file in one of Pillow's formats, with what that can hold of the metadata."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aecodec import deep, exif, jpeg, pixels, png, tiff
from aecodec.cli.files import Contents, UnfitError
from aecodec.pixels import Picture, Pixels

OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
}
XMP_TAG = 700
"""Of TIFF."""
STRUCTURE = frozenset(
    (*range(254, 260), 262, 263, 266, 273, *range(277, 282), 284, *range(290, 294), 301)
    + (*range(317, 326), 330, *range(332, 348), *range(512, 533), 34675)
)
"""Tags of a TIFF that say how its samples are stored. EXIF data may have them of the picture that it was made
with, and Pillow's writer would take them for those of this one."""
JPEG_DENSITY = 65535
WITH_EXIF = {"JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"}
DEEP_GREY = {"PNG", "TIFF"}
WITHOUT_ALPHA = {"BMP", "DIB", "PPM", "SPIDER"}
"""Whose writers in Pillow leave transparency out without a word, where they do not refuse it."""
LARGEST_ICON = 256
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
ROWS = 256
"""That are written together of a picture that is held."""

Rows = Iterator[tuple[int, Pixels]]
"""The number of the first row, pixels [rows, W, C]; from top to bottom."""


def at_once(picture: Picture, form: str) -> tuple[bytes, tuple[str, ...]]:
    """-> the file, notes"""
    deep_grey = picture.pixels.shape[2] == 1 and picture.alpha is None and form in DEEP_GREY
    notes: tuple[str, ...] = ()
    if picture.depth == 16 and form != "PNG" and not deep_grey:
        notes += (_reduced(form),)
        picture = pixels.shallow(picture)
    options, unsaid = _options(picture, form)
    if picture.depth == 16 and not deep_grey:
        return deep.png(pixels.to_array(picture), **options), notes + unsaid
    out = BytesIO()
    _save(pixels.to_pil(picture), out, form, options)
    return out.getvalue(), notes + unsaid


def by_rows(blank: Picture, rows: Rows, form: str, threads: int) -> tuple[Contents, tuple[str, ...]]:
    """at_once() of a picture that is not held, but comes in rows; blank: all of it but its colours.

    PNG, JPEG, TIFF and PPM are written as the rows come. For other formats Pillow has to hold the picture."""
    notes: tuple[str, ...] = ()
    height, width, channels = blank.pixels.shape
    channels += blank.alpha is not None
    shallow = form != "PNG" and not (form == "TIFF" and channels == 1)
    depth = 8 if shallow else blank.depth
    if depth < blank.depth:
        notes += (_reduced(form),)
    options, unsaid = _options(blank, form)

    def write(out: BinaryIO) -> None:
        bands = (_with_alpha(blank, top, part, shallow) for top, part in rows)
        try:
            if form == "PNG":
                png.write(out, (width, height), channels, depth, bands, threads, **options)
            elif form == "JPEG" and channels in (1, 3):
                jpeg.write(out, (width, height), bands, **options)
            elif form == "TIFF":
                tiff.write(out, (width, height), channels, depth, bands, **options)
            elif form == "PPM" and channels in (1, 3):
                out.write(b"P%d\n%d %d\n255\n" % (5 if channels == 1 else 6, width, height))
                for band in bands:
                    out.write(np.ascontiguousarray(band).data)
            else:
                _save(_painted((width, height), MODES[channels], bands, _info(blank)), out, form, options)
        except ValueError as error:  # metadata, or a picture, that the format cannot hold
            raise _refused(MODES[channels], form, error) from None

    return write, notes + unsaid


def rows_of(picture: Picture) -> Rows:
    """A picture that is held, for by_rows()."""
    for top in range(0, picture.pixels.shape[0], ROWS):
        bottom = min(top + ROWS, picture.pixels.shape[0])
        yield top, picture.pixels[top:bottom, 0 : picture.pixels.shape[1]]


def _with_alpha(blank: Picture, top: int, colours: Pixels, shallow: bool) -> Pixels:
    """[rows, W, C] -> with the same rows of alpha, where there is one; 8 bits where they are wanted."""
    found = colours
    if blank.alpha is not None:
        found = np.concatenate([colours, blank.alpha[top : top + colours.shape[0], :, None]], axis=2)
    return pixels.sixteen_to_eight(found) if shallow and blank.depth == 16 else found


def _painted(size: tuple[int, int], mode: str, bands: Iterator[Pixels], info: dict[str, Any]) -> Image.Image:
    image, top = Image.new(mode, size), 0
    image.info.update(info)
    for band in bands:
        image.paste(Image.fromarray(band if band.shape[2] > 1 else band[:, :, 0]), (0, top))
        top += band.shape[0]
    return image


def _reduced(form: str) -> str:
    return f"16 bits a channel reduced to 8 for {form}; .png keeps them"


def _options(picture: Picture, form: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What Pillow's writer is told, notes."""
    info = _info(picture)
    options: dict[str, Any] = dict(OPTIONS.get(form, {}))
    if "dpi" in info:
        options["dpi"] = info["dpi"]
    notes: tuple[str, ...] = ()
    height, width, channels = picture.pixels.shape
    if form == "ICO":
        if max(width, height) > LARGEST_ICON:
            raise UnfitError(
                f"ICO holds {LARGEST_ICON} x {LARGEST_ICON} pixels at most, not {width} x {height}; "
                f"use --fit {LARGEST_ICON}"
            )
        options["sizes"] = [(width, height)]
    if form == "ICNS":
        notes += ("ICNS holds the sizes of icons, to which the picture is scaled",)
    if picture.alpha is not None and (
        form in WITHOUT_ALPHA or (form == "GIF" and not _whole(picture.alpha, channels))
    ):
        notes += (f"transparency left out, which {form} cannot hold; .png keeps it",)
    if form not in WITH_EXIF:
        if picture.orientation != 1:
            notes += (f"{form} cannot say that the picture is to be shown turned or mirrored",)
        if picture.icc:
            notes += (f"colour profile left out, which {form} does not hold here; .png keeps it",)
        return options, notes
    options |= {key: info[key] for key in ("exif", "icc_profile", "xmp") if key in info}
    if form == "TIFF" and "exif" in options:
        tags = exif.load(options.pop("exif"))
        if tags is None:
            notes += ("damaged EXIF data left out, which TIFF cannot hold",)
        else:
            for tag in STRUCTURE.intersection(tags):
                del tags[tag]
            options["exif"] = tags
    if form in ("JPEG", "MPO") and "dpi" in options and not _fits_jpeg(options["dpi"]):
        notes += (f"resolution left out: {form} holds whole dots an inch from 1 to {JPEG_DENSITY}",)
        del options["dpi"]
    if "xmp" in options and form in ("PNG", "TIFF"):
        notes += _place_xmp(options, form)
    return options, notes


def _fits_jpeg(dpi: tuple[float, float]) -> bool:
    return all(1 <= round(value) <= JPEG_DENSITY for value in dpi)


def _whole(alpha: Pixels, channels: int) -> bool:
    """Is each pixel seen or not seen, as GIF can say it of colours?"""
    return channels == 3 and bool(np.isin(alpha, (0, np.iinfo(alpha.dtype).max)).all())


def _info(picture: Picture) -> dict[str, Any]:
    return pixels.pil_info(picture.icc, picture.exif, picture.xmp, picture.orientation, picture.dpi)


def _save(image: Image.Image, out: BinaryIO, form: str, options: dict[str, Any]) -> None:
    try:
        image.save(out, form, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _refused(image.mode, form, error) from None


def _refused(mode: str, form: str, error: Exception) -> UnfitError:
    what = f"cannot write mode {mode} as {form}"
    return UnfitError(f"{what}; use .png" if str(error) == what else f"{what}: {error}; use .png")


def _place_xmp(options: dict[str, Any], form: str) -> tuple[str, ...]:
    """Two of Pillow's writers have no option for XMP. -> notes"""
    xmp = options.pop("xmp")
    if form == "TIFF":
        options.setdefault("exif", Image.Exif())[XMP_TAG] = xmp
        return ()
    try:
        text = xmp.decode()
    except UnicodeDecodeError:
        return ("XMP left out: it is not UTF-8, as PNG wants it",)
    options["pnginfo"] = PngInfo()
    options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
    return ()
