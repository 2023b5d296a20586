"""Picture files as Pillow images that are not loaded yet. Used by aecodec.pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile

from aecodec import deep
from aecodec.errors import AecodecError, InputError

REFUSED = {"EPS"}
"""A PostScript file is a program."""


def open_image(stream: BinaryIO, where: str) -> ImageFile.ImageFile:
    """Image.open without Pillow's own size limit, which is global to the process; ours is checked next."""
    try:
        prefix = stream.read(16)
    except OSError as error:
        raise InputError(f"{where}cannot read it: {error.strerror or error}") from None
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


def copied(data: BinaryIO) -> BinaryIO:
    """The same bytes, with a position of their own."""
    at = data.tell()
    data.seek(0)
    copy = BytesIO(data.read())
    data.seek(at)
    return copy


def opener(image: Image.Image) -> Callable[[], ImageFile.ImageFile] | None:
    """For an image that Pillow has opened and not loaded."""
    stream = getattr(image, "fp", None)
    if not deep.is_deep(image) or stream is None:
        return None
    at = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(at)
    return lambda: open_image(BytesIO(data), "")
