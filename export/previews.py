"""Small pictures from y_hat, without the network behind it.

    small_8    y_hat [1, N, h, w], quality -> x_hat [1, 3, H/8, W/8]
    small_16   the same                    -> x_hat [1, 3, H/16, W/16]

They follow the head of synthesis, in whichever precision that is (`preview` in aecodec/cutting.py). In g_s a
linear transform of y_hat runs beside the network. The means of what it makes of a patch are nearly those of
the picture: the network's part is detail. So the means over 8 x 8 or 16 x 16 pixels come from y_hat by one
1x1 and one 3x3 convolution, whose rows are means of the full ones' rows. Nothing is fitted."""

from __future__ import annotations

import numpy as np
import onnx
from torch import Tensor

from aecodec.training.model import CodecModel
from aecodec.training.transforms import PATCH, Lapped, Linear

from .builder import GraphBuilder, to_numpy
from .graphs import F32

SCALES = (8, 16)


def preview_graphs(model: CodecModel) -> dict[str, onnx.ModelProto]:
    """File name -> graph; none for a model without the linear transform."""
    shortcut, lapped = model.g_s.shortcut, model.g_s.lapped
    if shortcut is None or lapped is None:
        return {}
    return {f"small_{k}.onnx": _preview(model.size.n, shortcut, lapped, k) for k in SCALES}


def mean_rows(weight: Tensor, divisor: int) -> np.ndarray:
    """[768, ...] rows in pixel_unshuffle order (c, i, j) -> [3 (16 / divisor)^2, ...], their means over
    squares of `divisor` pixels, in the same order."""
    rows = to_numpy(weight)
    side = PATCH // divisor
    cut = rows.reshape(3, side, divisor, side, divisor, *rows.shape[1:]).astype(np.float64)
    return cut.mean((2, 4)).reshape(-1, *rows.shape[1:]).astype(np.float32)


def _preview(n: int, shortcut: Linear, lapped: Lapped, divisor: int) -> onnx.ModelProto:
    g = GraphBuilder(f"small_{divisor}", "small_")
    y_hat = g.input("y_hat", F32, [1, n, "h", "w"])
    quality = g.input("quality", F32, [1])
    means = g.conv(y_hat, mean_rows(shortcut.conv.weight, divisor) * shortcut.scale, None)
    leading = g.op("Slice", y_hat, *(g.const([value], np.int64) for value in (0, lapped.count, 1)))
    leading = g.op("Mul", leading, g.by_quality(quality, lapped.gain))
    around = g.conv(leading, mean_rows(lapped.conv.weight, divisor) * lapped.scale, None, pad=1)
    x = g.op("Add", means, around)
    if divisor < PATCH:
        x = g.shuffle(x, PATCH // divisor)
    x = g.op("Clip", g.op("Add", x, g.const(0.5)), g.const(0.0), g.const(1.0))
    return g.finish({"x_hat": (x, F32, [1, 3, None, None])})
