"""How far apart are two rate-distortion curves? And the metrics of `aecodec compare`, from there.

    bd_rate   Bjontegaard delta rate: piecewise cubic (pchip) log-rate over quality, integrated exactly

No command: rd.py and speed.py use it, tests/test_benchmarks.py pins its values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aecodec.metrics import SHORTEST_SIDE, ms_ssim, psnr

__all__ = ["SHORTEST_SIDE", "Pixels", "bd_rate", "ms_ssim", "psnr"]

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float64]


def bd_rate(
    anchor_bpp: Sequence[float],
    anchor_quality: Sequence[float],
    bpp: Sequence[float],
    quality: Sequence[float],
) -> float | None:
    """Mean difference of rate at equal quality (PSNR in dB), in percent; negative: fewer bytes.

    Over the range of quality that both curves cover; None where they share none or have under two points.
    G. Bjontegaard, Calculation of average PSNR differences between RD-curves, VCEG-M33, 2001, with the
    interpolation of F. N. Fritsch and R. E. Carlson, Monotone piecewise cubic interpolation, 1980.
    """
    from scipy.interpolate import PchipInterpolator

    x1, y1 = _curve(anchor_bpp, anchor_quality)
    x2, y2 = _curve(bpp, quality)
    if len(x1) < 2 or len(x2) < 2:
        return None
    low, high = max(x1[0], x2[0]), min(x1[-1], x2[-1])
    if high <= low:
        return None
    ours, anchor = (float(PchipInterpolator(x, y).integrate(low, high)) for x, y in ((x2, y2), (x1, y1)))
    return (math.exp((ours - anchor) / (high - low)) - 1) * 100


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
