"""analysis with 8-bit layers.  Shapes beside each line.

Pixels are bytes, so in the layers that read them only weights are rounded.  The pixels of a patch vary
together, and weights are rounded for that: the linear transform, whose latents have hundreds of steps, stays
as good as in float."""

from __future__ import annotations

import numpy as np
import onnx

from aecodec.training.model import Z_MAX, CodecModel
from aecodec.training.transforms import PATCH, Linear

from .builder import Array
from .calibration import TOP, of_pixels
from .graphs import F32
from .int8_builder import Int8Builder
from .trunk import NHWC, Samples, Trunk, plain, rounded_by_channel


def analysis(m: CodecModel, samples: Samples) -> onnx.ModelProto:
    g = Int8Builder("analysis")
    x = g.input("x", F32, [1, 3, "H", "W"])
    quality = g.input("quality", F32, [1])
    trunk = Trunk(g, "g_a.blocks", m.g_a.blocks, samples)
    deep = Trunk(g, "g_a.deep", m.g_a.deep, samples)
    c = len(trunk.level)
    patches = _patches(g, x)  # H/8, W/8, 192
    h = g.to_float(patches, *trunk.giving(*plain(m.g_a.patch)), of_pixels(samples["g_a.patch"]))
    h = trunk.run(h)  # H/8, W/8, C
    gain = g.by_quality(quality, m.g_a.gain, NHWC)
    middle = g.op("Mul", gain, g.const(trunk.middle))
    h = g.gather(g.op("Mul", h, g.op("Mul", gain, g.const(trunk.level))), 2, c)  # H/16, W/16, 4 C
    weight, bias = deep.giving(*plain(m.g_a.down))
    of_middle = g.linear(middle, weight.reshape(-1, c, 4).sum(2), bias)  # 1, 1, 2 C
    h = deep.run(g.op("Add", g.linear(h, _gathered(weight, c)), of_middle))  # H/16, W/16, 2 C
    y = g.linear(h, *deep.reading(*plain(m.g_a.head.conv, m.g_a.head.scale)))  # H/16, W/16, N
    if m.g_a.shortcut is not None:
        y = g.op("Add", y, _projected(g, patches, m.g_a.shortcut, samples["g_a.shortcut"]))
    z_hat = _hyper(g, m, samples, y, quality)
    y = g.op("Mul", g.to_nchw(y), g.by_quality(quality, m.gain))
    shapes = [1, m.size.n, "h", "w"], [1, m.size.z, "zh", "zw"]
    return g.finish({"y": (y, F32, shapes[0]), "z_hat": (z_hat, F32, shapes[1])})


def _patches(g: Int8Builder, x: str) -> str:
    """Pixels [1, 3, H, W] as bytes [1, H/8, W/8, 192], each patch in order (c, i, j)."""
    q = g.op("QuantizeLinear", x, g.scalar(1 / TOP), g.scalar(0, np.uint8))
    rows = g.op("Transpose", g.reshape(q, [3, -1, 8, 0]), perm=[1, 0, 2, 3])  # H/8, c, i, W
    patches = g.op("Transpose", g.reshape(rows, [0, 24, -1, 8]), perm=[0, 2, 1, 3])  # H/8, W/8, (c, i), j
    return g.op("Unsqueeze", g.reshape(patches, [0, 0, 192]), g.const([0], np.int64))


def _projected(g: Int8Builder, patches: str, layer: Linear, samples: Array) -> str:
    """The linear transform of patches of 16 x 16 pixels: [1, H/16, W/16, N]."""
    order = np.arange(3 * PATCH * PATCH).reshape(3, 2, 8, 2, 8).transpose(1, 3, 0, 2, 4).ravel()
    weight, bias = plain(layer.conv, layer.scale)
    return g.to_float(g.gather(patches, 2, 192), weight[:, order], bias, of_pixels(samples[order]))


def _gathered(weight: Array, c: int) -> Array:
    """[O, 4 C] in order (c, i, j) -> (i, j, c), that of GraphBuilder.gather."""
    return weight.reshape(-1, c, 4).swapaxes(1, 2).reshape(len(weight), -1)


def _hyper(g: Int8Builder, m: CodecModel, samples: Samples, y: str, quality: str) -> str:
    """y in latent units [1, h, w, N] -> z_hat [1, Z, h/4, w/4]."""
    h_a = m.h_a
    trunk = Trunk(g, "h_a.blocks1", h_a.blocks1, samples)
    c = len(trunk.level)
    q, seen = rounded_by_channel(
        g, g.op("Mul", y, g.by_quality(quality, m.hyper_gain, NHWC)), samples["h_a.patch"]
    )
    h = trunk.run(g.to_float(q, *trunk.giving(*plain(h_a.patch)), seen))  # h, w
    weight, bias = plain(h_a.down1)
    bias = bias + weight @ np.repeat(trunk.middle, 4)
    h = g.linear(g.gather(h, 2, c), _gathered(weight * np.repeat(trunk.level, 4), c), bias)
    h = g.blocks(g.to_nchw(h), h_a.blocks2, "relu")  # h/2, w/2
    z = g.patches(h, h_a.head.conv, 2, h_a.head.scale)
    return g.op("Round", g.op("Clip", z, g.const(-float(Z_MAX)), g.const(float(Z_MAX))))
