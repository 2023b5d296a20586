"""Rounding of weights to 8 bits: to the nearest, or for the inputs that a layer really has.

x86 CPUs without VNNI add the products of two neighbouring inputs in 16 bits (vpmaddubsw).  So two
neighbouring weights of one sign sum up to PAIR at most: PAIR * 255 fits, and such CPUs are exact, too."""

from __future__ import annotations

import numpy as np

from .builder import Array
from .calibration import Range

LARGEST, PAIR = 127, 128
STEPS_TRIED = 5
"""Between the step that the largest weight asks for and the one that the largest pair asks for."""
ROUNDING_VARIANCE = 1 / 12
"""Variance of the inputs' own rounding, in squares of their steps."""


def nearest(weight: Array) -> tuple[Array, Array]:
    """[O, ...] -> -127 .. 127, and the step of each row.  Pairs are those of a layer over channels: of
    [O, I, k, k] the inputs 2 i and 2 i + 1 at one place; depthwise layers have none."""
    steps = _largest_pair(weight) / (PAIR - 1)  # rounding adds a half to each of two
    return np.rint(weight / steps.reshape(-1, *[1] * (weight.ndim - 1))), steps


def least_error(weight: Array, seen: Range) -> tuple[Array, Array]:
    """[O, I], for inputs q -> -127 .. 127 and steps, as `nearest`, with a smaller error of the outputs.

    Input by input, what rounding its weights does to the outputs is made up for by the weights that are not
    rounded yet, as far as the inputs vary together (Frantar et al., GPTQ, ICLR 2023).  Each row takes the
    best of a few steps: with a finer one more weights are cut.  What is left of the means goes into the
    biases: `bias_correction`."""
    if seen.covariance is None:
        return nearest(weight)
    hessian = seen.covariance / np.outer(seen.scale, seen.scale)
    hessian[np.diag_indices_from(hessian)] += ROUNDING_VARIANCE
    order = np.argsort(-np.diag(hessian), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    largest = np.abs(weight).max(1)
    fine, coarse = np.where(largest > 0, largest, 1) / LARGEST, _largest_pair(weight) / (PAIR - 1)
    best, kernel, steps = np.full(len(weight), np.inf), np.zeros(weight.shape), np.ones(len(weight))
    for share in np.linspace(0, 1, STEPS_TRIED):
        tried = fine + share * (coarse - fine)
        found = _made_up_for(weight / tried[:, None], upper, order)
        error = weight - found * tried[:, None]
        better = (loss := np.einsum("oi,ij,oj->o", error, hessian, error, optimize=True)) < best
        best[better], kernel[better], steps[better] = loss[better], found[better], tried[better]
    return kernel, steps


def _made_up_for(weight: Array, upper: Array, order: Array) -> Array:
    """Weights in steps [O, I] -> integers, rounded in `order`; upper: the inverse Hessian's factor in it."""
    left, kernel = weight[:, order], np.zeros(weight.shape)
    for i, (row, channel) in enumerate(zip(upper, order, strict=True)):
        other = kernel[:, channel ^ 1] if channel ^ 1 < kernel.shape[1] else np.zeros(len(kernel))
        above = np.minimum(LARGEST, PAIR - np.maximum(other, 0))
        below = np.minimum(LARGEST, PAIR + np.minimum(other, 0))
        kernel[:, channel] = np.clip(np.rint(left[:, i]), -below, above)
        left[:, i:] -= np.outer((left[:, i] - kernel[:, channel]) / row[i], row[i:])
    return kernel


def bias_correction(weight: Array, kernel: Array, steps: Array, seen: Range) -> Array:
    """What rounding the weights [O, I, ...] takes from the outputs' means, in their units: [O]. Inputs whose
    mean is far from 0 add all the small errors up (Nagel et al., Data-Free Quantization Through Weight
    Equalization and Bias Correction, 2019)."""
    error = weight - kernel * steps.reshape(-1, *[1] * (weight.ndim - 1))
    found: Array = error.reshape(*weight.shape[:2], -1).sum(2) @ (seen.mean / seen.scale)
    return found


def _largest_pair(weight: Array) -> Array:
    """[O, ...] -> of each row the largest sum of a pair's weights of one sign; 1 where all are 0."""
    rows = weight.reshape(len(weight), weight.shape[1], -1)
    rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2), (0, 0)))
    pairs = rows.reshape(len(rows), -1, 2, rows.shape[2])
    largest = np.maximum(pairs.clip(min=0).sum(2), -pairs.clip(max=0).sum(2)).max((1, 2))
    return np.where(largest > 0, largest, 1.0)
