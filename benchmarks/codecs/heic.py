"""HEIC: x265 intra, 4:4:4, 8 bits (libheif through pillow-heif), x265's preset slow as libheif sets it.

heic has the tune that libheif sets, `ssim`; heic-psnr is for comparisons by PSNR.
"""

from __future__ import annotations

from benchmarks.codecs.base import ImageCodec, PillowCodec

QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90)
TUNES = {"heic": "ssim", "heic-psnr": "psnr"}


class Heic(PillowCodec):
    def __init__(self, name: str) -> None:
        try:
            import pillow_heif
        except ImportError as error:
            raise ValueError(f"codec {name}: pip install pillow-heif ({error})") from None
        pillow_heif.register_heif_opener()
        libraries = pillow_heif.libheif_info()
        self.name, self.kind, self.qualities = name, "HEIF", QUALITIES
        self.options = {"chroma": 444, "enc_params": {"tune": TUNES[name]}}
        self.version = f"libheif {libraries['libheif']}, {libraries['HEIF']}, tune {TUNES[name]}"


def make(name: str, threads: int | None) -> ImageCodec:
    return Heic(name)
