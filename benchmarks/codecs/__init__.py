"""The codecs that can be compared, by name. A new peer is one file with make() and a line here."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.codecs import aecodec_codec, avif, heic, jpeg, jpeg2000, jpegxl, webp
from benchmarks.codecs.base import ImageCodec as ImageCodec

Maker = Callable[[str, int | None], ImageCodec]

REGISTRY: dict[str, Maker] = {
    "aecodec": aecodec_codec.make,
    **dict.fromkeys(jpeg.VARIANTS, jpeg.make),
    **dict.fromkeys(webp.NAMES, webp.make),
    **dict.fromkeys(avif.SPEEDS, avif.make),
    **dict.fromkeys(jpegxl.NAMES, jpegxl.make),
    **dict.fromkeys(heic.NAMES, heic.make),
    **dict.fromkeys(jpeg2000.NAMES, jpeg2000.make),
}


def is_aecodec(name: str) -> bool:
    return name.partition(":")[0] == "aecodec"


def make(name: str, threads: int | None = None) -> ImageCodec:
    """A codec by name; `aecodec:MODEL` takes another bundle. threads: None is all of them. ValueError."""
    maker = REGISTRY.get(name.partition(":")[0] if is_aecodec(name) else name)
    if maker is None:
        raise ValueError(f"codec {name!r} is unknown; there are {', '.join(REGISTRY)} and aecodec:MODEL")
    return maker(name, threads)
