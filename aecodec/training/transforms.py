"""The float networks: g_a, g_s, h_a, h_s and the checkerboard context for the means.

    x --unshuffle 8, 1x1--> C @1/8 --blocks, x gain--> unshuffle 2, 1x1 --> 2C @1/16 --blocks, 1x1--> y (N)
    y --1x1--> H @1/16 --block--> unshuffle 2 --block--> unshuffle 2 --> z (Z @1/64)
    z_hat --> H @1/32 --block--> H @1/16 --block--> phi;   phi --1x1--> mu of the first half
    [phi, y_hat of the first half] --blocks, 1x1--> mu of the second half
    y_hat --1x1--> 2C @1/16 --blocks--> C @1/8 --x gain, blocks--> 1x1, shuffle 4 --refine @1/2--> x_hat

A linear 16x16 patch transform runs beside g_a and g_s.  It starts as the Karhunen-Loeve transform of
the training pictures, scaled to unit variance a channel, so training starts from a working transform
codec and every network sees latents of the same size.  In g_s the slowest of its basis functions
reach into the neighbouring patches, so that patches need not end in a step, and a small filter at half
resolution takes away what is left of one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Block, QualityVector, conv1, depth_to_space, space_to_depth, zero_bias

PATCH = 16
SLOWEST = 32
"""The leading directions of the transform, whose basis functions lap over the edges of their patch."""
REFINE_WIDTH = 16
"""Channels between the two convolutions at 1/2: one block of ONNX Runtime's convolution on AVX-512."""


def half_order(rows: Tensor, side: int) -> Tensor:
    """[3 side^2, ...] rows in pixel_unshuffle order (c, i, j) -> ordered (i / 2, j / 2, c, i % 2, j % 2): of
    them depth_to_space(side / 2) makes a picture of 12 channels at half resolution."""
    half = side // 2
    cut = rows.unflatten(0, (3, half, 2, half, 2))
    return cut.permute(1, 3, 0, 2, 4, *range(5, cut.dim())).flatten(0, 4)


def _blocks(count: int, channels: int, expansion: int, activation: str) -> nn.Sequential:
    return nn.Sequential(*[Block(channels, expansion, activation) for _ in range(count)])


class Linear(nn.Module):
    """scale * 1x1 convolution, in float32 whatever the autocast: latents of hundreds of quantiser
    steps would lose their low bits in bfloat16.  `scale` keeps Muon's steps, whose size does not
    depend on the gradient, small against what the layer's output means."""

    def __init__(self, c_in: int, c_out: int, scale: float = 1.0, bias: bool = True):
        super().__init__()
        self.conv = conv1(c_in, c_out)
        self.scale = scale
        if not bias:
            self.conv.bias = None

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.conv.weight, self.conv.bias)

    def to_half(self, x: Tensor, side: int) -> Tensor:
        """Patches of side x side pixels [B, 3 side^2, h, w], their rows in half_order."""
        bias = self.conv.bias
        return self._convolve(
            x, half_order(self.conv.weight, side), None if bias is None else half_order(bias, side)
        )

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.conv2d(x.float(), weight * self.scale, None if bias is None else bias * self.scale)


class Lapped(nn.Module):
    """What the leading latents add to the patches around them: y_hat [B, N, h, w] -> [B, 768, h, w] in
    half_order.

    A linear transform of separate patches shows their edges where the latents are coarse; basis functions
    longer than the block distance do not (Malvar and Staelin, The LOT, 1989).  A 3x3 convolution from zero,
    with a gain by quality: the better the latents are known, the less there is to smooth."""

    def __init__(self, n: int):
        super().__init__()
        self.count = min(SLOWEST, n)
        self.conv = nn.Conv2d(self.count, 3 * PATCH * PATCH, 3, padding=1, bias=False)
        nn.init.zeros_(self.conv.weight)
        self.gain = QualityVector(self.count, slope=-0.05)
        self.scale = 0.1

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(y_hat.device.type, enabled=False):
            y = y_hat[:, : self.count].float() * self.gain(level)
            return F.conv2d(y, half_order(self.conv.weight, PATCH) * self.scale, padding=1)


class Refinement(nn.Module):
    """What a small network adds to the picture that the transforms made, at first zero.

    picture [B, 12, H/2, W/2] (2x2 pixels a position), features [B, C, H/8, W/8] -> [B, 12, H/2, W/2].
    One 3x3 convolution there sees 6x6 pixels.  The features say, pixel by pixel, what its hidden channels
    make of a step: an edge of the scene or of a block, and how coarse the quality is.  A filter after the
    transform, as in video codecs (Norkin et al., HEVC deblocking filter, 2012), its control learned."""

    def __init__(self, c: int, width: int):
        super().__init__()
        self.sense = nn.Conv2d(12, width, 3, padding=1, bias=False)
        self.control = conv1(c, 16 * width, 0.3)
        self.correct = nn.Conv2d(width, 12, 3, padding=1)
        self.scale = 0.1
        nn.init.zeros_(self.correct.weight)
        zero_bias(self.correct)

    def forward(self, picture: Tensor, features: Tensor) -> Tensor:
        control = depth_to_space(self.control(features), 4)
        with torch.autocast(picture.device.type, enabled=False):
            h = F.relu(self.sense(picture) + control.float())
            return self.correct(h) * self.scale


