"""How far apart are two pictures? Arrays of one shape -> numbers. numpy only.

    psnr             one mean squared error over all samples, in dB
    ms_ssim          Wang, Simoncelli, Bovik 2003: five scales, 11 x 11 Gaussian (sigma 1.5), their weights;
                     each channel for itself, then the mean, as papers on learned codecs report it
    max_difference   the largest difference of two samples

Samples are uint8 or uint16; the peak is 255 or 65535. Where not all pixels are seen, psnr and max_difference
take those that are, a[seen] and b[seen]; ms_ssim has to know where they lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import UsageError

Samples = NDArray[Any]
Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]
Mean = Callable[[Plane], Plane]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03
SHORTEST_SIDE = TAPS << (len(WEIGHTS) - 1)
"""176 pixels: one window at the coarsest of the scales."""
LEAST = np.float32(1e-12)
"""Below any share of a window of which a pixel is seen."""

_offsets = np.arange(TAPS) - TAPS // 2
_gaussian = np.exp(-(_offsets**2) / (2 * SIGMA**2))
KERNEL = (_gaussian / _gaussian.sum()).astype(np.float32)


def psnr(a: Samples, b: Samples) -> float:
    """dB; infinite for equal arrays and empty ones. UsageError for arrays of different shapes or types."""
    peak = _peak(a, b)
    squares = np.square(np.subtract(a, b, dtype=np.float32))
    mse = float(np.mean(squares, dtype=np.float64)) if squares.size else 0
    return 10 * math.log10(peak**2 / mse) if mse else math.inf


def max_difference(a: Samples, b: Samples) -> int:
    """In steps of the samples; 0 for empty arrays. UsageError for arrays of different shapes or types."""
    _peak(a, b)
    return int(np.max(np.maximum(a, b) - np.minimum(a, b), initial=0))


def ms_ssim(a: Samples, b: Samples, seen: Mask | None = None) -> float:
    """0..1 between arrays [H, W] or [H, W, C].

    seen [H, W]: no other pixels count, as equal ones would flatter. Means and variances in a window are those
    of its pixels that are seen, and it counts as much as of it is seen; 1 where nothing is.
    UsageError for arrays of different shapes or types, or with a side below 176 (SHORTEST_SIDE)."""
    peak = _peak(a, b)
    if a.ndim not in (2, 3) or min(a.shape[:2]) < SHORTEST_SIDE:
        raise UsageError(f"MS-SSIM needs sides of at least {SHORTEST_SIDE} pixels, not {list(a.shape[:2])}")
    if seen is not None and seen.shape != a.shape[:2]:
        raise UsageError(f"what is seen is {list(seen.shape)}, the arrays are {list(a.shape[:2])}")
    if seen is not None and not seen.any():
        return 1.0
    shares = None if seen is None or seen.all() else seen.astype(np.float32)
    a, b = np.atleast_3d(a), np.atleast_3d(b)
    values = []
    for channel in range(a.shape[2]):
        x, y = (c[:, :, channel].astype(np.float32) for c in (a, b))
        values.append(_of_plane(x, y, peak, shares))
    return float(np.mean(values))


def _peak(a: Samples, b: Samples) -> int:
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype not in (np.uint8, np.uint16):
        have = f"{a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}"
        raise UsageError(f"two uint8 or two uint16 arrays of one shape are needed, not {have}")
    return int(np.iinfo(a.dtype).max)


def _of_plane(x: Plane, y: Plane, peak: int, seen: Plane | None) -> float:
    """MS-SSIM of [h, w]: contrast and structure at every scale, luminance at the coarsest only."""
    result = 1.0
    for weight in WEIGHTS[:-1]:
        result *= max(_ssim(x, y, peak, seen)[1], 0.0) ** weight  # a negative mean has no real power
        halves = None if seen is None else _halve(seen)
        x, y = (_of_seen(_halve, plane, seen, halves) for plane in (x, y))
        seen = halves
    return float(result * max(_ssim(x, y, peak, seen)[0], 0.0) ** WEIGHTS[-1])


def _of_seen(mean: Mean, plane: Plane, seen: Plane | None, shares: Plane | None) -> Plane:
    """Means over what is seen of a plane; shares: mean(seen). 0 where nothing is."""
    if seen is None or shares is None:
        return mean(plane)
    return np.divide(mean(plane * seen), np.maximum(shares, LEAST), dtype=np.float32)


def _ssim(x: Plane, y: Plane, peak: int, seen: Plane | None = None) -> tuple[float, float]:
    """Means of SSIM, and of its contrast and structure alone.

    With s = x + y and d = x - y, var(s) - var(d) is 4 cov(x, y) and var(s) + var(d) is 2 (var(x) + var(y)),
    and so for the means: four blurs do instead of five.
    """
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    s, d = x + y, x - y
    shares = None if seen is None else _blur(seen)
    mean_s, mean_d, square_s, square_d = (_of_seen(_blur, p, seen, shares) for p in (s, d, s * s, d * d))
    var_s, var_d = square_s - mean_s * mean_s, square_d - mean_d * mean_d
    contrast = ((var_s - var_d) / 2 + c2) / ((var_s + var_d) / 2 + c2)
    mean_s, mean_d = mean_s * mean_s, mean_d * mean_d
    luminance = ((mean_s - mean_d) / 2 + c1) / ((mean_s + mean_d) / 2 + c1)
    ssim, structure = (_mean(values, shares) for values in (luminance * contrast, contrast))
    return ssim, structure


def _mean(values: Samples, weights: Plane | None) -> float:
    if weights is None:
        return float(np.mean(values, dtype=np.float64))
    return float(np.average(values.astype(np.float64), weights=weights))


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
