"""Pictures of any kind <-> arrays of samples.

path, bytes, file, PIL image, array --open_picture--> Picture: [H, W, C] of uint8 or uint16, alpha, metadata
Picture --to_array, to_pil--> array, PIL image

What the networks see of them is in planes.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import boxes, cut_short, deep, fits, picture_notes
from aecodec.alpha import hide
from aecodec.errors import AecodecError, InputError, LimitError
from aecodec.exif import with_orientation
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.modes import (
    has_signed_bytes,
    is_turned,
    metadata_of,
    metadata_of_deep,
    refuse_negative,
    to_eight_bits,
    transparent_grey,
    white_is_zero,
    wide_grey,
)
from aecodec.opening import frames_of, open_image, opener, reopener
from aecodec.raster import STRIP, ChannelRaster, ImageRaster, Raster, detached, file_raster, is_large
from aecodec.source import Readable, Source, open_bytes

Pixels = NDArray[np.uint8 | np.uint16]
ImageInput: TypeAlias = "Source | Readable | Image.Image | NDArray[Any]"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it is coded."""

    pixels: Raster
    """[H, W, 1] grey or [H, W, 3] RGB of uint8 or uint16, as stored (orientation not applied): an array, or,
    in a large picture that was opened and not read, something that windows can be had of."""
    alpha: Pixels | None = None
    """[H, W], of the same type."""
    icc: bytes = b""
    exif: bytes = b""
    """A TIFF structure, without the prefix 'Exif\\0\\0'."""
    xmp: bytes = b""
    orientation: int = 1
    """1..8, the EXIF meaning."""
    dpi: tuple[float, float] | None = None
    """Dots an inch across and down; EXIF may have a resolution of its own."""
    notes: tuple[str, ...] = ()
    """What was changed to make the picture codable, in words for the user; or what is lost of a file."""
    lost: tuple[str, ...] = ()
    """What of a damaged file is left out beside groups of its pixels: EXIF data, alpha ..."""

    @property
    def depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def array(self) -> Pixels:
        """All pixels."""
        if isinstance(self.pixels, np.ndarray):
            return self.pixels
        height, width, _ = self.pixels.shape
        return np.ascontiguousarray(self.pixels[0:height, 0:width])


def read_picture(image: ImageInput, limits: Limits = DEFAULT_LIMITS, alpha: bool = True) -> Picture:
    """open_picture(), its pixels an array."""
    picture = open_picture(image, limits, alpha)
    return replace(picture, pixels=picture.array)


