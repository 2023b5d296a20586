"""What eyes compare, after a metric fitted to their judgement: SSIMULACRA 2, differentiable.

Sneyers, SSIMULACRA 2, 2022; constants, maps and weights are those of its version 2.1 in libjxl."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.metrics import KERNEL, TAPS

from .base import Forward, Term

SHORTEST_SIDE = 128
"""8 positions at the coarsest scale that has weights."""
SCALE = 5.0
"""Squared error (0..255) that counts as much as a sum of weighted errors of 1; files of `nano` have 3.7 at
`-q` 2, 4.9 at 35, 5.8 at 90."""

ABSORBANCE = (
    (0.3, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
BIAS = 0.0037930732552754493
C2 = 0.0009
X, Y, B = 0, 1, 2
SMALLEST = 1e-18
"""Added before fourth roots, whose slope at 0 has no end."""


class Weights(NamedTuple):
    """Of the means over a channel at a scale of three maps: dissimilarity, artefacts, lost detail; `4`: of
    their fourth powers' fourth roots, where the worst places count."""

    ssim: float = 0
    artefact: float = 0
    lost: float = 0
    ssim4: float = 0
    artefact4: float = 0
    lost4: float = 0


# By scale (each half of the one before) and channel.  Weights below 0.01 are left out.
WEIGHTS: tuple[dict[int, Weights], ...] = (
    {Y: Weights(ssim4=7.466890, lost4=17.445834)},
    {X: Weights(ssim4=1.104173), Y: Weights(ssim4=6.683678, lost4=1.027890)},
    {
        X: Weights(ssim4=1.842246, artefact4=11.441173),
        Y: Weights(ssim=225.205153, ssim4=19.213238),
    },
    {
        X: Weights(ssim4=1.878759, artefact4=10.949070),
        Y: Weights(ssim=176.393176, ssim4=24.433010, artefact4=0.285208),
        B: Weights(ssim4=8.826983, artefact4=23.192433),
    },
    {
        X: Weights(artefact=0.967794, artefact4=0.998177),
        Y: Weights(ssim4=34.779063, artefact4=44.835625),
        B: Weights(95.108050, 0.986398, 0.983438, 0, 171.266726, 0.980786),
    },
)


def errors(x_hat: Tensor, x: Tensor) -> Tensor:
    """[B, 3, H, W] in 0..1, sRGB, twice, sides at least 128 -> [B]: the sum of weighted errors, 0 for equal
    pictures, from which `score` makes the metric."""
    linear = _linear(x_hat), _linear(x)
    found = torch.zeros(len(x), device=x.device)
    for scale, channels in enumerate(WEIGHTS):
        if scale:
            linear = F.avg_pool2d(linear[0], 2), F.avg_pool2d(linear[1], 2)
        wanted = list(channels)
        a, b = (_xyb(t)[:, wanted] for t in linear)
        maps = _maps(a, b)
        means = [m.mean((2, 3)) for m in maps]
        means += [(m.square().square().mean((2, 3)) + SMALLEST) ** 0.25 for m in maps]
        table = torch.tensor([channels[c] for c in wanted], device=x.device)
        found = found + (torch.stack(means, 2) * table).sum((1, 2))
    return found


def score(found: Tensor) -> Tensor:
    """`errors` -> SSIMULACRA 2: 100 for equal pictures, 90 for such that look equal, without a lower end."""
    v = found * 0.9562382616834844
    v = 2.326765642916932 * v - 0.020884521182843837 * v**2 + 6.248496625763138e-05 * v**3
    return 100 - 10 * v.clamp(min=0) ** 0.6276336467831387


def _linear(x: Tensor) -> Tensor:
    x = x.clamp(min=0)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _xyb(linear: Tensor) -> Tensor:
    """Linear RGB -> X, Y and B - Y of JPEG XL's colour space, moved to where they are positive."""
    absorbed = F.conv2d(linear, torch.tensor(ABSORBANCE, device=linear.device)[:, :, None, None]) + BIAS
    r, g, b = (absorbed ** (1 / 3) - BIAS ** (1 / 3)).unbind(1)
    y = (r + g) / 2
    return torch.stack((7 * (r - g) + 0.42, y + 0.01, b - y + 0.55), 1)


def _maps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a, distorted, and b [B, C, h, w] -> dissimilarity, artefacts, lost detail; by sums and differences."""
    mean_a, mean_b = _blur(a), _blur(b)
    s, d = a + b, a - b
    var_s = _blur(s * s) - (mean_a + mean_b).square()
    var_d = _blur(d * d) - (mean_a - mean_b).square()
    alike = ((var_s - var_d) / 2 + C2) / ((var_s + var_d) / 2 + C2)
    dissimilarity = (1 - (1 - (mean_a - mean_b).square()) * alike).clamp(min=0)
    edges = (1 + (a - mean_a).abs()) / (1 + (b - mean_b).abs()) - 1
    return dissimilarity, edges.clamp(min=0), (-edges).clamp(min=0)


def _blur(x: Tensor) -> Tensor:
    """[B, C, h, w] -> means around each place, of what lies inside.  libjxl has zeros beyond the borders, and
    beside that step nobody would see what a decoder does there; a decoder learns to leave lines."""
    rows, columns = (_band(side).to(x.device) for side in x.shape[2:])
    return rows @ (x @ columns.T)


@lru_cache
def _band(side: int) -> Tensor:
    """[side, side]: the kernel around the diagonal; rows sum to 1."""
    away = torch.arange(side)[:, None] - torch.arange(side) + TAPS // 2
    inside = (away >= 0) & (away < TAPS)
    band = torch.where(inside, torch.as_tensor(KERNEL)[away.clamp(0, TAPS - 1)], 0.0)
    return band / band.sum(1, keepdim=True)


class WithSsimulacra2:
    """(1 - share) * a distortion on the 0..255 scale + share * SCALE * `errors`."""

    def __init__(self, distortion: Term, share: float):
        self.distortion, self.share, self.name = distortion, share, distortion.name

    def __call__(self, out: Forward) -> Tensor:
        with torch.autocast(out.x_hat.device.type, enabled=False):
            seen = errors(out.x_hat.float(), out.target.float())
        return (1 - self.share) * self.distortion(out) + self.share * SCALE * seen
