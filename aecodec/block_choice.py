"""Which blocks are worth coding as pixels: the encoder's choice, for blocks.py.

    pixels -candidates-> [bh, bw];   what networks take for them: bits_of, errors -choose-> masks, tolerances

bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import features

from aecodec import blocks
from aecodec.block_sheet import BLOCK, Pixels, beside, webp
from aecodec.blocks import Mask, Numbers
from aecodec.colours import Colours
from aecodec.networks import Float
from aecodec.parallel import workers, worth
from aecodec.raster import Raster

Candidate = tuple[list[int], float]
"""Row and column, and what the block costs where the networks code it."""

TOLERANCES = (0, 4, 8, 16, 24, 32, 48, 64)
"""How far colours may be merged."""
LOOK = 8
"""Only every eighth row of pixels is looked at to find candidates."""
REPEATS = 0.5
"""A candidate: so many pixels equal their left neighbour.  Photographs stay below, screens are far above."""
DETAIL = 12.0
"""Or: lambda times the energy of detail that the latents may not hold, in bits a pixel: about what a lossless
coder takes for such a block."""
STEEP = 4000.0
"""Or: squared steps between neighbours that no photograph has throughout a block."""
FAST = (50, 1)
"""Effort and method of trials."""
TRIED = 64
"""Blocks that are tried together: as many as a group has."""
SAMPLE = 2 * TRIED
"""Blocks, drawn from all candidates, that find the tolerance for all."""
FLAT = 32.0
"""How much more an error counts in a block of a single colour, where nothing hides it; and there the largest
counts for all of the block."""
THIN = 8
"""A picture of so few rows or columns has few pixels in its blocks: all are candidates."""
STRIP = 8 * BLOCK
"""Rows of pixels that are searched together."""
NEAR = 0.25
"""All candidates are tried where they may cost so much more than by the networks alone, as a share."""
HEADER = 25
"""Bytes at the start of each WebP."""
GROUP_BITS = 8 * 48
"""What the first block costs beside its pixels, mask and section included."""


def candidates(pixels: Raster, lmbda: float) -> Mask:
    """uint8 [H, W, C] -> [bh, bw], true where a second look may be worth its time.  Cheap."""
    height, width, _ = pixels.shape
    if not features.check("webp"):
        return np.zeros((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
    if min(height, width) <= THIN:
        return np.ones((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
    parts = [(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]
    return np.concatenate([_candidates(pixels[top:bottom, 0:width], lmbda) for top, bottom in parts])


def _candidates(pixels: Pixels, lmbda: float) -> Mask:
    rows = pixels[::LOOK].astype(np.int16)
    step = rows[:, 1:] - rows[:, :-1] if rows.shape[1] > 1 else np.zeros_like(rows)
    size = luma = step[:, :, step.shape[2] // 2].astype(np.float32)
    energy = _mean(luma * luma)
    found = energy > STEEP
    if step.shape[2] == 3:
        red, blue = (step[:, :, c] - luma for c in (0, 2))
        found |= lmbda * _mean(red * red + blue * blue) / 2 > DETAIL
        size = np.abs(luma) + np.abs(red) + np.abs(blue)
    found |= _mean((size == 0).astype(np.float32)) > REPEATS
    wanted = -(-pixels.shape[0] // BLOCK), -(-pixels.shape[1] // BLOCK)
    # A last block of a single column has no step to look at, and is what its neighbour is.
    return np.pad(found, [(0, w - f) for w, f in zip(wanted, found.shape, strict=True)], mode="edge")


def _mean(values: Float) -> Numbers:
    """[ceil(H / LOOK), W] -> mean of each block."""
    at = [range(0, values.shape[0], BLOCK // LOOK), range(0, values.shape[1], BLOCK)]
    total = np.add.reduceat(np.add.reduceat(values, at[0], 0), at[1], 1).astype(np.float64)
    counts = [np.add.reduceat(np.ones(values.shape[axis]), at[axis]) for axis in (0, 1)]
    mean: Numbers = total / np.multiply.outer(*counts)
    return mean


def errors(pixels: Raster, decoded: Pixels, top: int, found: Mask) -> Iterator[tuple[int, Numbers]]:
    """decoded uint8 [rows, W, C]: what the networks make of the rows from `top` on, which 64 divides.

    -> for each row of blocks its number and, of each block that is found, the sum of squared errors; see FLAT
    for those of a single colour"""
    for start in range(0, decoded.shape[0], BLOCK):
        row = (top + start) // BLOCK
        if found[row].any():
            part = decoded[start : start + BLOCK]
            own = pixels[top + start : top + start + part.shape[0], 0 : part.shape[1]]
            error = np.square(own.astype(np.float32) - part).mean(2, keepdims=True)
            error = np.pad(error, ((0, -error.shape[0] % BLOCK), (0, -error.shape[1] % BLOCK), (0, 0)))
            places = [slice(BLOCK * c, BLOCK * (c + 1)) for c in np.flatnonzero(found[row])]
            yield row, np.array([_seen(error[:, at], own[:, at]) for at in places])


def _seen(error: Numbers, own: Pixels) -> float:
    """Of one block; error [64, 64, 1]: squared, 0 beside the picture."""
    if (own == own[:1, :1]).all():
        return float(error.max()) * FLAT * error.size
    return float(error.sum())


class Chosen(NamedTuple):
    """Blocks that may be coded as pixels, [bh, bw], and how far their colours are merged then."""

    mask: Mask
    tolerance: int
    error: float
    """Sum of squared errors of all candidates, as errors() counts them where the networks code them."""


class _Trial(NamedTuple):
    """Of each block that is tried: what it saves as pixels, bits and weighted errors; its squared error."""

    saved: Numbers
    error: Numbers


def choose(
    pixels: Raster, bits: Numbers, errors: Numbers, found: Mask, lmbda: float, threads: int = 1
) -> list[Chosen]:
    """The candidates that cost less as pixels, with the tolerance that is best for all of them together; and
    all candidates, where that is not far from the networks alone.  Nothing where none cost less.

    What a block takes of the networks' bits is shared out by a rule, and what the others will take when it
    is hidden is not known, so the caller had better try both.

    pixels: uint8 [H, W, C]; bits, errors: of each candidate where the networks code it, its squared error
    a mean of the channels; lmbda: bits that one unit of that is worth.
    """
    networks = bits + lmbda * errors
    every = list(zip(np.argwhere(found).tolist(), networks.tolist(), strict=True))
    drawn = np.sort(np.random.default_rng(0).permutation(len(every))[:SAMPLE])  # a stride may be the width
    with workers(worth(threads, len(every) // TRIED)) as pool:
        sample = pool.map(lambda some: _Part(pixels, some), _parts([every[i] for i in drawn]))

        def tried(tolerance: int) -> _Trial:
            return _joined(pool.map(lambda part: part.tried(tolerance, lmbda), sample))

        trials = [(tolerance, tried(tolerance)) for tolerance in TOLERANCES]
        tolerance, trial = max(trials, key=lambda one: one[1].saved.clip(0).sum())
        if trial.saved.clip(0).sum() * len(every) <= GROUP_BITS * len(drawn):
            return []
        if len(drawn) < len(every):
            trial = _joined(pool.map(lambda p: _Part(pixels, p).tried(tolerance, lmbda), _parts(every)))
    better = trial.saved > 0
    if trial.saved.clip(0).sum() <= GROUP_BITS:
        return []
    alone = trial.saved.sum() > -NEAR * networks.sum()
    ways = [better] if better.all() or not alone else [better, np.ones_like(better)]
    return [_chosen(found, way, tolerance, trial.error, errors) for way in ways]


def _chosen(found: Mask, taken: Mask, tolerance: int, error: Numbers, networks: Numbers) -> Chosen:
    mask = np.zeros(found.shape, np.bool_)
    mask[found] = taken
    return Chosen(mask, tolerance, float(np.where(taken, error, networks).sum()))


def _parts(some: list[Candidate]) -> list[list[Candidate]]:
    return [some[i : i + TRIED] for i in range(0, len(some), TRIED)]


def _joined(trials: list[_Trial]) -> _Trial:
    return _Trial(*(np.concatenate(parts) for parts in zip(*trials, strict=True)))


class _Part:
    """Candidates that are tried together."""

    def __init__(self, pixels: Raster, some: list[Candidate]) -> None:
        self._original = np.stack([blocks.block_at(pixels, row, column) for (row, column), _ in some])
        self._colours = Colours(self._original)
        self._networks = np.array([cost for _, cost in some])
        self._inside = np.stack([_inside(pixels, row, column) for (row, column), _ in some])

    def tried(self, tolerance: int, lmbda: float) -> _Trial:
        """The bits that the blocks take together are shared out by what changes in them."""
        merged = self._colours.merged(tolerance)  # [k, 64, 64, C]
        error = np.square(self._original.astype(np.float32) - merged).mean(3)
        error = (error * self._inside).sum((1, 2), dtype=np.float64)
        changes = _changes(merged)
        together = 8.0 * (len(webp(beside(list(merged)), *FAST)) - HEADER)
        bits = together * changes / changes.sum()
        return _Trial(self._networks - bits - lmbda * error, error)


def _inside(pixels: Raster, row: int, column: int) -> Mask:
    """[64, 64]: what of a block is in the picture."""
    height, width, _ = pixels.shape
    y, x = (np.arange(BLOCK * at, BLOCK * at + BLOCK) < side for at, side in ((row, height), (column, width)))
    inside: Mask = y[:, None] & x
    return inside


def _changes(merged: Pixels) -> Numbers:
    """[k, 64, 64, C] -> [k]: about how many bits each block takes of those of all, up to one factor."""
    left, above = np.ones((2, *merged.shape[:3]), np.bool_)
    left[:, :, 1:] = (merged[:, :, 1:] != merged[:, :, :-1]).any(3)
    above[:, 1:] = (merged[:, 1:] != merged[:, :-1]).any(3)
    changes: Numbers = (left & above).sum((1, 2)) + 0.3 * (left | above).sum((1, 2)) + 5.0
    return changes


def bits_of(symbols: NDArray[np.int16], size: int) -> Numbers:
    """A group's y [N, vh, vw] and its bits -> [vh/4, vw/4], the bits spread by the sizes of the symbols."""
    n, h, w = symbols.shape
    magnitude = np.log2(1 + np.abs(symbols.astype(np.float32))).reshape(n, h // 4, 4, w // 4, 4)
    bits: Numbers = magnitude.sum((0, 2, 4), dtype=np.float64) + 1
    bits *= size / bits.sum()
    return bits