def open_picture(image: ImageInput, limits: Limits = DEFAULT_LIMITS, alpha: bool = True) -> Picture:
    """Any input -> Picture. A str is a path, bytes are a picture file; arrays are uint8 or uint16, HW or HWC.

    Of a large picture no second copy is made: its pixels are read from the image, array or file when they are
    needed, and must not change until then.
    alpha: False drops it, and shows the colours that it hid.
    InputError when it cannot be read or is of an unsupported kind, LimitError when it is too large.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, limits, alpha)
    if isinstance(image, Image.Image):
        return from_pil(image, limits, alpha=alpha)
    where = f"{os.fspath(image)!r}: " if isinstance(image, str | os.PathLike) else ""
    with open_bytes(image) as data, open_image(data, where, limits) as opened:
        path = data.name if isinstance(data, BufferedReader) else None
        in_file = is_large(*opened.size) and not has_signed_bytes(opened)  # whose values have to be looked at
        raster = file_raster(opened, path) if in_file else None
        picture = from_pil(opened, limits, where, alpha, reopener(data, where, limits), raster)
        cut_short.refuse(opened, data, picture.pixels, picture.alpha, where)
        frames = frames_of(opened)
    if frames > 1:
        return replace(picture, notes=(*picture.notes, f"first of {frames} frames taken"))
    return picture


def check_size(width: int, height: int, limits: Limits) -> None:
    """Before any pixel is loaded."""
    if width < 1 or height < 1:
        raise InputError(f"the picture has no pixels ({width} x {height})")
    if width * height > limits.max_pixels or max(width, height) > limits.max_side:
        raise LimitError(
            f"the picture has {width} x {height} pixels; the limits are {limits.max_pixels} pixels "
            f"and sides of {limits.max_side} (pass larger limits to accept it)"
        )


def _from_array(array: NDArray[Any], limits: Limits, keep_alpha: bool) -> Picture:
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"an array of uint8 or uint16 is needed, not {array.dtype}; scale it to 0..255 and convert it"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"an array [H, W] or [H, W, 1..4] is needed, not {list(array.shape)}")
    check_size(array.shape[1], array.shape[0], limits)
    colours = array.shape[2] - 1 + array.shape[2] % 2
    alpha = array[:, :, colours].copy() if array.shape[2] > colours and keep_alpha else None
    notes = picture_notes.of_range(array[:, :, :colours])
    return Picture(hide(array[:, :, :colours], alpha), alpha, notes=notes)


def sixteen_to_eight(values: NDArray[Any]) -> NDArray[np.uint8]:
    """0..65535 -> 0..255, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def from_pil(
    image: Image.Image,
    limits: Limits = DEFAULT_LIMITS,
    where: str = "",
    alpha: bool = True,
    again: deep.Opener | None = None,
    raster: Raster | None = None,
) -> Picture:
    """A Pillow image (its current frame) -> Picture. The image itself is not changed.

    again: opens the file of an image that is not loaded afresh, so that 16-bit colour can be had of it.
    raster: the image's pixels, where they can be had without loading it.
    """
    check_size(*image.size, limits)
    deep.refuse_planes(image)
    notes: tuple[str, ...] = ()
    try:
        facts, colours = fits.facts_of(image), boxes.colours_of(image, limits.max_metadata)
        is_deep, stored, inverted = deep.is_deep(image), deep.rawmode(image), white_is_zero(image)
        again = again or opener(image, limits)
        if again is not None and deep.is_joined(image):
            with again() as first:
                metadata = metadata_of_deep(image, first)
            del first  # its pixels are not the whole ones
            picture, icc = _deep_samples(image, again, limits, alpha), metadata.icc
        elif raster is None:
            turned = is_turned(image)
            image.load()
            metadata = metadata_of(image, turned, colours.profile)
            if (grey := _grey(image, stored, inverted, facts)) is not None:
                picture, icc = _from_array(grey, limits, alpha), metadata.icc
            else:
                picture, icc, notes = _samples(image, metadata.icc, is_deep, limits, alpha)
        else:
            metadata = metadata_of(image)
            picture, icc = Picture(raster), metadata.icc
    except (AecodecError, MemoryError):
        raise
    except Exception as error:  # decoders raise many types for damaged files
        text = str(error) or type(error).__name__
        if "closed image" in text or "closed file" in text:
            raise InputError(f"{where}the image, or its file, is closed; encode it before that") from None
        raise InputError(f"{where}the picture is damaged or cut short: {text}") from None
    notes += picture.notes + facts.notes
    notes += picture_notes.of_file(image, picture.pixels.shape[2] == 1, bool(icc), colours.codes)
    return replace(
        picture,
        icc=icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
        orientation=metadata.orientation,
        dpi=metadata.dpi,
        notes=notes,
    )


def _grey(image: Image.Image, stored: str, inverted: bool, facts: fits.Facts) -> NDArray[Any] | None:
    """A loaded image of which Pillow does not give all: grey of 16 bits, or of 2 or 4 with a transparent one.

    stored, inverted, facts: what deep.rawmode, white_is_zero and fits.facts_of said before it was loaded.
    None for other images."""
    refuse_negative(image)
    samples = wide_grey(image, inverted, facts.flip)
    if samples is not None:
        if facts.signed:
            fits.refuse_negative(int(samples.max()))
        return _seen_through(samples, image)
    hidden = transparent_grey(image, stored)
    return None if hidden is None else deep.with_transparency(np.asarray(image), hidden)


