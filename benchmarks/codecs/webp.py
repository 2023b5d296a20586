"""WebP, lossy (libwebp through Pillow), method 6: slowest and smallest."""

from __future__ import annotations

from benchmarks.codecs.base import ImageCodec, PillowCodec

QUALITIES = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90)
NAMES = ("webp",)


def make(name: str, threads: int | None) -> ImageCodec:
    return PillowCodec(name, "WEBP", "webp", QUALITIES, method=6)
