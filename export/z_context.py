"""The context of z, fitted to z that a model really produces: docs/format.md, section 5.1.

Neighbours of the same channel predict a symbol (least squares, one weight a pass and channel) and choose its
row: a step from the channel's own row for each pass, class of the neighbours' sizes and class of the sum of
these classes over all channels, the step with the shortest code.  Sizes of neighbours as contexts: CALIC (Wu
and Memon, IEEE Trans. Comm. 45(4), 1997)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aecodec.tables import ACTIVITIES, PASSES, SIZES, ZContext
from aecodec.training.z_context import neighbours

Array = np.ndarray
EDGES = np.array([1, 2, 3, 4, 6, 8])
"""Of the classes of sizes, in quarters of the mean |z| that the channel's row expects."""
SHARES = (20, 45, 70, 90)
"""Percentiles of the sum of the classes, between its own classes."""
FURTHEST = 24
"""Rows of a step."""
LEAST = 50
"""Symbols, below which the step of a coarser class is taken."""


@dataclass
class Seen:
    """Symbols of z, one a row, and what their neighbours were.  All arrays [symbols]."""

    symbol: Array
    channel: Array
    row: Array
    """Of the channel at the level, counted from the first row of z."""
    way: Array
    """The pass; 0 where there are no neighbours."""
    total: Array
    """Sum of the neighbours, in twelfths of the mean."""
    size: Array
    """Sum of their sizes, likewise."""
    group: Array
    """A number for each position of each group."""


def look(groups: Sequence[tuple[Array, Array]]) -> Seen:
    """Pairs of z [Z, h, w] of a group and the rows [Z] of its level, counted from the first row of z."""
    parts, base = [], 0
    for z, row in groups:
        means, sizes, way = neighbours(torch.from_numpy(z.astype(np.float64))[None])
        total, size = ((12 * a[0]).round().numpy() for a in (means, sizes))
        channel = np.arange(len(z))[:, None, None]
        position = base + np.arange(z[0].size).reshape(z.shape[1:])
        base += z[0].size
        found = z, channel, row[:, None, None], way, total, size, position
        parts.append([np.broadcast_to(np.asarray(a), z.shape).ravel() for a in found])
    return Seen(*(np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)))


def fit_context(seen: Seen, priors: Array) -> ZContext:
    """priors [rows of z, 255]: probabilities of the symbols -127..127 in each row. They say how large z is
    expected there, and stand for rows that are seldom seen."""
    values = np.arange(-127, 128)
    expected = (priors * np.abs(values)).sum(1) / priors.sum(1)
    size = np.clip(np.round(192 * expected), 1, 65535).astype(np.uint16)
    channels = int(seen.channel.max()) + 1
    weight = _weights(seen, priors @ values**2, channels)
    classes = (64 * seen.size[:, None] >= size[seen.row].astype(np.int64)[:, None] * EDGES).sum(1)
    sums = np.bincount(seen.group, classes)[seen.group]
    with_neighbours = sums[seen.way > 0] if seen.way.any() else sums
    activity = np.percentile(with_neighbours, SHARES).round().clip(1, 65535).astype(np.uint16)
    active = np.searchsorted(activity, sums, side="right")
    rest = np.clip(seen.symbol - predict(seen, weight), -127, 127)
    step = _steps(seen, rest, classes, active, priors)
    return ZContext(size, weight, activity, step)


def predict(seen: Seen, weight: Array) -> Array:
    """Means of the symbols, from weights [4, Z]."""
    known = np.concatenate([np.zeros_like(weight[:1]), weight]).astype(np.int64)
    return (known[seen.way, seen.channel] * seen.total + 384) // 768


def _weights(seen: Seen, variance: Array, channels: int) -> Array:
    """int8 [4, Z], in 64ths: least squares, each symbol weighted by the inverse of its row's variance."""
    cell = seen.way * channels + seen.channel
    mean, weight = seen.total / 12, 1 / variance[seen.row]
    products = np.bincount(cell, weight * mean * seen.symbol, minlength=PASSES * channels)
    squares = np.bincount(cell, weight * mean * mean, minlength=PASSES * channels)
    found = (products / (squares + 1)).reshape(PASSES, channels)[1:]
    rounded: Array = np.clip(np.round(64 * found), -128, 127).astype(np.int8)
    return rounded


def _steps(seen: Seen, rest: Array, classes: Array, active: Array, priors: Array) -> Array:
    """int8 [5, 7, 5]: by turns rows that fit the steps and steps that fit the rows."""
    rows, symbols = priors.shape
    cell = np.ravel_multi_index((seen.way, classes, active), (PASSES, SIZES, ACTIVITIES))
    counts = np.zeros((PASSES * SIZES * ACTIVITIES, rows, symbols))
    np.add.at(counts, (cell, seen.row, rest + symbols // 2), 1)
    counts += counts[:, :, ::-1]
    counts /= 2
    step = np.zeros(len(counts), np.int64)
    tries = np.arange(-FURTHEST, FURTHEST + 1)
    target = np.clip(np.arange(rows)[None] + tries[:, None], 0, rows - 1)  # [tries, rows]
    coarse = counts.reshape(PASSES, SIZES, ACTIVITIES, rows, symbols)
    for _ in range(3):
        length = -np.log2(_rows(counts, step, priors))  # [rows, symbols]
        finest = _cheapest(counts, length[target], tries)
        by_size = _cheapest(coarse.sum(2).reshape(-1, rows, symbols), length[target], tries)
        enough = counts.sum((1, 2)) >= LEAST
        step = np.where(enough, finest, np.repeat(by_size, ACTIVITIES))
    found: Array = step.reshape(PASSES, SIZES, ACTIVITIES).astype(np.int8)
    return found


def _rows(counts: Array, step: Array, priors: Array) -> Array:
    """Distributions of the rows when every cell goes its step."""
    rows = len(priors)
    sums = 100.0 * priors / priors.sum(1, keepdims=True)
    for cell, way in zip(counts, step, strict=True):
        np.add.at(sums, np.clip(np.arange(rows) + way, 0, rows - 1), cell)
    found: Array = sums / sums.sum(1, keepdims=True)
    return found


def _cheapest(counts: Array, length: Array, tries: Array) -> Array:
    """counts [cells, rows, symbols], length [tries, rows, symbols] of a code -> the step of each cell."""
    bits = np.einsum("crs,trs->ct", counts, length, optimize=True)
    # Of equals the smallest: cells that nobody has seen stay where they are.
    found: Array = tries[np.argmin(bits + 1e-6 * np.abs(tries), axis=1)]
    return found
