"""aecodec.tables and aecodec.entropy: the tables file, and groups with and without a context of z."""

from __future__ import annotations

import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
import reference_coder
from coding import laplace_rows

from aecodec import _core, entropy
from aecodec.errors import CorruptError, ModelError, UsageError, from_core
from aecodec.tables import CodingTables, ZContext, load_tables, make_tables, pack_tables

SKIP = 4
LOWEST, ROWS, Z = 64, 84, 3


@pytest.fixture(scope="module")
def plain() -> CodingTables:
    rows, shifts = laplace_rows(), np.zeros(ROWS, np.uint8)
    shifts[54:64] = np.arange(1, 11)
    z_row = (LOWEST + np.arange(64 * Z).reshape(64, Z) % (ROWS - LOWEST)).astype(np.uint8)
    return make_tables(np.concatenate([rows, rows[20:40]]), shifts, SKIP, z_row)


@pytest.fixture(scope="module")
def with_context(plain: CodingTables) -> CodingTables:
    """Weights and steps of all kinds, the largest included."""
    rng = np.random.default_rng(7)
    context = ZContext(
        np.geomspace(1, 3000, ROWS - LOWEST).astype(np.uint16),
        rng.integers(-128, 128, (4, Z)).astype(np.int8),
        np.array([2, 5, 9, 14], np.uint16),
        rng.integers(-128, 128, (5, 7, 5)).astype(np.int8) // 12,
    )
    return make_tables(plain.rows, plain.shifts, SKIP, plain.z_row, context)


@pytest.fixture(params=["plain", "with_context"])
def tables(request: pytest.FixtureRequest) -> CodingTables:
    found: CodingTables = request.getfixturevalue(request.param)
    return found


def test_tables_file(tables: CodingTables) -> None:
    data = pack_tables(tables)
    magic, more = (b"AETB", 0) if tables.z_context is None else (b"AETC", 1 + 40 + 4 * Z + 8 + 175)
    assert data[:8] == struct.pack("<4sHBB", magic, ROWS, SKIP, Z)
    assert len(data) == 8 + ROWS * 33 + 64 * Z + more + 4
    again = load_tables(data)
    for name in ("rows", "shifts", "z_row"):
        assert np.array_equal(getattr(again, name), getattr(tables, name))
    if tables.z_context is not None:
        assert again.z_context is not None
        for name in ("size", "weight", "activity", "step"):
            assert np.array_equal(getattr(again.z_context, name), getattr(tables.z_context, name))
    assert pack_tables(again) == data
    for cut in range(0, len(data), 7):
        with pytest.raises(ModelError):
            load_tables(data[:cut])
    for bit in range(0, 8 * len(data), 5):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModelError):
            load_tables(bytes(damaged))


def test_tables_of_another_size(tables: CodingTables) -> None:
    """Whose checksum is right."""
    data = pack_tables(tables)[:-4]
    for changed, message in ((data[:-1], "within an array"), (data + b"0", "1 bytes too many")):
        with pytest.raises(ModelError, match=message):
            load_tables(changed + struct.pack("<I", _core.crc32c(changed)))


def test_rows_of_z_are_checked(plain: CodingTables, with_context: CodingTables) -> None:
    for tables, row in ((plain, SKIP - 1), (plain, ROWS), (with_context, LOWEST - 1), (with_context, ROWS)):
        z_row = tables.z_row.copy()
        z_row[63, 2] = row
        with pytest.raises(ModelError, match="row of z"):
            make_tables(tables.rows, tables.shifts, SKIP, z_row, tables.z_context)
    with pytest.raises(ModelError, match="skip is 0"):
        make_tables(plain.rows, plain.shifts, 0, plain.z_row)


def test_contexts_that_do_not_fit(with_context: CodingTables) -> None:
    known = with_context.z_context
    assert known is not None
    for changed in (
        replace(known, weight=known.weight[:, :2]),
        replace(known, activity=known.activity[:3]),
        replace(known, step=known.step[:4]),
        replace(known, size=np.ones(0, np.uint16)),
        replace(known, size=np.ones(ROWS - SKIP + 1, np.uint16)),
    ):
        with pytest.raises(ModelError):
            make_tables(with_context.rows, with_context.shifts, SKIP, with_context.z_row, changed)


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (8, 8), (1, 8), (8, 3), (16, 16)]


