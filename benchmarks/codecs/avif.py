"""AVIF (libavif through Pillow), 4:4:4, at the speeds of `avifenc -s 6` (its default) and `-s 3`."""

from __future__ import annotations

from PIL import AvifImagePlugin

from benchmarks.codecs.base import ImageCodec, PillowCodec, Pixels
from benchmarks.environment import cpus

QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
SPEEDS = {"avif-s6": 6, "avif-s3": 3}


class Avif(PillowCodec):
    def __init__(self, name: str, threads: int) -> None:
        speed = SPEEDS[name]
        super().__init__(
            name, "AVIF", "avif", QUALITIES, speed=speed, subsampling="4:4:4", max_threads=threads
        )
        self.threads = threads
        self.version += f", {threads} threads"  # they change the bytes

    def decode(self, data: bytes) -> Pixels:
        AvifImagePlugin.DEFAULT_MAX_THREADS = self.threads  # Image.open takes no options
        return super().decode(data)


def make(name: str, threads: int | None) -> ImageCodec:
    return Avif(name, threads or cpus())
