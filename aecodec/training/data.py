"""Training pictures: folders or .tar shards -> uint8 tensors resident on the device -> random crops.

The crops of a step are a function of (seed, step) alone, so a resumed run sees what it would have seen, and
several processes see together what one would."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from aecodec.errors import InputError
from aecodec.modes import refuse_negative, white_is_zero, wide_grey

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".ppm", ".tif", ".tiff"}

LEAST_ENERGY = 1e-8
"""Of a direction of the KLT, as a share of the first one's: less than 8-bit samples' rounding has."""


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield str(path), path.read_bytes()
            elif path.suffix == ".tar":
                yield from _files(path)
    else:
        with _shard(source) as tar:
            for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
                if Path(member.name).suffix.lower() in SUFFIXES:
                    stream = tar.extractfile(member)
                    assert stream is not None
                    yield f"{source}:{member.name}", stream.read()


def _shard(source: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(source)
    except tarfile.TarError:  # with a line for each compression that it is not
        raise InputError(f"training data {source}: neither a folder nor a .tar file of pictures") from None


def load_pictures(sources: list[str], limit: int = 0) -> list[Tensor]:
    """All pictures of the folders and shards as uint8 [3, H, W]. InputError for one that cannot be read."""
    pictures = []
    for source in sources:
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"training data {source}: no such file or folder")
        for name, data in _files(path):
            try:
                with Image.open(io.BytesIO(data)) as picture:
                    array = _rgb(picture)
            except MemoryError:
                raise
            except Exception as error:
                raise InputError(f"training picture {name} cannot be read: {error}") from error
            pictures.append(torch.from_numpy(array).permute(2, 0, 1).contiguous())
            if limit and len(pictures) == limit:
                return pictures
    if not pictures:
        where = ", ".join(sources) or "the setting 'data', which names nothing"
        raise ValueError(f"no pictures found in {where}; name folders or .tar files: --set 'data=[\"DIR\"]'")
    return pictures


def _rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """An image that is not loaded -> uint8 [H, W, 3].  Pillow's convert() cuts grey of 16 bits at 255."""
    inverted = white_is_zero(picture)
    picture.load()
    refuse_negative(picture)
    wide = wide_grey(picture, inverted)
    if wide is None:
        return np.array(picture.convert("RGB"))
    grey = ((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


LEAST_ENLARGED, MOST_ENLARGED = 1.2, 2.5


class Crops:
    """Random flipped and transposed crops, pictures drawn in proportion to their area.

    enlarge: the share of crops that are cut smaller and enlarged, as soft as most photographs that nobody
    has made smaller since the camera."""

    def __init__(
        self,
        pictures: list[Tensor],
        device: torch.device,
        seed: int,
        rank: int = 0,
        world: int = 1,
        enlarge: float = 0.0,
    ):
        self.enlarge = enlarge
        self.pictures = [p.to(device) for p in pictures]
        area = torch.tensor([float(p.shape[1] * p.shape[2]) for p in pictures], dtype=torch.float64)
        self.weights = area / area.sum()
        self.seed, self.rank, self.world = seed, rank, world

    def batch(self, step: int, size: int, count: int) -> Tensor:
        """This process's share of the step's `count` crops: uint8 [count / world, 3, size, size]."""
        rng = np.random.default_rng((self.seed, step, 0))
        chosen = rng.choice(len(self.pictures), count, p=self.weights.numpy())
        sides = self._sides(size, count, rng)
        places = [self._place(self.pictures[i], side, rng) for i, side in zip(chosen, sides, strict=True)]
        own = list(zip(chosen, sides, places, strict=True))[self.rank :: self.world]
        crops = [self._crop(self.pictures[i], side, *place) for i, side, place in own]
        return torch.stack([_enlarged(crop, size) for crop in crops])

    def _sides(self, size: int, count: int, rng: np.random.Generator) -> list[int]:
        """What is cut for each crop: `size`, or less where it is to be enlarged."""
        if not self.enlarge:
            return [size] * count
        factors = np.where(
            rng.random(count) < self.enlarge, rng.uniform(LEAST_ENLARGED, MOST_ENLARGED, count), 1
        )
        return [round(size / factor) for factor in factors]

    @staticmethod
    def _place(picture: Tensor, size: int, rng: np.random.Generator) -> tuple[int, int, bool, bool]:
        """Top, left, flipped?, transposed?"""
        height, width = (-(-size // side) * side if side < size else side for side in picture.shape[1:])
        top, left = rng.integers(height - size + 1), rng.integers(width - size + 1)
        return int(top), int(left), bool(rng.random() < 0.5), bool(rng.random() < 0.5)

    @staticmethod
    def _crop(picture: Tensor, size: int, top: int, left: int, flipped: bool, transposed: bool) -> Tensor:
        _, height, width = picture.shape
        if height < size or width < size:
            picture = picture.repeat(1, -(-size // height), -(-size // width))
        crop = picture[:, top : top + size, left : left + size]
        if flipped:
            crop = crop.flip(2)
        if transposed:
            crop = crop.transpose(1, 2)
        return crop


def _enlarged(crop: Tensor, size: int) -> Tensor:
    """uint8 [3, h, h] -> uint8 [3, size, size], bicubic."""
    if crop.shape[-1] == size:
        return crop
    large = F.interpolate(crop[None].float(), (size, size), mode="bicubic", align_corners=False)[0]
    return large.round().clamp(0, 255).byte()


def klt_basis(
    pictures: list[Tensor], count: int, patches: int = 40000, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """[count, 768] leading eigenvectors of the covariance of 16x16 RGB patches, pixel_unshuffle order,
    and [count] the standard deviations along them (pixels in -0.5..0.5), none of them near 0: a whitened
    direction without energy, such as colour in grey pictures, would have weights beyond float16.

    ValueError when every picture is smaller than a patch."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in rng.choice(len(pictures), patches):
        _, height, width = pictures[i].shape
        if height < 16 or width < 16:
            continue
        top, left = rng.integers(height - 15), rng.integers(width - 15)
        rows.append(pictures[i][:, top : top + 16, left : left + 16].reshape(-1))
    if not rows:
        raise ValueError(
            "no training picture has 16 x 16 pixels or more; name larger ones in the setting 'data'"
        )
    data = torch.stack(rows).double().cpu() / 255 - 0.5
    covariance = data.T @ data / len(data)
    values, vectors = torch.linalg.eigh(covariance)
    basis = vectors.flip(1)[:, :count].T.float().contiguous()
    least = LEAST_ENERGY * max(float(values[-1]), 1.0)
    return basis, values.flip(0)[:count].clamp(min=least).sqrt().float()
