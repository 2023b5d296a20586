"""What the neighbours of z say, in training: means and scales from the positions that are coded before.

The codec does the same with integers (docs/format.md, section 5.1) and tables that the exporter fits
(export/z_context.py); here a few learned numbers stand for them, so that h_a learns a z that its neighbours
foretell.  Contexts from coarse to fine grids: multi-scale context models such as Nakanishi et al., Neural
Multi-scale Image Compression, ACCV 2018."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PASSES = 5
NEIGHBOURS = (
    (),
    ((-2, -2), (-2, 2), (2, -2), (2, 2)),
    ((-2, 0), (2, 0), (0, -2), (0, 2)),
    ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    ((-1, 0), (1, 0), (0, -1), (0, 1)),
)
REACH = 2


def passes(height: int, width: int) -> Tensor:
    """[h, w]: in which pass each position of z is coded."""
    i, j = torch.arange(height)[:, None], torch.arange(width)[None]
    even = torch.where((i + j) % 4 != 0, 2, torch.where(i % 4 != 0, 1, 0))
    return torch.where((i + j) % 2 != 0, 4, torch.where(i % 2 != 0, 3, even))


def neighbours(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z [B, Z, h, w] -> the mean of each symbol's neighbours in its channel, that of their sizes (both
    [B, Z, h, w], 0 without neighbours) and the pass [h, w], 0 where there are none."""
    height, width = z.shape[2:]
    way = passes(height, width).to(z.device)
    padded = F.pad(z, (REACH,) * 4)
    inside = F.pad(torch.ones_like(z[:1, :1]), (REACH,) * 4)
    total, size, count = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z[:1, :1])
    for number in range(1, PASSES):
        here = (way == number).to(z.dtype)
        for di, dj in NEIGHBOURS[number]:
            rows = slice(REACH + di, REACH + di + height)
            columns = slice(REACH + dj, REACH + dj + width)
            near = padded[:, :, rows, columns]
            total, size = total + near * here, size + near.abs() * here
            count = count + inside[:, :, rows, columns] * here
    some = count.clamp(min=1)
    return total / some, size / some, way * (count[0, 0] > 0)


class NeighbourPrior(nn.Module):
    """Mean and scale of z from its neighbours.  Starts as: mean 0, the channel's own scale.

    mean = weight * neighbours' mean;  scale = own * exp(a + b log r + d log R), with r the neighbours' mean
    size over the expected one and R its geometric mean over the channels; weight by pass and channel, a, b
    and d by pass."""

    GAIN = 8.0  # so that Adam's steps, which do not depend on the gradient, take these few numbers along
    LEAST = 0.1  # added to both sizes of a ratio
    EXPECTED = 1.386  # mean size of a logistic variable of scale 1: 2 ln 2
    FURTHEST = 3.0

    def __init__(self, z: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(PASSES - 1, z))
        self.spread = nn.Parameter(torch.zeros(PASSES, 3))

    def forward(self, z_hat: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """z_hat [B, Z, h, w], the channels' own scale [B, Z, 1, 1] -> mean and scale [B, Z, h, w]."""
        mean, size, way = neighbours(z_hat)
        weight = self.GAIN * torch.cat([torch.zeros_like(self.weight[:1]), self.weight])[way]  # [h, w, Z]
        ratio = ((size + self.LEAST) / (self.EXPECTED * scale + self.LEAST)).log() * (way > 0)
        a, b, d = (self.GAIN * self.spread[way]).unbind(-1)  # [h, w] each
        step = a + b * ratio + d * ratio.mean(1, keepdim=True)
        return weight.permute(2, 0, 1) * mean, scale * step.clamp(-self.FURTHEST, self.FURTHEST).exp()