class Analysis(nn.Module):
    """g_a: x [B, 3, H, W] in 0..1, level [B] -> y [B, N, H/16, W/16]."""

    def __init__(
        self, c: int, blocks: int, deep: int, n: int, expansion: int, activation: str, shortcut: bool
    ):
        super().__init__()
        self.patch = conv1(192, c)
        self.blocks = _blocks(blocks, c, expansion, activation)
        self.gain = QualityVector(c)
        self.down = conv1(4 * c, 2 * c)
        self.deep = _blocks(deep, 2 * c, expansion, activation)
        self.head = Linear(2 * c, n, 0.15 if shortcut else 0.5)
        self.shortcut = Linear(3 * PATCH * PATCH, n, bias=False) if shortcut else None

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x = x - 0.5
        h = self.patch(space_to_depth(x, 8))
        h = self.blocks(h) * self.gain(level).to(h.dtype)
        h = self.deep(self.down(F.pixel_unshuffle(h, 2)))
        y = self.head(h)
        if self.shortcut is not None:
            y = y + self.shortcut(space_to_depth(x, PATCH))
        return y


class Synthesis(nn.Module):
    """g_s: y_hat [B, N, H/16, W/16], level [B] -> x_hat [B, 3, H, W], not clipped."""

    def __init__(
        self, c: int, blocks: int, deep: int, n: int, expansion: int, activation: str, shortcut: bool
    ):
        super().__init__()
        self.patch = conv1(n, 2 * c)
        self.deep = _blocks(deep, 2 * c, expansion, activation)
        self.up = conv1(2 * c, 4 * c)
        self.gain = QualityVector(c)
        self.blocks = _blocks(blocks, c, expansion, activation)
        self.head = Linear(c, 192, 0.03 if shortcut else 0.1)
        self.shortcut = Linear(n, 3 * PATCH * PATCH, bias=False) if shortcut else None
        self.lapped = Lapped(n) if shortcut else None
        self.refine = Refinement(c, REFINE_WIDTH)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        h = self.deep(self.patch(y_hat))
        h = F.pixel_shuffle(self.up(h), 2)
        h = self.blocks(h * self.gain(level).to(h.dtype))
        picture = depth_to_space(self.head.to_half(h, 8), 4)
        if self.shortcut is not None and self.lapped is not None:
            patches = self.shortcut.to_half(y_hat, PATCH) + self.lapped(y_hat, level)
            picture = picture + depth_to_space(patches, PATCH // 2)
        picture = picture + self.refine(picture, h)
        return F.pixel_shuffle(picture, 2) + 0.5


class HyperAnalysis(nn.Module):
    """h_a: y [B, N, h, w] -> z [B, Z, h/4, w/4]."""

    def __init__(self, n: int, width: int, z: int, activation: str):
        super().__init__()
        self.patch = conv1(n, width)
        self.blocks1 = Block(width, 2, activation)
        self.down1 = conv1(4 * width, width)
        self.blocks2 = Block(width, 2, activation)
        self.head = Linear(4 * width, z, 0.5)

    def forward(self, y: Tensor) -> Tensor:
        h = self.blocks1(self.patch(y))
        h = self.blocks2(self.down1(F.pixel_unshuffle(h, 2)))
        return self.head(F.pixel_unshuffle(h, 2))


class HyperSynthesis(nn.Module):
    """h_s: z_hat [B, Z, h/4, w/4], level [B] -> phi [B, width, h, w], mu of the first half [B, N, h, w]."""

    def __init__(self, z: int, width: int, n: int, activation: str):
        super().__init__()
        self.up1 = conv1(z, 4 * width)
        self.bias = QualityVector(width, log=False)
        self.blocks1 = Block(width, 2, activation)
        self.up2 = conv1(width, 4 * width)
        self.blocks2 = Block(width, 2, activation)
        self.head = Linear(width, n, 0.1)

    def forward(self, z_hat: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        h = F.pixel_shuffle(self.up1(z_hat), 2)
        h = self.blocks1(h + self.bias(level).to(h.dtype))
        phi = self.blocks2(F.pixel_shuffle(self.up2(h), 2))
        return phi, self.head(phi)


class Context(nn.Module):
    """phi [B, width, h, w], y_hat of the first half [B, N, h, w] -> mu of the second half [B, N, h, w]."""

    def __init__(self, n: int, width: int, activation: str):
        super().__init__()
        self.patch = conv1(width + n, width)
        self.blocks = _blocks(2, width, 2, activation)
        self.head = Linear(width, n, 0.1)

    def forward(self, phi: Tensor, y_hat_first: Tensor) -> Tensor:
        return self.head(self.blocks(self.patch(torch.cat([phi, y_hat_first.to(phi.dtype)], 1))))
