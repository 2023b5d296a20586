"""The five graphs of a bundle, written from a CodecModel.  Shapes beside each line.

    analysis       x, quality                       -> y, z_hat
    scales_first   z_hat groups, mask, level        -> index_first, features       (exact integers)
    context        y, z_hat, quality, index_first   -> symbols_first, residual_second
    scales_second  features, symbols_first, mask, level -> index_second            (exact integers)
    synthesis      symbols, z_hat, quality          -> x_hat

The encoder runs all but the last, the decoder the second, fourth and fifth: encoder and decoder share
the exact networks file by file."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor

from aecodec.training.entropy_model import DEAD_ZONE_MAX, INDEX_STEP, SCALE_MIN
from aecodec.training.model import SKIP, Z_MAX, CodecModel, Size
from aecodec.training.scales import SUM_LIMIT, IntegerConv
from aecodec.training.transforms import PATCH, Linear, Refinement, half_order

from .builder import Array, GraphBuilder, to_numpy

F32, U8, I64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
GROUP = 32


def all_graphs(model: CodecModel, activation: str) -> dict[str, onnx.ModelProto]:
    """File name -> graph.  Raises ValueError when a layer of the scale networks could leave exact range."""
    check_sums(model)
    return {
        "analysis.onnx": analysis(model, activation),
        "scales_first.onnx": scales_first(model),
        "context.onnx": context(model, activation),
        "scales_second.onnx": scales_second(model),
        "synthesis.onnx": synthesis(model, activation),
    }


def halo(size: Size) -> dict[str, int]:
    """Blocks of 64 pixels that each float graph sees beyond a block's edge.

    Every block of a network has one 3x3 layer and so reaches one position further at its resolution;
    a reach of r positions is 2 r at twice the resolution and ceil(r / 2) at half of it."""

    def hyper_synthesis(reach: int) -> int:
        """From positions of 1/16, over a block at 1/16 and one at 1/32, to those of 1/64."""
        return math.ceil((math.ceil((reach + 1) / 2) + 1) / 2)

    context = 2
    hyper_analysis = 2 * 1 + 1  # a block at 1/32 and one at 1/16, in positions of 1/16
    analysis = 2 * (hyper_analysis + size.deep) + size.encoder_blocks  # in positions of 1/8
    refinement = 1  # two 3x3 layers at 1/2, in positions of 1/8
    synthesis = math.ceil((size.decoder_blocks + refinement) / 2) + size.deep + context
    return {
        "analysis": math.ceil(analysis / 8),
        "context": hyper_synthesis(context),
        "synthesis": hyper_synthesis(synthesis),
    }


def check_sums(model: CodecModel) -> None:
    """Every partial sum of an exact layer must stay below 2^24, where float32 still holds every integer."""
    for name, layer in model.scales.layers().items():
        worst = layer.worst_case_sum()
        if worst >= SUM_LIMIT:
            raise ValueError(
                f"scale network layer {name}: worst-case sum {worst} reaches 2^24 = {SUM_LIMIT}; "
                "float32 would round it. Train with smaller weights or fewer inputs."
            )


def analysis(m: CodecModel, act: str) -> onnx.ModelProto:
    g = GraphBuilder("analysis")
    x = g.input("x", F32, [1, 3, "H", "W"])
    quality = g.input("quality", F32, [1])
    h = g.patches(x, m.g_a.patch, 8, offset=-0.5)  # C, H/8
    h = g.op("Mul", g.blocks(h, m.g_a.blocks, act), g.by_quality(quality, m.g_a.gain))
    h = g.blocks(g.patches(h, m.g_a.down, 2), m.g_a.deep, act)  # 2C, H/16
    y = g.conv1(h, m.g_a.head.conv, m.g_a.head.scale)  # N, H/16
    if m.g_a.shortcut is not None:
        y = g.op("Add", y, g.patches(x, m.g_a.shortcut.conv, 16, m.g_a.shortcut.scale, offset=-0.5))
    h = g.op("Mul", y, g.by_quality(quality, m.hyper_gain))
    h = g.blocks(g.conv1(h, m.h_a.patch), m.h_a.blocks1, act)
    h = g.blocks(g.patches(h, m.h_a.down1, 2), m.h_a.blocks2, act)  # H/32
    z = g.patches(h, m.h_a.head.conv, 2, m.h_a.head.scale)  # Z, H/64
    z_hat = g.op("Round", g.op("Clip", z, g.const(-float(Z_MAX)), g.const(float(Z_MAX))))
    y = g.op("Mul", y, g.by_quality(quality, m.gain))
    return g.finish(
        {
            "y": (y, F32, [1, m.size.n, "h", "w"]),
            "z_hat": (z_hat, F32, [1, m.size.z, "zh", "zw"]),
        }
    )


def _hyper_synthesis(g: GraphBuilder, m: CodecModel, act: str, z_hat: str, quality: str) -> tuple[str, str]:
    """-> phi and mu of the first half, both at 1/16; mu in latent units before the gain."""
    h = g.shuffle(g.conv1(z_hat, m.h_s.up1), 2)
    h = g.blocks(g.op("Add", h, g.by_quality(quality, m.h_s.bias)), m.h_s.blocks1, act)
    phi = g.blocks(g.shuffle(g.conv1(h, m.h_s.up2), 2), m.h_s.blocks2, act)
    return phi, g.conv1(phi, m.h_s.head.conv, m.h_s.head.scale)


def _context(g: GraphBuilder, m: CodecModel, act: str, phi: str, y_hat_first: str, gain: str) -> str:
    """-> mu of the second half in quantiser steps."""
    h = g.op("Concat", phi, g.op("Div", y_hat_first, gain), axis=1)
    h = g.blocks(g.conv1(h, m.context.patch), m.context.blocks, act)
    return g.op("Mul", g.conv1(h, m.context.head.conv, m.context.head.scale), gain)


def first_symbols(g: GraphBuilder, m: CodecModel, residual: str, index: str) -> str:
    """Symbols of the first half: rounded with the dead zone of each scale, 0 where it is skipped.

    Index 0, which is skipped too, marks the positions of the other half: no separate mask is needed. The dead
    zone is computed: looking it up by index took five times as long."""
    size = g.op("Add", g.op("Abs", residual), g.const(0.5))
    if m.dead_zone_strength:
        start = math.log(m.dead_zone_strength / 24 / SCALE_MIN**2)
        exponent = g.op("Add", g.op("Mul", index, g.const(-2 * INDEX_STEP)), g.const(start))
        size = g.op("Sub", size, g.op("Min", g.op("Exp", exponent), g.const(DEAD_ZONE_MAX)))
    size = g.op("Clip", g.op("Floor", size), g.const(0.0), g.const(32767.0))
    sign = g.op("Clip", g.op("Mul", residual, g.const(1e9)), g.const(-1.0), g.const(1.0))
    coded = g.op("Clip", g.op("Sub", index, g.const(SKIP - 1.0)), g.const(0.0), g.const(1.0))
    return g.op("Mul", g.op("Mul", size, sign), coded)


def context(m: CodecModel, act: str) -> onnx.ModelProto:
    g = GraphBuilder("context")
    n = m.size.n
    y = g.input("y", F32, [1, n, "h", "w"])
    z_hat = g.input("z_hat", F32, [1, m.size.z, "zh", "zw"])
    quality = g.input("quality", F32, [1])
    index = g.input("index_first", U8, [1, n, "h", "w"])
    gain = g.by_quality(quality, m.gain)
    phi, mu = _hyper_synthesis(g, m, act, z_hat, quality)
    mu = g.op("Mul", mu, gain)
    symbols = first_symbols(g, m, g.op("Sub", y, mu), g.op("Cast", index, to=F32))
    y_hat_first = g.masked(g.op("Add", mu, symbols), g.checkerboard(y), n)
    residual = g.op("Sub", y, _context(g, m, act, phi, y_hat_first, gain))
    shape = [1, n, "h", "w"]
    return g.finish({"symbols_first": (symbols, F32, shape), "residual_second": (residual, F32, shape)})


def latents(g: GraphBuilder, m: CodecModel, act: str) -> tuple[str, str]:
    """The inputs of synthesis, and its first part: -> y_hat [1, N, h, w] in latent units, quality."""
    n = m.size.n
    symbols = g.input("symbols", F32, [1, n, "h", "w"])
    z_hat = g.input("z_hat", F32, [1, m.size.z, "zh", "zw"])
    quality = g.input("quality", F32, [1])
    gain = g.by_quality(quality, m.gain)
    first = g.checkerboard(symbols)
    phi, mu_1 = _hyper_synthesis(g, m, act, z_hat, quality)
    y_hat_1 = g.masked(g.op("Add", g.op("Mul", mu_1, gain), symbols), first, n)
    mu_2 = _context(g, m, act, phi, y_hat_1, gain)
    y_hat_2 = g.masked(g.op("Add", mu_2, symbols), g.op("Sub", g.const(1.0), first), n)
    y_hat = g.op("Add", y_hat_1, y_hat_2)
    return g.op("Mul", y_hat, g.by_quality(quality, m.inverse_gain)), quality


def patch_rows(rows: Tensor) -> Array:
    """[768, ...] rows in pixel_unshuffle order -> for each of 2 x 2 places at 1/8 those of its 4 x 4 places
    at 1/2, 12 values each in order (c, i, j): what GraphBuilder.spread takes apart in two steps."""
    ordered = to_numpy(half_order(rows, PATCH))
    cut = ordered.reshape(2, 4, 2, 4, 12, *ordered.shape[1:])
    return np.moveaxis(cut, 2, 1).reshape(ordered.shape)


def _linear(g: GraphBuilder, m: CodecModel, y_hat: str, quality: str) -> str | None:
    """What the linear transforms make of y_hat: [1, H/8, W/8, 192]; None where there are none."""
    shortcut, lapped = m.g_s.shortcut, m.g_s.lapped
    if shortcut is None or lapped is None:
        return None
    patches = g.conv(y_hat, patch_rows(shortcut.conv.weight) * shortcut.scale, None)  # 768, H/16
    slowest = g.op("Slice", y_hat, *(g.const([value], np.int64) for value in (0, lapped.count, 1)))
    slowest = g.op("Mul", slowest, g.by_quality(quality, lapped.gain))
    around = g.conv(slowest, patch_rows(lapped.conv.weight) * lapped.scale, None, pad=1)
    return g.spread(g.to_nhwc(g.op("Add", patches, around)), 2, 192)


def _head(g: GraphBuilder, head: Linear, features: str) -> str:
    weight, bias = (to_numpy(half_order(t, 8)) * head.scale for t in (head.conv.weight, head.conv.bias))
    return g.to_nhwc(g.conv(features, weight, bias))  # H/8, W/8, 192


def _refine(g: GraphBuilder, refine: Refinement, picture: str, features: str) -> str:
    control = g.to_nchw(g.spread(g.to_nhwc(g.conv1(features, refine.control)), 4, refine.sense.out_channels))
    h = g.op("Add", g.conv(picture, to_numpy(refine.sense.weight), None, pad=1), control)
    weight, bias = (to_numpy(t) * refine.scale for t in (refine.correct.weight, refine.correct.bias))
    return g.op("Add", picture, g.conv(g.op("Relu", h), weight, bias, pad=1))


def synthesis(m: CodecModel, act: str) -> onnx.ModelProto:
    g = GraphBuilder("synthesis")
    return finish_synthesis(g, m, act, *latents(g, m, act))


def finish_synthesis(g: GraphBuilder, m: CodecModel, act: str, y_hat: str, quality: str) -> onnx.ModelProto:
    """g_s: y_hat in latent units [1, N, h, w] -> the graph's output."""
    h = g.blocks(g.conv1(y_hat, m.g_s.patch), m.g_s.deep, act)  # 2C, H/16
    h = g.shuffle(g.conv1(h, m.g_s.up), 2)  # C, H/8
    h = g.blocks(g.op("Mul", h, g.by_quality(quality, m.g_s.gain)), m.g_s.blocks, act)
    picture, linear = _head(g, m.g_s.head, h), _linear(g, m, y_hat, quality)
    if linear is not None:
        picture = g.op("Add", picture, linear)
    picture = g.to_nchw(g.spread(picture, 4, 12))  # 12, H/2
    x_hat = g.quadruple(_refine(g, m.g_s.refine, picture, h))
    x_hat = g.op("Clip", g.op("Add", x_hat, g.const(0.5)), g.const(0.0), g.const(1.0))
    return g.finish({"x_hat": (x_hat, F32, [1, 3, "H", "W"])})


