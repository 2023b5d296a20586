"""What is fuzzed: bytes -> a call that may fail only as documented.

    decode   first byte: an operation, the rest: an .aec file
    encode   first byte: a quality, the rest: a picture to encode

A target returns True when the input was accepted.  Everything that is no documented error leaves it:
that is a finding.  Warnings are errors, and operations are compared with each other where they must agree.
The model is tests/data/bundles/tiny.  Nothing here needs atheris.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from aecodec import api, container, describe, pillow_plugin, pixels, thumbnail
from aecodec.cli import written
from aecodec.codec import Codec
from aecodec.errors import (
    AecodecError,
    CorruptError,
    FormatError,
    InputError,
    LimitError,
    ModelError,
    OutputError,
)
from aecodec.limits import Limits
from aecodec.orientation import upright
from aecodec.pixels import Picture
from aecodec.region import Region

TESTS = Path(__file__).parents[1]
TINY = TESTS / "data" / "bundles" / "tiny"
LIMITS = Limits(max_pixels=1 << 16, max_side=1024, max_metadata=1 << 20, max_pixels_per_byte=1 << 30)
"""Small pictures, so that an execution takes milliseconds; no limit on the work that would hide the rest."""
DOCUMENTED = (FormatError, CorruptError, LimitError, ModelError)
"""What reading a file may raise. A DeviceError, say, would be one of a network that a file made fail."""

codec = Codec(TINY, device="cpu", threads=1, limits=LIMITS, pixel_blocks=False)
blocks_codec = Codec(TINY, device="cpu", threads=1, limits=LIMITS)
pillow_plugin.register()


class Finding(AssertionError):
    """Two operations that disagree, or a wrong answer."""


def check(holds: object, text: str) -> None:
    if not holds:
        raise Finding(text)


def attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, type[AecodecError] | None]:
    """-> the result, or the class of the documented error."""
    try:
        return call(*arguments), None
    except DOCUMENTED as error:
        check(str(error), "an error without words")
        return None, type(error)


def decode(data: bytes) -> bool:
    if not data:
        return False
    name = OPERATIONS[data[0] % len(OPERATIONS)]
    file = data[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="PIL")  # about what it can still read
        picture, error = attempt(codec.decode_picture, file)
        if error is ModelError:
            check(container.read_header(file, LIMITS).model_id != codec.bundle.model_id, "its model is here")
        if picture is not None:
            check_picture(container.read_header(file, LIMITS), picture)
        globals()[f"and_{name}"](file, picture, error, zlib.crc32(file))
    return picture is not None


def check_picture(header: container.Header, picture: Picture) -> None:
    kind = np.uint8 if header.bit_depth == 8 else np.uint16
    check(picture.pixels.shape == (header.height, header.width, header.channels), "the picture's shape")
    check(picture.pixels.dtype == kind, "the picture's type")
    check((picture.alpha is not None) == (header.has_alpha and "alpha" not in picture.lost), "alpha")
    if picture.alpha is not None:
        check(picture.alpha.shape == (header.height, header.width), "the shape of alpha")
        check(picture.alpha.dtype == kind, "the type of alpha")


def same(a: Picture, b: Picture) -> bool:
    alpha = (a.alpha is None and b.alpha is None) or np.array_equal(a.alpha, b.alpha)  # type: ignore[arg-type]
    return bool(alpha) and np.array_equal(a.pixels, b.pixels)


def and_info(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    facts, refused = attempt(describe.info, file, LIMITS)
    check(picture is None or facts is not None, f"decode accepts what info refuses: {refused}")
    if facts is not None:
        json.dumps(facts)


def and_verify(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    _, refused = attempt(codec.verify, file)
    check(refused is error, f"verify: {refused}, decode: {error}")


def and_salvage(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    result, refused = attempt(codec.salvage, file)
    if result is not None:
        check_picture(container.read_header(file, LIMITS), result[0])
    if picture is not None:
        check(result is not None, f"salvage refuses a whole file: {refused}")
        check(
            not result[1] and not result[0].lost and same(result[0], picture),
            "salvage of a whole file is not that file",
        )


def and_region(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    header, refused = attempt(container.read_header, file, LIMITS)
    if header is None:
        check(picture is None, f"decode accepts a header that is refused: {refused}")
        return
    width, height = 1 + seed % header.width, 1 + (seed >> 8) % header.height
    x, y = (seed >> 16) % (header.width - width + 1), (seed >> 24) % (header.height - height + 1)
    part, refused = attempt(codec.decode_region, file, Region(x, y, width, height))
    if picture is not None:
        check(part is not None, f"a region of a whole file is refused: {refused}")
    if part is not None:
        check(part.pixels.shape == (height, width, header.channels), "a region's shape")


def and_scale(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    divisor = (2, 4, 8, 16)[seed % 4]
    small, refused = attempt(codec.decode_picture, file, divisor)
    if not (divisor == thumbnail.DIVISOR and has_thumbnail(file)):  # which is read without the groups
        check(refused is error, f"at 1/{divisor}: {refused}, decode: {error}")
    check(picture is None or small is not None, f"at 1/{divisor} a whole file is refused: {refused}")
    if small is not None and picture is not None:
        height, width, channels = picture.pixels.shape
        wanted = (-(-height // divisor), -(-width // divisor), channels)
        check(small.pixels.shape == wanted, "a preview's shape")


def has_thumbnail(file: bytes) -> bool:
    parsed, _ = attempt(container.read_file, file, LIMITS)
    return parsed is not None and thumbnail.TAG in parsed.sections


def and_convert(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    """As the command line does: upright, into another format, with all the metadata."""
    if picture is None:
        return
    turned = upright(picture) if seed & 1 else picture
    form = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")[(seed >> 1) % 5]
    try:
        packed, _ = written.at_once(turned, form)
    except OutputError:  # modes and metadata that a format does not take
        return
    with Image.open(BytesIO(packed)) as image:
        # Pillow turns TIFFs upright as it opens them.
        check(sorted(image.size) == sorted(turned.pixels.shape[:2]), "the size of a converted picture")


def and_pillow(file: bytes, picture: Picture | None, error: type[AecodecError] | None, seed: int) -> None:
    """Errors are OSError here, as Pillow's users expect."""
    header, _ = attempt(container.read_header, file, LIMITS)
    if header is None:  # the plugin has the default limits; larger pictures would take too long
        return
    with mock.patch.object(api, "shared", lambda *arguments: codec):
        try:
            with Image.open(BytesIO(file), formats=["AEC"]) as image:
                check(image.size == (header.width, header.height), "Pillow's size")
                if seed & 1:
                    image.draft(None, (1 + header.width // 9, 1 + header.height // 9))
                image.load()
                opened = image.mode
        except OSError:
            check(picture is None, "Pillow refuses what decode accepts")
        else:
            if picture is not None:
                check(opened == pixels.to_pil(picture).mode, "the mode that was announced")
            else:
                check(seed & 1 and has_thumbnail(file), f"Pillow accepts what decode refuses: {error}")


OPERATIONS = ("info", "verify", "salvage", "region", "scale", "convert", "pillow")


def encode(data: bytes) -> bool:
    """A picture of any format: read, coded, decoded; metadata, alpha, size and depth must come back."""
    if not data:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="PIL")
        try:
            picture = pixels.read_picture(data[1:], LIMITS)
        except (InputError, LimitError) as error:
            check(str(error), "an error without words")
            return False
        if picture.pixels.size > 3 << 10:
            return True
        made = (blocks_codec if data[0] & 128 else codec).encode_picture(picture, (data[0] & 127) % 101)
        back = codec.decode_picture(made)
        check(back.pixels.shape == picture.pixels.shape and back.depth == picture.depth, "another shape")
        check(same(Picture(picture.pixels, back.alpha), picture), "alpha changed")
        for name in ("icc", "exif", "xmp", "orientation"):
            check(getattr(back, name) == getattr(picture, name), f"{name} changed")
        pixels.to_pil(back)
    return True


TARGETS: dict[str, Callable[[bytes], bool]] = {"decode": decode, "encode": encode}


def main() -> None:
    """python tests/fuzz/targets.py decode|encode FILE...: what the target makes of each, without atheris."""
    target = TARGETS[sys.argv[1]]
    for name in sys.argv[2:]:
        print(os.fspath(name), "accepted" if target(Path(name).read_bytes()) else "refused")


if __name__ == "__main__":
    main()
