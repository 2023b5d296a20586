"""Rounding of weights to 8 bits: to the nearest, or for the inputs that a layer really has."""

from __future__ import annotations

import numpy as np

from .builder import Array
from .calibration import Range

LARGEST = 127
ROUNDING_VARIANCE = 1 / 12
"""Variance of the inputs' own rounding, in squares of their steps."""


def nearest(weight: Array) -> tuple[Array, Array]:
    """[O, ...] -> -127 .. 127, and the step of each row."""
    steps = _steps(weight)
    return np.rint(weight / steps.reshape(-1, *[1] * (weight.ndim - 1))), steps


def least_error(weight: Array, seen: Range) -> tuple[Array, Array]:
    """[O, I], for inputs q -> -127 .. 127 and steps, as `nearest`, with a smaller error of the outputs.

    Input by input, what rounding its weights does to the outputs is made up for by the weights that are not
    rounded yet, as far as the inputs vary together (Frantar et al., GPTQ, ICLR 2023).  What is left of the
    means goes into the biases: `bias_correction`."""
    if seen.covariance is None:
        return nearest(weight)
    steps = _steps(weight)
    hessian = seen.covariance / np.outer(seen.scale, seen.scale)
    hessian[np.diag_indices_from(hessian)] += ROUNDING_VARIANCE
    order = np.argsort(-np.diag(hessian), kind="stable")
    upper = np.linalg.cholesky(np.linalg.inv(hessian[np.ix_(order, order)])).T
    left = weight[:, order] / steps[:, None]
    kernel = np.empty_like(left)
    for i, row in enumerate(upper):
        kernel[:, i] = np.clip(np.rint(left[:, i]), -LARGEST, LARGEST)
        left[:, i:] -= np.outer((left[:, i] - kernel[:, i]) / row[i], row[i:])
    back = np.empty_like(kernel)
    back[:, order] = kernel
    return back, steps


def bias_correction(weight: Array, kernel: Array, steps: Array, seen: Range) -> Array:
    """What rounding the weights [O, I, ...] takes from the outputs' means, in their units: [O]. Inputs whose
    mean is far from 0 add all the small errors up (Nagel et al., Data-Free Quantization Through Weight
    Equalization and Bias Correction, 2019)."""
    error = weight - kernel * steps.reshape(-1, *[1] * (weight.ndim - 1))
    found: Array = error.reshape(*weight.shape[:2], -1).sum(2) @ (seen.mean / seen.scale)
    return found


def _steps(weight: Array) -> Array:
    largest = np.abs(weight.reshape(len(weight), -1)).max(1)
    return np.where(largest > 0, largest, 1) / LARGEST
