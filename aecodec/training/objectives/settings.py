"""Settings of a run -> its objective and the corruption of its input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from .base import Objective, Term
from .contractive import JacobianNorm
from .corruption import Corruption
from .distortion import Distortion
from .rate import Rate, WithSeams
from .sparse import L1, MeanActivationKL
from .ssimulacra2 import WithSsimulacra2
from .structure import WithStructure
from .variational import PriorKL


@dataclass
class ObjectiveSettings:
    """What is minimised; part of every training configuration.

    distortion: mse or mae.  noise: none, or kinds of `Corruption`, of which each sample draws one;
    noise_low and noise_high: the range of its standard deviation on the 0..255 scale; noise_clean: share
    of samples left alone; mask_share, mask_size, mask_value: of the kind "mask".
    structure, 0 to 1: share of `WithStructure`, in crops of at least 176 pixels; for the codec.
    ssimulacra2, 0 to 1: share of `WithSsimulacra2`, in crops of at least 128 pixels, for the codec; then
    (1 - ssimulacra2) * structure is that of `WithStructure`.
    evenness, 0 to below 1: how far a sample's loss is taken relative to its own size, as in `Objective`.

    Weights, 0 for none: sparse_l1 of `L1`; sparse_kl of `MeanActivationKL` with the target sparse_rho;
    contractive of `JacobianNorm`, exact or with contractive_probes; beta of `PriorKL`, which makes an
    autoencoder variational, with pixel_std the standard deviation of its likelihood (0..1 scale)."""

    distortion: str = "mse"
    noise: list[str] = dataclasses.field(default_factory=list)
    noise_low: float = 0.0
    noise_high: float = 50.0
    noise_clean: float = 0.2
    mask_share: float = 0.5
    mask_size: int = 1
    mask_value: float = 0.0
    structure: float = 0.0
    ssimulacra2: float = 0.0
    evenness: float = 0.0

    sparse_l1: float = 0.0
    sparse_kl: float = 0.0
    sparse_rho: float = 0.05
    contractive: float = 0.0
    contractive_probes: int = 0
    beta: float = 0.0
    pixel_std: float = 0.1


def corruption_of(settings: ObjectiveSettings) -> Corruption | None:
    """None without noise.  ValueError names the setting that cannot be."""
    if not settings.noise:
        return None
    return Corruption(
        tuple(settings.noise),
        settings.noise_low,
        settings.noise_high,
        settings.noise_clean,
        settings.mask_share,
        settings.mask_size,
        settings.mask_value,
    )


def regularisers(settings: ObjectiveSettings) -> list[tuple[float, Term]]:
    """(weight, term) of every weight above 0.  ValueError for one below."""
    found: list[tuple[float, Term]] = []
    terms: tuple[tuple[str, Callable[[], Term]], ...] = (
        ("sparse_l1", L1),
        ("sparse_kl", lambda: MeanActivationKL(settings.sparse_rho)),
        ("contractive", lambda: JacobianNorm(settings.contractive_probes)),
        ("beta", PriorKL),
    )
    for key, make in terms:
        weight = float(getattr(settings, key))
        if weight < 0:
            raise ValueError(f"setting {key!r} wants a weight of 0 or more, got {weight}")
        if weight:
            found.append((weight, make()))
    return found


def evenness_of(settings: ObjectiveSettings) -> float:
    if not 0 <= settings.evenness < 1:
        raise ValueError(f"setting 'evenness' wants 0 to below 1, got {settings.evenness}")
    return settings.evenness


def codec_objective(settings: ObjectiveSettings, seams: bool = False) -> Objective:
    """bits per pixel + lmbda * distortion on the 0..255 scale; with seams, visible edges of patches too.

    Regularisers are per pixel; h is y_hat in quantiser steps and the Jacobian that of g_a."""
    if settings.sparse_kl:
        raise ValueError("setting 'sparse_kl' wants latents between 0 and 1; those of the codec are not")
    if settings.beta:
        raise ValueError("setting 'beta': the codec's rate is its divergence from the prior; see lambda_low")
    for key in ("structure", "ssimulacra2"):
        if not 0 <= (share := getattr(settings, key)) <= 1:
            raise ValueError(f"setting {key!r} wants 0 to 1, got {share}")
    distortion: Term = Distortion(settings.distortion, scale=255.0, mean=True)
    if settings.structure:
        distortion = WithStructure(distortion, settings.structure)
    if settings.ssimulacra2:
        distortion = WithSsimulacra2(distortion, settings.ssimulacra2)
    if seams:
        distortion = WithSeams(distortion)
    terms = [(1.0, Rate()), *regularisers(settings)]
    return Objective(distortion, terms, per_pixel=True, evenness=evenness_of(settings))


def autoencoder_objective(settings: ObjectiveSettings) -> Objective:
    """sum |x - x_hat|^p a sample + regularisers; variational with beta: -ELBO up to a constant."""
    for key in ("structure", "ssimulacra2"):
        if getattr(settings, key):
            raise ValueError(f"setting {key!r} is the codec's: its metric wants larger pictures")
    scale = 1.0
    if settings.beta:
        if settings.distortion != "mse" or settings.pixel_std <= 0:
            raise ValueError(
                "setting 'beta' wants distortion mse and a pixel_std above 0: a Gaussian likelihood"
            )
        scale = 1 / (math.sqrt(2) * settings.pixel_std)
    return Objective(
        Distortion(settings.distortion, scale), regularisers(settings), evenness=evenness_of(settings)
    )
