"""The entropy coder through its binding: exact bytes, round trips, lanes, the rate."""

from __future__ import annotations

import numpy as np
import pytest
import reference_coder
from coding import draw, frequencies
from core_blocks import PATHS, SKIP, block, decode, rows, shifts, tables

from aecodec import _core

__all__ = ["rows", "shifts", "tables"]  # fixtures


def test_crc32c_check_values() -> None:
    assert _core.crc32c(b"123456789") == 0xE3069283
    assert _core.crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert _core.crc32c(b"6789", _core.crc32c(b"12345")) == 0xE3069283


# Two lanes, escapes, shifts and a skipped symbol. Changing these bytes changes the format.
PINNED_SYMBOLS = [0, 1, -1, 7, -7, 8, -8, 100, -32768, 32767, 0, 5]
PINNED_INDEX = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2, 19]
PINNED = {
    0: "080bd2b87f13e8fff1ffe8fffa7ff87f0dec0000f3ff00987f2b10",
    1: "090bb5de730cede00100e5fffe7ffe7ff8fff87f0dec0000f3ff00987f2b10",
}


def pinned_tables() -> tuple[list[list[int]], list[int]]:
    """The tables of tests/c/tables.h."""
    rows = []
    for r in range(20):
        freq = [1 + (16000 >> (c * (20 - r) // 8)) for c in range(16)]
        parts = [1 + (f - 1) * (32768 - 16) // sum(freq) for f in freq]
        rows.append([sum(parts[:c]) for c in range(16)])
    return rows, [0] * 12 + [min(r - 9, 10) for r in range(12, 20)]


@pytest.mark.parametrize("lanes", PINNED)
def test_exact_bytes(lanes: int) -> None:
    rows, shifts = pinned_tables()
    tables = _core.Tables(np.array(rows, np.uint16), np.array(shifts, np.uint8), 3)
    symbols, index = np.array(PINNED_SYMBOLS, np.int16), np.array(PINNED_INDEX, np.uint8)
    payload = _core.encode_group(tables, symbols, index, lanes)
    assert payload.hex() == PINNED[lanes]
    assert decode(tables, bytes.fromhex(PINNED[lanes]), index).tolist() == PINNED_SYMBOLS


@pytest.mark.parametrize("lanes", range(6))
@pytest.mark.parametrize("extreme", [False, True])
def test_same_bytes_as_the_reference(
    tables: _core.Tables, rows: np.ndarray, shifts: np.ndarray, lanes: int, extreme: bool
) -> None:
    symbols, index = block(1500, 7 * lanes + extreme, extreme)
    expected = reference_coder.encode(
        rows.tolist(), shifts.tolist(), SKIP, symbols.tolist(), index.tolist(), lanes
    )
    assert _core.encode_group(tables, symbols, index, lanes) == expected


@pytest.mark.parametrize("simd", PATHS)
@pytest.mark.parametrize("lanes", range(-1, 6))
@pytest.mark.parametrize("n", [0, 1, 9, 1023, 1025, 20_000])
def test_round_trip(tables: _core.Tables, n: int, lanes: int, simd: int) -> None:
    symbols, index = block(n, n + lanes + 1, extreme=True)
    payload = _core.encode_group(tables, symbols, index, lanes)
    assert np.array_equal(decode(tables, payload, index, simd), symbols)


@pytest.mark.parametrize("simd", PATHS)
def test_every_int16_with_every_shift(rows: np.ndarray, simd: int) -> None:
    symbols = np.arange(-32768, 32768).astype(np.int16)
    for shift in range(11):
        tables = _core.Tables(rows[40:41], np.array([shift], np.uint8), 0)
        index = np.zeros(symbols.size, np.uint8)
        payload = _core.encode_group(tables, symbols, index)
        assert np.array_equal(decode(tables, payload, index, simd), symbols)


def test_lanes_by_number_of_coded_symbols(tables: _core.Tables) -> None:
    sizes = [(4095, 0), (4096, 1), (16383, 1), (16384, 2), (32767, 2), (32768, 3), (65535, 3), (65536, 4)]
    for n, lanes in sizes:
        index = np.full(n + 500, 20, np.uint8)
        index[:500] = 0  # skipped: not counted
        assert _core.encode_group(tables, np.zeros(n + 500, np.int16), index)[0] & 7 == lanes


def test_skipped_symbols_cost_nothing(tables: _core.Tables) -> None:
    index = np.full(100_000, SKIP - 1, np.uint8)
    payload = _core.encode_group(tables, np.zeros(100_000, np.int16), index)
    assert payload == bytes([0, 0, 0, 1, 0])
    assert not decode(tables, payload, index).any()


@pytest.mark.parametrize("simd", PATHS)
def test_everything_can_be_skipped(rows: np.ndarray, shifts: np.ndarray, simd: int) -> None:
    tables = _core.Tables(np.concatenate([rows] * 4), np.concatenate([shifts] * 4), 256)
    index = np.tile(np.arange(256, dtype=np.uint8), 9)
    payload = _core.encode_group(tables, np.zeros(index.size, np.int16), index)
    assert payload == bytes([0, 0, 0, 1, 0])
    assert not decode(tables, payload, index, simd).any()


def test_rate_is_the_entropy(tables: _core.Tables, rows: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    index = rng.integers(SKIP, 40, 200_000).astype(np.uint8)
    symbols = draw(rows, index, SKIP, rng)
    code = np.where(symbols > 0, 2 * symbols - 1, -2 * symbols)
    ok = code < 15
    index, symbols, code = index[ok], symbols[ok], code[ok]
    bits = -np.log2(frequencies(rows)[index, code] / 32768).sum()
    size = len(_core.encode_group(tables, symbols.copy(), index.copy(), 0))
    assert bits / 8 <= size <= 1.001 * bits / 8 + 8
