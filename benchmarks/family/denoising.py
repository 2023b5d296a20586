"""Noisy and masked pictures: denoising autoencoders beside plain ones, non-local means and BM3D."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.latents.autoencoder import Autoencoder
from benchmarks.family.principal import psnr

Array = NDArray[np.float32]
SIGMAS = (25, 50, 75, 100)
SHARES = (0.25, 0.5, 0.75)
COUNT = 100
NLM_STRENGTHS = (0.4, 0.6, 0.8, 1.0)
"""Of h in standard deviations: the best one on the test pictures is taken, in favour of non-local means."""


def noisy(x: Array, sigma: float, seed: int = 0) -> Array:
    """x [B, C, H, W] in 0..1 with Gaussian noise of sigma on the 0..255 scale, clipped."""
    noise = np.random.default_rng(seed).normal(0, sigma / 255, x.shape)
    return np.clip(x + noise, 0, 1).astype(np.float32)


def masked(x: Array, share: float, seed: int = 0) -> tuple[Array, NDArray[np.bool_]]:
    """Pixels set to 0 with probability share, and which they are: [B, 1, H, W]."""
    lost = np.random.default_rng(seed).random((len(x), 1, *x.shape[2:])) < share
    return np.where(lost, np.float32(0), x), lost


def non_local_means(x: Array, sigma: float, strength: float) -> Array:
    """Buades et al., A non-local algorithm for image denoising, CVPR 2005, as scikit-image has it.

    Grey goes in without an axis of channels: with one of length 1 scikit-image 0.26 blurs it away."""
    from skimage.restoration import denoise_nl_means

    settings = {"patch_size": 5, "patch_distance": 6, "sigma": sigma / 255, "h": strength * sigma / 255}
    axis = None if x.shape[1] == 1 else 0
    found = [
        denoise_nl_means(p.squeeze() if axis is None else p, channel_axis=axis, fast_mode=False, **settings)
        for p in x
    ]
    return np.stack(found, dtype=np.float32).reshape(x.shape)


def bm3d(x: Array, sigma: float) -> Array:
    """Dabov et al., Image denoising by sparse 3-D transform-domain collaborative filtering, IEEE TIP 2007.

    x [B, 1, H, W] are filtered as one picture, side by side: that takes a hundredth of the time, and finds
    similar patches in other pictures too."""
    from bm3d import bm3d as filter_one

    columns = math.isqrt(len(x))
    rows = len(x) // columns
    height, width = x.shape[2:]
    grid = x[: rows * columns, 0].reshape(rows, columns, height, width)
    mosaic = grid.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    found = filter_one(mosaic, sigma / 255).reshape(rows, height, columns, width)
    return found.transpose(0, 2, 1, 3).reshape(-1, 1, height, width).astype(np.float32)


def by_noise(models: Mapping[str, Autoencoder], x: Array) -> list[dict[str, Any]]:
    """A row per sigma: PSNR to the clean pictures of each method's. models: {column: autoencoder}."""
    x = x[:: max(1, len(x) // COUNT)][:COUNT]
    rows = []
    for sigma in SIGMAS:
        given = noisy(x, sigma)
        row: dict[str, Any] = {"sigma": sigma, "noisy": psnr(x, given)}
        row |= {name: psnr(x, model.reconstruct(given)) for name, model in models.items()}
        found = [psnr(x, np.clip(non_local_means(given, sigma, s), 0, 1)) for s in NLM_STRENGTHS]
        row["nlm"] = max(found)
        if find_spec("bm3d") and x.shape[1] == 1:
            filtered = bm3d(given, sigma)
            row["bm3d"] = psnr(x[: len(filtered)], np.clip(filtered, 0, 1))
        rows.append(row)
    return rows


def by_mask(models: Mapping[str, Autoencoder], x: Array) -> list[dict[str, Any]]:
    """A row per share of lost pixels: PSNR of the lost pixels alone."""
    from skimage.restoration import inpaint_biharmonic

    x = x[:: max(1, len(x) // COUNT)][:COUNT]
    rows = []
    for share in SHARES:
        given, lost = masked(x, share)
        where = np.broadcast_to(lost, x.shape)
        row: dict[str, Any] = {"share": share, "masked": psnr(x[where], given[where])}
        for name, model in models.items():
            row[name] = psnr(x[where], model.reconstruct(given)[where])
        pairs = zip(given, lost, strict=True)
        filled = np.stack([inpaint_biharmonic(p, m[0], channel_axis=0) for p, m in pairs])
        row["biharmonic"] = psnr(x[where], np.clip(filled, 0, 1)[where])
        rows.append(row)
    return rows
