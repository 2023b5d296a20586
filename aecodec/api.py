"""encode, decode and open as functions: they share networks, once for each set of arguments."""

from __future__ import annotations

import os
import threading
from typing import Any

from PIL import Image

from aecodec import model_folders, models, pixels, runtime
from aecodec.codec import Codec
from aecodec.errors import UsageError
from aecodec.groups import note_of_lost
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.notes import tell
from aecodec.orientation import upright
from aecodec.pixels import ImageInput, Pixels
from aecodec.precision import Precision
from aecodec.session import Device
from aecodec.source import Source

_shared: dict[Any, Codec] = {}
_shared_lock = threading.Lock()


def _renew() -> None:
    """In a forked process, which lacks the thread that may have held the lock."""
    global _shared_lock
    _shared_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def shared(
    model: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> Codec:
    """The Codec that the functions below use. In a process that was forked it loads networks of its own."""
    models.check(model)
    runtime.check(device, threads, limits, precision)
    folder = os.path.realpath(model) if model is not None and os.path.isdir(model) else None
    places = os.environ.get(model_folders.PATH_VARIABLE)
    key = (model, folder, device, threads, precision, places)
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Codec(model, device, threads, precision=precision)
        codec = _shared[key]
    return codec if limits == codec.limits else codec.with_limits(limits)


def encode(
    image: ImageInput,
    quality: float | None = None,
    model: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
    *,
    target_bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    max_size: int | None = None,
    alpha: bool = True,
    alpha_quality: float | None = None,
    thumbnail: bool = False,
    effort: int = 0,
    tune: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> bytes:
    """A picture -> the bytes of an .aec file; see Codec.encode.

    quality: None is 60; beside target_bpp, target_size or target_psnr, which find it, one is a UsageError.
    tune: "psnr" takes the form of the model that was trained for PSNR alone, "perceptual" the one for what
    people see, too; None the model as it is. The default model is perceptual."""
    return shared(models.tuned(model, tune), device, threads, limits, precision).encode(
        image,
        quality,
        target_bpp=target_bpp,
        target_size=target_size,
        target_psnr=target_psnr,
        max_size=max_size,
        alpha=alpha,
        alpha_quality=alpha_quality,
        thumbnail=thumbnail,
        effort=effort,
    )


def decode(
    data: Source,
    device: Device = "auto",
    threads: int | None = None,
    *,
    region: tuple[int, int, int, int] | None = None,
    scale: float = 1,
    apply_orientation: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> Pixels:
    """A file -> uint8 or uint16 array; see Codec.decode."""
    codec = shared(None, device, threads, limits, precision)
    return codec.decode(data, region, scale=scale, apply_orientation=apply_orientation)


def open(
    source: Source,
    device: Device = "auto",
    threads: int | None = None,
    *,
    region: tuple[int, int, int, int] | None = None,
    scale: float = 1,
    apply_orientation: bool = False,
    salvage: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> Image.Image:
    """A file -> PIL image; see Codec.open.

    salvage: of a damaged file what is whole, see Codec.salvage; not with a region or a scale. What is lost
    is told by a warning and, in words, by info["lost"], which is not there where nothing is."""
    codec = shared(None, device, threads, limits, precision)
    if salvage:
        if region is not None or scale != 1:
            raise UsageError("what is salvaged is the whole picture: leave out region and scale, or salvage")
        return _salvaged(codec, source, apply_orientation)
    return codec.open(source, region, scale=scale, apply_orientation=apply_orientation)


def _salvaged(codec: Codec, source: Source, apply_orientation: bool) -> Image.Image:
    picture, groups = codec.salvage(source)
    image = pixels.to_pil(upright(picture) if apply_orientation else picture)
    for note in (*picture.notes, *note_of_lost(groups)):
        tell(note)
    if picture.lost or groups:
        image.info["lost"] = (*picture.lost, *(f"group {number}" for number in groups))
    return image
