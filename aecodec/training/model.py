"""The whole trainable codec: pixels -> latents -> bits and pixels.  docs/design.md draws it.

x -g_a-> y -x gain-> y_s -h_a-> z -round-> z_hat -h_s-> phi, mu_1
index_1, features = scales.first(z_hat);   s_1 = round(y_s - mu_1) on the first checkerboard half
mu_2 = context(phi, y_hat_1);   index_2 = scales.second(features, |s_1|);   s_2 = round(y_s - mu_2)
y_hat = mu + s -g_s-> x_hat"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import transforms as T
from .entropy_model import INDEX_COUNT, INDEX_STEP, HyperPrior, dead_zone, index_of, symbol_bits
from .layers import LEVELS, QualityVector, checkerboard, conv1, ste_round
from .scales import IntegerConv, ScaleNetworks

SKIP = 3  # scale below 0.149: such a symbol is 0 and costs nothing
Z_MAX = 127


@dataclass(frozen=True)
class Size:
    """c: channels at 1/8; n: latents at 1/16; z: hyper-latents at 1/64; width: hyper and context nets;
    deep: blocks at 1/16, where one costs a fifth of one at 1/8 for its channel and sees twice as far."""

    c: int
    encoder_blocks: int
    decoder_blocks: int
    n: int
    z: int = 64
    width: int = 128
    scale_width: int = 64
    scale_width_second: int = 96
    deep: int = 3


SIZES = {
    "tiny": Size(32, 1, 1, 48, 16, 48, 32, 48, deep=1),
    "nano": Size(96, 4, 4, 256),
    "fast": Size(160, 4, 4, 256, width=160, scale_width=96, scale_width_second=128),
    "std": Size(224, 4, 6, 320, width=192, scale_width=96, scale_width_second=128),
    "hq": Size(320, 5, 9, 320, 96, width=256, scale_width=128, scale_width_second=160),
}


def size_of(name: str, shape: dict[str, int]) -> Size:
    """A named size with some of its fields replaced.  ValueError naming a field that cannot be so."""
    known = [f.name for f in dataclasses.fields(Size)]
    for key, value in shape.items():
        if key not in known:
            raise ValueError(f"setting 'shape': {key!r} is unknown; known: {', '.join(known)}")
        least = 0 if key == "deep" else 1
        if type(value) is not int or value < least:
            raise ValueError(f"setting 'shape': {key!r} wants {least} or more, got {value!r}")
    return dataclasses.replace(SIZES[name], **shape)


def lambda_of(level: Tensor | float, low: float, high: float) -> Tensor | float:
    """Lagrangian weight of the 0..255 MSE at a quality level: log-spaced from low to high."""
    return low * (high / low) ** (level / (LEVELS - 1))


@dataclass
class Output:
    """Everything a training step needs: x_hat [B, 3, H, W]; bits of y and z summed a picture [B]."""

    x_hat: Tensor
    y: Tensor
    y_hat: Tensor
    symbols: Tensor
    index: Tensor
    z_hat: Tensor
    y_bits: Tensor
    z_bits: Tensor


class CodecModel(nn.Module):
    """One variable-rate codec.  `lambda_low`, `lambda_high` set the expected quantiser step per level."""

    def __init__(
        self,
        size: Size,
        activation: str = "relu",
        expansion: int = 2,
        shortcut: bool = True,
        lambda_low: float = 0.0005,
        lambda_high: float = 0.4,
        float_scales: bool = False,
        dead_zone_strength: float = 0.0,
    ):
        super().__init__()
        self.size = size
        self.float_scales = float_scales
        self.dead_zone_strength = dead_zone_strength
        n, width = size.n, size.width
        # At high rate the best step is proportional to lambda^-1/2 (Sullivan and Wiegand, 1998).
        start = math.log(83 * math.sqrt(lambda_low))
        slope = 0.5 * math.log(lambda_high / lambda_low) / (LEVELS - 1)
        self.g_a = T.Analysis(size.c, size.encoder_blocks, size.deep, n, expansion, activation, shortcut)
        self.g_s = T.Synthesis(size.c, size.decoder_blocks, size.deep, n, expansion, activation, shortcut)
        self.h_a = T.HyperAnalysis(n, width, size.z, activation)
        self.h_s = T.HyperSynthesis(size.z, width, n, activation)
        self.context = T.Context(n, width, activation)
        self.gain = QualityVector(n, start=start, slope=slope)
        self.inverse_gain = QualityVector(n, start=-start, slope=-slope)
        self.hyper_gain = QualityVector(n, start=-0.25 * slope * LEVELS, slope=0.5 * slope)
        self.hyper_prior = HyperPrior(size.z)
        self.scales = ScaleNetworks(
            n,
            size.z,
            size.scale_width,
            size.scale_width_second,
            start=index_of(0.5 * math.exp(start)),
            slope=slope / INDEX_STEP,
        )
        if float_scales:
            self.float_first = conv1(width, n, 0.1)
            self.float_second = T.Context(n, width, activation)

    def forward(self, x: Tensor, level: Tensor, exact: bool = False, hard: bool = False) -> Output:
        """x [B, 3, H, W] in 0..1, sides multiples of 64; level [B].  `exact`: scale networks on
        integers and the skip rule; `hard`: rates of rounded values rather than of noisy ones."""
        y = self.g_a(x, level)
        gain = self.gain(level)
        y_s = y * gain
        z = self.h_a(y * self.hyper_gain(level))
        z_hat = ste_round(z.clamp(-Z_MAX, Z_MAX))
        phi, mu_1 = self.h_s(z_hat, level)
        first = checkerboard(y.shape[1], y.shape[2], y.shape[3], y.device)
        with torch.autocast(x.device.type, enabled=False):
            index_1, features = self.scales.first(z_hat, level, exact)
            if self.float_scales:
                index_1 = self._float_index(self.float_first(phi.float()), self.scales.head_first, level)
            mu_1 = mu_1 * gain
            s_1 = self._symbols(y_s - mu_1, index_1, exact) * first
            y_hat_1 = (mu_1 + s_1) * first
        mu_2 = self.context(phi, y_hat_1 / gain) * gain
        with torch.autocast(x.device.type, enabled=False):
            if self.float_scales:
                found = self.float_second(phi.float(), y_hat_1 / gain)
                index_2 = self._float_index(found, self.scales.head_second, level)
            else:
                index_2 = self.scales.second(features, s_1.detach(), level, exact)
            index = index_1 * first + index_2 * (1 - first)
            mu = mu_1 * first + mu_2 * (1 - first)
            residual = y_s - mu
            symbols = self._symbols(residual, index, exact)
            y_hat = mu + symbols
            y_bits, z_bits = self._bits(residual, symbols, index, z, z_hat, level, exact, hard)
        x_hat = self.g_s(y_hat * self.inverse_gain(level), level)
        return Output(x_hat, y, y_hat, symbols, index, z_hat, y_bits, z_bits)

    @staticmethod
    def _float_index(value: Tensor, head: IntegerConv, level: Tensor) -> Tensor:
        """What the index would be without the demand for exactness; only for the comparison of the two."""
        assert head.level_bias is not None
        return ((value + head.level_bias(level)) * 8).clamp(0, INDEX_COUNT - 1)

    def _symbols(self, residual: Tensor, index: Tensor, exact: bool) -> Tensor:
        """Rounded with the dead zone of each scale; the gradient is that of `residual`."""
        size = residual.abs() + 0.5 - dead_zone(index, self.dead_zone_strength)
        rounded = residual.sign() * size.floor().clamp(min=0)
        symbols = residual + (rounded - residual).detach()
        return symbols * (index >= SKIP) if exact else symbols

    def _bits(
        self,
        residual: Tensor,
        symbols: Tensor,
        index: Tensor,
        z: Tensor,
        z_hat: Tensor,
        level: Tensor,
        exact: bool,
        hard: bool,
    ) -> tuple[Tensor, Tensor]:
        if hard:
            y_value, z_value = symbols, z_hat
        else:
            y_value = residual + torch.rand_like(residual) - 0.5
            z_value = z + torch.rand_like(z) - 0.5
        y_bits = symbol_bits(y_value, index)
        if exact and hard:
            y_bits = y_bits * (index >= SKIP)
        z_bits = self.hyper_prior.bits(z_value, z_hat, level)
        return y_bits.sum((1, 2, 3)), z_bits.sum((1, 2, 3))

    @torch.no_grad()
    def start_from_klt(self, basis: Tensor, deviation: Tensor) -> None:
        """basis [N, 768]: orthonormal rows, the leading principal directions of 16x16 patches in
        pixel_unshuffle order; deviation [N]: standard deviations along them.  The shortcuts become the
        whitened transform and its inverse; the gains make every direction meet the same quantiser step."""
        assert self.g_a.shortcut is not None and self.g_s.shortcut is not None
        self.g_a.shortcut.conv.weight.copy_((basis / deviation[:, None])[:, :, None, None])
        self.g_s.shortcut.conv.weight.copy_((basis * deviation[:, None]).T[:, :, None, None])
        self.gain.knots.add_(deviation.log())
        self.inverse_gain.knots.sub_(deviation.log())
        for head in (self.scales.head_first, self.scales.head_second):
            assert head.level_bias is not None
            head.level_bias.knots.add_(deviation.log() / (INDEX_STEP * 8))
