"""How much each sample of a batch counts in the loss: every quality has its share, however noisy."""

from __future__ import annotations

from torch import Tensor

from .config import Config
from .layers import LEVELS
from .model import lambda_of

NO_SEAM_FROM = 32
"""The level from which steps between patches are not seen any more."""


def seam_weight(level: Tensor, cfg: Config) -> Tensor:
    """level [B] -> [B], what visible steps between patches count beside the squared error."""
    return cfg.seam * (1 - level / NO_SEAM_FROM).clamp(min=0)


def share_of(lmbda: Tensor, given: Tensor, x: Tensor, cfg: Config) -> Tensor:
    """lmbda [B], given and x [B, 3, H, W] in 0..1 -> [B]: one over about what each sample's loss is, up to
    one factor, so that all count alike.

    given: what the encoder gets of x; the same tensor where nothing is added to it."""
    middle = float(lambda_of((LEVELS - 1) / 2, cfg.lambda_low, cfg.lambda_high))
    share: Tensor = (lmbda / middle) ** -cfg.balance
    if given is x:
        return share
    noise = (given - x).square().mean((1, 2, 3)) * 255**2
    return 1 / (1 / share + cfg.noise_balance * lmbda * noise)
