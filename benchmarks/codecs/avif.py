"""AVIF (libavif through Pillow), 4:4:4, at the speeds of `avifenc -s 6` (its default) and `-s 3`.

An AV1 encoder is tuned for a measure. avif-s6 and avif-s3 are tuned as libavif does by itself (1.4: `iq`, for
eyes), the others as they say. On Kodak `psnr` is the best by PSNR, `ssimulacra2` by SSIMULACRA 2 and MS-SSIM.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

from PIL import AvifImagePlugin, Image

from benchmarks.codecs.base import ImageCodec, PillowCodec, Pixels
from benchmarks.environment import cpus

QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
SPEEDS, TUNES = (6, 3), ("", "psnr", "ssimulacra2")
VARIANTS = {f"avif-s{speed}" + (tune and f"-{tune}"): (speed, tune) for speed in SPEEDS for tune in TUNES}


@cache
def own_tune() -> str:
    """The tune that gives the same bytes as none."""
    picture = Image.radial_gradient("L").resize((64, 64)).convert("RGB")

    def coded(**options: Any) -> bytes:
        out = BytesIO()
        picture.save(out, "AVIF", quality=50, subsampling="4:4:4", max_threads=1, **options)
        return out.getvalue()

    plain = coded()
    for tune in ("iq", "ssim", "psnr"):
        try:
            if coded(advanced={"tune": tune}) == plain:
                return tune
        except ValueError:  # an encoder that does not know it
            continue
    return "unknown"


class Avif(PillowCodec):
    def __init__(self, name: str, threads: int) -> None:
        speed, tune = VARIANTS[name]
        options = {"speed": speed, "subsampling": "4:4:4", "max_threads": threads}
        options |= {"advanced": {"tune": tune}} if tune else {}
        super().__init__(name, "AVIF", "avif", QUALITIES, **options)
        self.threads = threads
        self.version += f", {threads} threads"  # they change the bytes
        self.version += f", tune {tune or own_tune() + ' (its own)'}"

    def decode(self, data: bytes) -> Pixels:
        AvifImagePlugin.DEFAULT_MAX_THREADS = self.threads  # Image.open takes no options
        return super().decode(data)


def make(name: str, threads: int | None) -> ImageCodec:
    codec = Avif(name, threads or cpus())
    try:
        codec.encode(Image.new("RGB", (16, 16)), 50)
    except ValueError as error:
        raise ValueError(f"codec {name}: {error}; is libavif's aom older than 3.13?") from None
    return codec
