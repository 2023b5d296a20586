"""The encoder's post-filter: what a decoder would make of the symbols, beside the picture -> section fILT.

    raster, x_hat -> features [P, F], errors [P, 3] -least squares-> coefficients -rounded-> payload, or none

Of all roundings the one with the least bits + lmbda * squared error is taken, or none. Wiener's filter
(Extrapolation, Interpolation and Smoothing of Stationary Time Series, 1949), for one picture.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aecodec import blocks, post_filter
from aecodec.container import Header
from aecodec.decoding import bands, pixel_bands
from aecodec.groups import Groups
from aecodec.loaded import Model
from aecodec.mode_decision import Coded
from aecodec.networks import Float
from aecodec.post_filter import FINEST, KINDS, LARGEST, OFFSET, REACH, RINGS, TO_YCC, Coefficients, features
from aecodec.raster import Raster
from aecodec.region import BLOCK, Region, plan

SEEN = 2048
"""Rows, and columns, in the middle of a picture that are looked at."""
MOST = features(len(RINGS))
"""F, with all contrasts."""
LEAST = 4096
"""Pixels; of fewer there is nothing to learn."""
PART = 256
"""Pixels that are summed up at once."""
RIDGE = 1e-7
"""Of the features' mean square, where some of them are always 0."""
SECTION_BITS = 8 * 9
"""Tag, size and checksum of a section."""

Sums = NDArray[np.float64]


def choose(model: Model, header: Header, raster: Raster, coded: Coded) -> bytes | None:
    """A raster [H, W, C] and what it was coded as -> the payload that is worth its bytes; None for none, and
    of grey pictures."""
    if header.channels != 3:
        return None
    width, height = header.width, header.height
    left, top = max(0, width - SEEN) // 2, max(0, height - SEEN) // 2
    seen = Region(left, top, min(width, SEEN), min(height, SEEN))
    sums, count = np.zeros((4, MOST + 3, MOST + 3)), 0
    for samples in _looked_at(model, header, raster, coded, seen):
        sums += [_products(own) for own in samples]
        count += samples.shape[0] * samples.shape[1]
    squares, products = sums[:, :MOST, :MOST], sums[:, :MOST, MOST:]
    if count < LEAST:
        return None
    # Errors are in units of 1, those of lmbda of 1/255, means over the colours.
    weight = model.bundle.lmbda(header.quality / 256) * 255**2 / 3 * width * height / count
    # Where not all is seen colours must not be moved as such: a frame, or a sky, may be what is not.
    moved = max(width, height) <= SEEN
    ways = (way for kind in KINDS for way in _ways(*kind, moved, squares, products))
    best, least = None, 0.0
    for found, gain in ways:
        cost = 8 * post_filter.size_of(found) + SECTION_BITS - weight * gain
        if cost < least:
            best, least = found, cost
    return post_filter.pack(best) if best else None


def _looked_at(model: Model, header: Header, raster: Raster, coded: Coded, seen: Region) -> Iterator[Float]:
    """Features and errors [4, P, F + 3] of the pixels that networks make, by place in a square of 2x2, in
    strips."""
    hidden = blocks.mask_of(coded.blocks, Groups.of(header).all) if any(coded.blocks) else None
    part = plan(header, seen, model.networks.halo("synthesis"))
    payloads = [memoryview(payload) for payload in coded.payloads]
    coming = bands(model, header, payloads, part.groups, checked=False)
    left = BLOCK * part.columns.start
    for top, drawn in pixel_bands(model, header, coming, part=part, covered=hidden, encoding=True):
        scale = np.float32(1 / np.iinfo(drawn.dtype).max)
        for begin in range(0, len(drawn), BLOCK):
            row = top + begin
            own = drawn[begin : begin + BLOCK]
            error = raster[row : row + len(own), left : left + own.shape[1]].astype(np.float32) - own
            above = min(begin, REACH)
            around = drawn[begin - above : begin + BLOCK + REACH]
            samples = np.empty((*own.shape[:2], MOST + 3), np.float32)
            samples[:, :, :MOST] = _features(around * scale)[above : above + len(own)]
            samples[:, :, MOST:] = error * scale
            bare = np.ones(drawn.shape[1] // 2, np.bool_)
            if hidden is not None:
                covered = hidden[row // BLOCK, part.columns.start : part.columns.stop]
                bare = ~np.repeat(covered, BLOCK // 2)[: len(bare)]
            yield _by_place(samples)[:, :, bare].reshape(4, -1, MOST + 3)


def _products(samples: Float) -> Sums:
    """[P, K] -> their inner products [K, K], in parts for which OpenBLAS starts no threads: those would wait
    in loops for cores that others use."""
    count = len(samples) // PART * PART
    parts = samples[:count].reshape(-1, PART, samples.shape[1])
    last = samples[count:]
    found: Sums = (parts.transpose(0, 2, 1) @ parts).sum(0, dtype=np.float64) + last.T @ last
    return found


def _by_place(values: Float) -> Float:
    """[H, W, C] -> [4, H/2, W/2, C]: the places of squares of 2x2."""
    height, width = (side // 2 * 2 for side in values.shape[:2])
    whole = values[:height, :width]
    return np.stack([whole[row::2, column::2] for row in (0, 1) for column in (0, 1)])


def _features(x_hat: Float) -> Float:
    """[H, W, 3] in 0..1 -> [H, W, F], all contrasts of the planes, the planes, and the constant."""
    planes = np.einsum("yxi,pi->yxp", x_hat - np.float32(0.5), TO_YCC.astype(np.float32))
    height, width, _ = planes.shape
    padded = np.pad(planes, ((REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    out = np.empty((height, width, MOST), np.float32)
    for ring, places in enumerate(RINGS):
        contrast = -len(places) * planes
        for row, column in places:
            contrast += padded[REACH + row :, REACH + column :][:height, :width]
        out[:, :, ring : 3 * len(RINGS) : len(RINGS)] = contrast
    out[:, :, -4:-1] = planes
    out[:, :, -1] = OFFSET
    return out


def _ways(
    contrasts: int, sets: int, moved: bool, squares: Sums, products: Sums
) -> Iterator[tuple[Coefficients, float]]:
    """Coefficients of every precision, and what each takes off the sum of squared errors.

    moved: not for contrasts alone."""
    own = [plane * len(RINGS) + ring for plane in range(3) for ring in range(contrasts)]
    own += range(MOST - 4, MOST) if moved else ()
    if sets == 1:
        squares, products = squares.sum(0, keepdims=True), products.sum(0, keepdims=True)
    squares, products = squares[:, own][:, :, own], products[:, own]
    ridge = RIDGE * np.trace(squares, axis1=1, axis2=2)[:, None, None] * np.eye(len(own))
    wanted = np.linalg.solve(squares + ridge, products).transpose(0, 2, 1)  # [sets, 3, F]
    for shift in range(FINEST + 1):
        steps = np.rint(wanted * (1 << shift)).astype(np.int64)
        if np.abs(steps).max() >= LARGEST:
            return
        found = steps / (1 << shift)
        gain = 2 * np.sum(found * products.transpose(0, 2, 1)) - np.sum((found @ squares) * found)
        padding = ((0, 0), (0, 0), (0, features(contrasts) - len(own)))
        yield Coefficients(contrasts, shift, np.pad(steps, padding)), float(gain)
