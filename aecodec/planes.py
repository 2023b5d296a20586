"""Samples <-> the planes that the networks see.

[H, W, C] --to_network--> float32 [1, 3, H', W'] in 0..1, sides padded to multiples of 64
float32 [1, 3, H', W'] --from_network--> [H, W, C]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8 | np.uint16]

MULTIPLE = 64
LUMA = (0.299, 0.587, 0.114)


def kind_of(depth: int) -> type[np.uint8] | type[np.uint16]:
    """The samples of 8 or 16 bits."""
    return np.uint8 if depth == 8 else np.uint16


def to_network(pixels: Pixels) -> NDArray[np.float32]:
    """[H, W, 1 or 3] -> float32 [1, 3, H', W'] in 0..1; edges repeated to multiples of 64."""
    height, width, channels = pixels.shape
    # Padded as integers, where a copy costs a quarter.
    edges = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
    planes = np.pad(pixels, edges, mode="edge").transpose(2, 0, 1)
    x = np.empty((1, 3, *planes.shape[1:]), np.float32)
    np.multiply(planes, np.float32(1 / np.iinfo(pixels.dtype).max), out=x[0], dtype=np.float32)
    return x


def from_network(
    x_hat: NDArray[np.float32], height: int, width: int, channels: int, depth: int = 8
) -> Pixels:
    """float32 [1, 3, H', W'] in 0..1 -> uint8 or uint16 [height, width, channels]; grey is the luma."""
    x = x_hat[0, :, :height, :width]
    if channels == 1:
        x = np.tensordot(np.asarray(LUMA, np.float32), x, 1)[None]
    out: Pixels = np.empty((height, width, channels), kind_of(depth))
    largest = np.iinfo(out.dtype).max
    for plane in range(channels):
        values = np.multiply(x[plane], np.float32(largest), dtype=np.float32)
        out[:, :, plane] = np.clip(np.rint(values, out=values), 0, largest, out=values)
    return out


def clipped(x_hat: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """[1, 3, H, W] -> itself as from_network() and to_network() would leave it, but not rounded."""
    if channels == 1:
        x_hat[:] = np.tensordot(np.asarray(LUMA, np.float32), x_hat[0], 1)
    return np.clip(x_hat, 0, 1, out=x_hat)
