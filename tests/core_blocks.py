"""Tables and blocks of symbols for the tests of the entropy coder's binding, decoded by one call."""

from __future__ import annotations

import numpy as np
import pytest
from coding import laplace_rows

from aecodec import _core

PATHS = [0, 1] if _core.simd_available() else [0]
SKIP = 4


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return laplace_rows()


@pytest.fixture(scope="module")
def shifts() -> np.ndarray:
    shifts = np.zeros(64, np.uint8)
    shifts[54:] = np.arange(1, 11)
    return shifts


@pytest.fixture(scope="module")
def tables(rows: np.ndarray, shifts: np.ndarray) -> _core.Tables:
    return _core.Tables(rows, shifts, SKIP)


def decode(tables: _core.Tables, payload: bytes, index: np.ndarray, simd: int = -1) -> np.ndarray:
    decoder = _core.GroupDecoder(tables, payload, simd)
    out = np.full(index.shape, 12345, np.int16)
    decoder.decode(index, out)
    decoder.finish()
    return out


def block(n: int, seed: int, extreme: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and indices; a third of the positions skipped."""
    rng = np.random.default_rng(seed)
    skipped, coded = rng.integers(0, SKIP, n), rng.integers(SKIP, 64, n)
    index = np.where(rng.random(n) < 0.33, skipped, coded).astype(np.uint8)
    symbols = rng.integers(-9, 10, n)
    if extreme:
        edges = np.array([-32768, -32767, 32767, 32766, -8, 8, 7, -7, 0, 1023, -1024])
        symbols = np.where(rng.random(n) < 0.5, rng.choice(edges, n), symbols)
    symbols[index < SKIP] = 0
    return symbols.astype(np.int16), index
