"""What each regulariser is there for, measured through ONNX Runtime on test pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.latents.autoencoder import Autoencoder
from aecodec.training.family.data import Pictures
from benchmarks.family.plan import LATENTS
from benchmarks.family.principal import Principal, decoder_basis, mse, principal_angles, psnr

Array = NDArray[np.float32]
ACTIVE = 1e-3
DELTA = 0.01
"""Half the step of the differences that stand for derivatives; pixels are 0..1."""
JACOBIAN_PICTURES = 32
SIGMA = 25 / 255


def reconstruction(models: Mapping[str, Autoencoder], sets: Mapping[str, Pictures]) -> list[dict[str, Any]]:
    """A row per data set and dimension: test error of PCA and each autoencoder, the linear one's angles."""
    rows = []
    for name, pictures in sets.items():
        principal = Principal.of(pictures.train)
        for latent in LATENTS[name]:
            row: dict[str, Any] = {"data": name, "latent": latent}
            row["pca"] = mse(pictures.test, principal.reconstruct(pictures.test, latent))
            for variant in ("linear", "fc", "conv"):
                model = models.get(f"{name}/{variant}-{latent}")
                if model is not None:
                    row[variant] = mse(pictures.test, model.reconstruct(pictures.test))
            basis = decoder_basis(models[f"{name}/linear-{latent}"])
            angles = principal_angles(basis, principal.components[:latent])
            row |= {"angle_mean": float(angles.mean()), "angle_max": float(angles.max())}
            rows.append(row)
    return rows


def activity(model: Autoencoder, x: Array) -> dict[str, float]:
    """share: of latents above ACTIVE; mean and spread: of the latents' mean activations; psnr of x_hat."""
    h = model.encode(x)
    means = h.mean(0)
    return {
        "share": float((np.abs(h) > ACTIVE).mean()),
        "mean": float(means.mean()),
        "spread": float(means.std()),
        "psnr": psnr(x, model.decode(h)),
    }


def jacobian_norm(model: Autoencoder, x: Array) -> float:
    """Mean of ||J||_F^2 over pictures [B, C, H, W], by central differences of the exported encoder."""
    flat = x.reshape(len(x), -1)
    total = 0.0
    for row in flat:
        steps = np.eye(row.size, dtype=np.float32) * DELTA
        ends = np.concatenate([row + steps, row - steps]).reshape(-1, *x.shape[1:])
        h = model.encode(ends)
        total += float(np.square((h[: row.size] - h[row.size :]) / (2 * DELTA)).sum())
    return total / len(x)


def movement(model: Autoencoder, x: Array, changed: Array) -> float:
    """Root mean square of h(changed) - h(x), as a share of that of two different pictures."""
    h = model.encode(x)
    moved = np.square(model.encode(changed) - h).sum(1).mean()
    apart = np.square(np.roll(h, len(h) // 2, 0) - h).sum(1).mean()
    return float(np.sqrt(moved / apart))


def contraction(model: Autoencoder, x: Array) -> dict[str, float]:
    """The norm, and how far latents move under noise of sigma 25 and a shift by one pixel."""
    noise = np.random.default_rng(0).normal(0, SIGMA, x.shape).astype(np.float32)
    return {
        "jacobian": jacobian_norm(model, x[:: len(x) // JACOBIAN_PICTURES][:JACOBIAN_PICTURES]),
        "noise": movement(model, x, np.clip(x + noise, 0, 1)),
        "shift": movement(model, x, np.roll(x, 1, 3)),
        "psnr": psnr(x, model.reconstruct(x)),
    }
