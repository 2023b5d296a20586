"""Integer scale networks: z_hat and coded symbols -> the CDF row of every symbol, exactly.

    z_hat @1/64 -> 1x1, shuffle -> dw3x3 -> 1x1, shuffle -> dw3x3 -> 1x1 = features @1/16
    features -> 1x1 -> index of the first half
    [|symbols of the first half| -> dw3x3 (x2), features] -> 1x1 -> 1x1 -> 1x1 -> index of the second half

Values are integers held in float32: int8 weights, activations 0..127, after each layer
floor(acc * 2^-shift) and a clip.  Every partial sum stays below 2^24, so any order of summation
gives the same bits (docs/format.md, "Scale networks").  Before `exact` is set the same network runs
without rounding, which trains faster; afterwards it computes what the codec computes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import QualityVector, ste_floor, ste_round

ACTIVATION_MAX = 127
INDEX_MAX = 63
SUM_LIMIT = 1 << 24


class IntegerConv(nn.Module):
    """Convolution on integers: clip(floor((w * a + b) * 2^-shift), 0, top).

    kernel 1 is dense, kernel 3 depthwise with `c_out / c_in` outputs a channel.  The learned weight
    is kept in real units; w = round(weight * 2^weight_bits), |w| <= 127.  `out_unit` is the integer
    that stands for 1.0 after the shift and scales the bias; `by_level` adds one bias a quality level."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        weight_bits: int,
        shift: int,
        out_unit: float = 16.0,
        top: int = ACTIVATION_MAX,
        by_level: bool = False,
    ):
        super().__init__()
        self.kernel, self.weight_bits, self.shift, self.top = kernel, weight_bits, shift, top
        self.groups = 1 if kernel == 1 else c_in
        self.bias_unit = out_unit * 2.0**shift
        self.weight = nn.Parameter(torch.empty(c_out, c_in // self.groups, kernel, kernel))
        nn.init.normal_(self.weight, std=(c_in // self.groups * kernel * kernel) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.level_bias = QualityVector(c_out, log=False) if by_level else None

    def integer_weight(self) -> Tensor:
        return (self.weight * 2.0**self.weight_bits).round().clamp(-127, 127)

    @torch.no_grad()
    def integer_bias(self) -> Tensor:
        """[64, C] for a layer with a bias a level, [1, C] otherwise."""
        bias = self.bias[None]
        if self.level_bias is not None:
            bias = bias + self.level_bias.table()
        return (bias * self.bias_unit).round()

    @torch.no_grad()
    def worst_case_sum(self, activation_max: int = ACTIVATION_MAX) -> int:
        """Largest |partial sum| any input can cause."""
        weight = self.integer_weight().double().abs().flatten(1).sum(1)
        return int((weight * activation_max + self.integer_bias().double().abs().amax(0)).max())

    def forward(self, a: Tensor, level: Tensor, exact: bool) -> Tensor:
        weight = self.weight * 2.0**self.weight_bits
        bias = self.bias[None, :, None, None]
        if self.level_bias is not None:
            bias = bias + self.level_bias(level)
        bias = bias * self.bias_unit
        if exact:
            weight, bias = ste_round(weight), ste_round(bias)
        weight = weight.clamp(-127, 127)
        acc = F.conv2d(a, weight, padding=self.kernel // 2, groups=self.groups) + bias
        out = acc * 2.0**-self.shift
        if exact:
            out = ste_floor(out)
        return out.clamp(0, self.top)


class ScaleNetworks(nn.Module):
    """The pair of integer networks.  The index expected at a level: `start` + `slope` * level."""

    def __init__(self, n: int, z: int, width: int, width_second: int, start: float, slope: float):
        super().__init__()
        self.f1 = IntegerConv(z, 4 * width, 1, weight_bits=6, shift=2, by_level=True)
        self.f2 = IntegerConv(width, width, 3, weight_bits=6, shift=6)
        self.f3 = IntegerConv(width, 4 * width, 1, weight_bits=7, shift=7)
        self.f4 = IntegerConv(width, width, 3, weight_bits=6, shift=6)
        self.f5 = IntegerConv(width, width, 1, weight_bits=7, shift=7)
        self.head_first = self._head(width, n, start, slope)
        self.s1 = IntegerConv(n, 2 * n, 3, weight_bits=6, shift=2)
        self.s2 = IntegerConv(width + 2 * n, width_second, 1, weight_bits=7, shift=7)
        self.s3 = IntegerConv(width_second, width_second, 1, weight_bits=7, shift=7)
        self.head_second = self._head(width_second, n, start, slope)
        with torch.no_grad():
            # Every other output counts coarsely, so that large symbols do not saturate it.
            self.s1.weight.abs_().mul_(0.6)
            self.s1.weight[1::2] *= 0.1

    @staticmethod
    def _head(width: int, n: int, start: float, slope: float) -> IntegerConv:
        head = IntegerConv(width, n, 1, weight_bits=7, shift=8, out_unit=8.0, top=INDEX_MAX, by_level=True)
        assert head.level_bias is not None
        head.level_bias.start, head.level_bias.slope = start / 8, slope / 8
        with torch.no_grad():
            head.weight.mul_(0.3)
        return head

    def layers(self) -> dict[str, IntegerConv]:
        return {name: m for name, m in self.named_children() if isinstance(m, IntegerConv)}

    def first(self, z_hat: Tensor, level: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """z_hat [B, Z, h/4, w/4] -> index [B, N, h, w], features [B, S, h, w]."""
        a = F.pixel_shuffle(self.f1(z_hat, level, exact), 2)
        a = F.pixel_shuffle(self.f3(self.f2(a, level, exact), level, exact), 2)
        features = self.f5(self.f4(a, level, exact), level, exact)
        return self.head_first(features, level, exact), features

    def second(self, features: Tensor, symbols: Tensor, level: Tensor, exact: bool) -> Tensor:
        """features [B, S, h, w], first-half symbols [B, N, h, w] -> index [B, N, h, w]."""
        sizes = self.s1(symbols.abs().clamp(max=ACTIVATION_MAX), level, exact)
        a = self.s3(self.s2(torch.cat([features, sizes], 1), level, exact), level, exact)
        return self.head_second(a, level, exact)
