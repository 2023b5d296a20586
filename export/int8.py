"""analysis and synthesis with 8-bit layers, from a model and what its layers see.  Shapes beside each line.

In 8 bits are the branches of the blocks, the layers between resolutions and the refinement. In float stay
the trunks that the branches add to, the first layers, the linear transform, the projection to y, the hyper
networks and the means: docs/design.md has what each costs. The scale networks are not here at all, so
symbols of either precision decode everywhere."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from aecodec.training.model import CodecModel
from aecodec.training.transforms import PATCH, Linear, half_order

from .builder import Array, to_numpy
from .calibration import Range, by_channel, collect, levelled, of_all, without_swing
from .graphs import F32, finish_analysis, latents, patch_rows
from .int8_builder import Int8Builder
from .previews_int8 import preview_graphs
from .prune import blocks_of
from .trunk import Samples, SwingingTrunk, Trunk, plain, twice_as_fine

NHWC = (1, 1, 1, -1)
MIDDLE = 128.0
PIXELS = np.array([c * 4 + i * 2 + j for i in range(2) for c in range(3) for j in range(2)])
"""The 12 values of 2 x 2 pixels, (c, i, j) -> (i, c, j): pairs of columns that belong together."""


def int8_graphs(
    model: CodecModel, activation: str, pictures: list[Tensor], crops: int = 48
) -> dict[str, onnx.ModelProto]:
    """Name -> graph; none for models with another activation than ReLU, which integers cannot fold.

    pictures: uint8 [3, H, W] that the ranges are found on."""
    if activation != "relu":
        return {}
    samples = collect(model, watched(model), pictures, crops)
    found = {"analysis": analysis(model, samples), "synthesis": synthesis(model, samples)}
    return found | preview_graphs(model, samples)


def watched(m: CodecModel) -> dict[str, nn.Module]:
    """The layers whose inputs (or outputs, NAME:out) become integers."""
    layers: dict[str, nn.Module] = {"g_s.up": m.g_s.up}
    layers["g_s.control"] = m.g_s.refine.control  # which the head reads, too
    layers |= {"g_s.sense": m.g_s.refine.sense, "g_s.correct": m.g_s.refine.correct}
    layers |= {f"{name}:out": layers[name] for name in ("g_s.control", "g_s.sense", "g_s.correct")}
    layers |= {"h_s.up2": m.h_s.up2, "h_s.head": m.h_s.head}
    layers |= {"context.patch": m.context.patch, "context.head": m.context.head}
    if m.g_s.lapped is not None:
        layers["g_s.lapped"] = m.g_s.lapped
    for name, stage in _stages(m).items():
        for number, block in enumerate(blocks_of(stage)):
            branches = (block.mix_in, block.spatial, block.mix_out, block.expand, block.contract)
            kinds = ("mix_in", "spatial", "mix_out", "expand", "contract")
            found = zip(kinds, branches, strict=True)
            layers |= {f"{name}.{number}.{kind}": layer for kind, layer in found if layer is not None}
    return layers


def _stages(m: CodecModel) -> dict[str, nn.Module]:
    owners = {"g_a": m.g_a, "g_s": m.g_s}
    found = {f"{n}.{part}": getattr(o, part) for n, o in owners.items() for part in ("blocks", "deep")}
    return found | {"h_s.blocks2": m.h_s.blocks2, "context.blocks": m.context.blocks}


def analysis(m: CodecModel, samples: Samples) -> onnx.ModelProto:
    g = Int8Builder("analysis")
    x = g.input("x", F32, [1, 3, "H", "W"])
    quality = g.input("quality", F32, [1])
    trunk = Trunk(g, "g_a.blocks", m.g_a.blocks, samples)
    deep = Trunk(g, "g_a.deep", m.g_a.deep, samples)
    c = len(trunk.level)
    h = g.patches(x, _giving(m.g_a.patch, trunk), 8, offset=-0.5)  # NCHW: C, H/8
    h = trunk.run(g.to_nhwc(h))  # H/8, W/8, C
    gain = g.by_quality(quality, m.g_a.gain, NHWC)
    middle = g.op("Mul", gain, g.const(trunk.middle))
    h = g.gather(g.op("Mul", h, g.op("Mul", gain, g.const(trunk.level))), 2, c)  # H/16, W/16, 4 C
    weight, bias = deep.giving(*plain(m.g_a.down))
    weight = weight.reshape(-1, c, 4)
    around = g.op("Add", g.op("MatMul", middle, g.const(weight.sum(2).T)), g.const(bias))  # 1, 1, 2 C
    weight = weight.transpose(0, 2, 1).reshape(len(weight), -1)  # (c, i, j) -> (i, j, c)
    h = deep.run(g.op("Add", g.linear(h, weight), around))  # H/16, W/16, 2 C
    y = g.to_nchw(g.linear(h, *deep.reading(*plain(m.g_a.head.conv, m.g_a.head.scale))))  # NCHW: N, H/16
    if m.g_a.shortcut is not None:
        y = g.op("Add", y, g.patches(x, m.g_a.shortcut.conv, 16, m.g_a.shortcut.scale, offset=-0.5))
    return finish_analysis(g, m, "relu", y, quality)


def _giving(layer: nn.Conv2d, trunk: Trunk) -> nn.Conv2d:
    weight, bias = (torch.from_numpy(part).float() for part in trunk.giving(*plain(layer)))
    copy = nn.Conv2d(layer.in_channels, layer.out_channels, 1)
    copy.weight, copy.bias = nn.Parameter(weight[:, :, None, None]), nn.Parameter(bias)
    return copy


def synthesis(m: CodecModel, samples: Samples) -> onnx.ModelProto:
    g = Int8Builder("synthesis")
    y_hat, quality = latents(g, m, "relu")  # NCHW: N, H/16
    y_hat = g.to_nhwc(y_hat)
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
    slowest = g.op("Slice", y_hat, *(g.const([value], np.int64) for value in (0, lapped.count, 3)))
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
