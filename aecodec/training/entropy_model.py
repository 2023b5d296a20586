"""Rates during training: bits of y given the scale index, bits of z given its quality level.

The codec uses integer tables fitted to real symbols at export; these densities only have to point
the networks in the right direction.  Method: Balle et al., Variational image compression with a
scale hyperprior, ICLR 2018 (additive uniform noise stands for rounding)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layers import QualityVector
from .z_context import NeighbourPrior

SCALE_MIN = 0.11
SCALE_MAX = 64.0
INDEX_COUNT = 64
INDEX_STEP = math.log(SCALE_MAX / SCALE_MIN) / (INDEX_COUNT - 1)
# Weight of the wide second component: it keeps a gradient alive for symbols far out in the tail.
TAIL = 1e-3
DEAD_ZONE_MAX = 0.45


def scale_of(index: Tensor) -> Tensor:
    """Standard deviation that a (possibly fractional) index stands for, in quantiser steps."""
    return SCALE_MIN * torch.exp(index * INDEX_STEP)


def index_of(scale: float) -> float:
    """Inverse of `scale_of` for one number."""
    return math.log(scale / SCALE_MIN) / INDEX_STEP


def dead_zone(index: Tensor, strength: float) -> Tensor:
    """How far rounding leans to zero, in quantiser steps, by scale index: |r| + 1/2 - this is floored.

    Rate-distortion optimal rounding of a Laplacian of unit steps: a symbol further from zero costs about
    the more bits the smaller its scale.  `strength` 1 is what that gives for symbols alone; the networks
    that read the symbols want less (docs/training.md).  Sullivan, IEEE Trans. Inf. Theory 42(5), 1996."""
    return (strength / 24 / scale_of(index).square()).clamp(max=DEAD_ZONE_MAX)


def symbol_bits(value: Tensor, index: Tensor) -> Tensor:
    """Bits of each symbol: value [...] in quantiser steps around its mean, index [...] -> bits [...]."""
    scale = scale_of(index)
    size = value.abs()
    root = scale * math.sqrt(2.0)
    gauss = 0.5 * (torch.erfc((size - 0.5) / root) - torch.erfc((size + 0.5) / root))
    tail = torch.exp(-size / (scale + 0.3)) * (0.5 / (scale + 0.3)).clamp(max=0.5)
    return -torch.log2((1 - TAIL) * gauss.clamp(min=0) + TAIL * tail + 1e-12)


class HyperPrior(nn.Module):
    """Density of z: a discretised logistic, its scale learned for every channel and quality, both moved by
    what the neighbours say."""

    def __init__(self, z: int):
        super().__init__()
        self.scale = QualityVector(z, start=0.0)
        self.neighbours = NeighbourPrior(z)

    def bits(self, z: Tensor, z_hat: Tensor, level: Tensor) -> Tensor:
        """Bits of each symbol z [B, Z, h, w], which may have noise; z_hat: the rounded ones around it."""
        mean, scale = self.neighbours(z_hat, self.scale(level))
        size = (z - mean).abs()
        upper, lower = (0.5 - size) / scale, (-0.5 - size) / scale
        # sigmoid(u) - sigmoid(l), written so that far tails keep their logarithm.
        log_mass = upper + torch.log1p(-torch.exp(lower - upper)) - nn.functional.softplus(upper)
        return -(log_mass - nn.functional.softplus(lower)) / math.log(2.0)
