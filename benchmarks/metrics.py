"""How good is a decoded picture, and how far apart are two rate-distortion curves?

    psnr      8-bit RGB, one mean squared error over the three channels
    ms_ssim   Wang, Simoncelli, Bovik 2003: five scales, 11 x 11 Gaussian (sigma 1.5), standard weights,
              each RGB channel for itself and then averaged, as learned-codec papers report it
    bd_rate   Bjontegaard delta rate: piecewise cubic (pchip) log-rate over PSNR, integrated exactly

numpy only. No command: rd.py and speed.py use it, tests/test_benchmarks.py pins its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Vector = NDArray[np.float64]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MS_SSIM_SIDE = TAPS << (len(WEIGHTS) - 1)
"""176: the shortest side that still holds one window at the coarsest scale."""


def _check(what: str, a: Pixels, b: Pixels) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        have = f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
        raise ValueError(f"{what}: two uint8 arrays of one shape are needed, not {have}")


def psnr(a: Pixels, b: Pixels) -> float:
    """dB between two uint8 arrays of one shape; infinite for equal ones."""
    _check("psnr", a, b)
    difference = a.astype(np.int32) - b
    mse = float(np.mean(difference * difference, dtype=np.float64))
    return 10 * math.log10(255 * 255 / mse) if mse else math.inf


def _gaussian() -> Vector:
    x = np.arange(TAPS) - TAPS // 2
    g = np.exp(-(x * x) / (2 * SIGMA * SIGMA))
    return np.asarray(g / g.sum())


_KERNEL = _gaussian()


def _blur(plane: Plane) -> Plane:
    """Valid part of the Gaussian: [h, w] -> [h - 10, w - 10]."""
    for axis in (0, 1):
        length = plane.shape[axis] - TAPS + 1

        def shifted(k: int, source: Plane = plane, axis: int = axis, length: int = length) -> Plane:
            return source[k : k + length] if axis == 0 else source[:, k : k + length]

        out = shifted(TAPS // 2) * np.float32(_KERNEL[TAPS // 2])
        for k in range(TAPS // 2):  # the kernel is symmetric: one multiplication for two taps
            pair = shifted(k) + shifted(TAPS - 1 - k)
            pair *= np.float32(_KERNEL[k])
            out += pair
        plane = out
    return plane


def _ssim_and_contrast(x: Plane, y: Plane) -> tuple[float, float]:
    """Mean SSIM, and mean of its contrast-structure part, of one plane.

    SSIM needs only var(x) + var(y) and cov(x, y), which follow from the sum and the difference of the
    planes: four blurs in place of five.
    """
    total, difference = x + y, x - y
    mean_t, mean_d = _blur(total), _blur(difference)
    total *= total
    difference *= difference
    square_t, square_d = mean_t * mean_t, mean_d * mean_d
    var_t, var_d = _blur(total) - square_t, _blur(difference) - square_d
    contrast = ((var_t - var_d) / 2 + C2) / ((var_t + var_d) / 2 + C2)
    luminance = ((square_t - square_d) / 2 + C1) / ((square_t + square_d) / 2 + C1)
    return float(np.mean(luminance * contrast, dtype=np.float64)), float(np.mean(contrast, dtype=np.float64))


def _halve(plane: Plane) -> Plane:
    """Means of 2 x 2; an odd last row or column is repeated."""
    if plane.shape[0] % 2 or plane.shape[1] % 2:
        plane = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), mode="edge")
    rows = plane[0::2] + plane[1::2]
    return np.asarray((rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.25))


def _ms_ssim_plane(x: Plane, y: Plane) -> float:
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x, y = _halve(x), _halve(y)
        ssim, contrast = _ssim_and_contrast(x, y)
        last = scale == len(WEIGHTS) - 1
        result *= max(ssim if last else contrast, 0.0) ** weight  # a negative mean has no real power
    return result


def ms_ssim(a: Pixels, b: Pixels) -> float:
    """0..1 between two uint8 arrays [H, W] or [H, W, C]. Both sides must be at least 176."""
    _check("ms_ssim", a, b)
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        raise ValueError(f"ms_ssim: both sides must be at least {MS_SSIM_SIDE}, not {a.shape[:2]}")
    x, y = np.atleast_3d(a).astype(np.float32), np.atleast_3d(b).astype(np.float32)
    planes = range(x.shape[2])
    return float(np.mean([_ms_ssim_plane(x[:, :, c].copy(), y[:, :, c].copy()) for c in planes]))


def _pchip_slopes(x: Vector, y: Vector) -> Vector:
    """Fritsch and Carlson's shape-preserving slopes with three-point ends, as scipy and MATLAB have them."""
    step, secant = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.array([secant[0], secant[0]])
    slopes = np.zeros(len(x))
    for k in range(1, len(x) - 1):
        before, after = secant[k - 1], secant[k]
        if before * after > 0:
            w1, w2 = 2 * step[k] + step[k - 1], step[k] + 2 * step[k - 1]
            slopes[k] = (w1 + w2) / (w1 / before + w2 / after)
    slopes[0] = _end_slope(step[0], step[1], secant[0], secant[1])
    slopes[-1] = _end_slope(step[-1], step[-2], secant[-1], secant[-2])
    return slopes


def _end_slope(step: float, next_step: float, secant: float, next_secant: float) -> float:
    slope = ((2 * step + next_step) * secant - step * next_secant) / (step + next_step)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return slope


def _pchip_integral(x: Vector, y: Vector, low: float, high: float) -> float:
    """Integral of the interpolant from low to high, both inside x."""
    slopes, total = _pchip_slopes(x, y), 0.0
    for k in range(len(x) - 1):
        a, b = max(low, x[k]), min(high, x[k + 1])
        if b <= a:
            continue
        step = x[k + 1] - x[k]
        secant = (y[k + 1] - y[k]) / step
        c2 = (3 * secant - 2 * slopes[k] - slopes[k + 1]) / step
        c3 = (slopes[k] + slopes[k + 1] - 2 * secant) / step**2
        anti = np.polynomial.Polynomial([y[k], slopes[k], c2, c3]).integ()
        total += float(anti(b - x[k]) - anti(a - x[k]))
    return total


def _curve(bpp: Sequence[float], quality: Sequence[float]) -> tuple[Vector, Vector]:
    """-> (quality ascending, log of bpp), one point for each quality value."""
    if len(bpp) != len(quality):
        raise ValueError(f"bd_rate: {len(bpp)} rates but {len(quality)} quality values")
    points: dict[float, float] = {}
    for rate, value in sorted(zip(bpp, quality, strict=True), reverse=True):
        if rate > 0 and math.isfinite(value):
            points[value] = math.log(rate)  # of equal quality values the cheapest stays
    x = np.array(sorted(points))
    return x, np.array([points[value] for value in x])


def bd_rate(
    anchor_bpp: Sequence[float],
    anchor_quality: Sequence[float],
    bpp: Sequence[float],
    quality: Sequence[float],
) -> float | None:
    """Mean difference of rate at equal quality (PSNR in dB), in percent; negative: fewer bytes.

    Over the range of quality that both curves cover; None where they share none or have under two points.
    """
    x1, y1 = _curve(anchor_bpp, anchor_quality)
    x2, y2 = _curve(bpp, quality)
    if len(x1) < 2 or len(x2) < 2:
        return None
    low, high = max(x1[0], x2[0]), min(x1[-1], x2[-1])
    if high <= low:
        return None
    mean = (_pchip_integral(x2, y2, low, high) - _pchip_integral(x1, y1, low, high)) / (high - low)
    return (math.exp(mean) - 1) * 100
