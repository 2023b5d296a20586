"""constriction's range coder as an independent judge of the coded length: same integer tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from coding import VALUES, draw, frequencies, laplace_rows

from aecodec import _core

constriction = pytest.importorskip("constriction")

SKIP = 0
N = 300_000


def block() -> tuple[_core.Tables, np.ndarray, np.ndarray, np.ndarray]:
    """Tables, index, symbols without escapes, codes."""
    rng = np.random.default_rng(5)
    rows = laplace_rows(24, 0.15, 3.0)
    index = rng.integers(0, 24, N).astype(np.uint8)
    symbols = draw(rows, index, SKIP, rng)
    keep = np.isin(symbols, VALUES)
    index, symbols = np.ascontiguousarray(index[keep]), np.ascontiguousarray(symbols[keep])
    code = np.where(symbols > 0, 2 * symbols - 1, -2 * symbols).astype(np.int32)
    return _core.Tables(rows, np.zeros(24, np.uint8), SKIP), index, symbols, code


def oracle_bytes(index: np.ndarray, code: np.ndarray) -> int:
    """All symbols of a row with its integer frequencies as the model, row after row."""
    freq = frequencies(laplace_rows(24, 0.15, 3.0))
    encoder = constriction.stream.queue.RangeEncoder()
    for row in range(24):
        model = constriction.stream.model.Categorical((freq[row] / 32768).astype(np.float64), perfect=False)
        encoder.encode(code[index == row], model)
    return 4 * len(encoder.get_compressed())


def test_length_agrees_with_the_oracle() -> None:
    tables, index, symbols, code = block()
    ours = len(_core.encode_group(tables, symbols, index, 0))
    theirs = oracle_bytes(index, code)
    assert abs(ours / theirs - 1) < 0.001, f"{ours} bytes, the oracle needs {theirs}"


def test_the_oracle_can_object() -> None:
    """The tolerance is tight enough to notice rows that are off by one."""
    tables, index, symbols, code = block()
    theirs = oracle_bytes(index, code)
    wrong = np.maximum(index, 1) - 1
    assert len(_core.encode_group(tables, symbols, wrong.astype(np.uint8), 0)) / theirs - 1 > 0.001


def test_lanes_cost_what_their_states_cost(record_property: Callable[[str, object], None]) -> None:
    """A further lane costs 4 bytes of state, give or take the rounding of the words."""
    tables, index, symbols, _ = block()
    sizes = [len(_core.encode_group(tables, symbols, index, lanes)) for lanes in range(6)]
    for lanes, size in enumerate(sizes):
        record_property(f"bytes_{1 << lanes}_lanes", size)
        assert abs(size - sizes[0] - 4 * ((1 << lanes) - 1)) <= 64
