"""Which blocks are worth coding as pixels: the encoder's choice, for blocks.py.

    pixels -candidates-> [bh, bw];   what the networks take for them: bits_of, errors -choose-> steps [bh, bw]

bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import features

from aecodec import blocks
from aecodec.blocks import BLOCK, Mask, Numbers, Pixels, Steps
from aecodec.networks import Float
from aecodec.raster import Raster

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
TRIED = 1024
"""Blocks that are tried together; bounds the memory, and the WebP, whose sides are 16383 pixels at most."""
STRIP = 8 * BLOCK
"""Rows of pixels that are searched together."""
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


def choose(pixels: Raster, networks: Numbers, found: Mask, lmbda: float) -> Steps:
    """Candidates that cost less as pixels, with the step that is best for all of them together.

    pixels: uint8 [H, W, C]; networks: bits + lmbda * squared error of each candidate where they code it;
    lmbda: bits that one unit of a pixel's mean squared error is worth.
    """
    places = [(int(row), int(column)) for row, column in np.argwhere(found)]
    steps, best, before = np.zeros(found.shape, np.uint8), float(GROUP_BITS), 0.0
    for step in STEPS:
        costs = [
            _costs([blocks.block_at(pixels, *place) for place in places[i : i + TRIED]], step, lmbda)
            for i in range(0, len(places), TRIED)
        ]
        saved = networks - np.concatenate(costs)
        total = float(saved.clip(0).sum())
        if total < before:
            break
        if total > best:
            steps[found], best = np.where(saved > 0, step, 0), total
        before = total
    return steps


def _costs(tried: list[Pixels], step: int, lmbda: float) -> Numbers:
    """Bits and weighted error of each block as pixels.

    Together they take fewer bits than one by one, since they share colours and shapes; all by the same
    factor, it is supposed."""
    quantised = [blocks.quantise(block, step) for block in tried]
    pairs = zip(tried, quantised, strict=True)
    error = np.array([float(np.square(b.astype(np.float32) - q).mean(2).sum()) for b, q in pairs])
    alone = np.array([float(len(blocks.webp(block, *FAST))) for block in quantised])
    together = len(blocks.webp(blocks.beside(quantised), *FAST))
    costs: Numbers = 8 * alone * min(1.0, together / alone.sum()) + lmbda * error
    return costs


def bits_of(symbols: NDArray[np.int16], size: int) -> Numbers:
    """A group's y [N, vh, vw] and its bits -> [vh/4, vw/4], the bits spread by the sizes of the symbols."""
    n, h, w = symbols.shape
    magnitude = np.log2(1 + np.abs(symbols.astype(np.float32))).reshape(n, h // 4, 4, w // 4, 4)
    bits: Numbers = magnitude.sum((0, 2, 4), dtype=np.float64) + 1
    bits *= size / bits.sum()
    return bits
