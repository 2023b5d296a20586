"""The means of the symbols, with layers of integers in every precision.

A difference between the encoder's and the decoder's means is noise in the picture.  So both have to round in
the same places: the branches of hyper-synthesis and context are integers in the float graphs, too, where
float32 holds them (`FloatForm`).  What rounding takes from the means themselves costs a few bits, not
quality.  The layers up to 1/32 and the trunks are float: their last bits may differ between machines, which
now and then moves an integer by one step of 255."""

from __future__ import annotations

import numpy as np
import onnx

from aecodec.training.model import CodecModel
from aecodec.training.transforms import Linear

from .calibration import Range
from .float_form import FloatForm
from .graphs import F32, U8, finish_synthesis, first_symbols
from .int8_builder import Int8Builder
from .trunk import NHWC, Samples, Trunk, plain, rounded_by_channel, twice_as_fine

LEADING = 32
"""Latents that are read, and whose means are made, in float."""


class _Context(Trunk):
    mixes_in_float = True
    """In bytes they would take most of what rounding costs: docs/design.md."""


class Means:
    """Hyper-synthesis and context of one graph.  Tensors are [1, h, w, C], means in latent units."""

    def __init__(self, g: Int8Builder, m: CodecModel, samples: Samples):
        self._g, self._m, self._samples = g, m, samples
        self._trunk = Trunk(g, "h_s.blocks2", m.h_s.blocks2, samples, "h_s.head")
        self._context = _Context(g, "context.blocks", m.context.blocks, samples, "context.head")

    def first(self, z_hat: str, quality: str) -> str:
        """z_hat [1, Z, h/4, w/4] -> means of the first half."""
        g, h_s, trunk = self._g, self._m.h_s, self._trunk
        h = g.op("Add", g.shuffle(g.conv1(z_hat, h_s.up1), 2), g.by_quality(quality, h_s.bias))
        h = g.to_nhwc(g.blocks(h, h_s.blocks1, "relu"))
        q, seen = rounded_by_channel(g, h, self._samples["h_s.up2"])
        phi = trunk.run(twice_as_fine(g, q, h_s.up2, seen, trunk))
        self._phi, self._of_phi = trunk.rounded(phi, "h_s.head")  # the context reads it, too
        return self._means(h_s.head, self._phi, self._of_phi, phi, trunk)

    def second(self, y_first: str) -> str:
        """Latents of the first half, 0 elsewhere -> means of the second; after first()."""
        g, m, context = self._g, self._m, self._context
        weight, bias = context.giving(*plain(m.context.patch))
        of_phi, of_leading, of_others = np.split(
            weight, np.cumsum((len(self._of_phi.scale), LEADING)), axis=1
        )
        h = g.to_float(self._phi, of_phi, bias, self._of_phi)
        if of_others.size:
            others = np.concatenate([np.zeros(of_leading.shape), of_others], 1)
            q, seen = rounded_by_channel(g, y_first, self._samples["context.patch"][of_phi.shape[1] :])
            h = g.op("Add", h, g.to_float(q, others, np.zeros(len(others)), seen))
        h = context.run(g.op("Add", h, g.linear(leading(g, y_first), of_leading)))
        return self._means(m.context.head, *context.rounded(h, "context.head"), h, context)

    def _means(self, head: Linear, q: str, seen: Range, x: str, trunk: Trunk) -> str:
        """Those of the leading latents from the trunk x itself, the others' from its integers."""
        weight, bias = plain(head.conv, head.scale)
        if len(weight) <= LEADING:
            return self._g.linear(x, *trunk.reading(weight, bias))
        others = self._g.to_float(q, weight[LEADING:], bias[LEADING:], seen)
        first = self._g.linear(x, *trunk.reading(weight[:LEADING], bias[:LEADING]))
        return self._g.op("Concat", first, others, axis=3)


def leading(g: Int8Builder, y: str, count: int = LEADING) -> str:
    """[1, h, w, N] -> [1, h, w, count]"""
    return g.op("Slice", y, *(g.const([value], np.int64) for value in (0, count, 3)))


def float_graphs(m: CodecModel, samples: Samples) -> dict[str, onnx.ModelProto]:
    """File name -> graph: those of graphs.py that have means, with integers in float32."""
    g = FloatForm("synthesis")
    y_hat, quality = latents(g, m, samples)
    found = {"synthesis.onnx": finish_synthesis(g, m, "relu", g.to_nchw(y_hat), quality)}
    found["context.onnx"] = context(FloatForm("context"), m, samples)
    return found


def context(g: Int8Builder, m: CodecModel, samples: Samples) -> onnx.ModelProto:
    """graphs.context() with these means; y and what comes out are NCHW."""
    n = m.size.n
    y = g.input("y", F32, [1, n, "h", "w"])
    z_hat = g.input("z_hat", F32, [1, m.size.z, "zh", "zw"])
    quality = g.input("quality", F32, [1])
    index = g.input("index_first", U8, [1, n, "h", "w"])
    means, gain = Means(g, m, samples), g.by_quality(quality, m.gain)
    mu = g.op("Mul", g.to_nchw(means.first(z_hat, quality)), gain)
    symbols = first_symbols(g, m, g.op("Sub", y, mu), g.op("Cast", index, to=F32))
    y_first = g.masked(g.op("Add", mu, symbols), g.checkerboard(y), n)
    mu = g.op("Mul", g.to_nchw(means.second(g.to_nhwc(g.op("Div", y_first, gain)))), gain)
    residual, shape = g.op("Sub", y, mu), [1, n, "h", "w"]
    return g.finish({"symbols_first": (symbols, F32, shape), "residual_second": (residual, F32, shape)})


def latents(g: Int8Builder, m: CodecModel, samples: Samples) -> tuple[str, str]:
    """The inputs of synthesis, and its first part: -> y_hat [1, h, w, N] in latent units, quality."""
    n = m.size.n
    symbols = g.input("symbols", F32, [1, n, "h", "w"])
    z_hat = g.input("z_hat", F32, [1, m.size.z, "zh", "zw"])
    quality = g.input("quality", F32, [1])
    means = Means(g, m, samples)
    gain = g.by_quality(quality, m.gain, NHWC)
    steps = g.op("Div", g.to_nhwc(symbols), gain)
    first = _checkerboard(g, symbols)
    y_1 = _masked(g, g.op("Add", means.first(z_hat, quality), steps), first, n)
    second = g.op("Sub", g.const(1.0), first)
    y_2 = _masked(g, g.op("Add", means.second(y_1), steps), second, n)
    both = g.op("Mul", gain, g.by_quality(quality, m.inverse_gain, NHWC))
    return g.op("Mul", g.op("Add", y_1, y_2), both), quality


def _checkerboard(g: Int8Builder, symbols: str) -> str:
    """[1, h, w, 2, 1]: 1 at the positions of the first half, for either half of the channels."""
    board = g.op("Transpose", g.checkerboard(symbols), perm=[2, 3, 0, 1])
    return g.op("Unsqueeze", board, g.const([0], np.int64))


def _masked(g: Int8Builder, x: str, board: str, channels: int) -> str:
    cut = g.reshape(x, [0, 0, 0, 2, channels // 2])
    return g.reshape(g.op("Mul", cut, board), [0, 0, 0, channels])
