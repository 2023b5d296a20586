"""Which blocks are worth coding as pixels: the encoder's choice, for blocks.py.

    pixels -candidates-> [bh, bw];   what the networks take for them: bits_of, errors -choose-> steps [bh, bw]

bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import features

from aecodec import blocks
from aecodec.blocks import BLOCK, Mask, Numbers, Pixels, Steps
from aecodec.networks import Float
from aecodec.parallel import workers, worth
from aecodec.raster import Raster

Candidate = tuple[list[int], float]
"""Row and column, and what the block costs where the networks code it."""

STEPS = (1, 2, 4, 8, 16, 32)
LOOK = 8
"""Only every eighth row of pixels is looked at to find candidates."""
REPEATS = 0.5
"""A candidate: so many pixels equal their left neighbour.  Photographs stay below, screens are far above."""
DETAIL = 12.0
"""Or: lambda times the energy of detail that the latents may not hold, in bits a pixel: about what a lossless
coder takes for such a block."""
STEEP = 4000.0
"""Or: squared steps between neighbours that no photograph has throughout a block."""
FAST = (20, 1)
"""Effort and method of trials."""
TRIED = 64
"""Blocks that are tried together: as many as a group has."""
SAMPLE = 2 * TRIED
"""Blocks, drawn from all candidates, that find the step for all."""
STRIP = 8 * BLOCK
"""Rows of pixels that are searched together."""
HEADER = 25
"""Bytes at the start of each WebP."""
GROUP_BITS = 8 * 48
"""What the first block costs beside its pixels, mask and section included."""


def candidates(pixels: Raster, lmbda: float) -> Mask:
    """uint8 [H, W, C] -> [bh, bw], true where a second look may be worth its time.  Cheap."""
    height, width, _ = pixels.shape
    if not features.check("webp"):
        return np.zeros((-(-height // BLOCK), -(-width // BLOCK)), np.bool_)
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
    # A last block of a single column has no step to look at.
    return np.pad(found, [(0, w - f) for w, f in zip(wanted, found.shape, strict=True)])


def _mean(values: Float) -> Numbers:
    """[ceil(H / LOOK), W] -> mean of each block."""
    at = [range(0, values.shape[0], BLOCK // LOOK), range(0, values.shape[1], BLOCK)]
    total = np.add.reduceat(np.add.reduceat(values, at[0], 0), at[1], 1).astype(np.float64)
    counts = [np.add.reduceat(np.ones(values.shape[axis]), at[axis]) for axis in (0, 1)]
    mean: Numbers = total / np.multiply.outer(*counts)
    return mean


def errors(pixels: Raster, decoded: Pixels, top: int, found: Mask) -> Iterator[tuple[int, Numbers]]:
    """decoded uint8 [rows, W, C]: what the networks make of the rows from `top` on, which 64 divides.

    -> for each row of blocks its number and, of each block that is found, the sum of squared errors"""
    for start in range(0, decoded.shape[0], BLOCK):
        row = (top + start) // BLOCK
        if found[row].any():
            part = decoded[start : start + BLOCK]
            own = pixels[top + start : top + start + part.shape[0], 0 : part.shape[1]]
            error = blocks.padded(np.square(own.astype(np.float32) - part).mean(2, keepdims=True))
            columns = np.flatnonzero(found[row])
            yield row, np.array([float(error[:, BLOCK * c : BLOCK * (c + 1)].sum()) for c in columns])


def choose(pixels: Raster, networks: Numbers, found: Mask, lmbda: float, threads: int = 1) -> Steps:
    """Candidates that cost less as pixels, with the step that is best for all of them together.

    pixels: uint8 [H, W, C]; networks: bits + lmbda * squared error of each candidate where they code it;
    lmbda: bits that one unit of a pixel's mean squared error is worth.
    """
    every = list(zip(np.argwhere(found).tolist(), networks.tolist(), strict=True))
    drawn = np.sort(np.random.default_rng(0).permutation(len(every))[:SAMPLE])  # a stride may be the width
    with workers(worth(threads, len(every) // TRIED)) as pool:

        def saved_by(step: int, some: list[Candidate]) -> Numbers:
            parts = [some[i : i + TRIED] for i in range(0, len(some), TRIED)]
            return np.concatenate(pool.map(partial(_saved, pixels, step, lmbda), parts))

        sample = [every[i] for i in drawn]
        step, saved = _best(partial(saved_by, some=sample), GROUP_BITS * len(sample) / len(every))
        if step and len(sample) < len(every):
            saved = saved_by(step, every)
    steps = np.zeros(found.shape, np.uint8)
    if saved.clip(0).sum() > GROUP_BITS:
        steps[found] = np.where(saved > 0, step, 0)
    return steps


def _best(saved_by: Callable[[int], Numbers], least: float) -> tuple[int, Numbers]:
    """The step that saves most, and more than `least`, and what it saves with each block; 0 if none does."""
    best, saved, before = 0, np.zeros(0), 0.0
    for step in STEPS:
        tried = saved_by(step)
        total = float(tried.clip(0).sum())
        if total < before:
            break
        if total > least:
            best, saved, least = step, tried, total
        before = total
    return best, saved


def _saved(pixels: Raster, step: int, lmbda: float, tried: list[Candidate]) -> Numbers:
    """What each block saves as pixels: bits, its weighted error taken off.

    Together blocks take fewer bits than one by one, since they share colours and shapes; all by the same
    factor, it is supposed."""
    original = [blocks.block_at(pixels, row, column) for (row, column), _ in tried]
    quantised = [blocks.quantise(block, step) for block in original]
    pairs = zip(original, quantised, strict=True)
    error = np.array([float(np.square(b.astype(np.float32) - q).mean(2).sum()) for b, q in pairs])
    alone = np.array([float(len(blocks.webp(block, *FAST)) - HEADER) for block in quantised])
    together = len(blocks.webp(blocks.beside(quantised), *FAST)) - HEADER
    bits = 8 * alone * min(1.0, together / alone.sum())
    saved: Numbers = np.array([cost for _, cost in tried]) - bits - lmbda * error
    return saved


def bits_of(symbols: NDArray[np.int16], size: int) -> Numbers:
    """A group's y [N, vh, vw] and its bits -> [vh/4, vw/4], the bits spread by the sizes of the symbols."""
    n, h, w = symbols.shape
    magnitude = np.log2(1 + np.abs(symbols.astype(np.float32))).reshape(n, h // 4, 4, w // 4, 4)
    bits: Numbers = magnitude.sum((0, 2, 4), dtype=np.float64) + 1
    bits *= size / bits.sum()
    return bits
