"""JPEG XL, lossy (libjxl through pillow-jxl-plugin), effort 7: its default."""

from __future__ import annotations

from importlib import metadata
from io import BytesIO

from PIL import Image

from benchmarks.codecs.base import ImageCodec, PillowCodec
from benchmarks.environment import cpus

QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98)
NAMES = ("jxl",)


class JpegXl(PillowCodec):
    def __init__(self, name: str, threads: int) -> None:
        try:
            import pillow_jxl  # noqa: F401  registers the format
        except ImportError as error:
            raise ValueError(f"codec {name}: pip install pillow-jxl-plugin ({error})") from None
        self.name, self.kind, self.qualities = name, "JXL", QUALITIES
        self.options = {"effort": 7, "num_threads": threads}
        self.version = f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        out = BytesIO()
        # Without its file name: the plugin would pack the bytes of a JPEG without loss.
        plain = Image.frombytes("RGB", image.size, image.tobytes())
        plain.save(out, self.kind, quality=round(quality), **self.options)
        return out.getvalue()


def make(name: str, threads: int | None) -> ImageCodec:
    return JpegXl(name, threads or cpus())
