"""Principal components, the linear yardstick; principal angles between subspaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.latents.autoencoder import Autoencoder

Array = NDArray[np.float32]
MOST = 64
"""Components that are found."""


@dataclass
class Principal:
    """mean [n]; components [MOST or fewer, n], orthonormal rows, leading first; deviation along each."""

    mean: Array
    components: Array
    deviation: Array
    shape: tuple[int, ...]

    @classmethod
    def of(cls, pictures: Array) -> Principal:
        from scipy.linalg import eigh

        flat = pictures.reshape(len(pictures), -1)
        mean = flat.mean(0)
        covariance = np.cov(flat.astype(np.float64), rowvar=False)
        size = len(covariance)
        values, vectors = eigh(covariance, subset_by_index=[max(0, size - MOST), size - 1])
        deviation = np.sqrt(np.maximum(values[::-1], 0)).astype(np.float32)
        components = np.ascontiguousarray(vectors[:, ::-1].T.astype(np.float32))
        return cls(mean, components, deviation, pictures.shape[1:])

    def encode(self, x: Array, latent: int) -> Array:
        return (x.reshape(len(x), -1) - self.mean) @ self.components[:latent].T

    def decode(self, h: Array) -> Array:
        """Clipped to 0..1, as an autoencoder's pictures are."""
        x_hat = h @ self.components[: h.shape[1]] + self.mean
        return np.clip(x_hat, 0, 1).reshape(-1, *self.shape)

    def reconstruct(self, x: Array, latent: int) -> Array:
        return self.decode(self.encode(x, latent))

    def sample(self, count: int, latent: int, rng: np.random.Generator) -> Array:
        """Pictures of the Gaussian that the components describe."""
        h = rng.standard_normal((count, latent), np.float32) * self.deviation[:latent]
        return self.decode(h)


def decoder_basis(model: Autoencoder) -> Array:
    """[D, n]: what each latent of a linear decoder adds to the picture."""
    unit = np.vstack([np.zeros((1, model.latent)), np.eye(model.latent)]).astype(np.float32)
    pictures = model.decode(unit, clip=False).reshape(model.latent + 1, -1)
    return pictures[1:] - pictures[0]


def principal_angles(rows: Array, others: Array) -> Array:
    """Degrees between the spans of two sets of rows, smallest first (Bjorck and Golub, 1973)."""
    first, second = (np.linalg.qr(r.T.astype(np.float64))[0] for r in (rows, others))
    cosines = np.linalg.svd(first.T @ second)[1]
    return np.degrees(np.arccos(np.clip(cosines, 0, 1))).astype(np.float32)


def mse(x: Array, x_hat: Array) -> float:
    return float(np.square(x.astype(np.float64) - x_hat).mean())


def psnr(x: Array, x_hat: Array) -> float:
    """Decibels of the mean squared error over all pictures, peak 1."""
    return float(-10 * np.log10(mse(x, x_hat)))
