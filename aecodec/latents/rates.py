"""Where a file spends its bits: latents -> bits of each position of y and of z.

The length of a symbol is that of its code in the integer tables, with its raw bits (docs/format.md,
section 6). What is unusual costs more, so a map of the rate is a map of surprise. Where blocks are coded as
pixels it is what the networks would take (reading.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec import entropy
from aecodec.groups import Groups
from aecodec.latents.reading import Latents
from aecodec.loaded import BATCH, level_of
from aecodec.tables import ROW, CodingTables

Float = NDArray[np.float32]
TOTAL = 1 << 15
"""What the frequencies of a row add up to."""
ESCAPE = ROW - 1


def indices(latents: Latents) -> NDArray[np.uint8]:
    """[N, h, w]: the table row of each symbol of y, by the scale networks again."""
    networks, header = latents.model.networks, latents.header
    groups = Groups.of(header)
    out = np.zeros(latents.symbols.shape[1:], np.uint8)
    channels = np.arange(len(out))[:, None, None] < len(out) // 2
    for numbers in groups.batches(range(len(groups.all)), BATCH):
        batch = [groups.all[number] for number in numbers]
        z_hat = np.stack([groups.cut(latents.z_hat[0], group, of_z=True) for group in batch])
        first, features = networks.scales_first(z_hat, level_of(header))
        symbols = np.stack([groups.cut(latents.symbols[0], group) for group in batch])  # [G, N, vh, vw]
        rows, columns = (np.arange(side) for side in symbols.shape[2:])
        even = np.add.outer(rows, columns) % 2 == 0
        half = (symbols * np.where(channels, even, ~even)).astype(np.int16)
        second = networks.scales_second(features, half, level_of(header))
        for group, index in zip(batch, first + second, strict=True):  # 0 where the other half is
            groups.cut(out, group)[:] = index
    return out


def of_y(latents: Latents) -> Float:
    """[h, w]: bits of all channels of y together."""
    tables, symbols = latents.model.tables, latents.symbols[0]
    index = indices(latents)
    bits: Float = lengths(tables, symbols.astype(np.int32), index).sum(0, dtype=np.float32)
    return bits


def of_z(latents: Latents) -> Float:
    """[h/4, w/4]: bits of all channels of z together."""
    tables, header, z = latents.model.tables, latents.header, latents.z_hat[0].astype(np.int16)
    bits = np.zeros(z.shape[1:], np.float32)
    for group in Groups.of(header).all:
        of_group = Groups.cut(z, group, of_z=True)
        symbols, index = entropy.symbols_of_z(tables, of_group, tables.z_row[header.level])
        found = lengths(tables, symbols.astype(np.int32), index)  # [passes, Z, vh/4, vw/4]
        Groups.cut(bits[None], group, of_z=True)[0] = found.sum((0, 1), dtype=np.float32)
    return bits


def lengths(tables: CodingTables, symbols: NDArray[np.int32], index: NDArray[np.uint8]) -> Float:
    """Bits of each symbol in the row of its index; 0 where it is skipped. One shape for all."""
    edges = np.concatenate([tables.rows.astype(np.int64), np.full((len(tables.rows), 1), TOTAL)], 1)
    of_code = -np.log2(np.diff(edges, axis=1) / TOTAL)  # [n_rows, 16]
    shift = tables.shifts.astype(np.int32)[index]
    high = (symbols + ((1 << shift) >> 1)) >> shift
    size = np.abs(high)
    code = np.minimum(np.where(high > 0, 2 * high - 1, 2 * size), ESCAPE)
    # An escape: Exp-Golomb of |high| - 7, and the sign.
    prefix = np.floor(np.log2(np.maximum(size - 7, 1)))
    raw = shift + np.where(code == ESCAPE, 2 * prefix + 2, 0)
    return np.where(index >= tables.skip, of_code[index, code] + raw, 0).astype(np.float32)
