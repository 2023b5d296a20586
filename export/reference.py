"""The scale networks in int64 numpy: what every other implementation is compared with."""

from __future__ import annotations

import numpy as np

from aecodec.training.model import CodecModel
from aecodec.training.scales import IntegerConv

Array = np.ndarray


def layer(a: Array, conv: IntegerConv, level: int) -> Array:
    """int64 [C, H, W] -> int64 [C', H, W]: floor division by a power of two is an arithmetic shift."""
    weight = conv.integer_weight().detach().cpu().numpy().astype(np.int64)
    bias = conv.integer_bias().cpu().numpy().astype(np.int64)
    bias = bias[level if len(bias) > 1 else 0]
    if conv.kernel == 1:
        acc = np.tensordot(weight[:, :, 0, 0], a, axes=1)
    else:
        _, height, width = a.shape
        padded = np.pad(a, ((0, 0), (1, 1), (1, 1)))
        spread = np.repeat(padded, len(weight) // len(a), axis=0)
        acc = np.zeros((len(weight), height, width), np.int64)
        for i in range(3):
            for j in range(3):
                acc += weight[:, 0, i, j, None, None] * spread[:, i : i + height, j : j + width]
    return np.clip((acc + bias[:, None, None]) >> conv.shift, 0, conv.top)


def shuffle(a: Array) -> Array:
    """pixel_shuffle by 2: [4C, H, W] -> [C, 2H, 2W]."""
    c, h, w = a.shape
    return a.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)


def first(model: CodecModel, z_hat: Array, level: int) -> tuple[Array, Array]:
    """One group's valid part: z_hat int64 [Z, a, b] -> index [N, 4a, 4b] (all positions), features."""
    s = model.scales
    a = shuffle(layer(z_hat, s.f1, level))
    a = shuffle(layer(layer(a, s.f2, level), s.f3, level))
    features = layer(layer(a, s.f4, level), s.f5, level)
    return layer(features, s.head_first, level), features


def second(model: CodecModel, features: Array, symbols: Array, level: int) -> Array:
    """features int64 [S, h, w], first-half symbols int64 [N, h, w] -> index [N, h, w] (all positions)."""
    s = model.scales
    sizes = layer(np.minimum(np.abs(symbols), 127), s.s1, level)
    a = layer(np.concatenate([features, sizes]), s.s2, level)
    return layer(layer(a, s.s3, level), s.head_second, level)
