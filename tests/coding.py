"""Tables and symbol blocks for the coder's tests: distributions like a model's, drawn exactly."""

from __future__ import annotations

import numpy as np

VALUES = np.array([0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7])


def laplace_rows(n: int = 64, smallest: float = 0.11, largest: float = 20.0) -> np.ndarray:
    """uint16 [n, 16]: cumulative starts of discretised Laplace distributions, scales log-spaced."""
    rows = np.zeros((n, 16), np.uint16)
    for r, scale in enumerate(np.geomspace(smallest, largest, n)):
        p = np.exp(-np.abs(VALUES) / scale)
        tail = 2 * np.exp(-8 / scale) / (1 - np.exp(-1 / scale))
        p = np.append(p, tail)
        freq = np.maximum(1, np.floor(p / p.sum() * (32768 - 16))).astype(np.int64)
        freq[0] += 32768 - freq.sum()
        rows[r, 1:] = np.cumsum(freq)[:-1]
    return rows


def frequencies(rows: np.ndarray) -> np.ndarray:
    """uint16 [n, 16] starts -> int64 [n, 16] frequencies, each row summing to 2^15."""
    return np.diff(np.concatenate([rows.astype(np.int64), np.full((len(rows), 1), 32768)], axis=1), axis=1)


def draw(rows: np.ndarray, index: np.ndarray, skip: int, rng: np.random.Generator) -> np.ndarray:
    """int16 symbols drawn from the rows; an escape becomes +-8; 0 where skipped."""
    slot = rng.integers(0, 32768, index.size)
    code = (rows[index].astype(np.int64) <= slot[:, None]).sum(axis=1) - 1
    symbols = np.append(VALUES, 8)[code].astype(np.int16)
    symbols[index < skip] = 0
    return symbols
