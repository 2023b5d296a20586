"""What eyes compare: structure at several scales, beside the squared error."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from aecodec.metrics import K1, K2, KERNEL, TAPS, WEIGHTS

from .base import Forward, Term

SCALE = 2000.0
"""Squared error (0..255) that counts as much as 1 - MS-SSIM = 1."""
LEAST = 1e-3
"""Means of contrast below this are cut there: powers of numbers near 0 have no useful gradient."""


def ms_ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """[B, C, H, W] in 0..1 twice, sides at least 176 -> [B]: `aecodec.metrics.ms_ssim`, differentiable (for
    sides that are no multiples of 16 the metric repeats the last row, where this leaves it out).

    Wang, Simoncelli and Bovik, Multi-scale structural similarity, Asilomar 2003."""
    found = torch.ones(x.shape[:2], device=x.device)
    for number, weight in enumerate(WEIGHTS):
        both, contrast = _ssim(x_hat, x)
        last = number == len(WEIGHTS) - 1
        found = found * (both if last else contrast).clamp(min=LEAST) ** weight
        if not last:
            x_hat, x = (F.avg_pool2d(t, 2) for t in (x_hat, x))
    return found.mean(1)


def _ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """[B, C] each: means of SSIM, and of its contrast and structure; by sums and differences, four blurs."""
    s, d = a + b, a - b
    mean_s, mean_d = _blur(s), _blur(d)
    var_s, var_d = _blur(s * s) - mean_s.square(), _blur(d * d) - mean_d.square()
    contrast = ((var_s - var_d) / 2 + K2**2) / ((var_s + var_d) / 2 + K2**2)
    luminance = (mean_s.square() - mean_d.square()) / 2 + K1**2
    luminance = luminance / ((mean_s.square() + mean_d.square()) / 2 + K1**2)
    return (luminance * contrast).mean((2, 3)), contrast.mean((2, 3))


def _blur(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, C, h - 10, w - 10], as products with banded matrices: on a CPU a tenth of the time
    of a convolution with one channel."""
    rows, columns = (_band(side).to(x.device) for side in x.shape[2:])
    return rows @ (x @ columns.T)


@lru_cache
def _band(side: int) -> Tensor:
    """[side - 10, side]: the kernel in every row, one further to the right each time."""
    out = side - TAPS + 1
    taps = torch.as_tensor(KERNEL).expand(out, TAPS)
    places = torch.arange(out)[:, None] + torch.arange(TAPS)
    return torch.zeros(out, side).scatter_(1, places, taps)


class WithStructure:
    """(1 - share) * a distortion on the 0..255 scale + share * SCALE * (1 - MS-SSIM)."""

    def __init__(self, distortion: Term, share: float):
        self.distortion, self.share, self.name = distortion, share, distortion.name

    def __call__(self, out: Forward) -> Tensor:
        with torch.autocast(out.x_hat.device.type, enabled=False):
            structure = 1 - ms_ssim(out.x_hat.float(), out.target.float())
        return (1 - self.share) * self.distortion(out) + self.share * SCALE * structure
