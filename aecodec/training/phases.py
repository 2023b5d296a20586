"""What a step of a run does: learning rate, crops, what is frozen, quality levels, noise.

All of it is a function of the step and of the share of the run behind it alone, so that a resumed run repeats
what it would have done."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .config import Config
from .layers import LEVELS


class Phase(NamedTuple):
    """How one step differs from others."""

    rate: float
    """Learning rates are multiplied by this."""
    crop: int
    """Side, in pixels."""
    batch: int
    """Crops of all processes together."""
    exact: bool
    """The scale networks are on integers."""
    frozen: bool
    """The encoder and its gains stand still; rates are of rounded values rather than of noisy ones."""


def phase_of(step: int, done: float, cfg: Config) -> Phase:
    """done: share of the run behind it, 0..1."""
    crop, batch = (cfg.final_crop, cfg.final_batch) if done >= cfg.final_from else (cfg.crop, cfg.batch)
    exact, frozen = done >= cfg.exact_from, done >= cfg.freeze_encoder_from
    return Phase(schedule(step, done, cfg), crop, batch, exact, frozen)


def schedule(step: int, done: float, cfg: Config) -> float:
    """Learning rate factor: linear warm-up, constant share, linear to zero as `done` reaches 1."""
    if step < cfg.warmup:
        return (step + 1) / cfg.warmup
    return min(1.0, max(0.0, (1 - done) / max(1e-9, 1 - cfg.constant)))


def random_levels(count: int) -> Tensor:
    """[count]: one level from each of `count` equal shares of the scale; a step sees low and high rates."""
    return ((torch.arange(count) + torch.rand(count)) * (LEVELS / count)).long()


def seed_of(step: int, cfg: Config, rank: int = 0) -> int:
    """For torch's generator.  All processes draw the levels with that of rank 0, noise with their own."""
    return (cfg.seed * 1_000_003 + step) ^ (rank << 40)
