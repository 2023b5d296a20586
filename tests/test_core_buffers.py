"""The entropy coder through its binding: types of buffers, threads, references that leak or are held."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from core_blocks import SKIP, block, decode, rows, shifts, tables

from aecodec import _core

__all__ = ["rows", "shifts", "tables"]  # fixtures


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


def long_coding(tables: _core.Tables, what: str) -> Callable[[], object]:
    if what == "group":
        symbols, index = block(6_000_000, 19)
        return lambda: _core.encode_group(tables, symbols, index)
    arrays = [np.ones(n, kind) for n, kind in ((8, np.uint16), (24, np.int8), (4, np.uint16), (175, np.int8))]
    context, z = _core.ZContext(6, 1, *arrays), np.zeros((6, 500, 500), np.int16)
    out = [np.empty((5, *z.shape), kind) for kind in (np.int16, np.uint8)]
    return lambda: context.symbols(np.ones(6, np.uint8), z, *out)


@pytest.mark.parametrize("what", ["group", "z"])
def test_other_threads_run_while_coding(tables: _core.Tables, what: str) -> None:
    """While one thread sits in a long encode, this one must keep getting the GIL."""
    code = long_coding(tables, what)

    def ticks_meanwhile() -> int:
        coding: list[float] = []

        def work() -> None:
            coding.append(time.monotonic())
            code()
            coding.append(time.monotonic())

        thread = threading.Thread(target=work)
        ticks = []
        thread.start()
        while len(coding) < 2:
            time.sleep(0.001)
            ticks.append(time.monotonic())
        thread.join()
        return sum(coding[0] < tick < coding[1] for tick in ticks)

    # More than once: other processes may keep the CPUs from this thread, and without the GIL it never ticks.
    assert any(ticks_meanwhile() >= 5 for _ in range(20))


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
