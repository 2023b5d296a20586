"""The integer distributions of a model, tables.bin, as docs/format.md, section 7, has them.

AETB   rows, shifts, and for each level and channel of z a row
AETC   the same, and what the neighbours of z say about it (section 5.1)
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import _core
from aecodec.errors import ModelError

Index = NDArray[np.uint8]

LEVELS = 64
ROW = 16
PASSES, SIZES, ACTIVITIES = 5, 7, 5
"""Of the context of z: passes over a group, classes of the neighbours' sizes, classes of their sum."""
_PLAIN, _WITH_CONTEXT = b"AETB", b"AETC"
_HEAD = struct.Struct("<4sHBB")
_INSTALL = "install the model again"


@dataclass(frozen=True, slots=True)
class ZContext:
    """What the neighbours that are decoded before a symbol of z say about it."""

    size: NDArray[np.uint16]
    """[rows of z] mean |z| that a row expects, in 192nds; the rows of z are the last ones of the tables."""
    weight: NDArray[np.int8]
    """[4, Z] what of the neighbours' mean predicts the symbol, in 64ths, for each pass but the first."""
    activity: NDArray[np.uint16]
    """[4] edges of the classes of the sum."""
    step: NDArray[np.int8]
    """[5, 7, 5] rows to go from that of the channel, by pass, size and activity."""


@dataclass(frozen=True, slots=True)
class CodingTables:
    """The integer distributions of a model, ready for coding. Shared by threads."""

    rows: NDArray[np.uint16]
    """[n_rows, 16] cumulative starts."""
    shifts: NDArray[np.uint8]
    """[n_rows] low bits of a symbol that are sent raw."""
    skip: int
    """A symbol with index < skip is 0 and is not coded."""
    z_row: Index
    """[64, Z] table row of each z channel at each level."""
    z_context: ZContext | None
    """None: the row of the channel codes the symbol, whatever its neighbours."""
    core: _core.Tables = field(repr=False, compare=False)
    core_context: _core.ZContext | None = field(repr=False, compare=False)


def make_tables(
    rows: NDArray[np.uint16],
    shifts: NDArray[np.uint8],
    skip: int,
    z_row: Index,
    z_context: ZContext | None = None,
) -> CodingTables:
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
    lowest = skip if z_context is None else len(rows) - len(z_context.size)
    if lowest < skip or (z_row.size and (int(z_row.min()) < lowest or int(z_row.max()) >= len(rows))):
        raise ModelError("tables: a row of z is skipped or does not exist")
    try:
        core = _core.Tables(rows, shifts, skip)
        context = None if z_context is None else _context(z_context, lowest, z_row.shape[1])
    except ValueError as error:
        raise ModelError(str(error)) from None
    return CodingTables(rows, shifts, skip, z_row, z_context, core, context)


def _context(context: ZContext, lowest: int, channels: int) -> _core.ZContext:
    size, activity = (np.ascontiguousarray(a, np.uint16) for a in (context.size, context.activity))
    weight, step = (np.ascontiguousarray(a, np.int8) for a in (context.weight, context.step))
    return _core.ZContext(channels, lowest, size, weight, activity, step)


def pack_tables(tables: CodingTables) -> bytes:
    """The bytes of tables.bin."""
    n_rows, channels = len(tables.rows), tables.z_row.shape[1]
    magic = _PLAIN if tables.z_context is None else _WITH_CONTEXT
    head = _HEAD.pack(magic, n_rows, tables.skip, channels)
    data = head + tables.rows.astype("<u2").tobytes() + tables.shifts.tobytes() + tables.z_row.tobytes()
    if tables.z_context is not None:
        context = tables.z_context
        data += bytes([n_rows - len(context.size)]) + context.size.astype("<u2").tobytes()
        data += context.weight.astype(np.int8).tobytes() + context.activity.astype("<u2").tobytes()
        data += context.step.astype(np.int8).tobytes()
    return data + struct.pack("<I", _core.crc32c(data))


def load_tables(data: bytes) -> CodingTables:
    """tables.bin -> CodingTables. ModelError when the bytes are damaged or not valid tables."""
    if len(data) < _HEAD.size + 4:
        raise ModelError(f"tables.bin: {len(data)} bytes are too few; {_INSTALL}")
    magic, n_rows, skip, channels = _HEAD.unpack_from(data)
    if magic not in (_PLAIN, _WITH_CONTEXT):
        raise ModelError(f"tables.bin: not a table file; {_INSTALL}")
    if _core.crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise ModelError(f"tables.bin: the checksum does not match; {_INSTALL}")
    fields = _Fields(data[:-4], _HEAD.size)
    rows = fields.take("<u2", n_rows, ROW).astype(np.uint16)
    shifts, z_row = fields.take("u1", n_rows), fields.take("u1", LEVELS, channels)
    context = None
    if magic == _WITH_CONTEXT:
        (lowest,) = fields.take("u1", 1)
        context = ZContext(
            fields.take("<u2", max(0, n_rows - int(lowest))).astype(np.uint16),
            fields.take("i1", PASSES - 1, channels),
            fields.take("<u2", ACTIVITIES - 1).astype(np.uint16),
            fields.take("i1", PASSES, SIZES, ACTIVITIES),
        )
    fields.end()
    return make_tables(rows, shifts, skip, z_row, context)


class _Fields:
    """Arrays one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, kind: str, *shape: int) -> NDArray[Any]:
        count = int(np.prod(shape))
        size = count * np.dtype(kind).itemsize
        if self._at + size > len(self._data):
            raise ModelError(f"tables.bin ends at byte {len(self._data)}, within an array; {_INSTALL}")
        self._at += size
        return np.frombuffer(self._data, kind, count, self._at - size).reshape(shape)

    def end(self) -> None:
        if self._at != len(self._data):
            raise ModelError(f"tables.bin: {len(self._data) - self._at} bytes too many; {_INSTALL}")
