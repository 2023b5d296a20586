"""Pictures that the benchmarks run on: a folder, a file -> 8-bit RGB without metadata."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}


def find(place: Path) -> list[Path]:
    """The picture files in a folder, sorted; or the one file. ValueError when there is none."""
    if place.is_file():
        return [place]
    found = sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        kinds = ", ".join(sorted(SUFFIXES))
        raise ValueError(f"{place}: no picture found ({kinds}); give a folder of pictures")
    return found


def load(path: Path) -> Image.Image:
    """RGB, pixels alone: profiles and EXIF would count as bytes in some codecs and not in others."""
    with Image.open(path) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


def fingerprint(path: Path) -> str:
    """12 hex digits of the file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def tiled(image: Image.Image, width: int, height: int) -> Image.Image:
    """A larger picture of the same statistics: mirrored tiles, cut to size; no scaling."""
    a = np.asarray(image)
    a = np.concatenate([a, a[:, ::-1]], axis=1)
    a = np.concatenate([a, a[::-1]], axis=0)
    a = np.tile(a, (-(-height // a.shape[0]), -(-width // a.shape[1]), 1))
    return Image.fromarray(np.ascontiguousarray(a[:height, :width]))


def blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (90, 120, 150))


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """-> uint8 [H, W, 3]"""
    return np.asarray(image)
