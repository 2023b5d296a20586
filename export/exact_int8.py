"""The scale networks once more, on bytes: the same indices in a fraction of the time.

    scales_first   z_hat [G, Z, a, b], level -> index_first [G, N, 4a, 4b], features [G, 4a, 4b, S]
    scales_second  features, sizes [G, N, 4a, 4b], level -> index_second [G, N, 4a, 4b]

Each layer is ONNX Runtime's QLinearConv, which adds up products of uint8 and int8 in int32 and ends with
round((sum + bias) * scale) and a cut at 0 and 255.  `rounding` picks bias and scale so that this is the
floor that the format prescribes.  No activation is above 127, so that two products fit into 16 bits: CPUs
without VNNI, which add up pairs there, do not saturate.  Groups come unpadded, all of one shape, so there
is no mask."""

from __future__ import annotations

import numpy as np
import onnx

from aecodec.training.model import CodecModel
from aecodec.training.scales import ACTIVATION_MAX, IntegerConv

from .builder import Array, to_numpy
from .graphs import GROUP, I64, U8
from .int8_builder import CONTRIB, Int8Builder

F32 = onnx.TensorProto.FLOAT
NUDGE = 2.0**-17
"""How much `scale` is above 2^-shift, relatively: ties fall upwards, and nothing else moves."""
MARGIN = 2.0**-20
"""How far from a tie every product stays, relatively; one in float32 is wrong by 2^-24."""


def exact_graphs(model: CodecModel) -> dict[str, onnx.ModelProto]:
    """Graph name -> graph.  ValueError when a layer cannot be had in this form."""
    return {"scales_first": scales_first(model), "scales_second": scales_second(model)}


def rounding(shift: int, top: int, worst: int) -> tuple[int, np.float32]:
    """-> what to add to the bias, and the scale: round((v + added) * scale), cut at 0 and `top`, is
    floor(v / 2^shift), cut there, for all |v| <= worst.

    v + added is halfway between two results just where v is a multiple of 2^shift, which is where they have
    to change; the scale is a little larger, so that it counts as the higher one.  Every v is tried.
    ValueError when one is wrong, or so near a tie that an inexact product could be."""
    added, scale = -(1 << shift >> 1), np.float32(2.0**-shift * (1 + NUDGE))
    v = np.arange(-worst, worst + 1, dtype=np.int64)
    product = (v + added) * float(scale)
    wrong = np.clip(np.rint(product), 0, top) != np.clip(v >> shift, 0, top)
    counts = (product > 0) & (product < top + 1)
    near = np.abs(product - np.floor(product) - 0.5) <= product * MARGIN
    if wrong.any() or (near & counts).any():
        raise ValueError(
            f"scale networks: a shift of {shift} up to sums of {worst} cannot be had by rounding; "
            "export with --no-int8"
        )
    return added, scale


