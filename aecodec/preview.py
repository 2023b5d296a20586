"""Smaller pictures from a file: decode() at 1/2, 1/4, 1/8 or 1/16.

    symbols, z_hat -head of synthesis (cutting.py)-> y_hat -small_8 or small_16-> x_hat / 8 or / 16 -> picture

The two small graphs take the means of the picture's pixels from y_hat in one linear layer
(export/previews.py). A bundle without them, and the two larger scales, decode the whole and average it.
This goes band by band, as everywhere: no more of the latents is held than the networks look at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aecodec import blocks, datapath, planes, sections
from aecodec.container import Parsed
from aecodec.decoding import bands, pixel_bands, size_at
from aecodec.errors import UsageError
from aecodec.groups import Groups
from aecodec.limits import Limits
from aecodec.loaded import Model
from aecodec.networks import means
from aecodec.pixels import Picture, Pixels

DIVISORS = (1, 2, 4, 8, 16)


def divisor_of(scale: float) -> int:
    """1, 1/2, 1/4, 1/8 or 1/16 -> 1, 2, 4, 8 or 16. UsageError for any other scale."""
    for divisor in DIVISORS:
        if scale == 1 / divisor:
            return divisor
    raise UsageError(f"scale {scale!r} is not possible; use 1, 1/2, 1/4, 1/8 or 1/16")


def decode(model: Model, parsed: Parsed, limits: Limits, divisor: int) -> Picture:
    """A file taken apart -> its picture, each pixel the mean of divisor x divisor."""
    header = parsed.header
    extras = sections.unpack(parsed, limits)
    width, height = size_at(header.width, header.height, divisor)
    colours: Pixels = np.empty((height, width, header.channels), planes.kind_of(header.bit_depth))
    coming = bands(model, header, parsed.groups)
    hidden, filtering = datapath.covered(parsed), extras.post_filter
    for top, part in pixel_bands(
        model, header, coming, divisor=divisor, covered=hidden, post_filter=filtering
    ):
        colours[top : top + len(part)] = part
    blocks.paste(colours, Groups.of(header).all, parsed.blocks, divisor=divisor)
    alpha = extras.alpha
    if alpha is not None:
        alpha = _reduce_plane(alpha, divisor)
    if extras.coded_alpha:
        alpha = decode(model, extras.coded_alpha, limits, divisor).array[:, :, 0]
    return datapath.assemble(header, extras, colours, alpha)


def _reduce_plane(plane: Pixels, divisor: int) -> Pixels:
    """[H, W] -> rounded means; blocks at the border are filled up with their last row and column."""
    height, width = plane.shape
    padded: NDArray[np.uint8 | np.uint16] = np.pad(
        plane, ((0, -height % divisor), (0, -width % divisor)), mode="edge"
    )
    small: Pixels = np.rint(means(padded[None, None].astype(np.float32), divisor)[0, 0]).astype(plane.dtype)
    return small
