"""Labelled pictures for benchmarks.latents_files: archives and folders -> arrays with their classes.

groceries   a tar of photographs, a folder for each class
tiles       a tar of grey surfaces, *_Free normal, others with a defect and its mask beside them (.png)
cifar       an .npz with train_images, train_labels, test_images, test_labels, classes
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
NORMAL = "Free"


class Labelled(NamedTuple):
    name: str
    label: str
    """The folder it is in."""
    pixels: Pixels
    """[H, W] or [H, W, 3]"""
    mask: NDArray[np.bool_] | None = None
    """[H, W], true on the defect."""


def photographs(archive: Path) -> list[Labelled]:
    """Every JPEG of a tar, sorted by name. ValueError when there is none."""
    found = [Labelled(name, _folder(name), _rgb(data)) for name, data in _members(archive, ".jpg")]
    if not found:
        raise ValueError(f"{archive}: no .jpg in it")
    return found


def surfaces(archive: Path) -> list[Labelled]:
    """Grey surfaces, with masks where they have a defect."""
    masks = dict(_members(archive, ".png"))
    found = []
    for name, data in _members(archive, ".jpg"):
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("L"))
        mask = None
        if NORMAL not in _folder(name):
            with Image.open(io.BytesIO(masks[name[:-3] + "png"])) as image:
                mask = np.asarray(image.convert("L")) > 0
        found.append(Labelled(name, _folder(name), pixels, mask))
    return found


def small(archive: Path, train: int, test: int) -> tuple[list[Labelled], list[Labelled]]:
    """-> so many training and test pictures, the first of a fixed shuffle."""
    with np.load(archive) as parts:
        classes = [str(name) for name in parts["classes"]]
        sets = []
        for part, count in (("train", train), ("test", test)):
            images, labels = parts[f"{part}_images"], parts[f"{part}_labels"]
            chosen = np.random.RandomState(0).permutation(len(images))[:count]
            sets.append([Labelled(f"{part} {i}", classes[labels[i]], images[i]) for i in chosen])
    return sets[0], sets[1]


def crops(pictures: list[Pixels], side: int, count: int) -> Iterator[Pixels]:
    """Squares at random places, mirrored or not, of pictures that are large enough."""
    rng = np.random.RandomState(0)
    large = [picture for picture in pictures if min(picture.shape[:2]) >= side]
    if not large:
        raise ValueError(f"no picture has {side} x {side} pixels")
    for number in range(count):
        picture = large[number % len(large)]
        top, left = (rng.randint(length - side + 1) for length in picture.shape[:2])
        square = picture[top : top + side, left : left + side]
        yield np.ascontiguousarray(square[:, ::-1] if rng.randint(2) else square)


def _members(archive: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            stream = tar.extractfile(member) if member.name.lower().endswith(suffix) else None
            if stream is not None:
                yield member.name, stream.read()


def _folder(name: str) -> str:
    return name.rsplit("/", 1)[0]


def _rgb(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
