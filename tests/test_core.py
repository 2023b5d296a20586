"""The entropy coder through its binding: exact bytes, round trips, damage, threads, leaks."""

from __future__ import annotations

import gc
import sys
import threading
import time

import numpy as np
import pytest
import reference_coder
from coding import draw, frequencies, laplace_rows

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


@pytest.mark.parametrize("simd", PATHS)
def test_everything_can_be_skipped(rows: np.ndarray, shifts: np.ndarray, simd: int) -> None:
    tables = _core.Tables(np.concatenate([rows] * 4), np.concatenate([shifts] * 4), 256)
    index = np.tile(np.arange(256, dtype=np.uint8), 9)
    payload = _core.encode_group(tables, np.zeros(index.size, np.int16), index)
    assert payload == bytes([0, 0, 0, 1, 0])
    assert not decode(tables, payload, index, simd).any()


def test_buffer_types_refused(tables: _core.Tables, rows: np.ndarray, shifts: np.ndarray) -> None:
    index, symbols = np.zeros(10, np.uint8), np.zeros(10, np.int16)
    for call in [
        lambda: _core.Tables(rows.astype(np.int16), shifts, 0),
        lambda: _core.encode_group(tables, symbols.astype(np.int32), index),
        lambda: _core.encode_group(tables, symbols, index.astype(np.int8)),
        lambda: _core.encode_group(tables, symbols.tobytes(), index),
        lambda: _core.encode_group(object(), symbols, index),  # type: ignore[arg-type]
    ]:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError):
        _core.encode_group(tables, symbols[:9], index)
    with pytest.raises((BufferError, ValueError)):
        _core.encode_group(tables, np.zeros(20, np.int16)[::2], index)
    decoder = _core.GroupDecoder(tables, bytes([0, 0, 0, 1, 0]))
    with pytest.raises(ValueError):
        decoder.decode(index, symbols[:9])
    symbols.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        decoder.decode(index, symbols)
    for simd in (2, -2, 1000):
        with pytest.raises(_core.CoreError):
            _core.GroupDecoder(tables, bytes([0, 0, 0, 1, 0]), simd)


def test_other_threads_run_while_coding(tables: _core.Tables) -> None:
    """While one thread sits in a long encode, this one must keep getting the GIL."""
    symbols, index = block(6_000_000, 19)
    done = threading.Event()

    def work() -> None:
        _core.encode_group(tables, symbols, index)
        done.set()

    thread = threading.Thread(target=work)
    ticks = 0
    thread.start()
    while not done.is_set():
        time.sleep(0.001)
        ticks += 1
    thread.join()
    assert ticks >= 5


def test_threads_share_tables(tables: _core.Tables) -> None:
    blocks = [block(50_000, seed, extreme=True) for seed in range(4)]
    failures: list[int] = []

    def work(k: int) -> None:
        symbols, index = blocks[k]
        for _ in range(5):
            if not np.array_equal(decode(tables, _core.encode_group(tables, symbols, index), index), symbols):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_no_references_are_kept(rows: np.ndarray, shifts: np.ndarray) -> None:
    symbols, index = block(500, 23)
    out = np.zeros(500, np.int16)
    tables = _core.Tables(rows, shifts, SKIP)
    payload = _core.encode_group(tables, symbols, index)

    def once() -> None:
        decoder = _core.GroupDecoder(tables, payload)
        decoder.decode(index, out)
        decoder.finish()
        _core.Tables(rows, shifts, SKIP)
        _core.encode_group(tables, symbols, index)
        for bad in [
            lambda: _core.GroupDecoder(tables, payload[:3]),
            lambda: _core.GroupDecoder(tables, payload[:-2]).decode(np.full(5000, 60, np.uint8), out),
            lambda: _core.Tables(rows[::-1], shifts, SKIP),
            lambda: _core.encode_group(tables, symbols, shifts),
            lambda: decoder.decode(np.full(500, 200, np.uint8), out),
        ]:
            with pytest.raises((_core.CoreError, ValueError, BufferError)):
                bad()

    once()
    gc.collect()
    watched = [symbols, index, out, rows, shifts, tables, payload, _core.CoreError, _core.Tables]
    before = [sys.getrefcount(thing) for thing in watched]
    for _ in range(50):
        once()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in watched] == before


def test_payload_is_held_while_decoding(tables: _core.Tables) -> None:
    data = bytearray([0, 0, 0, 1, 0])
    decoder = _core.GroupDecoder(tables, data)
    with pytest.raises(BufferError):
        data.append(0)
    del decoder
    data.append(0)
