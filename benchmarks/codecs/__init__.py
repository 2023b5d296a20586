"""The codecs that can be compared, by name. A new peer is one file with make() and a line here."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.codecs import aecodec_codec, avif, heic, jpeg, jpeg2000, jpegxl, webp
from benchmarks.codecs.base import ImageCodec as ImageCodec

Maker = Callable[[str, int | None], ImageCodec]

REGISTRY: dict[str, Maker] = {
    "aecodec": aecodec_codec.make,
    **dict.fromkeys(jpeg.VARIANTS, jpeg.make),
    **dict.fromkeys(webp.NAMES, webp.make),
    **dict.fromkeys(avif.VARIANTS, avif.make),
    **dict.fromkeys(jpegxl.NAMES, jpegxl.make),
    **dict.fromkeys(heic.TUNES, heic.make),
    **dict.fromkeys(jpeg2000.NAMES, jpeg2000.make),
}


def is_aecodec(name: str) -> bool:
    return re.split("[:+@]", name)[0] == "aecodec"


def model_of(name: str) -> str | None:
    """MODEL of `aecodec:MODEL+EFFORT@PRECISION`; None is the default model."""
    return aecodec_codec.parts_of(name)[0]


def make(name: str, threads: int | None = None) -> ImageCodec:
    """A codec by name; `aecodec:MODEL+EFFORT@PRECISION` takes another bundle, effort or precision than the
    default ones, or some of them. threads: None is all of them. ValueError."""
    maker = REGISTRY.get("aecodec" if is_aecodec(name) else name)
    if maker is None:
        known = f"{', '.join(REGISTRY)} and aecodec:MODEL+EFFORT@PRECISION"
        raise ValueError(f"codec {name!r} is unknown; there are {known}")
    return maker(name, threads)
