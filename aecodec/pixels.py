"""Pictures of any kind <-> the arrays that the networks see.

path, bytes, file, PIL image, array --read_picture--> Picture: uint8 [H, W, C], alpha, metadata
uint8 [H, W, C] --to_network--> float32 [1, 3, H', W'] in 0..1, sides padded to multiples of 64
float32 [1, 3, H', W'] --from_network--> uint8 [H, W, C] --to_pil--> PIL image
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from aecodec.errors import AecodecError, CorruptError, InputError, LimitError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.modes import is_deep, metadata_of, to_eight_bits
from aecodec.source import Readable, Source, read_bytes

Pixels = NDArray[np.uint8]
ImageInput: TypeAlias = "Source | Readable | Image.Image | NDArray[Any]"

MULTIPLE = 64
LUMA = (0.299, 0.587, 0.114)
REFUSED = {"EPS"}
"""A PostScript file is a program."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture as it is coded."""

    pixels: Pixels
    """[H, W, 1] grey or [H, W, 3] RGB, as stored (orientation not applied)."""
    alpha: Pixels | None = None
    """[H, W]"""
    icc: bytes = b""
    exif: bytes = b""
    """A TIFF structure, without the prefix 'Exif\\0\\0'."""
    xmp: bytes = b""
    orientation: int = 1
    """1..8, the EXIF meaning."""
    notes: tuple[str, ...] = ()
    """What was changed to make the picture codable, in words for the user."""


def read_picture(image: ImageInput, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Any input -> Picture. A str is a path, bytes are a picture file, an array is uint8 HW or HWC.

    InputError when it cannot be read or is of an unsupported kind, LimitError when it is too large.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image, limits)
    if isinstance(image, Image.Image):
        return from_pil(image, limits)
    where = f"{os.fspath(image)!r}: " if isinstance(image, str | os.PathLike) else ""
    with _opened(read_bytes(image), where) as opened:
        picture = from_pil(opened, limits, where)
        frames = getattr(opened, "n_frames", 1)
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


def _from_array(array: NDArray[Any], limits: Limits) -> Picture:
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(f"an array of uint8 is needed, not {array.dtype}; scale it to 0..255 and convert it")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"an array [H, W] or [H, W, 1..4] is needed, not {list(array.shape)}")
    check_size(array.shape[1], array.shape[0], limits)
    notes: tuple[str, ...] = ()
    if array.dtype == np.uint16:
        array, notes = sixteen_to_eight(array), ("16 bits a channel reduced to 8",)
    colours = array.shape[2] - 1 + array.shape[2] % 2
    alpha = array[:, :, colours].copy() if array.shape[2] > colours else None
    return Picture(_hide(array[:, :, :colours], alpha), alpha, notes=notes)


def sixteen_to_eight(values: NDArray[Any]) -> Pixels:
    """0..65535 -> 0..255, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[ImageFile.ImageFile]:
    """Image.open without Pillow's own size limit, which is global to the process; ours is checked next."""
    stream = BytesIO(data)
    image = None
    tried: set[str] = set()
    for find_plugins in (Image.preinit, Image.init):
        find_plugins()
        for name in [n for n in Image.ID if n not in tried | REFUSED]:
            tried.add(name)
            image = image or _try_format(name, stream, data[:16])
    if image is None:
        raise InputError(f"{where}no picture that Pillow can read ({len(data)} bytes); try PNG")
    with image:
        yield image


def _try_format(name: str, stream: BytesIO, prefix: bytes) -> ImageFile.ImageFile | None:
    factory, accept = Image.OPEN[name]
    try:
        answer = accept(prefix) if accept else True
        if not answer or isinstance(answer, str):  # a str: known, but this Pillow was built without it
            return None
        stream.seek(0)
        return factory(stream, "")
    except AecodecError:
        raise
    except Exception:  # a plugin that does not know the file raises whatever comes first
        return None


def from_pil(image: Image.Image, limits: Limits = DEFAULT_LIMITS, where: str = "") -> Picture:
    """A Pillow image (its current frame) -> Picture. The image itself is not changed."""
    check_size(*image.size, limits)
    try:
        deep = is_deep(image)
        image.load()
        metadata = metadata_of(image)
        converted, icc, notes = to_eight_bits(image, metadata.icc, deep)
    except AecodecError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types for damaged files
        text = str(error) or type(error).__name__
        raise InputError(f"{where}the picture is damaged or cut short: {text}") from None
    picture = _from_array(np.asarray(converted), limits)
    return replace(
        picture, icc=icc, exif=metadata.exif, xmp=metadata.xmp, orientation=metadata.orientation, notes=notes
    )


