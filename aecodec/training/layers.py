"""Building blocks of the transforms: convolutions that stay cheap on a CPU, and per-quality vectors.

Only 1x1 and depthwise 3x3 convolutions appear, as in DCVC-RT (Jia et al., CVPR 2025): they run near
the machine's matrix-product speed and leave no data-dependent control flow for the exporter."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 64

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "leaky_relu": F.leaky_relu,
}


def zero_bias(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def conv1(c_in: int, c_out: int, gain: float = 1.0) -> nn.Conv2d:
    """1x1 convolution, weights ~ N(0, gain^2 / c_in), zero bias."""
    layer = nn.Conv2d(c_in, c_out, 1)
    nn.init.normal_(layer.weight, std=gain * c_in**-0.5)
    zero_bias(layer)
    return layer


def depthwise3(channels: int) -> nn.Conv2d:
    """Depthwise 3x3 convolution that starts as the identity plus a little noise."""
    layer = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    nn.init.normal_(layer.weight, std=0.1)
    with torch.no_grad():
        layer.weight[:, :, 1, 1] += 1.0
    zero_bias(layer)
    return layer


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """F.pixel_unshuffle with a channels-last result: on a CPU a quarter of its time."""
    b, c, height, width = x.shape
    h, w = height // factor, width // factor
    x = x.reshape(b, c, h, factor, w, factor).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(b, h, w, c * factor * factor).permute(0, 3, 1, 2)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """[B, factor^2 C, h, w] -> [B, C, h factor, w factor], the channel of a pixel the fastest index, as in
    ONNX's DepthToSpace of mode DCR: both sides stay channels-last and whole pixels are copied."""
    b, channels, h, w = x.shape
    c = channels // factor**2
    x = x.permute(0, 2, 3, 1).reshape(b, h, w, factor, factor, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * factor, w * factor, c).permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + [1x1, act, dw3x3, 1x1](x), then x + [1x1 C->eC, act, 1x1 eC->C](x).

    Cost per position: (2 + 2e) C^2 + 9 C multiply-accumulates."""

    def __init__(self, channels: int, expansion: int = 2, activation: str = "relu"):
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.mix_in = conv1(channels, channels, 1.4)
        self.spatial = depthwise3(channels)
        self.mix_out = conv1(channels, channels, 0.3)
        self.expand = conv1(channels, expansion * channels, 1.4)
        self.contract = conv1(expansion * channels, channels, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_out(self.spatial(self.act(self.mix_in(x))))
        return x + self.contract(self.act(self.expand(x)))


class QualityVector(nn.Module):
    """One value a channel for every quality level, interpolated between a few learned knots.

    value(level) = start + slope * level + knots, exponentiated if `log`.  level: float [B] in 0..63;
    result [B, C, 1, 1].  Exported as a [64, C] table that is interpolated again at run time, so
    fractional levels mean the same in training and in the codec (Cui et al., AsymGain, CVPR 2021)."""

    def __init__(
        self, channels: int, knots: int = 9, start: float = 0.0, slope: float = 0.0, log: bool = True
    ):
        super().__init__()
        self.knots = nn.Parameter(torch.zeros(knots, channels))
        self.start, self.slope, self.log = start, slope, log

    def forward(self, level: Tensor) -> Tensor:
        count = self.knots.shape[0]
        position = level.float() * ((count - 1) / (LEVELS - 1))
        below = position.floor().clamp(0, count - 2)
        fraction = (position - below)[:, None]
        below = below.long()
        value = self.knots[below] * (1 - fraction) + self.knots[below + 1] * fraction
        value = value + (self.start + self.slope * level.float())[:, None]
        return (value.exp() if self.log else value)[:, :, None, None]

    @torch.no_grad()
    def table(self) -> Tensor:
        """[64, C] values at the integer levels, before the exponential when `log`."""
        level = torch.arange(LEVELS, device=self.knots.device)
        value = self.forward(level)[:, :, 0, 0]
        return value.log() if self.log else value


def ste_round(x: Tensor) -> Tensor:
    """round(x) whose gradient is that of x."""
    return x + (x.round() - x).detach()


def ste_floor(x: Tensor) -> Tensor:
    """floor(x) whose gradient is that of x."""
    return x + (x.floor() - x).detach()


def checkerboard(channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """[1, C, H, W] mask of the positions coded first: (i + j) even in the first half of the
    channels, odd in the other half (He et al., Checkerboard Context Model, CVPR 2021)."""
    i = torch.arange(height, device=device)[:, None]
    j = torch.arange(width, device=device)[None, :]
    even = ((i + j) % 2 == 0).float()
    half = channels // 2
    return torch.cat([even.expand(half, -1, -1), (1 - even).expand(channels - half, -1, -1)])[None]
