"""The entropy coder through its binding: damaged payloads, wrong indices, tables that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from core_blocks import PATHS, SKIP, block, decode, rows, shifts, tables

from aecodec import _core

__all__ = ["rows", "shifts", "tables"]  # fixtures


@pytest.mark.parametrize("simd", PATHS)
@pytest.mark.parametrize("lanes", [0, 3, 5])
def test_cut_at_every_byte(tables: _core.Tables, lanes: int, simd: int) -> None:
    symbols, index = block(800, 11, extreme=True)
    payload = _core.encode_group(tables, symbols, index, lanes)
    for cut in range(len(payload)):
        with pytest.raises(_core.CoreError) as caught:
            decode(tables, payload[:cut], index, simd)
        assert caught.value.name in ("TRUNCATED", "CORRUPT")
        assert 0 <= caught.value.offset <= cut


@pytest.mark.parametrize("lanes", [0, 5])
def test_every_flipped_bit_is_seen_or_changes_symbols(tables: _core.Tables, lanes: int) -> None:
    """No flip decodes to the same symbols unseen: no bit of a payload is without meaning."""
    symbols, index = block(400, 13, extreme=True)
    payload = _core.encode_group(tables, symbols, index, lanes)
    crc = _core.crc32c(payload)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        assert _core.crc32c(damaged) != crc
        results = []
        for simd in PATHS:
            try:
                results.append(decode(tables, bytes(damaged), index, simd).tobytes())
            except _core.CoreError as error:
                results.append(f"{error}".encode())
        assert all(r == results[0] for r in results)
        assert results[0] != symbols.tobytes()


def test_a_failure_stays(tables: _core.Tables) -> None:
    index = np.full(50, 30, np.uint8)
    payload = _core.encode_group(tables, np.full(50, 3, np.int16), index)
    decoder = _core.GroupDecoder(tables, payload[:-2])
    out = np.zeros(50, np.int16)
    first, empty = (lambda: decoder.decode(index, out)), (lambda: decoder.decode(index[:0], out[:0]))
    for call in (first, empty, decoder.finish):
        with pytest.raises(_core.CoreError) as caught:
            call()
        assert caught.value.name == "TRUNCATED"
        assert caught.value.status == 4
        assert f"byte {caught.value.offset}" in str(caught.value)


def test_decoding_too_few_or_too_many(tables: _core.Tables) -> None:
    symbols, index = block(3000, 17)
    payload = _core.encode_group(tables, symbols, index)
    with pytest.raises(_core.CoreError):
        decode(tables, payload, index[:-20])
    with pytest.raises(_core.CoreError):
        decode(tables, payload, np.append(index, np.full(200, 60, np.uint8)))


@pytest.mark.parametrize("simd", PATHS)
def test_wrong_index(tables: _core.Tables, simd: int) -> None:
    index = np.full(100, 30, np.uint8)
    payload = _core.encode_group(tables, np.zeros(100, np.int16), index)
    for position in (0, 50, 99):
        wrong = index.copy()
        wrong[position] = 64
        with pytest.raises(_core.CoreError) as caught:
            decode(tables, payload, wrong, simd)
        assert caught.value.name == "BAD_INDEX"
        with pytest.raises(_core.CoreError) as caught:
            _core.encode_group(tables, np.zeros(100, np.int16), wrong)
        assert caught.value.offset == position


def test_skipped_symbol_must_be_zero(tables: _core.Tables) -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.encode_group(tables, np.array([0, 1], np.int16), np.zeros(2, np.uint8))
    assert (caught.value.name, caught.value.offset) == ("BAD_SYMBOL", 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.__setitem__((5, 0), 1),
        lambda r: r.__setitem__((5, 3), r[5, 2]),
        lambda r: r.__setitem__((5, 15), 32768),
        lambda r: r.__setitem__((5, 15), 65535),
        lambda r: r.__setitem__((5, 7), r[5, 9]),
    ],
)
def test_tables_refused(rows: np.ndarray, shifts: np.ndarray, damage: object) -> None:
    bad = rows.copy()
    damage(bad)  # type: ignore[operator]
    with pytest.raises(ValueError, match="row 5"):
        _core.Tables(bad, shifts, SKIP)


def test_table_arguments_refused(rows: np.ndarray, shifts: np.ndarray) -> None:
    for bad in [
        (rows, np.full(64, 11, np.uint8), 4),
        (rows, shifts, 65),
        (rows, shifts, -1),
        (rows[:-1], shifts, 4),
        (rows[:0], shifts[:0], 0),
        (np.concatenate([rows] * 5), np.concatenate([shifts] * 5), 0),
    ]:
        with pytest.raises(ValueError, match="tables"):
            _core.Tables(*bad)
    assert _core.Tables(np.concatenate([rows] * 4), np.concatenate([shifts] * 4), 256)
