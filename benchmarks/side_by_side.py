"""One picture through several codecs at the same number of bytes, cut to the part with most detail."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import metrics, pictures
from benchmarks.codecs import ImageCodec
from benchmarks.speed import matching_quality

CROP = 320


@dataclass(frozen=True)
class View:
    """A codec's picture. `png`: the crop as a data URI; bytes and PSNR are those of the whole picture."""

    codec: str
    bytes: int
    psnr: float
    png: str


def busiest(pixels: metrics.Pixels, side: int) -> tuple[int, int]:
    """Top and left of the square with the largest gradients, on a grid of 32 pixels."""
    grey = pixels.mean(axis=2)
    detail = np.zeros(grey.shape)
    detail[:-1] += np.abs(np.diff(grey, axis=0))
    detail[:, :-1] += np.abs(np.diff(grey, axis=1))
    best, at = -1.0, (0, 0)
    for top in range(0, max(1, grey.shape[0] - side + 1), 32):
        for left in range(0, max(1, grey.shape[1] - side + 1), 32):
            here = float(np.minimum(detail[top : top + side, left : left + side], 60).mean())
            if here > best:
                best, at = here, (top, left)
    return at


def data_uri(pixels: metrics.Pixels) -> str:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def compare(path: Path, ours: ImageCodec, peers: list[ImageCodec], quality: float) -> list[View]:
    """The original, `ours` at `quality`, and every peer at the quality that comes nearest to its size.

    A peer that cannot come within a tenth of the size is left out."""
    image = pictures.load(path)
    original = pictures.pixels(image)
    top, left = busiest(original, CROP)

    def cut(pixels: metrics.Pixels) -> str:
        return data_uri(np.ascontiguousarray(pixels[top : top + CROP, left : left + CROP]))

    target = len(ours.encode(image, quality))
    views = [View("original", original.size, float("inf"), cut(original))]
    for codec in [ours, *peers]:
        chosen = quality if codec is ours else matching_quality(codec, image, target)
        data = codec.encode(image, chosen)
        if abs(len(data) - target) > 0.1 * target:
            continue
        decoded = codec.decode(data)
        views.append(View(codec.name, len(data), metrics.psnr(original, decoded), cut(decoded)))
    return views
