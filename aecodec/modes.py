"""The many modes of Pillow -> grey or RGB, with or without alpha; metadata in one form.

Part of the first step of encoding; used by aecodec.pixels, the Pillow plugin and aecodec.training alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from aecodec.errors import InputError
from aecodec.exif import TURNED, orientation_in, orientation_in_xmp
from aecodec.raster import is_large, strips

Bytes = NDArray[np.uint8]

GREY = {"1": "L", "L": "L", "LA": "LA", "La": "LA"}
COLOUR = {"RGB": "RGB", "RGBX": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "YCbCr": "RGB", "HSV": "RGB"}
MIN_DPI, MAX_DPI = 0.01, 400_000
X_RESOLUTION, PHOTOMETRIC, WHITE_IS_ZERO, SAMPLE_FORMAT, SIGNED = 282, 262, 0, 339, 2
"""Tags of a TIFF, and a value of each of the last two."""
LARGEST = {"L;2": 3, "L;4": 15}
"""Samples of Pillow's raw modes."""
REDUCED = "16 bits a channel reduced to 8"
PORTABLE = (
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Orientation,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
    ExifTags.Base.ImageDescription,
)
"""Tags of a TIFF's own directory that describe the picture and not the file."""


EXIF_AS_TEXT = "Raw profile type exif"
"""ImageMagick's, in a PNG: three lines about it, then hexadecimal digits."""
KEYS = ("exif", EXIF_AS_TEXT, "icc_profile", "xmp", "XML:com.adobe.xmp", "dpi")
"""Metadata in Pillow's `info`."""


@dataclass(frozen=True, slots=True)
class Metadata:
    icc: bytes
    exif: bytes
    """Without the prefix."""
    xmp: bytes
    orientation: int
    dpi: tuple[float, float] | None