def _samples(
    image: Image.Image, icc: bytes, is_deep: bool, limits: Limits, keep_alpha: bool
) -> tuple[Picture, bytes, tuple[str, ...]]:
    """A loaded image -> its pixels, the ICC profile that fits, notes."""
    converted, icc, notes = to_eight_bits(image, icc, is_deep)
    if isinstance(converted, np.ndarray):
        return _from_array(converted, limits, keep_alpha), icc, notes
    if not is_large(*converted.size):
        return _from_array(np.asarray(converted), limits, keep_alpha), icc, notes
    seen = keep_alpha and converted.mode in ("LA", "RGBA")
    alpha = np.asarray(converted.getchannel("A")) if seen else None
    return Picture(hide(ImageRaster(detached(converted)), alpha), alpha), icc, notes


def _deep_samples(image: Image.Image, again: deep.Opener, limits: Limits, keep_alpha: bool) -> Picture:
    """The 16-bit colours of an image that is not loaded."""
    samples = deep.read(again)
    assert samples is not None  # as is_joined() says
    height, width, channels = samples.shape
    if isinstance(samples, np.ndarray) or (channels == 3 and "transparency" in image.info):
        whole = np.asarray(samples[0:height, 0:width])
        return _from_array(_seen_through(whole, image), limits, keep_alpha)
    colours = channels - 1 + channels % 2
    if colours == channels:
        return Picture(samples, notes=picture_notes.of_range(samples))
    alpha = None
    if keep_alpha:
        alpha = np.empty((height, width), np.uint16)
        for top in range(0, height, STRIP):
            alpha[top : top + STRIP] = samples[top : min(top + STRIP, height), 0:width][:, :, colours]
    raster = ChannelRaster(samples, slice(0, colours))
    return Picture(hide(raster, alpha), alpha, notes=picture_notes.of_range(raster))


def _seen_through(samples: NDArray[Any], image: Image.Image) -> NDArray[Any]:
    """16-bit samples with the alpha that a single transparent colour means."""
    hidden = image.info.get("transparency")
    if hidden is not None and (samples.ndim == 2 or samples.shape[2] == 3):
        return deep.with_transparency(samples, hidden)
    return samples


def to_array(picture: Picture) -> Pixels:
    """[H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] RGB or [H, W, 4] RGBA; uint8 or uint16."""
    colours = picture.array
    if picture.alpha is not None:
        return np.concatenate([colours, picture.alpha[:, :, None]], axis=2)
    return colours if colours.shape[2] == 3 else colours[:, :, 0]


def to_pil(picture: Picture) -> Image.Image:
    """Mode L, LA, RGB, RGBA, or I;16; info has icc_profile, exif, xmp and dpi where the picture has them.

    Pillow has no 16-bit colour: all but 16-bit grey without alpha is reduced to 8 bits.
    """
    array = to_array(picture)
    image = Image.fromarray(to_array(shallow(picture)) if array.ndim == 3 else array)
    image.info.update(pil_info(picture.icc, picture.exif, picture.xmp, picture.orientation, picture.dpi))
    return image


def in_mode(picture: Picture, mode: str) -> Image.Image:
    """to_pil() in another mode of 8 bits: Pillow's own convert() cuts grey of 16 bits at 255."""
    return to_pil(shallow(picture)).convert(mode)


def shallow(picture: Picture) -> Picture:
    """The picture with 8 bits a sample."""
    if picture.depth == 8:
        return picture
    alpha = None if picture.alpha is None else sixteen_to_eight(picture.alpha)
    return replace(picture, pixels=sixteen_to_eight(picture.array), alpha=alpha)


def pil_info(
    icc: bytes, exif: bytes, xmp: bytes, orientation: int, dpi: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Metadata under Pillow's names. EXIF is made, or corrected, where the orientation needs it: also where
    XMP has another one, which readers take where EXIF has none.

    An orientation outside 1..8 means 1, and stays as it is; so does damaged EXIF data where no orientation
    has to be stated.
    """
    exif = with_orientation(exif, orientation, xmp)
    items = {"icc_profile": icc, "exif": exif and b"Exif\0\0" + exif, "xmp": xmp, "dpi": dpi}
    return {key: value for key, value in items.items() if value}
