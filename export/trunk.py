"""Blocks and projections in 8 bits between float trunks: what the int8 graphs have in common."""

from __future__ import annotations

import numpy as np
from torch import nn

from .builder import Array, to_numpy
from .calibration import Range, by_channel, levelled, of_all
from .int8_builder import Int8Builder
from .prune import blocks_of

Samples = dict[str, Array]


def plain(layer: nn.Conv2d, scale: float = 1.0) -> tuple[Array, Array]:
    """Weight [O, I] and bias [O] of a 1x1 convolution, float64."""
    weight = to_numpy(layer.weight)[:, :, 0, 0].astype(np.float64) * scale
    return weight, np.zeros(len(weight)) if layer.bias is None else to_numpy(layer.bias) * scale


class Trunk:
    """A chain of blocks on a float trunk that is kept divided by `level` [C]: all channels have one reach,
    and one scale serves them all where a branch rounds them."""

    def __init__(self, g: Int8Builder, name: str, stage: nn.Module, samples: Samples, *ends: str):
        """ends: names of the layers behind the chain that read the trunk."""
        self.g, self.name, self.blocks, self.samples = g, name, blocks_of(stage), samples
        seen = [samples[f"{name}.{i}.{kind}"] for i, kind in self._branches()]
        self.level = levelled(*seen, *(samples[end] for end in ends))

    def _branches(self) -> list[tuple[int, str]]:
        kinds = ("mix_in", "expand")
        return [(i, k) for i, b in enumerate(self.blocks) for k in kinds if getattr(b, k) is not None]

    def rounded(self, x: str, reader: str) -> tuple[str, Range]:
        """The trunk as q for one of its readers."""
        given = of_all(self.samples[reader] / self.level[:, None])
        return self.g.quantise(x, given), given.times(self.level)

    def adding(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """A layer that gives the trunk, or a part of it."""
        return weight / self.level[:, None], bias / self.level

    def run(self, x: str) -> str:
        for number, block in enumerate(self.blocks):
            site = f"{self.name}.{number}"
            if block.mix_in is not None:
                hidden = by_channel(self.samples[f"{site}.spatial"], 0.0)
                mixed = by_channel(self.samples[f"{site}.mix_out"])
                q, seen = self.rounded(x, f"{site}.mix_in")
                q = self.g.pointwise(q, *plain(block.mix_in), seen, hidden)
                q = self.g.depthwise3(q, block.spatial, hidden, mixed)
                x = self.g.op("Add", x, self.g.to_float(q, *self.adding(*plain(block.mix_out)), mixed))
            if block.expand is not None:
                hidden = by_channel(self.samples[f"{site}.contract"], 0.0)
                q, seen = self.rounded(x, f"{site}.expand")
                q = self.g.pointwise(q, *plain(block.expand), seen, hidden)
                x = self.g.op("Add", x, self.g.to_float(q, *self.adding(*plain(block.contract)), hidden))
            constant = getattr(block, "constant", None)
            if constant is not None and constant.any():
                x = self.g.op("Add", x, self.g.const(to_numpy(constant) / self.level))
        return x


def rounded_by_channel(g: Int8Builder, x: str, samples: Array) -> tuple[str, Range]:
    """x [1, h, w, C] in float as q; each channel is brought to one reach before."""
    reach = levelled(samples)
    given = of_all(samples / reach[:, None])
    return g.quantise(g.op("Mul", x, g.const(1 / reach)), given), given.times(reach)


def twice_as_fine(g: Int8Builder, q: str, layer: nn.Conv2d, level: Array | None, seen: Range) -> str:
    """A layer of 4 C outputs -> [1, 2 h, 2 w, C] in float, divided by `level` [C]."""
    weight, bias = plain(layer)
    c = len(bias) // 4
    places = np.arange(4 * c).reshape(c, 4).T.ravel()  # (c, i, j) -> (i, j, c)
    if level is not None:
        steps = np.repeat(level, 4)
        weight, bias = weight / steps[:, None], bias / steps
    return g.spread(g.to_float(q, weight[places], bias[places], seen), 2, c)
