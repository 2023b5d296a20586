"""Pictures that are made up: smooth ones, which a small model learns in a few steps, and ramps."""

from __future__ import annotations

import numpy as np


def smooth(seed: int, height: int = 96, width: int = 112) -> np.ndarray:
    """uint8 [H, W, 3]: a few low-frequency waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64
    planes = []
    for _ in range(3):
        a, b, phase, tilt = rng.uniform(0.3, 1.5, 4)
        planes.append(
            128 + 70 * np.sin(a * x + b * y + 6 * phase) + 30 * tilt * np.cos(3 * b * x - 2 * a * y)
        )
    return np.clip(np.stack(planes, 2), 0, 255).astype(np.uint8)


def ramp(side: int, channels: int, dtype: type) -> np.ndarray:
    """Smooth, but with every bit in use."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint32)
    planes = [rows * (3 + c) + columns * 5 for c in range(channels)]
    return (np.stack(planes, 2) * (1 if dtype == np.uint8 else 37)).astype(dtype)