class _Bytes(Int8Builder):
    """Tensors are uint8 [G, h, w, C] and mean what they say: a scale of 1, a zero of 0."""

    domains = (("", 18), (CONTRIB, 1))  # 18: operators on bits

    def layer(
        self,
        a: str,
        conv: IntegerConv,
        level: str,
        weight: Array | None = None,
        rows: Array | slice = slice(None),
    ) -> str:
        """weight: what stands for the layer's own; rows: its outputs that are wanted, in their order."""
        weight = to_numpy(conv.integer_weight()) if weight is None else weight
        added, scale = rounding(conv.shift, conv.top, conv.worst_case_sum())
        bias = self.const(conv.integer_bias().cpu().numpy()[:, rows] + added, np.int32)  # [64 or 1, C]
        row = level if conv.level_bias is not None else self.const([0], np.int64)
        bias = self.reshape(self.op("Gather", bias, row, axis=0), [-1])
        kernel = weight[rows]
        side, one, nothing = kernel.shape[2], self.scalar(1.0), self.scalar(0, np.uint8)
        out = self.contrib(
            "QLinearConv",
            *(a, one, nothing),
            *(self.const(kernel, np.int8), self.scalar(scale), self.scalar(0, np.int8)),
            *(one, nothing, bias),
            kernel_shape=[side, side],
            pads=[side // 2] * 4,
            group=1 if side == 1 else len(kernel),
            channels_last=1,
        )
        return self.op("Clip", out, nothing, self.scalar(conv.top, np.uint8))

    def double(self, a: str, conv: IntegerConv, level: str, weight: Array | None = None) -> str:
        """A layer whose 4 C outputs are C at twice the resolution."""
        c = conv.weight.shape[0] // 4
        places = np.arange(4 * c).reshape(c, 4).T.ravel()  # (c, i, j) -> (i, j, c)
        wide = self.reshape(self.layer(a, conv, level, weight, places), [0, 0, 0, 2, 2 * c])
        wide = self.op("Transpose", wide, perm=[0, 1, 3, 2, 4])  # G, h, 2, w, 2 C
        return self.reshape(self.reshape(wide, [0, -1, 1, 0, 2 * c]), [0, 0, -1, c])

    def half(self, index: str, n: int, first: bool) -> str:
        """[G, h, w, N] -> [G, N, h, w], 0 at the other half's positions.  A group begins at an even place."""
        index = self.to_nchw(index)
        parity = 255 * (np.add.outer(np.arange(GROUP), np.arange(GROUP)) % 2).astype(np.uint8)
        channels = np.where(np.arange(n) < n // 2, 255, 0) ^ (0 if first else 255)
        size = self.op("Slice", self.op("Shape", index), *(self.const([i], np.int64) for i in (2, 4)))
        starts, axes = (self.const(pair, np.int64) for pair in ([0, 0], [0, 1]))
        board = self.op("Slice", self.const(parity, np.uint8), starts, size, axes)
        rows = self.const(channels.reshape(1, -1, 1, 1), np.uint8)
        return self.op("BitwiseAnd", index, self.op("BitwiseXor", board, rows))


def scales_first(m: CodecModel) -> onnx.ModelProto:
    g = _Bytes("scales_first")
    s = m.scales
    z_hat = g.input("z_hat", F32, ["G", m.size.z, "zh", "zw"])
    level = g.input("level", I64, [1])
    # Bytes have no sign: what is positive and what is negative count as channels of their own.
    parts = [z_hat, g.op("Neg", z_hat)]
    parts = [g.op("Clip", part, g.const(0.0), g.const(float(ACTIVATION_MAX))) for part in parts]
    z = g.to_nhwc(g.op("Cast", g.op("Concat", *parts, axis=1), to=U8))
    weight = to_numpy(s.f1.integer_weight())
    a = g.double(z, s.f1, level, np.concatenate([weight, -weight], 1))
    a = g.double(g.layer(a, s.f2, level), s.f3, level)
    features = g.layer(g.layer(a, s.f4, level), s.f5, level)
    index = g.half(g.layer(features, s.head_first, level), m.size.n, True)
    return g.finish(
        {
            "index_first": (index, U8, ["G", m.size.n, "h", "w"]),
            "features": (features, U8, ["G", "h", "w", m.size.scale_width]),
        }
    )


def scales_second(m: CodecModel) -> onnx.ModelProto:
    g = _Bytes("scales_second")
    s = m.scales
    features = g.input("features", U8, ["G", "h", "w", m.size.scale_width])
    sizes = g.to_nhwc(g.input("sizes", U8, ["G", m.size.n, "h", "w"]))
    level = g.input("level", I64, [1])
    # One output a channel each: that is the depthwise layer that has a fast kernel.
    fine, coarse = (g.layer(sizes, s.s1, level, rows=slice(i, None, 2)) for i in (0, 1))
    weight, width = to_numpy(s.s2.integer_weight()), m.size.scale_width
    order = [weight[:, :width], weight[:, width::2], weight[:, width + 1 :: 2]]
    a = g.layer(g.op("Concat", features, fine, coarse, axis=3), s.s2, level, np.concatenate(order, 1))
    index = g.layer(g.layer(a, s.s3, level), s.head_second, level)
    return g.finish({"index_second": (g.half(index, m.size.n, False), U8, ["G", m.size.n, "h", "w"])})
