"""Networks or pixels, for each block of 64 x 64: the encoder's mode decision.

    payloads -decode-> rate and squared error of each block -block_choice-> masks that may be worth it
    each mask -encode-> payloads, pixel blocks;   the way with the least rate + lmbda * squared error is taken

The Lagrangian choice of video encoders (Sullivan and Wiegand, Rate-Distortion Optimization for Video
Compression, IEEE Signal Processing Magazine, 1998), but for the last step: what the networks take once blocks
are hidden from them shows when they have run. bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from aecodec import block_choice, blocks
from aecodec.blocks import Mask, Numbers
from aecodec.container import Header, Parsed
from aecodec.decoding import Band, bands, pixel_bands
from aecodec.encoding import encode_symbols
from aecodec.groups import Groups
from aecodec.loaded import Model
from aecodec.raster import Raster


class Coded(NamedTuple):
    """A picture's colours, coded."""

    payloads: list[bytes]
    """Of each group, in raster order: its symbols."""
    symbols_crc: int
    blocks: list[bytes]
    """Of each group: its blocks that are coded as pixels. Empty where no group has any."""

    @property
    def bits(self) -> int:
        return 8 * sum(map(len, (*self.payloads, *self.blocks)))


def cheapest(model: Model, header: Header, raster: Raster, effort: int) -> Coded:
    """A raster [H, W, C] with the mode of each block that costs least; of 16 bits by networks alone.

    effort: see encode_symbols."""
    by_networks = Coded(*encode_symbols(model, header, raster, effort), [])
    lmbda = model.bundle.lmbda(header.quality / 256)
    if header.bit_depth != 8 or not (found := block_choice.candidates(raster, lmbda)).any():
        return by_networks
    bits, error = _costs_of_networks(model, header, raster, by_networks.payloads, found)
    groups, threads = Groups.of(header).all, model.networks.threads
    best, least = by_networks, by_networks.bits + lmbda * float(error[found].sum())
    for way in block_choice.choose(raster, bits[found], error[found], found, lmbda, threads):
        payloads, crc = encode_symbols(model, header, raster, effort, way.mask)
        coded = Coded(payloads, crc, blocks.pack(raster, way.mask, groups, way.tolerance, threads))
        cost = coded.bits + lmbda * way.error
        if cost < least:
            best, least = coded, cost
    return best


def with_blocks_of(model: Model, header: Header, raster: Raster, effort: int, kept: Sequence[bytes]) -> Coded:
    """A raster [H, W, C] with the mode of each block given.

    kept: pixel blocks of each group, which are taken whatever they cost; empty for networks alone."""
    if not any(kept):
        return Coded(*encode_symbols(model, header, raster, effort), [])
    hidden = blocks.mask_of(kept, Groups.of(header).all)
    return Coded(*encode_symbols(model, header, raster, effort, hidden), list(kept))


def mixed_blocks(first: Parsed, second: Parsed, share: float) -> list[bytes]:
    """The pixel blocks of two files of a picture, see blocks.mixed; empty where neither has any."""
    if not (any(first.blocks) or any(second.blocks)):
        return []
    groups = Groups.of(first.header).all
    return blocks.mixed(first.blocks, second.blocks, groups, share)


def _costs_of_networks(
    model: Model, header: Header, raster: Raster, payloads: list[bytes], found: Mask
) -> tuple[Numbers, Numbers]:
    """-> bits [bh, bw]; sum of squared errors [bh, bw] of the blocks in `found` (block_choice.errors), 0 of
    others."""
    bits, error = np.zeros(found.shape), np.zeros(found.shape)

    def noting_bits(coming: Iterator[Band]) -> Iterator[Band]:
        number = 0
        for band in coming:
            for group, symbols in zip(band.groups, band.symbols, strict=True):
                if symbols is not None:
                    size = 8 * len(payloads[number])
                    blocks.cut(bits, group)[:] = block_choice.bits_of(symbols[1], size)
                number += 1
            yield band

    coming = noting_bits(bands(model, header, [memoryview(p) for p in payloads], checked=False))
    for top, decoded in pixel_bands(model, header, coming, covered=~found, encoding=True):
        for row, sums in block_choice.errors(raster, decoded, top, found):
            error[row, found[row]] = sums
    return bits, error