def drawn(shape: tuple[int, int], spread: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng([seed, spread, *shape])
    return np.clip(np.round(rng.laplace(0, spread, (Z, *shape))), -127, 127).astype(np.int16)


@pytest.mark.parametrize("spread", [1, 5, 100])
@pytest.mark.parametrize("shape", SIZES)
def test_z_context_is_that_of_the_format(
    with_context: CodingTables, shape: tuple[int, int], spread: int
) -> None:
    """Against docs/format.md, section 5.1, in plain Python."""
    z, z_row = drawn(shape, spread), with_context.z_row[40]
    symbols, index = entropy.symbols_of_z(with_context, z, z_row)
    assert symbols.shape == index.shape == (5, Z, *shape)
    context = with_context.z_context
    assert context is not None
    expected = reference_coder.z_symbols(
        z.tolist(),
        z_row.tolist(),
        context.size.tolist(),
        context.weight.tolist(),
        context.activity.tolist(),
        context.step.tolist(),
        LOWEST,
        ROWS,
    )
    assert np.array_equal(symbols, expected[0]) and np.array_equal(index, expected[1])
    assert ((index > 0).sum(0) == 1).all()  # every symbol once


# Changing these bytes changes the format.
PINNED_Z = "0806834ab89f0c95337862aec5e3547dde5adcb3b03bf3bd4b23aa7ead28aae83b3e5e65ef3834daa520683c92092201"


def test_z_in_bytes(with_context: CodingTables) -> None:
    z, z_row = drawn((4, 6), 4), with_context.z_row[12]
    nothing = np.zeros((1, 16, 24), np.int16), np.zeros((1, 16, 24), np.uint8)
    payload = entropy.encode_group(with_context, z, z_row, *nothing, *nothing)
    symbols, index = entropy.symbols_of_z(with_context, z, z_row)
    rows, shifts = with_context.rows.astype(int).tolist(), with_context.shifts.astype(int).tolist()
    assert payload == reference_coder.encode(
        rows, shifts, SKIP, symbols.ravel().tolist(), index.ravel().tolist(), 0
    )
    assert payload.hex() == PINNED_Z


def test_z_beyond_its_range(with_context: CodingTables) -> None:
    z, z_row = drawn((8, 8), 30), with_context.z_row[5]
    z[1, 3, 4] = 128
    with pytest.raises(UsageError, match="symbol 92"):
        entropy.symbols_of_z(with_context, z, z_row)
    z[1, 3, 4] = 0
    for value in (255, -255):
        symbols, index = entropy.symbols_of_z(with_context, z, z_row)
        here = np.argwhere(index[:, 1, 3, 4])[0, 0]
        symbols[here, 1, 3, 4] = value
        payload = _core.encode_group(with_context.core, symbols, index)
        reader = entropy.GroupReader(with_context, payload, z_row, (8, 8))
        with pytest.raises(CorruptError):
            reader.z()


def test_rows_that_are_written_over(with_context: CodingTables) -> None:
    """A caller whose rows lie in the output: they are read before it is written."""
    z, z_row = drawn((8, 8), 3), with_context.z_row[20]
    symbols, index = entropy.symbols_of_z(with_context, z, z_row)
    payload = _core.encode_group(with_context.core, symbols, index)
    out = np.zeros(z.shape, np.int16)
    rows = out.reshape(-1).view(np.uint8)[2:5]
    rows[:] = z_row
    assert with_context.core_context is not None
    _core.GroupDecoder(with_context.core, payload).decode_z(with_context.core_context, rows, out)
    assert np.array_equal(out, z)


def test_a_failure_says_where_and_stays(with_context: CodingTables) -> None:
    z, z_row = np.full((Z, 8, 8), 127, np.int16), with_context.z_row[20]
    symbols, index = entropy.symbols_of_z(with_context, z, z_row)
    symbols[4, -1, 7, 6] += 1
    payload = _core.encode_group(with_context.core, symbols, index)
    decoder, out = _core.GroupDecoder(with_context.core, payload), np.zeros(z.shape, np.int16)
    assert with_context.core_context is not None
    with pytest.raises(_core.CoreError, match=r"at byte [1-9]"):
        decoder.decode_z(with_context.core_context, z_row, out)
    with pytest.raises(_core.CoreError):
        decoder.finish()


def test_damaged_z(with_context: CodingTables) -> None:
    """Cut anywhere or with a bit changed: an error, or other symbols, but nothing else."""
    z, z_row = drawn((8, 8), 3), with_context.z_row[20]
    nothing = np.zeros((1, 32, 32), np.int16), np.zeros((1, 32, 32), np.uint8)
    payload = entropy.encode_group(with_context, z, z_row, *nothing, *nothing)

    def read(data: bytes) -> np.ndarray:
        reader = entropy.GroupReader(with_context, data, z_row, (8, 8))
        found = reader.z()
        reader.first(nothing[1]), reader.second(nothing[1])
        reader.finish()
        return found

    assert np.array_equal(read(payload), z)
    for cut in range(len(payload)):
        with pytest.raises(CorruptError):
            read(payload[:cut])
    unseen = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = read(bytes(damaged))
        except CorruptError:
            continue
        assert np.abs(found).max() <= 127 and not np.array_equal(found, z)
        unseen += 1
    assert unseen < 8 * len(payload) / 10  # the raw bits of escapes: only the group's CRC can tell


def group(seed: int = 29) -> list[np.ndarray]:
    """z [3, 2, 5], then the two halves of y [6, 8, 20] with their indices."""
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-127, 128, (3, 2, 5)).astype(np.int16)]
    colour = (np.arange(8)[:, None] + np.arange(20)) % 2
    for half in range(2):
        index = np.where(colour == half, rng.integers(0, 64, (6, 8, 20)), 0).astype(np.uint8)
        arrays += [np.where(index >= SKIP, rng.integers(-20, 21, index.shape), 0).astype(np.int16), index]
    return arrays


