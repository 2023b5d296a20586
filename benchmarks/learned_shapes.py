"""Torch networks with the layer shapes of published learned codecs, to time what such layers cost.

    x -g_a-> y -h_a-> z -round-> z_hat -h_s-> params
    y, params -code-> symbols           symbols, params -restore-> y_hat -g_s-> x_hat

    mbt2018-mean      Minnen 2018, without the context model: 5 x 5 convolutions and GDN, N = 192, M = 320
    cheng2020-anchor  Cheng 2020, without attention: residual blocks, N = 192; each position of the latents
                      needs those before it, so that code and restore go position by position
    elic2022          He 2022: attention, five uneven groups of channels in two checkerboard passes each

Layer for layer these are the sizes of CompressAI's implementations, a single Gaussian a symbol. Weights are
random and there is no entropy coder: only times mean anything.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_STEP = 64
"""Pictures are padded to a multiple of this: 1/16 for y and 1/4 more for z."""


def conv(inside: int, out: int, size: int = 5, stride: int = 2) -> nn.Module:
    return nn.Conv2d(inside, out, size, stride, size // 2)


def deconv(inside: int, out: int, size: int = 5, stride: int = 2) -> nn.Module:
    return nn.ConvTranspose2d(inside, out, size, stride, size // 2, output_padding=stride - 1)


def subpixel(inside: int, out: int) -> nn.Module:
    """Twice the size: 3 x 3 and a shuffle."""
    return nn.Sequential(conv(inside, 4 * out, 3, 1), nn.PixelShuffle(2))


class GDN(nn.Module):
    """x / sqrt(beta + gamma x^2), or times the root (Balle 2016), with constants as after training."""

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(0.1 * torch.eye(channels).reshape(channels, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        norm = F.conv2d(x * x, self.gamma, self.beta)
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())


class Sum(nn.Module):
    """body(x) + skip(x)"""

    def __init__(self, body: nn.Module, skip: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.skip = body, skip or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.skip(x)


def residual(n: int) -> nn.Module:
    return Sum(nn.Sequential(conv(n, n, 3, 1), nn.LeakyReLU(), conv(n, n, 3, 1), nn.LeakyReLU()))


def residual_down(inside: int, n: int) -> nn.Module:
    body = nn.Sequential(conv(inside, n, 3, 2), nn.LeakyReLU(), conv(n, n, 3, 1), GDN(n))
    return Sum(body, conv(inside, n, 1, 2))


def residual_up(n: int) -> nn.Module:
    body = nn.Sequential(subpixel(n, n), nn.LeakyReLU(), conv(n, n, 3, 1), GDN(n, inverse=True))
    return Sum(body, subpixel(n, n))


def bottleneck(n: int) -> nn.Module:
    half = n // 2
    narrow = [conv(n, half, 1, 1), nn.ReLU(), conv(half, half, 3, 1), nn.ReLU(), conv(half, n, 1, 1)]
    return Sum(nn.Sequential(*narrow))


class Attention(nn.Module):
    """x + trunk(x) sigmoid(mask(x)), the form without non-local layers (Cheng 2020)."""

    def __init__(self, n: int) -> None:
        super().__init__()

        def units() -> list[nn.Module]:
            return [nn.Sequential(bottleneck(n), nn.ReLU()) for _ in range(3)]

        self.trunk = nn.Sequential(*units())
        self.mask = nn.Sequential(*units(), conv(n, n, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.trunk(x) * torch.sigmoid(self.mask(x))


class Shapes(nn.Module):
    """The path that all have in common. x is float [1, 3, H, W], sides multiples of LARGEST_STEP."""

    g_a: nn.Module
    h_a: nn.Module
    h_s: nn.Module
    g_s: nn.Module

    def code(self, y: Tensor, params: Tensor) -> Tensor:
        """-> symbols, of y's shape"""
        raise NotImplementedError

    def restore(self, symbols: Tensor, params: Tensor) -> Tensor:
        """-> y_hat"""
        raise NotImplementedError

    @torch.inference_mode()
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-> symbols [1, M, H/16, W/16], z_hat [1, N, H/64, W/64]"""
        y = self.g_a(x)
        z_hat = torch.round(self.h_a(y))
        return self.code(y, self.h_s(z_hat)), z_hat

    @torch.inference_mode()
    def decode(self, coded: tuple[Tensor, Tensor]) -> Tensor:
        """-> x_hat [1, 3, H, W]"""
        symbols, z_hat = coded
        return self.g_s(self.restore(symbols, self.h_s(z_hat))).clamp(0, 1)


class MeanScale(Shapes):
    """mbt2018-mean"""

    def __init__(self, n: int = 192, m: int = 320) -> None:
        super().__init__()
        down = [conv(3, n), GDN(n), conv(n, n), GDN(n), conv(n, n), GDN(n), conv(n, m)]
        up = [deconv(m, n), *(part for _ in range(2) for part in (GDN(n, True), deconv(n, n))), GDN(n, True)]
        self.g_a, self.g_s = nn.Sequential(*down), nn.Sequential(*up, deconv(n, 3))
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.LeakyReLU(), conv(n, n), nn.LeakyReLU(), conv(n, n))
        wide = 3 * m // 2
        narrow = [deconv(n, m), nn.LeakyReLU(), deconv(m, wide), nn.LeakyReLU(), conv(wide, 2 * m, 3, 1)]
        self.h_s = nn.Sequential(*narrow)

    def code(self, y: Tensor, params: Tensor) -> Tensor:
        _, means = params.chunk(2, 1)
        return torch.round(y - means)

    def restore(self, symbols: Tensor, params: Tensor) -> Tensor:
        _, means = params.chunk(2, 1)
        return symbols + means


class Serial(Shapes):
    """cheng2020-anchor: at each position a masked 5 x 5 convolution over the past, then 1 x 1 layers."""

    SIZE, REACH = 5, 2

    def __init__(self, n: int = 192) -> None:
        super().__init__()
        down: list[nn.Module] = [residual_down(3, n)]
        for _ in range(2):
            down += [residual(n), residual_down(n, n)]
        self.g_a = nn.Sequential(*down, residual(n), conv(n, n, 3, 2))
        up = [part for _ in range(3) for part in (residual(n), residual_up(n))]
        self.g_s = nn.Sequential(*up, residual(n), subpixel(n, 3))
        steps = [nn.Sequential(conv(n, n, 3, stride), nn.LeakyReLU()) for stride in (1, 1, 2, 1)]
        self.h_a = nn.Sequential(*steps, conv(n, n, 3, 2))
        wide = 3 * n // 2
        hyper = [conv(n, n, 3, 1), subpixel(n, n), conv(n, wide, 3, 1), subpixel(wide, wide)]
        between = [part for layer in hyper for part in (layer, nn.LeakyReLU())]
        self.h_s = nn.Sequential(*between, conv(wide, 2 * n, 3, 1))
        self.context = nn.Conv2d(n, 2 * n, self.SIZE)
        mask = torch.zeros(self.SIZE, self.SIZE)
        mask[: self.REACH] = 1
        mask[self.REACH, : self.REACH] = 1
        self.register_buffer("mask", mask)
        sizes = [4 * n, 10 * n // 3, 8 * n // 3, 2 * n]
        self.parameters_of = one_by_one(sizes, nn.LeakyReLU)

    def _walk(self, values: Tensor, params: Tensor, coding: bool) -> Tensor:
        """values: y when coding, symbols otherwise -> symbols or y_hat, in raster order."""
        reach, (height, width) = self.REACH, values.shape[2:]
        y_hat = F.pad(torch.zeros_like(values), (reach,) * 4)
        symbols, weight = torch.zeros_like(values), self.context.weight * self.mask
        for i in range(height):
            for j in range(width):
                seen = F.conv2d(y_hat[:, :, i : i + self.SIZE, j : j + self.SIZE], weight, self.context.bias)
                here = params[:, :, i : i + 1, j : j + 1]
                _, mean = self.parameters_of(torch.cat([here, seen], 1))[:, :, 0, 0].chunk(2, 1)
                symbol = torch.round(values[:, :, i, j] - mean) if coding else values[:, :, i, j]
                symbols[:, :, i, j] = symbol
                y_hat[:, :, i + reach, j + reach] = symbol + mean
        return symbols if coding else y_hat[:, :, reach:-reach, reach:-reach]

    def code(self, y: Tensor, params: Tensor) -> Tensor:
        return self._walk(y, params, coding=True)

    def restore(self, symbols: Tensor, params: Tensor) -> Tensor:
        return self._walk(symbols, params, coding=False)


def one_by_one(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside, out in zip(sizes, sizes[1:], strict=False):
        layers += [conv(inside, out, 1, 1), activation()]
    return nn.Sequential(*layers[:-1])


class Grouped(Shapes):
    """elic2022: groups of channels in order, the two colours of a checkerboard in each."""

    def __init__(self, n: int = 192, m: int = 320, groups: tuple[int, ...] = (16, 16, 32, 64, 192)) -> None:
        super().__init__()
        self.groups = groups

        def three() -> list[nn.Module]:
            return [bottleneck(n) for _ in range(3)]

        down = [conv(3, n), *three(), conv(n, n), *three(), Attention(n), conv(n, n), *three(), conv(n, m)]
        self.g_a = nn.Sequential(*down, Attention(m))
        up = [deconv(m, n), *three(), deconv(n, n), Attention(n), *three(), deconv(n, n), *three()]
        self.g_s = nn.Sequential(Attention(m), *up, deconv(n, 3))
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        wide = 3 * n // 2
        narrow = [deconv(n, n), nn.ReLU(), deconv(n, wide), nn.ReLU(), deconv(wide, 2 * n, 3, 1)]
        self.h_s = nn.Sequential(*narrow)
        before = [sum(groups[:k]) for k in range(len(groups))]
        self.channels = nn.ModuleList(
            nn.Sequential(
                conv(b, 224, 5, 1), nn.ReLU(), conv(224, 128, 5, 1), nn.ReLU(), conv(128, 2 * g, 5, 1)
            )
            for b, g in zip(before[1:], groups[1:], strict=True)
        )
        self.spatial = nn.ModuleList(conv(g, 2 * g, 5, 1) for g in groups)
        self.aggregation = nn.ModuleList()
        for k, g in enumerate(groups):
            inside = 2 * g * (2 if k else 1) + 2 * n
            ramp = np.floor(np.linspace(inside, 2 * g, 4)).astype(int)
            middle = [max(int(size), 2 * n) for size in ramp[1:-1]]
            self.aggregation.append(one_by_one([inside, *middle, 2 * g], nn.ReLU))

    def _walk(self, values: Tensor, params: Tensor, coding: bool) -> Tensor:
        rows, columns = torch.meshgrid(*map(torch.arange, values.shape[2:]), indexing="ij")
        first = ((rows + columns) % 2 == 0).to(values.dtype)
        done: list[Tensor] = []
        symbols: list[Tensor] = []
        for k, part in enumerate(values.split(self.groups, 1)):
            known = [self.channels[k - 1](torch.cat(done, 1))] if k else []
            seen = torch.zeros_like(part).repeat(1, 2, 1, 1)
            y_hat, coded = torch.zeros_like(part), torch.zeros_like(part)
            for colour in (first, 1 - first):
                _, means = self.aggregation[k](torch.cat([seen, *known, params], 1)).chunk(2, 1)
                here = torch.round(part - means) if coding else part
                coded = coded + here * colour
                y_hat = y_hat + (here + means) * colour
                if colour is first:
                    seen = self.spatial[k](y_hat)
            done.append(y_hat)
            symbols.append(coded)
        return torch.cat(symbols if coding else done, 1)

    def code(self, y: Tensor, params: Tensor) -> Tensor:
        return self._walk(y, params, coding=True)

    def restore(self, symbols: Tensor, params: Tensor) -> Tensor:
        return self._walk(symbols, params, coding=False)


SHAPES: dict[str, type[Shapes]] = {"mbt2018-mean": MeanScale, "cheng2020-anchor": Serial, "elic2022": Grouped}


def make(name: str) -> Shapes:
    """Random weights, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return SHAPES[name]().eval()
