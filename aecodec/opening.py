"""Picture files as Pillow images that are not loaded yet. Used by aecodec.pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile

from aecodec import deep
from aecodec.container import MAGIC
from aecodec.errors import AecodecError, InputError

REFUSED = {"EPS"}
"""A PostScript file is a program."""


def open_image(stream: BinaryIO, where: str) -> ImageFile.ImageFile:
    """Image.open without Pillow's own size limit, which is global to the process; ours is checked next."""
    try:
        prefix = stream.read(16)
    except OSError as error:
        raise InputError(f"{where}cannot read it: {error.strerror or error}") from None
    if prefix.startswith(MAGIC):  # its plugin, where it is registered, knows 8 bits only
        raise InputError(f"{where}this is an .aec file; decode it first")
    tried: set[str] = set()
    for find_plugins in (Image.preinit, Image.init):  # a few plugins, then all, which takes longer
        find_plugins()
        for name in [n for n in Image.ID if n not in tried | REFUSED]:
            tried.add(name)
            if image := _try_format(name, stream, prefix):
                return image
    size = stream.seek(0, os.SEEK_END)
    raise InputError(f"{where}no picture that Pillow can read ({size} bytes); try PNG")


def _try_format(name: str, stream: BinaryIO, prefix: bytes) -> ImageFile.ImageFile | None:
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


def reopener(data: BinaryIO, where: str) -> deep.Opener:
    """For a file of this machine, or bytes: opens it once more, with a position of its own."""

    @contextmanager
    def again() -> Iterator[ImageFile.ImageFile]:
        stream = BytesIO(data.getvalue()) if isinstance(data, BytesIO) else open(data.name, "rb")
        with stream, open_image(stream, where) as image:
            yield image

    return again


def opener(image: Image.Image) -> deep.Opener | None:
    """For an image that Pillow has opened and not loaded, at its frame."""
    stream, frame = getattr(image, "fp", None), image.tell()
    if not deep.is_deep(image) or stream is None or (frame and image.format == "PNG"):
        return None  # later frames of a PNG are made of those before them
    at = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(at)

    def again() -> ImageFile.ImageFile:
        opened = open_image(BytesIO(data), "")
        if frame:
            opened.seek(frame)
        return opened

    return again
