"""The encoder's half of the data path: a raster -> the payloads of its groups, band by band.

    raster -x-> analysis -> y, z_hat -> scales_first -> context -> scales_second -> rANS
                            ^ + what the decoder's picture lacks of y <- analysis <- synthesis <-|  (effort)

A band is a few rows of groups. Only the latents of one band, and those around it that `context` sees, are
held: memory grows with a picture's width, but not with its height. While networks run on one band, threads
code the groups of the one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import blocks, entropy, planes, windows
from aecodec.container import Header
from aecodec.groups import Group, Groups
from aecodec.loaded import BATCH, SYMBOL_MAX, Model, level_of, quality_of, zeros_of
from aecodec.networks import Float, Index
from aecodec.parallel import Workers, workers, worth
from aecodec.raster import Raster
from aecodec.rolling import Rows
from aecodec.scale_networks import Features
from aecodec.windows import Span

WIDEST = 2560
"""Blocks of a band, as far as one row of groups allows: 10 megapixels."""

Coded = tuple[bytes, entropy.Symbols, entropy.Symbols]
"""The payload of a group, its z and its y."""

FEEDBACK = np.float32(0.8)
"""How much of what feedback() finds is added to y.  Measured: docs/training.md, "A second look"."""


def encode_symbols(
    model: Model, header: Header, raster: Raster, effort: int = 0, hidden: blocks.Mask | None = None
) -> tuple[list[bytes], int]:
    """Pixels -> payloads in raster order of the groups, checksum of the symbols.

    effort: how often the encoder looks at what the decoder will make of its symbols, and mends them.
    hidden [H/64, W/64]: blocks that the networks do not see (blocks.hide). Groups that show nowhere then have
    no bytes."""
    groups, payloads, crc = Groups.of(header).all, [], 0
    halo = model.networks.halo("synthesis")
    bare = blocks.unseen(hidden, groups, halo) if hidden is not None else frozenset()

    with workers(worth(model.networks.threads, header.n_groups)) as pool:
        coming: Iterator[Coded] = (_nothing(model, group) for group in groups)
        if len(bare) < len(groups):
            coming = _Encoder(model, header, raster, effort, hidden, bare, pool).groups()
        for payload, z, y in coming:
            payloads.append(payload)
            crc = entropy.symbols_crc(crc, z, y)
    return payloads, crc


def _nothing(model: Model, group: Group) -> Coded:
    return b"", *zeros_of(model, group)


class _Encoder:
    """One picture on its way."""

    def __init__(
        self,
        model: Model,
        header: Header,
        raster: Raster,
        effort: int,
        hidden: blocks.Mask | None,
        bare: frozenset[int],
        pool: Workers,
    ) -> None:
        """bare: groups that get no bytes."""
        self._model, self._header, self._raster, self._pool = model, header, raster, pool
        self._effort, self._hidden, self._bare = effort, hidden, bare
        self._quality, self._level = quality_of(header), level_of(header)
        self._grid = Groups.of(header)
        self._height, self._width = (side // 4 for side in header.latent_size)
        n, z = model.bundle.n, model.bundle.z
        self._y = Rows(n, 4, self._width, np.float32)  # [N, h, w]
        self._z = Rows(z, 1, self._width, np.float32)  # [Z, h/4, w/4]
        self._index = Rows(n, 4, self._width, np.uint8)  # [N, h, w], of the first half
        self._features: dict[int, Features] = {}  # of each group
        # Nobody asks for latents of bare groups, but a second look, and what context sees around the others.
        self._left_out = frozenset[int]() if effort else bare
        coded = self._blocks_but(self._left_out)
        self._far = blocks.unseen(~coded, self._grid.all, model.networks.halo("context"))
        self._to_code, self._to_see = coded, self._blocks_but(self._far)  # [H/64, W/64]

    def _blocks_but(self, numbers: frozenset[int]) -> blocks.Mask:
        """[H/64, W/64], true in all other groups."""
        mask = np.ones((self._height, self._width), np.bool_)
        for number in numbers:
            blocks.cut(mask, self._grid.all[number])[:] = False
        return mask

    def groups(self) -> Iterator[Coded]:
        """Every group, in raster order."""
        networks, done = self._model.networks, 0
        halo, every = networks.halo("context"), len(self._grid.all)
        limits = networks.halo("analysis"), networks.largest, WIDEST
        waiting: deque[Callable[[], Coded]] = deque()
        for band in self._grid.bands(windows.band_height(self._height, self._width, *limits)):
            bottom = self._grid.bottom(band[-1])
            self._analyse(band, max(0, self._grid.all[done].top // 4 - halo))
            while waiting:
                yield waiting.popleft()()
            ready = band.stop  # groups that have the rows below them that context sees
            while ready < every and ready > done and self._grid.bottom(ready - 1) + halo > bottom:
                ready -= self._grid.per_row
            if ready > done:
                waiting.extend(self._code(range(done, ready)))
                done = ready
        while waiting:
            yield waiting.popleft()()

    def _analyse(self, band: range, first: int) -> None:
        """y, z_hat and index_first of a band; forgets all above the block `first`."""
        networks, grid = self._model.networks, self._grid
        top, bottom = grid.all[band[0]].top // 4, grid.bottom(band[-1])
        new_y, new_z, new_index = (a.move(first, bottom) for a in (self._y, self._z, self._index))
        if self._far:  # windows around others may see what no window makes
            new_y[:], new_z[:], new_index[:] = 0, 0, 0
        rows = windows.span(top, bottom, networks.halo("analysis"), self._height)
        needed: blocks.Mask = np.any(self._to_see[top:bottom], 0)
        made = networks.analysis_band(self._x, rows, self._width, self._quality, needed)
        for column, (y, z_hat) in made:
            new_y[:, :, column.inner(4)] = y[0]
            new_z[:, :, column.inner(1)] = z_hat[0]
        for numbers in grid.batches((n for n in band if n not in self._far), BATCH):
            z_batch = np.stack([self._z.group(grid.all[n]) for n in numbers])  # [G, Z, vh/4, vw/4]
            index, features = networks.scales_first(z_batch, self._level)
            for number, part, found in zip(numbers, index, features, strict=True):
                self._index.group(grid.all[number])[:] = part  # [N, vh, vw]
                self._features[number] = found

    def _x(self, rows: Span, columns: Span) -> list[Float]:
        """[1, 3, H, W] of a window."""
        height, width, _ = self._raster.shape
        y, x = rows.outer(64), columns.outer(64)
        part = self._raster[slice(y.start, min(y.stop, height)), slice(x.start, min(x.stop, width))]
        if self._hidden is not None:
            part = blocks.hide(part, self._hidden[rows.outer(1), columns.outer(1)])
        return [planes.to_network(part)]

    def _code(self, numbers: range) -> list[Callable[[], Coded]]:
        """The groups, whole rows of them, on their way to the coder."""
        if self._effort:
            self._mend(numbers)
        coming = {}
        for number, first, residual, index in self._halves(numbers):
            group = self._grid.all[number]
            if number in self._bare:
                continue
            coming[number] = self._pool.submit(
                self._coded,
                self._z.group(group).astype(np.int16),  # [Z, vh/4, vw/4]
                first.copy(),
                self._index.group(group).copy(),  # [N, vh, vw]
                residual.copy(),
                index,
            )
        for number in numbers:
            self._features.pop(number, None)
            coming.setdefault(number, partial(_nothing, self._model, self._grid.all[number]))
        return [coming[number] for number in numbers]

    def _halves(self, numbers: range) -> Iterator[tuple[int, entropy.Symbols, Float, Index]]:
        """The number of each group that is not left out; symbols of its first half, 0 on the second; what of
        the second half is to be rounded; index_second.  [N, vh, vw] each."""
        networks, grid, n = self._model.networks, self._grid, self._model.bundle.n
        top, bottom = grid.all[numbers[0]].top // 4, grid.bottom(numbers[-1])
        first = np.empty((n, 4 * (bottom - top), 4 * self._width), np.int16)
        residual = np.empty(first.shape, np.float32)
        rows = windows.span(top, bottom, networks.halo("context"), self._height)
        needed: blocks.Mask = np.any(self._to_code[top:bottom], 0)
        made = networks.context_band(self._latents, rows, self._width, self._quality, needed)
        for column, parts in made:
            first[:, :, column.inner(4)], residual[:, :, column.inner(4)] = (part[0] for part in parts)
        for some in grid.batches((n for n in numbers if n not in self._left_out), BATCH):
            places = [_below(grid.all[number], 4 * top) for number in some]
            features = np.stack([self._features[number] for number in some])
            first_batch = np.stack([grid.cut(first, place) for place in places])  # [G, N, vh, vw]
            index = networks.scales_second(features, first_batch, self._level)
            for i, place in enumerate(places):
                yield some[i], grid.cut(first, place), grid.cut(residual, place), index[i]

    def _mend(self, numbers: range) -> None:
        """Adds to y what the decoder's picture lacks of it: other latents give back what rounding, and the
        decoder, take from some.

        Rows of which the band above has seen the first half stay as they are: its means are made of them."""
        networks, grid = self._model.networks, self._grid
        top, bottom = grid.all[numbers[0]].top // 4, grid.bottom(numbers[-1])
        first_row = 4 * networks.halo("context") if top else 0
        y = self._y.rows(top, bottom)  # [N, h, w]
        z_hat = np.ascontiguousarray(self._z.rows(top, bottom)[None])
        kept = partial(planes.clipped, channels=self._header.channels)
        wanted, symbols = y.copy(), np.empty((1, *y.shape), np.float32)
        for _ in range(self._effort):
            for number, first, residual, index in self._halves(numbers):
                second = _round(residual, index, self._model.rounding)
                grid.cut(symbols[0], _below(grid.all[number], 4 * top))[:] = first + second
            lacking = networks.feedback(symbols, z_hat, self._quality, kept)
            y[:, first_row:] += FEEDBACK * (wanted + lacking[0] - y)[:, first_row:]

    def _latents(self, rows: Span, columns: Span) -> list[NDArray[Any]]:
        """y [1, N, h, w], z_hat [1, Z, h/4, w/4] and index_first [1, N, h, w] of a window."""
        held = [a.rows(rows.first, rows.last) for a in (self._y, self._z, self._index)]
        cut = [a[None, :, :, columns.outer(s)] for a, s in zip(held, (4, 1, 4), strict=True)]
        return [np.ascontiguousarray(part) for part in cut]

    def _coded(
        self, z: entropy.Symbols, first: entropy.Symbols, i_first: Index, residual: Float, i_second: Index
    ) -> Coded:
        tables = self._model.tables
        second = _round(residual, i_second, self._model.rounding)  # [N, vh, vw], 0 on the first half
        z_row = tables.z_row[self._header.level]  # [Z]
        payload = entropy.encode_group(tables, z, z_row, first, i_first, second, i_second)
        return payload, z, first + second


def _below(group: Group, top: int) -> Group:
    """The group's place in an array whose first row is `top` of the picture."""
    return Group(group.top - top, group.left, group.height, group.width)


def _round(residual: Float, index: Index, rounding: Float) -> entropy.Symbols:
    """Towards zero by the dead zone of each scale, which saves more bits than it costs quality."""
    size = np.floor(np.abs(residual) + rounding.take(index))
    rounded: Float = np.copysign(np.clip(size, 0, SYMBOL_MAX), residual)
    return rounded.astype(np.int16)
