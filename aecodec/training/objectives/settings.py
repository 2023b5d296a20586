"""Settings of a run -> its objective and the corruption of its input."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .base import Objective, Term
from .corruption import Corruption
from .distortion import Distortion
from .rate import Rate, WithSeams


@dataclass
class ObjectiveSettings:
    """What is minimised; part of every training configuration.

    distortion: mse or mae.  noise: none, or kinds of `Corruption`, of which each sample draws one;
    noise_low and noise_high: the range of its standard deviation on the 0..255 scale; noise_clean: share
    of samples left alone; mask_share, mask_size, mask_value: of the kind "mask"."""

    distortion: str = "mse"
    noise: list[str] = dataclasses.field(default_factory=list)
    noise_low: float = 0.0
    noise_high: float = 50.0
    noise_clean: float = 0.2
    mask_share: float = 0.5
    mask_size: int = 1
    mask_value: float = 0.0


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


def codec_objective(settings: ObjectiveSettings, seams: bool = False) -> Objective:
    """bits per pixel + lmbda * distortion on the 0..255 scale; with seams, visible edges of patches too."""
    distortion: Term = Distortion(settings.distortion, scale=255.0, mean=True)
    if seams:
        distortion = WithSeams(distortion)
    return Objective(distortion, [(1.0, Rate())], per_pixel=True)
