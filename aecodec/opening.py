"""Picture files as Pillow images that are not loaded yet. Used by aecodec.pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngImageFile

from aecodec import deep, reasons
from aecodec.container import MAGIC
from aecodec.errors import AecodecError, InputError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.png_metadata import Png

REFUSED = {"EPS": "a PostScript file is a program, which is not run"}
"""Formats that are not opened, and why."""


def open_image(stream: BinaryIO, where: str, limits: Limits = DEFAULT_LIMITS) -> ImageFile.ImageFile:
    """Image.open without Pillow's own limits, which are global to the process: that of PNG's metadata is
    ours, and the size is checked next."""
    try:
        prefix = stream.read(16)
    except OSError as error:
        raise InputError(f"{where}cannot read it: {error.strerror or error}") from None
    if prefix.startswith(MAGIC):  # its plugin, where it is registered, knows 8 bits only
        raise InputError(f"{where}this is an .aec file; decode it first")
    tried: set[str] = set()
    why: list[tuple[str, str]] = []
    for find_plugins in (Image.preinit, Image.init):  # a few plugins, then all, which takes longer
        find_plugins()
        for name in [n for n in Image.ID if n not in tried]:
            tried.add(name)
            found = _try_format(name, stream, prefix, limits)
            if isinstance(found, ImageFile.ImageFile):
                return found
            if found:
                why.append((name, found))
    size = stream.seek(0, os.SEEK_END)
    if why:
        name, reason = why[0]
        raise InputError(f"{where}{name} of {size} bytes that cannot be read: {reason}")
    raise InputError(f"{where}no picture that Pillow can read ({size} bytes); try PNG")


def _try_format(name: str, stream: BinaryIO, prefix: bytes, limits: Limits) -> ImageFile.ImageFile | str:
    """-> the picture; or why there is none, which is empty where the file does not look like this format."""
    factory, accept = Image.OPEN[name]
    try:
        known = accept(prefix) if accept else ""
    except Exception:  # there are less bytes than it looks at
        return ""
    if accept and not known:
        return ""
    if known and (name in REFUSED or isinstance(known, str)):  # a str: this Pillow was built without it
        return REFUSED.get(name) or str(known)
    try:
        stream.seek(0)
        return Png(stream, limits) if factory is PngImageFile else factory(stream, "")
    except AecodecError:
        raise
    except Exception as error:  # a plugin that does not know the file raises whatever comes first
        return reasons.of(name, stream, prefix, error) if known else ""


def reopener(data: BinaryIO, where: str, limits: Limits) -> deep.Opener:
    """For a file of this machine, or bytes: opens it once more, with a position of its own."""

    @contextmanager
    def again() -> Iterator[ImageFile.ImageFile]:
        stream = BytesIO(data.getvalue()) if isinstance(data, BytesIO) else open(data.name, "rb")
        with stream, open_image(stream, where, limits) as image:
            yield image

    return again


def opener(image: Image.Image, limits: Limits) -> deep.Opener | None:
    """For an image that Pillow has opened and not loaded, at its frame."""
    stream, frame = getattr(image, "fp", None), image.tell()
    if not deep.is_deep(image) or stream is None or (frame and image.format == "PNG"):
        return None  # later frames of a PNG are made of those before them
    at = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(at)

    def again() -> ImageFile.ImageFile:
        opened = open_image(BytesIO(data), "", limits)
        if frame:
            opened.seek(frame)
        return opened

    return again


def frames_of(image: Image.Image) -> int:
    """How many pictures the file has; 1 where the others cannot be counted, as they are damaged. What Pillow
    counts in a PSD are layers, and it gives all of them together."""
    if image.format == "PSD":
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # readers raise many types, and the first frame has been read
        return 1
