"""Blocks and projections in 8 bits between float trunks: what the int8 graphs have in common."""

from __future__ import annotations

import numpy as np
from torch import nn

from .builder import Array, to_numpy
from .calibration import Range, by_channel, centred, levelled, of_all, swing_of, without_swing
from .int8_builder import Int8Builder
from .prune import blocks_of

Samples = dict[str, Array]
NHWC = (1, 1, 1, -1)


def plain(layer: nn.Conv2d, scale: float = 1.0) -> tuple[Array, Array]:
    """Weight [O, I] and bias [O] of a 1x1 convolution, float64."""
    weight = to_numpy(layer.weight)[:, :, 0, 0].astype(np.float64) * scale
    return weight, np.zeros(len(weight)) if layer.bias is None else to_numpy(layer.bias) * scale


class Trunk:
    """A chain of blocks on a float trunk that is kept as (x - middle) / level, both [C]: all channels have
    one reach, and one scale serves them all where a branch rounds them.

    Where `swing` [CLASSES] is not None, all of the trunk and its branches is divided by the swing of the
    quality at hand, too, so that one range fits every quality.  Inside, that takes no more than dividing
    biases: layers are linear, and max(x / s, 0) = max(x, 0) / s."""

    swing: Array | None = None
    mixes_in_float = False
    """Are the branches with 3x3 layers float?"""

    def __init__(self, g: Int8Builder, name: str, stage: nn.Module, samples: Samples, *ends: str):
        """ends: names of the layers behind the chain that read the trunk."""
        self.g, self.name, self.blocks, self.ends = g, name, blocks_of(stage), ends
        spatial = {f"{name}.{i}.mix_out": b.spatial for i, b in enumerate(self.blocks) if b.mix_in}
        # the bias of a depthwise layer is left to the layer behind it: see `run`
        self.samples = samples | {k: samples[k] - to_numpy(c.bias)[:, None] for k, c in spatial.items()}
        self.middle, self.level = self._reach()

    def _seen(self) -> list[Array]:
        kinds = ("mix_in", "expand")
        branches = [f"{self.name}.{i}.{k}" for i, b in enumerate(self.blocks) for k in kinds if getattr(b, k)]
        return [self.samples[name] for name in (*branches, *self.ends)]

    def _reach(self) -> tuple[Array, Array]:
        """middle and level"""
        if seen := self._seen():
            return centred(*seen)
        count = len(self.blocks[0].constant)  # no unit is alive, nobody rounds the trunk
        return np.zeros(count), np.ones(count)

    def rounded(self, x: str, reader: str) -> tuple[str, Range]:
        """The trunk as q for one of its readers."""
        given = of_all((self.samples[reader] - self.middle[:, None]) / self.level[:, None])
        return self.g.quantise(x, given), given.times(self.level).shifted(self.middle)

    def rounded_alone(self, x: str, reader: str) -> tuple[str, Range]:
        """The same with a range for each channel, for two more passes over the trunk."""
        given = by_channel(self.samples[reader] - self.middle[:, None])
        x = self.g.op("Mul", x, self.g.const(self.level / given.scale))
        x = self.g.op("Add", x, self.g.const(given.zero))
        return self.g.quantise(x, given.units()), given.shifted(self.middle)

    # Layers below: weight [O, I], bias [O]; biases of branches are [CLASSES, O] where the trunk swings.

    def giving(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """The layer that gives the trunk.  ValueError where it swings: that takes more than a layer."""
        if self.swing is not None:
            raise ValueError(f"{self.name}: no layer gives a trunk whose reach depends on the quality")
        return weight / self.level[:, None], (bias - self.middle) / self.level

    def adding(self, layer: nn.Conv2d, before: Array | float = 0.0) -> tuple[Array, Array]:
        """A layer that gives a part of it; before [I]: added to its inputs."""
        weight, bias = plain(layer)
        bias = self._swung(bias + weight @ np.broadcast_to(before, weight.shape[1]))
        return weight / self.level[:, None], bias / self.level

    def reading(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """A layer in float that reads it."""
        return weight * self.level, bias + weight @ self.middle

    def inside(self, layer: nn.Conv2d) -> tuple[Array, Array]:
        """Weight and bias of a layer of a branch."""
        weight, bias = plain(layer)
        return weight, self._swung(bias)

    def _swung(self, bias: Array) -> Array:
        return bias if self.swing is None else bias / self.swing[:, None]

    def run(self, x: str) -> str:
        for number, block in enumerate(self.blocks):
            site = f"{self.name}.{number}"
            if block.mix_in is not None:
                mixed = self._mixed_in_float(block, x) if self.mixes_in_float else self._mixed(block, x, site)
                x = self.g.op("Add", x, mixed)
            if block.expand is not None:
                hidden = by_channel(self.samples[f"{site}.contract"], 0.0)
                q, seen = self.rounded(x, f"{site}.expand")
                q = self.g.pointwise(q, *self.inside(block.expand), seen, hidden)
                x = self.g.op("Add", x, self.g.to_float(q, *self.adding(block.contract), hidden))
            constant = getattr(block, "constant", None)
            if constant is not None and constant.any():
                x = self.g.op("Add", x, self.g.chosen(self._swung(to_numpy(constant)) / self.level))
        return x

    def _mixed(self, block: nn.Module, x: str, site: str) -> str:
        hidden = by_channel(self.samples[f"{site}.spatial"], 0.0)
        mixed = by_channel(self.samples[f"{site}.mix_out"])
        q, seen = self.rounded(x, f"{site}.mix_in")
        q = self.g.pointwise(q, *self.inside(block.mix_in), seen, hidden)
        q = self.g.depthwise3(q, to_numpy(block.spatial.weight), hidden, mixed)
        return self.g.to_float(q, *self.adding(block.mix_out, to_numpy(block.spatial.bias)), mixed)

    def _mixed_in_float(self, block: nn.Module, x: str) -> str:
        weight, bias = self.reading(*plain(block.mix_in))
        h = self.g.op("Relu", self.g.conv(self.g.to_nchw(x), weight[:, :, None, None], bias))
        weight, bias = self.adding(block.mix_out)
        h = self.g.conv(self.g.depthwise(h, block.spatial), weight[:, :, None, None], bias)
        return self.g.to_nhwc(h)


class SwingingTrunk(Trunk):
    """One whose reach depends on the quality.  Its middles are 0: taking them away would be one more pass."""

    swing: Array

    def _reach(self) -> tuple[Array, Array]:
        self.swing = swing_of(*self._seen())
        own = [key for key in self.samples if key.startswith(f"{self.name}.") or key in self.ends]
        self.samples |= {key: without_swing(self.samples[key], self.swing) for key in own}
        level = levelled(*self._seen())
        return np.zeros(len(level)), level


def rounded_by_channel(g: Int8Builder, x: str, samples: Array) -> tuple[str, Range]:
    """x [1, h, w, C] in float as q; each channel is brought to one reach before."""
    reach = levelled(samples)
    given = of_all(samples / reach[:, None])
    return g.quantise(g.op("Mul", x, g.const(1 / reach)), given), given.times(reach)


def twice_as_fine(g: Int8Builder, q: str, layer: nn.Conv2d, seen: Range, trunk: Trunk | None = None) -> str:
    """A layer of 4 C outputs -> [1, 2 h, 2 w, C] in float, which gives `trunk`."""
    weight, bias = plain(layer)
    c = len(bias) // 4
    # (c, i, j) -> (i, j, c)
    weight, bias = weight.reshape(c, 4, -1).swapaxes(0, 1), bias.reshape(c, 4).T
    if trunk is not None:
        parts = [trunk.giving(*part) for part in zip(weight, bias, strict=True)]
        weight, bias = (np.stack(found) for found in zip(*parts, strict=True))
    return g.spread(g.to_float(q, weight.reshape(4 * c, -1), bias.ravel(), seen), 2, c)