# -- exact networks --------------------------------------------------------------------------------


def _integer_layer(g: GraphBuilder, a: str, layer: IntegerConv, level: str) -> str:
    """clip(floor((conv(a, w) + b) * 2^-shift), 0, top), all operands integers held in float32."""
    acc = g.conv(a, to_numpy(layer.integer_weight()), None, pad=layer.kernel // 2, groups=layer.groups)
    bias = to_numpy(layer.integer_bias())
    if layer.level_bias is None:
        acc = g.op("Add", acc, g.const(bias.reshape(1, -1, 1, 1)))
    else:
        row = g.op("Gather", g.const(bias), level, axis=0)
        acc = g.op("Add", acc, g.op("Reshape", row, g.const([1, -1, 1, 1], np.int64)))
    scaled = g.op("Floor", g.op("Mul", acc, g.const(2.0**-layer.shift)))
    return g.op("Clip", scaled, g.const(0.0), g.const(float(layer.top)))


def _grow_mask(g: GraphBuilder, mask: str, side: int, factor: int) -> str:
    """[G, 1, side, side] -> [G, 1, side * factor, side * factor], nearest."""
    view = g.op("Reshape", mask, g.const([-1, 1, side, 1, side, 1], np.int64))
    wide = g.op("Expand", view, g.const([1, 1, side, factor, side, factor], np.int64))
    return g.op("Reshape", wide, g.const([-1, 1, side * factor, side * factor], np.int64))


def _half_mask(n: int, first: bool) -> np.ndarray:
    parity = np.add.outer(np.arange(GROUP), np.arange(GROUP)) % 2
    halves = np.where(np.arange(n)[:, None, None] < n // 2, parity, 1 - parity)
    return (halves == (0 if first else 1)).astype(np.float32)[None]


def scales_first(m: CodecModel) -> onnx.ModelProto:
    g = GraphBuilder("scales_first")
    s, zs = m.scales, GROUP // 4
    z_hat = g.input("z_hat", F32, ["G", m.size.z, zs, zs])
    mask = g.input("mask", F32, ["G", 1, zs, zs])
    level = g.input("level", I64, [1])
    mask16, mask32 = _grow_mask(g, mask, zs, 2), _grow_mask(g, mask, zs, 4)
    a = g.op("Mul", g.shuffle(_integer_layer(g, z_hat, s.f1, level), 2), mask16)
    a = _integer_layer(g, _integer_layer(g, a, s.f2, level), s.f3, level)
    a = g.op("Mul", g.shuffle(a, 2), mask32)
    features = _integer_layer(g, _integer_layer(g, a, s.f4, level), s.f5, level)
    index = _integer_layer(g, features, s.head_first, level)
    index = g.op("Mul", g.op("Mul", index, g.const(_half_mask(m.size.n, True))), mask32)
    return g.finish(
        {
            "index_first": (g.op("Cast", index, to=U8), U8, ["G", m.size.n, GROUP, GROUP]),
            "features": (features, F32, ["G", m.size.scale_width, GROUP, GROUP]),
        }
    )


def scales_second(m: CodecModel) -> onnx.ModelProto:
    g = GraphBuilder("scales_second")
    s = m.scales
    features = g.input("features", F32, ["G", m.size.scale_width, GROUP, GROUP])
    symbols = g.input("symbols_first", F32, ["G", m.size.n, GROUP, GROUP])
    mask = g.input("mask", F32, ["G", 1, GROUP // 4, GROUP // 4])
    level = g.input("level", I64, [1])
    sizes = g.op("Min", g.op("Abs", symbols), g.const(127.0))
    sizes = _integer_layer(g, sizes, s.s1, level)
    a = _integer_layer(g, g.op("Concat", features, sizes, axis=1), s.s2, level)
    index = _integer_layer(g, _integer_layer(g, a, s.s3, level), s.head_second, level)
    index = g.op("Mul", g.op("Mul", index, g.const(_half_mask(m.size.n, False))), _grow_mask(g, mask, 8, 4))
    return g.finish({"index_second": (g.op("Cast", index, to=U8), U8, ["G", m.size.n, GROUP, GROUP])})
