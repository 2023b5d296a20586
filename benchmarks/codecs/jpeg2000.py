"""JPEG 2000 (OpenJPEG through Pillow), 9/7 wavelet.  Its quality is the PSNR asked for, in dB."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from benchmarks.codecs.base import ImageCodec, PillowCodec

DECIBELS = (26, 28, 30, 32, 34, 36, 38, 40)
NAMES = ("jpeg2000",)


class Jpeg2000(PillowCodec):
    def encode(self, image: Image.Image, quality: float) -> bytes:
        out = BytesIO()
        image.save(out, self.kind, quality_layers=[float(quality)], **self.options)
        return out.getvalue()


def make(name: str, threads: int | None) -> ImageCodec:
    options = {"quality_mode": "dB", "irreversible": True, "mct": 1, "no_jp2": True}
    return Jpeg2000(name, "JPEG2000", "jpg_2000", DECIBELS, **options)
