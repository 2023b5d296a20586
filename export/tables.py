"""Integer CDF rows fitted to the symbols a model really produces.

Row i of y holds the codes of every symbol the scale networks gave index i.  A channel of z has, at each
quality, the row of its prior's scale; from there its context goes some steps, and a row holds the codes of
what is left of z beside its mean (z_context.py).  The prior of the fit is the density used in training, so
rows that are rarely seen stay sane.  docs/format.md, "Coding tables"."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from aecodec import entropy
from aecodec.tables import CodingTables, make_tables
from aecodec.training.entropy_model import INDEX_COUNT, scale_of
from aecodec.training.evaluate import pad_to
from aecodec.training.layers import LEVELS
from aecodec.training.model import SKIP, CodecModel

from .z_context import fit_context, look

Array = np.ndarray
TOTAL = 1 << 15
CODES = 16
Z_ROWS = 48
# A row's bins stay narrower than this many standard deviations: see docs/design.md for the loss.
WIDEST_HIGH_PART = 2.4
PRIOR_COUNT = 400.0


def shift_for(scale: float) -> int:
    """Low bits sent raw, so that the high part has a standard deviation of at most 2.4."""
    return max(0, math.ceil(math.log2(scale / WIDEST_HIGH_PART)))


def codes_of(symbols: Array, shift: int) -> Array:
    """Code 0..15 of each symbol: 0, +1, -1, ... +7, -7, escape."""
    high = (symbols.astype(np.int64) + ((1 << shift) >> 1)) >> shift
    size = np.abs(high)
    return np.where(size > 7, 15, 2 * size - (high > 0))


def quantise(probability: Array) -> Array:
    """Probabilities of the 16 codes -> cumulative starts; every code keeps at least 1 of 32768."""
    frequency = np.maximum(1, np.floor(probability * (TOTAL - CODES) / probability.sum()).astype(np.int64))
    frequency[np.argmax(frequency)] += TOTAL - frequency.sum()
    return np.concatenate([[0], np.cumsum(frequency)[:-1]]).astype(np.uint16)


def _fit(counts: Array, prior: Array) -> Array:
    """Symmetric estimate of a row from counts [16] and prior probabilities [16]."""
    blended = counts + PRIOR_COUNT * prior
    for code in range(1, 15, 2):
        blended[code : code + 2] = blended[code : code + 2].mean()
    return quantise(blended)


def _prior(cdf: Callable[[float], float], shift: int) -> Array:
    """Probabilities of the 16 codes under a continuous distribution of symbols."""
    edges = (np.arange(-7, 9) - 0.5) * 2.0**shift - (0.5 if shift else 0.0)
    mass = np.diff([cdf(float(e)) for e in edges])
    out = np.zeros(CODES)
    for high in range(-7, 8):
        out[2 * abs(high) - (high > 0)] = mass[high + 7]
    out[15] = max(0.0, 1 - mass.sum())
    return out + 1e-6


def _gaussian(scale: float, shift: int) -> Array:
    return _prior(lambda e: 0.5 * math.erfc(-e / (scale * math.sqrt(2))), shift)


def _logistic(scale: float, shift: int) -> Array:
    return _prior(lambda e: 0.5 * (1 + math.tanh(e / (2 * scale))), shift)


def fit_tables(model: CodecModel, pictures: list[Tensor], seed: int = 0, crop: int = 512) -> CodingTables:
    """Rows from one random crop and quality of each picture; pictures: uint8 [3, H, W]."""
    log_scale = model.hyper_prior.scale.table().cpu().numpy()
    low, high = float(log_scale.min()) - 1e-6, float(log_scale.max()) + 1e-6
    z_bin = np.minimum((log_scale - low) / (high - low) * Z_ROWS, Z_ROWS - 1).astype(np.int64)
    y_scales = [float(scale_of(torch.tensor(float(i)))) for i in range(INDEX_COUNT)]
    z_scales = [math.exp(low + (i + 0.5) * (high - low) / Z_ROWS) for i in range(Z_ROWS)]
    shifts = np.array([shift_for(s) for s in y_scales] + [shift_for(1.8 * s) for s in z_scales], np.uint8)
    counts = np.zeros((INDEX_COUNT + Z_ROWS, CODES))
    groups = []  # z [Z, h, w] and the rows of its level
    rng = np.random.default_rng(seed)
    for number, picture in enumerate(pictures):
        level = number * LEVELS // len(pictures)
        top = rng.integers(max(1, picture.shape[1] - crop + 1))
        left = rng.integers(max(1, picture.shape[2] - crop + 1))
        x = picture[None, :, top : top + crop, left : left + crop].float() / 255
        with torch.no_grad():
            out = model(pad_to(x), torch.tensor([float(level)]), exact=True, hard=True)
        _count(counts, out.symbols.numpy(), out.index.numpy().astype(np.int64), shifts)
        groups.append((out.z_hat[0].numpy().astype(np.int16), z_bin[level]))
    priors = [_gaussian(s, int(k)) for s, k in zip(y_scales, shifts, strict=False)]
    priors += [_logistic(s, int(k)) for s, k in zip(z_scales, shifts[INDEX_COUNT:], strict=True)]
    context = fit_context(look(groups), np.stack([symbol_probabilities(s) for s in z_scales]))
    unfitted = np.stack([quantise(p) for p in priors])
    z_row = (z_bin + INDEX_COUNT).astype(np.uint8)
    known = make_tables(unfitted, shifts, SKIP, z_row, context)
    for z, rows in groups:
        symbols, index = entropy.symbols_of_z(known, z, (rows + INDEX_COUNT).astype(np.uint8))
        _count(counts, symbols[index > 0], index[index > 0].astype(np.int64), shifts)
    fitted = np.stack([_fit(c, p) for c, p in zip(counts, priors, strict=True)])
    return make_tables(fitted, shifts, SKIP, z_row, context)


def symbol_probabilities(scale: float) -> Array:
    """[255]: probabilities of -127..127 under the logistic density of training."""
    edges = np.arange(-127.5, 128)
    return np.diff(0.5 * (1 + np.tanh(edges / (2 * scale)))) + 1e-7


def _count(counts: Array, symbols: Array, index: Array, shifts: Array) -> None:
    for row in np.unique(index):
        chosen = symbols[index == row]
        counts[row] += np.bincount(codes_of(chosen, int(shifts[row])), minlength=CODES)
