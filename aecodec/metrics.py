"""How far apart are two pictures? Arrays of one shape -> numbers. numpy only.

    psnr             one mean squared error over all samples, in dB
    ms_ssim          Wang, Simoncelli, Bovik 2003: five scales, 11 x 11 Gaussian (sigma 1.5), their weights;
                     each channel for itself, then the mean, as papers on learned codecs report it
    max_difference   the largest difference of two samples

Samples are uint8 or uint16; the peak is 255 or 65535.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import UsageError

Samples = NDArray[Any]
Plane = NDArray[np.float32]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
SHORTEST_SIDE = TAPS << (len(WEIGHTS) - 1)
"""176 pixels: one window at the coarsest of the scales."""

_offsets = np.arange(TAPS) - TAPS // 2
_gaussian = np.exp(-(_offsets**2) / (2 * SIGMA**2))
KERNEL = (_gaussian / _gaussian.sum()).astype(np.float32)


def psnr(a: Samples, b: Samples) -> float:
    """dB; infinite for equal arrays. UsageError for arrays of different shapes or types."""
    peak = _peak(a, b)
    mse = float(np.mean(np.square(np.subtract(a, b, dtype=np.float32)), dtype=np.float64))
    return 10 * math.log10(peak**2 / mse) if mse else math.inf


def max_difference(a: Samples, b: Samples) -> int:
    """In steps of the samples. UsageError for arrays of different shapes or types."""
    _peak(a, b)
    return int(np.max(np.maximum(a, b) - np.minimum(a, b), initial=0))


def ms_ssim(a: Samples, b: Samples) -> float:
    """0..1 between arrays [H, W] or [H, W, C].

    UsageError for arrays of different shapes or types, or with a side below 176 (SHORTEST_SIDE)."""
    peak = _peak(a, b)
    if a.ndim not in (2, 3) or min(a.shape[:2]) < SHORTEST_SIDE:
        raise UsageError(f"MS-SSIM needs sides of at least {SHORTEST_SIDE} pixels, not {list(a.shape[:2])}")
    a, b = np.atleast_3d(a), np.atleast_3d(b)
    values = []
    for channel in range(a.shape[2]):
        x, y = (c[:, :, channel].astype(np.float32) for c in (a, b))
        values.append(_of_plane(x, y, peak))
    return float(np.mean(values))


def _peak(a: Samples, b: Samples) -> int:
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype not in (np.uint8, np.uint16):
        have = f"{a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}"
        raise UsageError(f"two uint8 or two uint16 arrays of one shape are needed, not {have}")
    return int(np.iinfo(a.dtype).max)


def _of_plane(x: Plane, y: Plane, peak: int) -> float:
    """MS-SSIM of [h, w]: contrast and structure at every scale, luminance at the coarsest only."""
    result = 1.0
    for weight in WEIGHTS[:-1]:
        result *= max(_ssim(x, y, peak)[1], 0.0) ** weight  # a negative mean has no real power
        x, y = _halve(x), _halve(y)
    return float(result * max(_ssim(x, y, peak)[0], 0.0) ** WEIGHTS[-1])


def _ssim(x: Plane, y: Plane, peak: int) -> tuple[float, float]:
    """Means of SSIM, and of its contrast and structure alone.

    With s = x + y and d = x - y, var(s) - var(d) is 4 cov(x, y) and var(s) + var(d) is 2 (var(x) + var(y)),
    and so for the means: four blurs do instead of five.
    """
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    s, d = x + y, x - y
    mean_s, mean_d = _blur(s), _blur(d)
    var_s, var_d = _blur(s * s) - mean_s * mean_s, _blur(d * d) - mean_d * mean_d
    contrast = ((var_s - var_d) / 2 + c2) / ((var_s + var_d) / 2 + c2)
    mean_s, mean_d = mean_s * mean_s, mean_d * mean_d
    luminance = ((mean_s - mean_d) / 2 + c1) / ((mean_s + mean_d) / 2 + c1)
    return float(np.mean(luminance * contrast, dtype=np.float64)), float(np.mean(contrast, dtype=np.float64))


def _blur(plane: Plane) -> Plane:
    """[h, w] -> [h - 10, w - 10], where the whole window lies inside."""
    for axis in (0, 1):
        length = plane.shape[axis] - TAPS + 1
        shifted = [plane[k : k + length] if axis == 0 else plane[:, k : k + length] for k in range(TAPS)]
        total = shifted[TAPS // 2] * KERNEL[TAPS // 2]
        for k in range(TAPS // 2):  # the kernel is symmetric
            total += (shifted[k] + shifted[-1 - k]) * KERNEL[k]
        plane = total
    return plane


def _halve(plane: Plane) -> Plane:
    """Means of 2 x 2; an odd last row or column is repeated."""
    plane = np.pad(plane, [(0, side % 2) for side in plane.shape], mode="edge")
    rows = plane[0::2] + plane[1::2]
    return np.multiply(rows[:, 0::2] + rows[:, 1::2], np.float32(0.25), dtype=np.float32)