def test_group_round_trip(tables: CodingTables) -> None:
    z, first, index_first, second, index_second = group()
    z_row = tables.z_row[40]
    payload = entropy.encode_group(tables, z, z_row, first, index_first, second, index_second)
    reader = entropy.GroupReader(tables, payload, z_row, (2, 5))
    assert np.array_equal(reader.z(), z)
    assert np.array_equal(reader.first(index_first), first)
    assert np.array_equal(reader.second(index_second), second)
    reader.finish()


def test_group_reader_wants_its_order(tables: CodingTables) -> None:
    z, first, index_first, second, index_second = group()
    z_row = tables.z_row[0]
    payload = entropy.encode_group(tables, z, z_row, first, index_first, second, index_second)
    reader = entropy.GroupReader(tables, payload, z_row, (2, 5))
    with pytest.raises(UsageError):
        reader.first(index_first)
    with pytest.raises(UsageError):
        reader.finish()
    reader.z()
    with pytest.raises(UsageError):
        reader.z()
    with pytest.raises(CorruptError):  # rows of another model
        reader.first(np.full_like(index_first, 200))
    with pytest.raises(CorruptError):
        entropy.GroupReader(tables, payload[:4], z_row, (2, 5))
    with pytest.raises(UsageError):
        entropy.encode_group(tables, z, z_row, first, index_first, second, index_first)
    with pytest.raises(UsageError, match="int32"):
        entropy.encode_group(tables, z.astype(np.int32), z_row, first, index_first, second, index_second)


def test_rows_that_are_none_damage_no_file_before_there_is_one(
    plain: CodingTables, with_context: CodingTables
) -> None:
    assert type(from_core("BAD_INDEX", "")) is CorruptError
    z, first, index_first, second, index_second = group()
    for tables in (plain, with_context):
        with pytest.raises(UsageError, match="BAD_INDEX"):
            wrong = np.full_like(index_first, ROWS)
            entropy.encode_group(tables, z, tables.z_row[0], first, wrong, second, index_second)
    with pytest.raises(UsageError, match="channel 0"):
        entropy.symbols_of_z(with_context, z, np.full(Z, ROWS, np.uint8))


def test_symbols_crc_covers_order_and_sign() -> None:
    z, first, _, second, _ = group()
    y = (first + second).astype(np.int16)
    crc = entropy.symbols_crc(0, z, y)
    assert crc == _core.crc32c(z.astype("<i2").tobytes() + y.astype("<i2").tobytes())
    assert crc != entropy.symbols_crc(0, z, -y)
    assert entropy.symbols_crc(crc, z, y) == _core.crc32c((z.tobytes() + y.tobytes()) * 2)


def test_contexts_keep_no_references(with_context: CodingTables) -> None:
    """Neither when they are made and used, nor when anything about them is refused."""
    known, z_row = with_context.z_context, with_context.z_row[20].copy()
    assert known is not None
    z = drawn((8, 8), 3)
    symbols, index = entropy.symbols_of_z(with_context, z, z_row)
    payload = _core.encode_group(with_context.core, symbols, index)
    arrays = [known.size, known.weight, known.activity, known.step, z_row, z, symbols, index]

    def use() -> None:
        context = _core.ZContext(Z, LOWEST, *arrays[:4])
        context.symbols(z_row, z, symbols, index)
        _core.GroupDecoder(with_context.core, payload).decode_z(context, z_row, z)
        for refused in (
            lambda: _core.ZContext(Z + 1, LOWEST, *arrays[:4]),
            lambda: _core.ZContext(Z, LOWEST, known.size, known.weight, known.activity, known.size),
            lambda: context.symbols(z_row, z[0], symbols, index),
            lambda: context.symbols(z_row, z, symbols, index[:4]),
            lambda: context.symbols(z_row, z, symbols, symbols),
            lambda: _core.GroupDecoder(with_context.core, payload).decode_z(context, z_row[:2], z),
        ):
            with pytest.raises((ValueError, TypeError)):
                refused()

    use()
    before = [sys.getrefcount(a) for a in arrays]
    for _ in range(50):
        use()
    assert [sys.getrefcount(a) for a in arrays] == before
