"""Real symbols for `benchmarks.entropy`: what the codec hands to its coder, and what they take at least.

pictures -encode()-> symbols and table rows of every group -> 16-letter codes, raw bits -> ideal bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import aecodec
from aecodec import entropy
from aecodec.tables import CodingTables
from benchmarks.tracing import wrapped

PROBABILITY_BITS = 15
TOTAL = 1 << PROBABILITY_BITS
"""Frequencies of a table row add up to this (docs/format.md)."""
LARGEST = 7
"""Magnitude up to which a value is a code of its own."""
ESCAPE = 2 * LARGEST + 1
"""The code of larger ones, which have an Exp-Golomb tail."""


class GroupData(NamedTuple):
    """What the coder gets for one group, in three parts: z, first half, second half."""

    symbols: list[NDArray[np.int16]]
    """[P] each, in coding order, skipped ones of y among them."""
    rows: list[NDArray[np.uint8]]
    """[P] each: their table rows."""


class Work(NamedTuple):
    """The symbols of many groups as the coder sees them; K are coded."""

    groups: list[GroupData]
    row: NDArray[np.uint8]
    """[K] table row of every coded symbol."""
    code: NDArray[np.int32]
    """[K] 0..15, of every coded symbol."""
    raw_bits: int
    """Bits beside the codes: low bits, tails and signs of large values."""
    skipped: int
    """Latent values that are coded by saying nothing: index below skip, on the active half."""


def record(
    codec: aecodec.Codec, images: Iterable[Image.Image], quality: float
) -> tuple[list[GroupData], CodingTables]:
    """Encodes pictures (quality 0..100) -> what every call of the group coder got, the model's tables."""
    groups: list[GroupData] = []
    seen: list[CodingTables] = []

    def keep(original: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(tables: CodingTables, z: Any, z_row: Any, *halves: Any) -> bytes:
            first, index_first, second, index_second = halves
            z_symbols, z_index = entropy.symbols_of_z(tables, z, z_row)
            of_z = z_index >= tables.skip  # in the order in which they are coded
            symbols = [np.array(part, np.int16).ravel() for part in (z_symbols[of_z], first, second)]
            index = [np.array(part, np.uint8).ravel() for part in (z_index[of_z], index_first, index_second)]
            groups.append(GroupData(symbols, index))
            seen.append(tables)
            return original(tables, z, z_row, *halves)

        return call

    with wrapped(entropy, "encode_group", keep):
        for image in images:
            codec.encode(image, quality)
    return groups, seen[0]


def prepare(groups: list[GroupData], tables: CodingTables) -> Work:
    """Symbols -> 16-letter codes and raw bits, by the rules of docs/format.md."""
    symbols = np.concatenate([part for group in groups for part in group.symbols]).astype(np.int64)
    row = np.concatenate([part for group in groups for part in group.rows])
    coded = row >= tables.skip
    values = sum(group.symbols[0].size + group.symbols[1].size for group in groups)
    symbols, row = symbols[coded], row[coded]
    shift = tables.shifts[row].astype(np.int64)
    high = (symbols + ((1 << shift) >> 1)) >> shift
    size = np.abs(high)
    code = np.where(size > LARGEST, ESCAPE, np.where(high > 0, 2 * high - 1, -2 * high))
    tail = size[size > LARGEST] - LARGEST - 1
    raw = int(shift.sum()) + int((2 * np.floor(np.log2(tail + 1)) + 2).sum())  # Exp-Golomb and a sign
    return Work(groups, row, code.astype(np.int32), raw, values - len(symbols))


def ideal_bytes(work: Work, tables: CodingTables) -> float:
    """Information content of the codes under the integer tables, and the raw bits."""
    frequency = frequencies(tables)[work.row, work.code]
    return (float(np.sum(PROBABILITY_BITS - np.log2(frequency))) + work.raw_bits) / 8


def frequencies(tables: CodingTables) -> NDArray[np.int64]:
    """[rows, 16]: how often of TOTAL each code comes, by table row."""
    starts = tables.rows.astype(np.int64)
    return np.diff(np.concatenate([starts, np.full((len(starts), 1), TOTAL)], axis=1), axis=1)
