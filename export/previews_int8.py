"""The small graphs for previews with 8-bit layers: hyper-synthesis and context up to y_hat.

Elsewhere the means of the symbols stay in float, since a difference between the encoder's and the decoder's
is noise in the picture. A preview takes means over 64 or 256 pixels, of which the leading latents, those that
lap over the patches, make nearly all: their means alone are projected in float here."""

from __future__ import annotations

import numpy as np
import onnx

from aecodec.training.model import CodecModel
from aecodec.training.transforms import Lapped, Linear

from .calibration import Range
from .graphs import F32
from .int8_builder import Int8Builder
from .previews import SCALES, finish_preview, mean_rows
from .trunk import Samples, Trunk, plain, rounded_by_channel, twice_as_fine

NHWC = (1, 1, 1, -1)


def preview_graphs(model: CodecModel, samples: Samples) -> dict[str, onnx.ModelProto]:
    """Graph name -> graph; none for a model without the linear transform."""
    shortcut, lapped = model.g_s.shortcut, model.g_s.lapped
    if shortcut is None or lapped is None:
        return {}
    return {f"preview_{k}": _preview(model, samples, shortcut, lapped, k) for k in SCALES}


def latents(g: Int8Builder, m: CodecModel, samples: Samples, count: int) -> tuple[str, str, str]:
    """What graphs.latents() makes of the inputs of synthesis, in NHWC: y_hat [1, h, w, N], its first `count`
    channels once more and better [1, h, w, count], and quality."""
    n = m.size.n
    symbols = g.input("symbols", F32, [1, n, "h", "w"])
    z_hat = g.input("z_hat", F32, [1, m.size.z, "zh", "zw"])
    quality = g.input("quality", F32, [1])
    gain = g.by_quality(quality, m.gain, NHWC)
    steps = g.op("Div", g.to_nhwc(symbols), gain)
    first = _checkerboard(g, symbols)
    second = g.op("Sub", g.const(1.0), first)

    h_s = m.h_s
    h = g.op("Add", g.shuffle(g.conv1(z_hat, h_s.up1), 2), g.by_quality(quality, h_s.bias))
    h = g.to_nhwc(g.blocks(h, h_s.blocks1, "relu"))
    q, seen = rounded_by_channel(g, h, samples["h_s.up2"])
    trunk = Trunk(g, "h_s.blocks2", h_s.blocks2, samples, "h_s.head")
    phi = trunk.run(twice_as_fine(g, q, h_s.up2, seen, trunk))
    of_phi, seen = trunk.rounded(phi, "h_s.head")  # the context reads it, too
    mu_1, leading_1 = _means(g, h_s.head, of_phi, seen, phi, trunk, count)
    y_1 = _masked(g, g.op("Add", mu_1, steps), first, n)

    context = Trunk(g, "context.blocks", m.context.blocks, samples, "context.head")
    weight, bias = context.giving(*plain(m.context.patch))
    width = weight.shape[1] - n
    q, of_y = rounded_by_channel(g, y_1, samples["context.patch"][width:])
    parts = (
        g.to_float(of_phi, weight[:, :width], bias, seen),
        g.to_float(q, weight[:, width:], 0 * bias, of_y),
    )
    h = context.run(g.op("Add", *parts))
    q, seen = context.rounded(h, "context.head")
    mu_2, leading_2 = _means(g, m.context.head, q, seen, h, context, count)
    y_2 = _masked(g, g.op("Add", mu_2, steps), second, n)

    both = g.op("Mul", gain, g.by_quality(quality, m.inverse_gain, NHWC))
    chosen = [_masked(g, x, half, count, 1) for x, half in ((leading_1, first), (leading_2, second))]
    leading = g.op("Add", g.op("Add", *chosen), _leading(g, steps, count))
    y_hat = g.op("Mul", g.op("Add", y_1, y_2), both)
    return y_hat, g.op("Mul", leading, _leading(g, both, count)), quality


def _means(
    g: Int8Builder, head: Linear, q: str, seen: Range, x: str, trunk: Trunk, count: int
) -> tuple[str, str]:
    """mu of all channels from the integers, of the leading ones from the trunk x itself."""
    weight, bias = plain(head.conv, head.scale)
    return g.to_float(q, weight, bias, seen), g.linear(x, *trunk.reading(weight[:count], bias[:count]))


def _leading(g: Int8Builder, x: str, count: int) -> str:
    return g.op("Slice", x, *(g.const([value], np.int64) for value in (0, count, 3)))


def _checkerboard(g: Int8Builder, symbols: str) -> str:
    """[1, h, w, 2, 1]: 1 at the positions of the first half, for either half of the channels."""
    board = g.op("Transpose", g.checkerboard(symbols), perm=[2, 3, 0, 1])
    return g.op("Unsqueeze", board, g.const([0], np.int64))


def _masked(g: Int8Builder, x: str, board: str, channels: int, halves: int = 2) -> str:
    """halves: 1 for channels of the first half of all alone."""
    if halves == 1:
        board = g.op("Slice", board, *(g.const([value], np.int64) for value in (0, 1, 3)))
    cut = g.reshape(x, [0, 0, 0, halves, channels // halves])
    return g.reshape(g.op("Mul", cut, board), [0, 0, 0, channels])


def _preview(
    m: CodecModel, samples: Samples, shortcut: Linear, lapped: Lapped, divisor: int
) -> onnx.ModelProto:
    g = Int8Builder(f"preview_{divisor}")
    y_hat, leading, quality = latents(g, m, samples, lapped.count)
    rows = mean_rows(shortcut.conv.weight, divisor)[:, :, 0, 0] * shortcut.scale
    others = rows.copy()
    others[:, : lapped.count] = 0
    means = g.op("Add", g.linear(y_hat, others), g.linear(leading, rows[:, : lapped.count]))
    leading = g.op("Mul", g.to_nchw(leading), g.by_quality(quality, lapped.gain))
    return finish_preview(g, lapped, g.to_nchw(means), leading, divisor)
