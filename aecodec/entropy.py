"""Quantised latents <-> bytes, group by group.  symbols (int16) + index (uint8) -> payload.

    z      int16 [Z, h/4, w/4]    rows by channel (z_row), and by neighbours where the tables have a context
    first  int16 [N, h, w]        index_first   uint8 [N, h, w]
    second int16 [N, h, w]        index_second  uint8 [N, h, w]

h, w: the valid part of the group, at most group_edge. Integers only: the same input gives the same
bytes on every machine. The coder itself is in the C core; see docs/format.md, sections 5 to 7.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aecodec import _core
from aecodec.errors import UsageError, from_core
from aecodec.tables import PASSES, CodingTables

Symbols = NDArray[np.int16]
Index = NDArray[np.uint8]


def _rows_of_z(z_row: Index, height: int, width: int) -> Index:
    """[Z] -> [Z, height, width]"""
    return np.repeat(np.ascontiguousarray(z_row, np.uint8), height * width).reshape(-1, height, width)


def symbols_of_z(tables: CodingTables, z: Symbols, z_row: Index) -> tuple[Symbols, Index]:
    """z [Z, h, w] -> what is coded for it, and the rows: both [passes, Z, h, w].

    Without a context z itself in one pass; with one, five passes of what its neighbours do not tell, with
    index 0 outside the pass. z_row: uint8 [Z]."""
    if tables.core_context is None:
        return z[None], _rows_of_z(z_row, *z.shape[1:])[None]
    symbols, index = np.empty((PASSES, *z.shape), np.int16), np.empty((PASSES, *z.shape), np.uint8)
    try:
        tables.core_context.symbols(np.ascontiguousarray(z_row), np.ascontiguousarray(z), symbols, index)
    except _core.CoreError as error:
        raise UsageError(str(error)) from None
    return symbols, index


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
    kinds = [a.dtype for a in (z, first, second, z_row, index_first, index_second)]
    if kinds != [np.int16] * 3 + [np.uint8] * 3:
        raise UsageError(f"encode_group: int16 and uint8 are needed, not {', '.join(map(str, kinds))}")
    z_symbols, z_index = symbols_of_z(tables, z, z_row)
    symbols = np.concatenate([part.ravel() for part in (z_symbols, first, second)])
    index = np.concatenate([part.ravel() for part in (z_index, index_first, index_second)])
    try:
        return _core.encode_group(tables.core, symbols, index)
    except _core.CoreError as error:  # there is no file yet that could be damaged
        raise UsageError(str(error)) from None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The core's errors about a file as the package's."""
    try:
        yield
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
        self._tables, self._z_row, self._z_size = tables, np.ascontiguousarray(z_row, np.uint8), z_size
        with _told():
            self._decoder = _core.GroupDecoder(tables.core, payload)

    def _enter(self, stage: int) -> None:
        if stage != self._stage:
            raise UsageError("GroupReader: z(), first(), second() and finish() must be called in this order")
        self._stage += 1

    def _read(self, stage: int, index: Index) -> Symbols:
        self._enter(stage)
        index = np.ascontiguousarray(index, np.uint8)
        out = np.empty(index.shape, np.int16)
        with _told():
            self._decoder.decode(index, out)
        return out

    def z(self) -> Symbols:
        """-> int16 [Z, h/4, w/4]"""
        if self._tables.core_context is None:
            return self._read(0, _rows_of_z(self._z_row, *self._z_size))
        self._enter(0)
        out = np.empty((len(self._z_row), *self._z_size), np.int16)
        with _told():
            self._decoder.decode_z(self._tables.core_context, self._z_row, out)
        return out

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
        with _told():
            self._decoder.finish()


def symbols_crc(crc: int, z: Symbols, y: Symbols) -> int:
    """The header's symbol checksum, continued by one group: z, then y with both halves merged.

    Begin with 0 and take the groups in raster order, valid parts only.
    """
    for part in (z, y):
        crc = _core.crc32c(np.ascontiguousarray(part).astype("<i2", copy=False).tobytes(), crc)
    return crc
