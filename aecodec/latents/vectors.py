"""Latents -> numbers that say what is in a picture: for search, classification, maps.

    pooled y    [512 + N/2]  how much of which colours and coarse structures, how much of which texture
    pooled z    [2 Z]        mean and standard deviation of each channel
    spatial y   [N, ceil(H/16), ceil(W/16)]   y_hat
    spatial z   [Z, ceil(H/64), ceil(W/64)]   z_hat

Pooled y has two parts. The first 6 channels of y, in which a Karhunen-Loeve transform has most of a patch's
energy (its colour and its gradients), are counted: each position is shared among 512 fixed points by a
softmax of its distances, a soft bag of words (van Gemert et al., Visual word ambiguity, 2010) whose words are
drawn and not learned. The square roots of the counts have unit length, so that products are Hellinger
affinities. The other part is the mean of sqrt|y| of each channel in the first half, which has most of the
energy. Both are taken over the positions at which these channels are decoded first, for which no context
network has to run and few symbols are needed. See docs/latents.md.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aecodec import api
from aecodec.errors import UsageError
from aecodec.latents.reading import QUALITY, Latents, read
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.model_bundle import Bundle
from aecodec.notes import tell
from aecodec.pixels import ImageInput
from aecodec.precision import Precision
from aecodec.session import Device

Float = NDArray[np.float32]
Kind = Literal["pooled", "spatial"]
Latent = Literal["y", "z"]
VERSION = 3
"""Of what pooled features mean; an index of another version has to be built again."""
LEADING, WORDS, SEED = 6, 512, 0
SOFTNESS = 0.3


def features(
    source: ImageInput,
    kind: Kind = "pooled",
    latent: Latent = "y",
    *,
    quality: float = QUALITY,
    model: str | os.PathLike[str] | None = None,
    device: Device = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    precision: Precision = "auto",
) -> Float:
    """An .aec file, or a picture, which is encoded first -> float32 features; shapes: see the module.

    quality: 0..100, model: those a picture is encoded with. The synthesis network does not run.
    What had to be changed to code a picture (CMYK, a file's other frames) is a warning.
    Raises what decode() and encode() do; UsageError for an unknown kind or latent.
    """
    latents = read(source, api.shared(model, device, threads, limits, precision), quality)
    for note in latents.notes:
        tell(note)
    return of(latents, kind, latent)


def of(latents: Latents, kind: Kind = "pooled", latent: Latent = "y") -> Float:
    """features(), of latents that have been read."""
    if kind not in ("pooled", "spatial") or latent not in ("y", "z"):
        raise UsageError(f"features {kind!r} of {latent!r}: use pooled or spatial, of y or z")
    if latent == "z":
        rows, columns = latents.size_z
        z = latents.z_hat[0, :, :rows, :columns]
        return np.ascontiguousarray(z) if kind == "spatial" else np.hstack([z.mean((1, 2)), z.std((1, 2))])
    if kind == "spatial":
        rows, columns = latents.size
        return np.ascontiguousarray(latents.y_hat()[:, :rows, :columns])
    return pooled(latents)


def pooled(latents: Latents) -> Float:
    """[512 + N/2], of unit length."""
    y = latents.first_half()
    texture = np.sqrt(np.abs(y)).mean(1)
    both = np.hstack([_unit(np.sqrt(_counts(y[:LEADING]))), _unit(texture)])
    return _unit(both.astype(np.float32))


def length(bundle: Bundle) -> int:
    """Of what pooled() gives with this model."""
    return WORDS + bundle.n // 2


def _counts(points: Float) -> Float:
    """[K, P] -> [WORDS]: how much of the points each word has."""
    words, half_norms = _words(len(points))
    score = words @ points - half_norms  # -squared distance / 2 / SOFTNESS, but for a constant of each point
    score -= score.max(0)
    np.exp(score, out=score)
    shares: Float = score @ (1 / score.sum(0))
    return shares


@cache
def _words(dimensions: int) -> tuple[Float, Float]:
    """[WORDS, K] points of a normal distribution, the same on every machine; half their squared norms.

    Both in units of the softness."""
    words = np.random.RandomState(SEED).standard_normal((WORDS, dimensions)).astype(np.float32)
    return words / np.float32(SOFTNESS), np.square(words).sum(1, keepdims=True) / np.float32(2 * SOFTNESS)


def _unit(vector: Float) -> Float:
    scaled: Float = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return scaled