def metadata_of(image: Image.Image, turned: bool = False, profile: bytes = b"") -> Metadata:
    """What the file carries. Asked after loading: Pillow turns TIFFs upright then, but not their resolution.

    turned: see is_turned(). profile: one of the file that Pillow does not read."""
    found = _exif_of(image)
    exif = image.info.get("exif") or _as_text(image.info.get(EXIF_AS_TEXT))
    if not exif and image.format in ("TIFF", "MPO"):
        exif = _portable(found)
    dpi = _resolution(image)
    xmp = bytes_of(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"), "xmp")
    return Metadata(
        icc=bytes_of(image.info.get("icc_profile") or profile, "icc_profile"),
        exif=bytes_of(exif, "exif").removeprefix(b"Exif\0\0"),
        xmp=xmp,
        orientation=_orientation(image, found, xmp),
        dpi=dpi[::-1] if dpi and turned else dpi,
    )


def metadata_of_deep(image: Image.Image, afresh: Image.Image) -> Metadata:
    """metadata_of() of an image that stays unloaded, as its pixels are 16-bit colour.

    afresh: the same file, opened again. It gets what the user has changed in `image`, and is loaded then."""
    for key in KEYS:
        if image.info.get(key) != afresh.info.get(key):
            afresh.info.pop(key, None)
            if key in image.info:
                afresh.info[key] = image.info[key]
    turned, stated = is_turned(afresh), orientation_in(_exif_of(afresh))
    afresh.load()
    found = metadata_of(afresh, turned)
    if image.format == "PNG" and "exif" in image.info:  # without, getexif() would load it
        return replace(found, orientation=_orientation(image, _exif_of(image), found.xmp))
    if image.format == "TIFF":
        tags = _exif_of(image)
        exif = image.info.get("exif") or _portable(tags)
        orientation = found.orientation if stated != 1 else orientation_in(tags)  # else its pixels are turned
        return replace(found, exif=bytes_of(exif, "exif").removeprefix(b"Exif\0\0"), orientation=orientation)
    return found


def _exif_of(image: Image.Image) -> Image.Exif:
    """Where EXIF names no orientation, Pillow takes it from XMP, if it is spelled as Adobe does."""
    try:
        return image.getexif()
    except MemoryError:
        raise
    except Exception:  # damaged; it is kept as it is
        return Image.Exif()


def _orientation(image: Image.Image, found: Image.Exif, xmp: bytes) -> int:
    """That of EXIF; without, that of XMP. Of a TIFF, and of an image that has been made of another one, only
    what Pillow reads: the pixels may be turned already, and XMP left as it was."""
    if image.format in (None, "TIFF") or ExifTags.Base.Orientation in found:
        return orientation_in(found)
    return orientation_in_xmp(xmp)


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots an inch, where the file says so outside its EXIF data; Pillow invents some for JPEGs and TIFFs."""
    dpi = image.info.get("dpi")
    if image.format == "TIFF" and X_RESOLUTION not in getattr(image, "tag_v2", {}):
        return None
    if image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit"):
        return None
    return resolution(dpi)


def resolution(dpi: Any) -> tuple[float, float] | None:
    """Dots an inch, across and down; None for what is no pair of numbers that a file can hold."""
    if not isinstance(dpi, tuple | list):
        return None
    try:
        across, down = (float(value) for value in dpi)
    except (TypeError, ValueError):
        return None
    valid = all(math.isfinite(value) and MIN_DPI <= value <= MAX_DPI for value in (across, down))
    return (across, down) if valid else None


def bytes_of(value: Any, name: str) -> bytes:
    """Metadata of an image in Pillow; None is empty, text is UTF-8 for XMP. InputError for other things."""
    if not value or (isinstance(value, str) and name == "xmp"):
        return (value or "").encode()
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InputError(f"{name} of the image: bytes are needed, not {type(value).__name__}")
    return bytes(value)


def _as_text(profile: Any) -> bytes:
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except (AttributeError, ValueError):  # none, or damaged
        return b""


def is_turned(image: Image.Image) -> bool:
    """Will Pillow exchange the sides of a TIFF when it loads it, or has it done so?

    Of one that is loaded the sides have to tell, which those of a square do not."""
    tags = getattr(image, "tag_v2", {})
    if image.format != "TIFF":
        return False
    if getattr(image, "tile", None):
        return tags.get(ExifTags.Base.Orientation) in TURNED
    stored = tags.get(ExifTags.Base.ImageWidth), tags.get(ExifTags.Base.ImageLength)
    return stored == image.size[::-1] != image.size


def _portable(found: Image.Exif) -> bytes:
    kept = Image.Exif()
    for tag in PORTABLE:
        if tag in found:
            kept[tag] = found[tag]
    return kept.tobytes() if len(kept) else b""


def to_eight_bits(
    image: Image.Image, icc: bytes, deep: bool
) -> tuple[Image.Image | Bytes, bytes, tuple[str, ...]]:
    """-> image of mode L, LA, RGB or RGBA, the ICC profile that fits it, notes for the user.

    A large picture that has to be converted, and has no alpha, becomes an array: 3 bytes a pixel, not 4."""
    mode = image.mode
    notes = (REDUCED,) if deep else ()
    if mode == "CMYK":
        return _converted(image, _from_cmyk(icc)), b"", (*notes, "CMYK converted to sRGB")
    if mode in ("P", "PA"):
        alpha = image.palette is not None and image.palette.mode.endswith("A")
        see_through = mode == "PA" or alpha or "transparency" in image.info
        chosen = "RGBA" if see_through else "RGB"
        return _converted(image, lambda part: part.convert(chosen)), icc, notes
    target = GREY.get(mode) or COLOUR.get(mode)
    if target is None:
        raise InputError(f"pictures of mode {mode} are not supported; convert the picture to RGB first")
    if "transparency" in image.info and target in ("L", "RGB"):
        target = {"L": "LA", "RGB": "RGBA"}[target]
    return image if target == mode else _converted(image, lambda part: _convert(part, target)), icc, notes


def _converted(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image | Bytes:
    """convert: what it makes of a pixel depends on that pixel alone."""
    bands = convert(image.crop((0, 0, 1, 1))).getbands()
    if bands[-1] == "A" or not is_large(*image.size):
        return convert(image)
    out = np.empty((image.height, image.width, len(bands)), np.uint8)
    for rows, part in strips(image):
        out[rows] = np.asarray(convert(part)).reshape(out[rows].shape)
    return out


def _convert(image: Image.Image, target: str) -> Image.Image:
    if image.mode == "La":  # Pillow unmultiplies to LA only
        return image.convert("LA")
    if target == "LA" and image.mode == "1":
        image = image.convert("L")
    return image.convert(target)


def white_is_zero(image: Image.Image) -> bool:
    """Of an image that is not loaded: a TIFF of 16-bit grey, which Pillow will not invert like 8 bits."""
    tags = getattr(image, "tag_v2", {}) if getattr(image, "tile", ()) else {}
    return image.mode.startswith("I;16") and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO


def has_signed_bytes(image: Image.Image) -> bool:
    """A TIFF whose samples below 0 Pillow takes for 128 and more."""
    return image.mode == "L" and getattr(image, "tag_v2", {}).get(SAMPLE_FORMAT) == (SIGNED,)


def refuse_negative(image: Image.Image) -> None:
    """InputError for samples below 0 of a loaded image."""
    if has_signed_bytes(image) and np.asarray(image).max() > 127:
        raise InputError("a TIFF of signed bytes, some below 0: add 128, and store them without a sign")


def wide_grey(image: Image.Image, inverted: bool = False, flip: int = 0) -> NDArray[np.uint16] | None:
    """Mode I;16 or I (32-bit integers) -> uint16 [H, W]; None for other modes. InputError beyond 16 bits.

    inverted: see white_is_zero(). flip: bits of a sample that are stored as their opposite."""
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    out = np.empty((image.height, image.width), np.uint16)
    twelve = getattr(image, "tag_v2", {}).get(ExifTags.Base.BitsPerSample) == (12,)  # that Pillow leaves so
    for rows, part in strips(image):
        values = np.asarray(part)
        if image.mode == "F" or int(values.min()) < 0 or int(values.max()) > 65535:
            raise InputError(
                f"mode {image.mode}: only integers in 0..65535 are supported; scale to 8 bits first"
            )
        out[rows] = values
        if twelve:
            out[rows] = (out[rows] << 4) | (out[rows] >> 8)
    if flip:
        out ^= np.uint16(flip)
    return 65535 - out if inverted else out


def transparent_grey(image: Image.Image, stored: str) -> int | None:
    """The transparent grey of a loaded PNG of 2 or 4 bits, which Pillow leaves in steps of these; else None.

    stored: deep.rawmode() of the image before it was loaded."""
    largest, value = LARGEST.get(stored), image.info.get("transparency")
    if largest is None or image.mode != "L" or not isinstance(value, int):
        return None
    return (value & largest) * 255 // largest


def _from_cmyk(icc: bytes) -> Callable[[Image.Image], Image.Image]:
    """Through the picture's own profile where it has one that works; Pillow's plain formula otherwise."""
    try:
        from PIL import ImageCms
    except ImportError:  # Pillow built without LittleCMS
        return lambda image: image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except (OSError, ImageCms.PyCMSError):  # no profile, or a broken one
        return lambda image: image.convert("RGB")
    return transform.apply
