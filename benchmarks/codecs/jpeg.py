"""JPEG (libjpeg-turbo through Pillow). Optimised and progressive: the fewest bytes that it can write.

jpeg: 4:2:0, jpeg-444: full chroma, jpeg-baseline: 4:2:0 with fixed Huffman tables, the fast way.
"""

from __future__ import annotations

from typing import Any

from benchmarks.codecs.base import ImageCodec, PillowCodec

QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90)
VARIANTS: dict[str, dict[str, Any]] = {
    "jpeg": {"subsampling": "4:2:0", "optimize": True, "progressive": True},
    "jpeg-444": {"subsampling": "4:4:4", "optimize": True, "progressive": True},
    "jpeg-baseline": {"subsampling": "4:2:0"},
}


def make(name: str, threads: int | None) -> ImageCodec:
    return PillowCodec(name, "JPEG", "jpg", QUALITIES, **VARIANTS[name])
