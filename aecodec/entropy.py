"""Quantised latents <-> bytes, group by group.  symbols (int16) + index (uint8) -> payload.

    z      int16 [Z, h/4, w/4]    rows by channel (z_row)
    first  int16 [N, h, w]        index_first   uint8 [N, h, w]
    second int16 [N, h, w]        index_second  uint8 [N, h, w]

h, w: the valid part of the group, at most group_edge. Integers only: the same input gives the same
bytes on every machine. The coder itself is in the C core; see docs/format.md, sections 5 to 7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aecodec import _core
from aecodec.errors import CorruptError, ModelError, UsageError, from_core

Symbols = NDArray[np.int16]
Index = NDArray[np.uint8]

LEVELS = 64
ROW = 16
_MAGIC = b"AETB"
_HEAD = struct.Struct("<4sHBB")


@dataclass(frozen=True, slots=True)
class CodingTables:
    """The integer distributions of a model (tables.bin), ready for coding. Shared by threads."""

    rows: NDArray[np.uint16]
    """[n_rows, 16] cumulative starts."""
    shifts: NDArray[np.uint8]
    """[n_rows] low bits of a symbol that are sent raw."""
    skip: int
    """A symbol with index < skip is 0 and is not coded."""
    z_row: Index
    """[64, Z] table row of each z channel at each level."""
    core: _core.Tables = field(repr=False, compare=False)


def make_tables(rows: NDArray[np.uint16], shifts: NDArray[np.uint8], skip: int, z_row: Index) -> CodingTables:
    """Checks the tables. ModelError when they are not valid."""
    rows = np.ascontiguousarray(rows, np.uint16)
    shifts = np.ascontiguousarray(shifts, np.uint8)
    z_row = np.ascontiguousarray(z_row, np.uint8)
    if rows.ndim != 2 or rows.shape[1] != ROW or shifts.shape != rows.shape[:1]:
        raise ModelError(f"tables: rows {rows.shape} and shifts {shifts.shape} do not fit [n, 16] and [n]")
    if z_row.ndim != 2 or z_row.shape[0] != LEVELS:
        raise ModelError(f"tables: z_row has shape {z_row.shape}, [{LEVELS}, Z] is needed")
    if skip < 1:
        raise ModelError("tables: skip is 0, but index 0 must be skipped (it marks the other half)")
    if z_row.size and (int(z_row.min()) < skip or int(z_row.max()) >= len(rows)):
        raise ModelError("tables: a row of z is skipped or does not exist")
    try:
        core = _core.Tables(rows, shifts, skip)
    except ValueError as error:
        raise ModelError(str(error)) from None
    return CodingTables(rows, shifts, skip, z_row, core)


def pack_tables(tables: CodingTables) -> bytes:
    """The bytes of tables.bin."""
    n_rows, channels = len(tables.rows), tables.z_row.shape[1]
    head = _HEAD.pack(_MAGIC, n_rows, tables.skip, channels)
    data = head + tables.rows.astype("<u2").tobytes() + tables.shifts.tobytes() + tables.z_row.tobytes()
    return data + struct.pack("<I", _core.crc32c(data))


def load_tables(data: bytes) -> CodingTables:
    """tables.bin -> CodingTables. ModelError when the bytes are damaged or not valid tables."""
    if len(data) < _HEAD.size + 4:
        raise ModelError(f"tables.bin: {len(data)} bytes are too few; install the model again")
    magic, n_rows, skip, channels = _HEAD.unpack_from(data)
    size = _HEAD.size + n_rows * (2 * ROW + 1) + LEVELS * channels + 4
    if magic != _MAGIC or len(data) != size:
        raise ModelError(f"tables.bin: not a table file of {size} bytes; install the model again")
    if _core.crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ModelError("tables.bin: the checksum does not match; install the model again")
    end_rows = _HEAD.size + n_rows * 2 * ROW
    end_shifts = end_rows + n_rows
    rows = np.frombuffer(data, "<u2", n_rows * ROW, _HEAD.size).astype(np.uint16).reshape(n_rows, ROW)
    shifts = np.frombuffer(data, np.uint8, n_rows, end_rows)
    z_row = np.frombuffer(data, np.uint8, LEVELS * channels, end_shifts).reshape(LEVELS, channels)
    return make_tables(rows, shifts, skip, z_row)


def _rows_of_z(z_row: Index, height: int, width: int) -> Index:
    """[Z] -> [Z, height, width]"""
    return np.repeat(np.ascontiguousarray(z_row, np.uint8), height * width).reshape(-1, height, width)


def encode_group(
    tables: CodingTables,
    z: Symbols,
    z_row: Index,
    first: Symbols,
    index_first: Index,
    second: Symbols,
    index_second: Index,
) -> bytes:
    """The payload of one group. z_row: uint8 [Z], the row of tables.z_row of the file's level.

    Symbols at positions with index < skip must be 0 (UsageError).
    """
    if z.shape[:1] != z_row.shape or first.shape != index_first.shape or second.shape != index_second.shape:
        raise UsageError("encode_group: symbols and indices do not have the same shapes")
    symbols = np.concatenate([part.ravel() for part in (z, first, second)])
    index = np.concatenate(
        [part.ravel() for part in (_rows_of_z(z_row, *z.shape[1:]), index_first, index_second)]
    )
    if symbols.dtype != np.int16 or index.dtype != np.uint8:
        raise UsageError(f"encode_group: int16 and uint8 are needed, not {symbols.dtype} and {index.dtype}")
    try:
        return _core.encode_group(tables.core, symbols, index)
    except _core.CoreError as error:
        raise from_core(error.name, str(error)) from None


class GroupReader:
    """One payload being decoded: z(), first(index), second(index), finish(), in this order.

    index_second depends on the symbols of first(), so the caller runs a scale network in between.
    CorruptError when the payload is damaged; nothing that was read may be used then.
    """

    def __init__(
        self, tables: CodingTables, payload: bytes | memoryview, z_row: Index, z_size: tuple[int, int]
    ) -> None:
        """z_row: uint8 [Z]; z_size: (height, width) of the group's z."""
        self._stage = 0
        self._z_index = _rows_of_z(z_row, *z_size)
        try:
            self._decoder = _core.GroupDecoder(tables.core, payload)
        except _core.CoreError as error:
            raise self._error(error) from None

    @staticmethod
    def _error(error: _core.CoreError) -> Exception:
        if error.name == "BAD_INDEX":
            return CorruptError(f"{error}; the file's model has other tables")
        return from_core(error.name, str(error))

    def _read(self, stage: int, index: Index) -> Symbols:
        if stage != self._stage:
            raise UsageError("GroupReader: z(), first(), second() and finish() must be called in this order")
        self._stage += 1
        index = np.ascontiguousarray(index, np.uint8)
        out = np.empty(index.shape, np.int16)
        try:
            self._decoder.decode(index, out)
        except _core.CoreError as error:
            raise self._error(error) from None
        return out

    def z(self) -> Symbols:
        """-> int16 [Z, h/4, w/4]"""
        return self._read(0, self._z_index)

    def first(self, index: Index) -> Symbols:
        """uint8 [N, h, w] -> int16 [N, h, w], 0 where index < skip"""
        return self._read(1, index)

    def second(self, index: Index) -> Symbols:
        """uint8 [N, h, w] -> int16 [N, h, w], 0 where index < skip"""
        return self._read(2, index)

    def finish(self) -> None:
        """CorruptError unless the payload ended exactly here."""
        if self._stage != 3:
            raise UsageError("GroupReader: finish() comes after second()")
        try:
            self._decoder.finish()
        except _core.CoreError as error:
            raise self._error(error) from None


def symbols_crc(crc: int, z: Symbols, y: Symbols) -> int:
    """The header's symbol checksum, continued by one group: z, then y with both halves merged.

    Begin with 0 and take the groups in raster order, valid parts only.
    """
    for part in (z, y):
        crc = _core.crc32c(np.ascontiguousarray(part).astype("<i2", copy=False).tobytes(), crc)
    return crc
