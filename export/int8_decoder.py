"""synthesis with 8-bit layers.  Shapes beside each line."""

from __future__ import annotations

import numpy as np
import onnx

from aecodec.training.model import CodecModel
from aecodec.training.transforms import PATCH, Linear, half_order

from .builder import Array, to_numpy
from .calibration import Range, by_channel, levelled, of_all, without_swing
from .graphs import F32, patch_rows
from .int8_builder import Int8Builder
from .means import latents, leading
from .trunk import NHWC, Samples, SwingingTrunk, Trunk, plain, twice_as_fine

MIDDLE = 128.0
PIXELS = np.array([c * 4 + i * 2 + j for i in range(2) for c in range(3) for j in range(2)])
"""The 12 values of 2 x 2 pixels, (c, i, j) -> (i, c, j): pairs of columns that belong together."""


def synthesis(m: CodecModel, samples: Samples) -> onnx.ModelProto:
    g = Int8Builder("synthesis")
    y_hat, quality = latents(g, m, samples)  # H/16, W/16, N
    deep = Trunk(g, "g_s.deep", m.g_s.deep, samples, "g_s.up")
    trunk = SwingingTrunk(g, "g_s.blocks", m.g_s.blocks, samples, "g_s.control")
    g.quality_class(quality)

    h = g.linear(y_hat, *deep.giving(*plain(m.g_s.patch)))
    q, seen = deep.rounded_alone(deep.run(h), "g_s.up")  # H/16, W/16, 2 C
    h = twice_as_fine(g, q, m.g_s.up, seen)
    smaller = g.chosen(1 / (trunk.swing[:, None] * trunk.level))
    gain = g.op("Mul", g.by_quality(quality, m.g_s.gain, NHWC), smaller)
    h = trunk.run(g.op("Mul", h, gain))  # H/8, W/8, C

    features, seen = trunk.rounded(h, "g_s.control")
    picture = g.to_float(features, *_head(m.g_s.head), seen, trunk.swing)  # H/8, W/8, 192
    linear = _linear(g, m, y_hat, quality, samples)
    if linear is not None:
        picture = g.op("Add", picture, linear)
    picture = g.spread(picture, 4, 12)  # H/2, W/2, 12
    picture = _refined(g, m, picture, features, seen, trunk, samples)  # H/2, 6, W/2, 2: (i, c) and j apart
    x_hat = g.op("Clip", g.op("Add", picture, g.const(0.5)), g.const(0.0), g.const(1.0))
    rows = g.reshape(g.op("Squeeze", x_hat, g.const([0], np.int64)), [0, 2, 3, -1])  # H/2, i, c, W
    x_hat = g.reshape(g.op("Transpose", rows, perm=[2, 0, 1, 3]), [1, 3, -1, 0])
    return g.finish({"x_hat": (x_hat, F32, [1, 3, "H", "W"])})


def _by_pairs(rows: Array) -> Array:
    """[12 k, ...] -> the 12 values of each position in the order of PIXELS."""
    return rows.reshape(-1, 12, *rows.shape[1:])[:, PIXELS].reshape(rows.shape)


def _head(head: Linear) -> tuple[Array, Array]:
    weight, bias = (to_numpy(half_order(t, 8)) * head.scale for t in (head.conv.weight, head.conv.bias))
    return _by_pairs(weight[:, :, 0, 0]), _by_pairs(bias)


def _linear(g: Int8Builder, m: CodecModel, y_hat: str, quality: str, samples: Samples) -> str | None:
    """What the linear transforms make of y_hat: [1, H/8, W/8, 192]. The separate patches are in float; the
    basis functions that reach over their edges are in 8 bits."""
    shortcut, lapped = m.g_s.shortcut, m.g_s.lapped
    if shortcut is None or lapped is None:
        return None
    weight = _by_pairs(patch_rows(shortcut.conv.weight))[:, :, 0, 0] * shortcut.scale
    patches = g.linear(y_hat, weight)  # H/16, W/16, 768
    with_gain = samples["g_s.lapped"]
    reach = levelled(with_gain)
    given = of_all(with_gain / reach[:, None], MIDDLE)
    slowest = leading(g, y_hat, lapped.count)
    gain = g.op("Mul", g.by_quality(quality, lapped.gain, NHWC), g.const(1 / reach))
    q = g.neighbours(g.quantise(g.op("Mul", slowest, gain), given), int(MIDDLE))
    kernel = _by_pairs(patch_rows(lapped.conv.weight)) * lapped.scale  # [768, 32, 3, 3]
    kernel = kernel.transpose(0, 2, 3, 1).reshape(3 * PATCH * PATCH, -1)
    seen = given.times(reach).repeated(9)
    around = g.to_float(q, kernel, np.zeros(len(kernel)), seen)
    return g.spread(g.op("Add", patches, around), 2, 192)


def _refined(
    g: Int8Builder,
    m: CodecModel,
    picture: str,
    features: str,
    seen: Range,
    trunk: SwingingTrunk,
    samples: Samples,
) -> str:
    """picture [1, H/2, W/2, 12], features q of `trunk` -> the refined picture [1, H/2, 6, W/2, 2]."""
    refine = m.g_s.refine
    width = refine.sense.out_channels
    hidden = by_channel(samples["g_s.correct"], 0.0)
    sensed = of_all(samples["g_s.sense:out"] / hidden.scale[:, None])
    control = without_swing(samples["g_s.control:out"], trunk.swing)
    control = control.reshape(16, width, -1) / hidden.scale[:, None]
    steered = of_all(control.transpose(1, 0, 2).reshape(width, -1))

    given = of_all(samples["g_s.sense"], MIDDLE)
    sense = to_numpy(refine.sense.weight)[:, PIXELS]
    in_hidden = sensed.times(hidden.scale)
    a = g.conv3(g.quantise(picture, given), sense, np.zeros(width), given, in_hidden)
    in_hidden = steered.times(hidden.scale).repeated(16)
    b = g.spread(g.pointwise(features, *trunk.inside(refine.control), seen, in_hidden), 4, width)
    q = g.add_relu(a, sensed, b, steered, trunk.swing)  # H/2, W/2, 16

    # 16 rows, the last 4 empty: with 12 the kernel takes five times as long
    weight, bias = (to_numpy(t)[PIXELS] * refine.scale for t in (refine.correct.weight, refine.correct.bias))
    filled = np.concatenate([weight, np.zeros((4, *weight.shape[1:]))])
    given = of_all(samples["g_s.correct:out"] * refine.scale, MIDDLE)
    given = Range(np.repeat(given.scale[:1], 16), np.repeat(given.zero[:1], 16))
    q = g.conv3(q, filled, np.concatenate([bias, np.zeros(4)]), hidden, given)
    pairs = g.op("Transpose", g.reshape(q, [0, 0, 0, 8, 2]), perm=[0, 1, 3, 2, 4])
    pairs = g.op("Slice", pairs, *(g.const([value], np.int64) for value in (0, 6, 2)))
    picture = g.op("Transpose", g.reshape(picture, [0, 0, 0, 6, 2]), perm=[0, 1, 3, 2, 4])
    return g.op("Add", picture, g.dequantise(pairs, given))
