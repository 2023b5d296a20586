"""The decoder's half of the data path: payloads -> symbols -> pixels, band by band.

    groups -rANS, scales-> z_hat, symbols -synthesis-> x_hat -> pixels

A band is a few rows of groups. Only the symbols of one band, and those around it that `synthesis` sees, are
held; a thread decodes the next band's while networks run on this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import entropy, pixels, planes, windows
from aecodec.container import Header
from aecodec.entropy import GroupReader
from aecodec.errors import CorruptError
from aecodec.groups import Group, Groups
from aecodec.loaded import BATCH, Z_MAX, Model, check_groups, level_of, quality_of, zeros_of
from aecodec.networks import Float
from aecodec.parallel import Workers, ahead, workers, worth
from aecodec.post_filter import Filter
from aecodec.region import Plan
from aecodec.rolling import Rows
from aecodec.windows import Span

WIDEST = 4096
"""Blocks of a band, as far as one row of groups allows: 17 megapixels."""
ENCODED_WIDEST = 2560
"""The same in the encoder, beside whose bands stands the picture."""


@dataclass(frozen=True, slots=True)
class Band:
    """The symbols of some rows of groups."""

    groups: list[Group]
    symbols: list[tuple[entropy.Symbols, entropy.Symbols] | None]
    """z [Z, vh/4, vw/4] and y [N, vh, vw] of each group; None of a lost one."""
    top: int
    bottom: int
    """In blocks of 64 pixels."""


def bands(
    model: Model,
    header: Header,
    payloads: list[memoryview],
    numbers: Collection[int] | None = None,
    salvage: bool = False,
    checked: bool = True,
) -> Iterator[Band]:
    """Payloads -> symbols, from top to bottom.

    numbers: the groups to decode; None is all of them, and then the checksum of the symbols is verified after
    the last band, unless `checked` is False: CorruptError. The others have symbols None.
    salvage: groups that cannot be decoded have symbols None, too, instead of raising CorruptError.
    """
    check_groups(model.bundle, header)  # of coded alpha, too
    groups = Groups.of(header)
    height, width = (side // 4 for side in header.latent_size)
    halo, crc, lost = model.networks.halo("synthesis"), 0, 0
    size = 1 if salvage else BATCH  # one that fails must not take others with it
    wanted = frozenset(range(len(groups.all)) if numbers is None else numbers)
    with workers(worth(model.networks.threads, header.n_groups)) as pool:
        limits = model.networks.largest, WIDEST if checked else ENCODED_WIDEST
        for band in groups.bands(windows.band_height(height, width, halo, *limits)):
            found: dict[int, tuple[entropy.Symbols, entropy.Symbols]] = {}
            own = [number for number in band if number in wanted]
            found |= {n: zeros_of(model, groups.all[n]) for n in own if not payloads[n]}
            for batch in groups.batches((n for n in own if payloads[n]), size):
                try:
                    decoded = _decode_groups(model, header, groups, batch, payloads, pool)
                except CorruptError:
                    if not salvage:
                        raise
                    continue
                found |= zip(batch, decoded, strict=True)
            for number in own:
                if number in found:
                    crc = entropy.symbols_crc(crc, *found[number])
            lost += len(band) - len(found)
            top, bottom = groups.all[band[0]].top // 4, groups.bottom(band[-1])
            yield Band([groups.all[n] for n in band], [found.get(n) for n in band], top, bottom)
    if checked and crc != header.symbols_crc and not lost:
        raise CorruptError(
            f"the decoded symbols have checksum {crc:08x}, the header says {header.symbols_crc:08x}: "
            "the file is damaged, or was not made by the model that it names"
        )


def decode_symbols(
    model: Model,
    header: Header,
    payloads: list[memoryview],
    numbers: Collection[int] | None = None,
    salvage: bool = False,
    checked: bool = True,
) -> tuple[Float, Float, frozenset[int]]:
    """bands() in one piece -> symbols [1, N, h, w], z_hat [1, Z, h/4, w/4], the groups left out.

    Their latents are 0."""
    (h, w), lost, number = header.latent_size, set(), 0
    symbols = np.zeros((1, model.bundle.n, h, w), np.float32)  # [1, N, h, w]
    z_hat = np.zeros((1, model.bundle.z, h // 4, w // 4), np.float32)  # [1, Z, h/4, w/4]
    for band in bands(model, header, payloads, numbers, salvage, checked):
        for group, found in zip(band.groups, band.symbols, strict=True):
            if found is None:
                lost.add(number)
            else:
                Groups.cut(z_hat[0], group, of_z=True)[:], Groups.cut(symbols[0], group)[:] = found
            number += 1
    return symbols, z_hat, frozenset(lost)


def decode_first(model: Model, header: Header, payloads: list[memoryview]) -> tuple[Float, Float]:
    """Payloads -> symbols of the first channels [1, N/2, h, w] at the positions at which they are decoded
    first, 0 elsewhere, and z_hat [1, Z, h/4, w/4].

    What follows in the file, to which most of the scale networks' work belongs, is not read, so that the
    checksum of the symbols cannot be verified; those of all bytes have been when the file was taken apart."""
    networks, level = model.networks, level_of(header)
    groups = Groups.of(header)
    (h, w), half = header.latent_size, model.bundle.n // 2
    symbols = np.zeros((1, half, h, w), np.float32)
    z_hat = np.zeros((1, model.bundle.z, h // 4, w // 4), np.float32)
    for numbers in groups.batches((n for n, payload in enumerate(payloads) if payload), BATCH):
        readers = [_reader(model, header, groups.all[n], payloads[n]) for n in numbers]
        z = [_checked_z(r.z(), n) for r, n in zip(readers, numbers, strict=True)]  # [Z, vh/4, vw/4] each
        index, _ = networks.scales_first(np.stack(z).astype(np.float32), level)  # [G, N, vh, vw]
        for number, reader, of_z, part in zip(numbers, readers, z, index, strict=True):
            groups.cut(symbols[0], groups.all[number])[:] = reader.first(part[:half])  # [N/2, vh, vw]
            groups.cut(z_hat[0], groups.all[number], of_z=True)[:] = of_z
    return symbols, z_hat


def size_at(width: int, height: int, divisor: int) -> tuple[int, int]:
    """A picture's width and height at 1/divisor: a last square that is not full counts."""
    return -(-width // divisor), -(-height // divisor)


def pixel_bands(
    model: Model,
    header: Header,
    coming: Iterator[Band],
    divisor: int = 1,
    part: Plan | None = None,
    covered: NDArray[np.bool_] | None = None,
    encoding: bool = False,
    post_filter: Filter | None = None,
) -> Iterator[tuple[int, pixels.Pixels]]:
    """Symbols -> the picture without its pixel blocks, from top to bottom: row, pixels [rows, W, C].

    divisor: of the picture's sides, a power of two up to 16; each pixel is the mean of a square.
    part: only its rows and columns of blocks are given; symbols of other groups may be None.
    covered [H/64, W/64]: blocks of which the pixels do not matter; networks run on what is around the others.
    encoding: with less memory, in more time. post_filter: the file's; small pictures of the bundle's own
    graphs go without."""
    return _Synthesis(model, header, divisor, part, covered, encoding, post_filter).bands(coming)


class _Synthesis:
    """Symbols of one picture on their way to pixels."""

    def __init__(
        self,
        model: Model,
        header: Header,
        divisor: int,
        part: Plan | None,
        covered: NDArray[np.bool_] | None,
        encoding: bool,
        post_filter: Filter | None,
    ) -> None:
        self._post = model.networks.post(post_filter)
        self._model, self._header, self._divisor = model, header, divisor
        self._covered, self._encoding = covered, encoding
        self._side = 64 // divisor  # of a block, in pixels of what comes out
        self._height, self._width = (side // 4 for side in header.latent_size)
        whole = (windows.span(0, side, 0, side) for side in (self._height, self._width))
        self._rows, self._columns = (part.rows, part.columns) if part else whole
        self._symbols = Rows(model.bundle.n, 4, self._width, np.int16)  # [N, h, w]
        self._z = Rows(model.bundle.z, 1, self._width, np.int16)  # [Z, h/4, w/4]

    def bands(self, coming: Iterator[Band]) -> Iterator[tuple[int, pixels.Pixels]]:
        networks, span = self._model.networks, self._rows
        halo, done, ends = networks.halo("synthesis"), span.start, {span.stop}
        for band in ahead(coming, worth(networks.threads, self._header.n_groups)):
            if band.bottom <= span.first or band.top >= span.last:
                continue
            first = min(band.top, max(0, done - halo))
            self._symbols.move(first, band.bottom)[:] = 0
            self._z.move(first, band.bottom)[:] = 0
            for group, found in zip(band.groups, band.symbols, strict=True):
                if found is not None:
                    self._z.group(group)[:], self._symbols.group(group)[:] = found
            ends.update(min(span.stop, (group.top + group.height) // 4) for group in band.groups)
            seen = (row for row in ends if row + halo <= band.bottom or band.bottom == self._height)
            ready = max(seen, default=done)  # a band may be lower than the halo
            if ready > done:
                yield self._side * done, self._pixels(done, ready)
                done = ready

    def _pixels(self, top: int, bottom: int) -> pixels.Pixels:
        networks, header, side, depth = self._model.networks, self._header, self._side, self._header.bit_depth
        width, height = size_at(header.width, header.height, self._divisor)
        begin, end = side * self._columns.start, min(side * self._columns.stop, width)
        shape = min(side * bottom, height) - side * top, end - begin, header.channels
        out: pixels.Pixels = np.zeros(shape, planes.kind_of(depth))
        rows, columns = self._bare(top, bottom)
        if columns.start == columns.stop:
            return out
        found = networks.synthesis_band(
            self._latents,
            rows,
            self._width,
            quality_of(header),
            encoding=self._encoding,
            divisor=self._divisor,
            columns=columns,
            post=self._post,
        )
        upper, lower = side * rows.start, min(side * rows.stop, height)
        for column, (x_hat,) in found:
            left, right = side * column.start, min(side * column.stop, width)
            drawn = planes.from_network(x_hat, lower - upper, right - left, header.channels, depth)
            out[upper - side * top : lower - side * top, left - begin : right - begin] = drawn
        return out

    def _bare(self, top: int, bottom: int) -> tuple[Span, Span]:
        """Rows and columns of a band outside which all is covered."""
        halo, columns = self._model.networks.halo("synthesis"), self._columns
        if self._covered is None:
            return windows.span(top, bottom, halo, self._height), columns
        bare = ~self._covered[top:bottom, columns.start : columns.stop]
        spans = []
        for axis, (start, length) in enumerate(((top, self._height), (columns.start, self._width))):
            at = start + np.flatnonzero(bare.any(1 - axis))
            first, last = (int(at[0]), int(at[-1]) + 1) if len(at) else (start, start)
            spans.append(windows.span(first, last, halo, length))
        return spans[0], spans[1]

    def _latents(self, rows: Span, columns: Span) -> list[NDArray[Any]]:
        """symbols [1, N, h, w] and z_hat [1, Z, h/4, w/4] of a window."""
        held = [a.rows(rows.first, rows.last) for a in (self._symbols, self._z)]
        cut = [a[None, :, :, columns.outer(s)] for a, s in zip(held, (4, 1), strict=True)]
        return [part.astype(np.float32) for part in cut]


def _decode_groups(
    model: Model,
    header: Header,
    groups: Groups,
    numbers: list[int],
    payloads: list[memoryview],
    pool: Workers,
) -> list[tuple[entropy.Symbols, entropy.Symbols]]:
    """The symbols of some groups of one shape: z [Z, vh/4, vw/4] and y [N, vh, vw] of each."""
    networks, level = model.networks, level_of(header)
    readers = [_reader(model, header, groups.all[n], payloads[n]) for n in numbers]
    z = [_checked_z(r.z(), n) for r, n in zip(readers, numbers, strict=True)]  # [Z, vh/4, vw/4] each
    index, features = networks.scales_first(np.stack(z).astype(np.float32), level)  # index [G, N, vh, vw]
    first = pool.map(lambda m: m[0].first(m[1]), list(zip(readers, index, strict=True)))  # [N, vh, vw] each
    index = networks.scales_second(features, np.stack(first), level)
    second = pool.map(lambda m: m[0].second(m[1]), list(zip(readers, index, strict=True)))
    for reader in readers:
        reader.finish()
    return [(z[i], first[i] + second[i]) for i in range(len(numbers))]  # the halves do not overlap


def _reader(model: Model, header: Header, group: Group, payload: memoryview) -> GroupReader:
    z_row = model.tables.z_row[header.level]  # [Z]
    return GroupReader(model.tables, payload, z_row, (group.height // 4, group.width // 4))


def _checked_z(z: entropy.Symbols, number: int) -> entropy.Symbols:
    if z.size and max(int(z.max()), -int(z.min())) > Z_MAX:
        raise CorruptError(f"group {number}: a symbol of z is outside -{Z_MAX}..{Z_MAX}")
    return z