def _hide(colour: Pixels, alpha: Pixels | None) -> Pixels:
    """Colour that nobody sees, under alpha 0, is replaced by a smooth continuation: it costs fewer bytes."""
    if alpha is None or alpha.all() or not alpha.any():
        return np.ascontiguousarray(colour if alpha is None or alpha.any() else np.zeros_like(colour))
    seen = (alpha > 0).astype(np.float32)[:, :, None]
    return np.where(seen > 0, colour, np.rint(_fill(colour * seen, seen)).astype(np.uint8))


def _fill(total: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted sums [h, w, C] and weights [h, w, 1] -> means; holes take the mean of a coarser grid."""
    height, width = weight.shape[:2]
    mean = (total / np.maximum(weight, 1e-6)).astype(np.float32, copy=False)
    if weight.all() or (height == 1 and width == 1):
        return mean
    coarse = _fill(_halve(total), _halve(weight))
    up = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weight > 0, mean, up).astype(np.float32, copy=False)


def _halve(a: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over 2 x 2 blocks; odd sides are padded with nothing."""
    a = np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2), (0, 0)))
    return a[0::2, 0::2] + a[1::2, 0::2] + a[0::2, 1::2] + a[1::2, 1::2]


def to_network(pixels: Pixels) -> NDArray[np.float32]:
    """uint8 [H, W, 1 or 3] -> float32 [1, 3, H', W'] in 0..1; edges repeated to multiples of 64."""
    height, width, channels = pixels.shape
    # Padded in uint8, where a copy costs a quarter.
    edges = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
    planes = np.pad(pixels, edges, mode="edge").transpose(2, 0, 1)
    x = np.empty((1, 3, *planes.shape[1:]), np.float32)
    np.multiply(planes, np.float32(1 / 255), out=x[0], dtype=np.float32)
    return x


def from_network(x_hat: NDArray[np.float32], height: int, width: int, channels: int) -> Pixels:
    """float32 [1, 3, H', W'] in 0..1 -> uint8 [height, width, channels]; grey is the luma."""
    x = x_hat[0, :, :height, :width]
    if channels == 1:
        x = np.tensordot(np.asarray(LUMA, np.float32), x, 1)[None]
    out = np.empty((height, width, channels), np.uint8)
    for plane in range(channels):
        values = np.multiply(x[plane], np.float32(255), dtype=np.float32)
        out[:, :, plane] = np.clip(np.rint(values, out=values), 0, 255, out=values)
    return out


def psnr(a: Pixels, b: Pixels) -> float:
    """dB between two uint8 arrays of one shape, one mean over all samples; infinite for equal ones."""
    error = float(np.mean(np.square(a.astype(np.int32) - b), dtype=np.float64))
    return 10 * math.log10(255**2 / error) if error else math.inf


def to_array(picture: Picture) -> Pixels:
    """uint8 [H, W] grey, [H, W, 2] grey and alpha, [H, W, 3] RGB or [H, W, 4] RGBA."""
    if picture.alpha is not None:
        return np.concatenate([picture.pixels, picture.alpha[:, :, None]], axis=2)
    return picture.pixels if picture.pixels.shape[2] == 3 else picture.pixels[:, :, 0]


def to_pil(picture: Picture) -> Image.Image:
    """Mode L, LA, RGB or RGBA; info has icc_profile, exif and xmp where the picture has them."""
    image = Image.fromarray(to_array(picture))
    image.info.update(pil_info(picture.icc, picture.exif, picture.xmp, picture.orientation))
    return image


def pil_info(icc: bytes, exif: bytes, xmp: bytes, orientation: int) -> dict[str, bytes]:
    """Metadata under Pillow's names. EXIF is made, or corrected, where the orientation needs it."""
    found = Image.Exif()
    if exif:
        found.load(exif)
    if found.get(ExifTags.Base.Orientation, 1) != orientation:
        found[ExifTags.Base.Orientation] = orientation
        exif = found.tobytes().removeprefix(b"Exif\0\0")
    items = {"icc_profile": icc, "exif": exif and b"Exif\0\0" + exif, "xmp": xmp}
    return {key: value for key, value in items.items() if value}


def pack_alpha(alpha: Pixels) -> bytes:
    """[H, W] -> PNG of mode L, the payload of section ALPH."""
    out = BytesIO()
    Image.fromarray(alpha).save(out, "PNG", optimize=True)
    return out.getvalue()


def unpack_alpha(payload: bytes | memoryview, width: int, height: int) -> Pixels:
    """Section ALPH -> [H, W]. CorruptError when it is no grey PNG of the picture's size."""
    try:
        with PngImagePlugin.PngImageFile(BytesIO(payload)) as image:
            if image.size != (width, height) or image.mode != "L":
                raise CorruptError(
                    f"section ALPH: a PNG of {image.size[0]} x {image.size[1]}, mode {image.mode}; "
                    f"{width} x {height}, mode L is needed"
                )
            return np.array(image)
    except (CorruptError, MemoryError):
        raise
    except Exception as error:  # the PNG reader raises many types for damaged data
        raise CorruptError(f"section ALPH: not a valid PNG: {error}") from None
