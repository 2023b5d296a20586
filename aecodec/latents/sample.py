"""Pictures that nobody took: a variational autoencoder's decoder on latents of its prior.

Or on latents between those of two pictures. The models are small autoencoders (autoencoder.py,
docs/autoencoders.md); what comes out is a contact sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import pixels
from aecodec.errors import UsageError
from aecodec.latents.autoencoder import Autoencoder
from aecodec.limits import DEFAULT_LIMITS
from aecodec.orientation import upright
from aecodec.pixels import ImageInput, Picture

Float = NDArray[np.float32]
Sheet = NDArray[np.uint8]
GAP = 1
"""Pixels between the pictures of a sheet, before it is enlarged."""
SIDE = 64
"""Small pictures are enlarged so that a side has about as many pixels."""


def from_prior(model: Autoencoder, count: int, seed: int = 0) -> Float:
    """Pictures [count, C, H, W] in 0..1 of latents drawn from N(0, 1).

    UsageError if there is no prior, for a count below 1 or a seed below 0."""
    if not all(isinstance(number, Integral) for number in (count, seed)) or count < 1 or seed < 0:
        raise UsageError(
            f"{count} pictures of seed {seed}: give whole numbers, a count from 1 on, a seed from 0 on"
        )
    return model.sample(count, np.random.default_rng(seed))


def between(model: Autoencoder, first: ImageInput, last: ImageInput, steps: int) -> Float:
    """Two pictures -> [steps, C, H, W] in 0..1, from one to the other along a line through the latents.

    Pictures of another size are scaled to the model's. Raises what fitted() and interpolate() do."""
    return model.interpolate(fitted(model, first), fitted(model, last), steps)


def fitted(model: Autoencoder, source: ImageInput | Picture) -> Float:
    """A picture -> [C, H, W] in 0..1 as the model takes it: upright, grey or RGB, the centre square, scaled.

    Raises what read_picture does."""
    channels, height, width = model.input
    picture = source if isinstance(source, Picture) else pixels.read_picture(source, alpha=False)
    samples = upright(pixels.shallow(picture)).array
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    image = image.convert("L" if channels == 1 else "RGB")
    side = min(image.width / width, image.height / height)
    left, top = (image.width - side * width) / 2, (image.height - side * height) / 2
    box = (left, top, left + side * width, top + side * height)
    image = image.resize((width, height), Image.Resampling.BOX if side > 1 else Image.Resampling.BICUBIC, box)
    planes = np.atleast_3d(np.asarray(image, np.float32) / 255).transpose(2, 0, 1)
    return np.ascontiguousarray(planes)


def contact_sheet(found: Float, columns: int | None = None, scale: int | None = None) -> Sheet:
    """[count, C, H, W] in 0..1 -> uint8 [height, width, 3], row by row.

    columns: None for a square; scale: how many times larger, None for what suits the eye. UsageError for no
    pictures, for what are none, and where layout() raises it."""
    if found.ndim != 4 or not found.size or found.shape[1] not in (1, 3):
        raise UsageError(
            f"an array {list(found.shape)} makes no sheet; give pictures [count, C, H, W], one or more, "
            "C 1 or 3"
        )
    if not np.isfinite(found).all():
        raise UsageError("some numbers of the pictures are not finite; they cannot be shown")
    count, _, height, width = found.shape
    columns, rows, scale = layout(found.shape, columns, scale)
    sheet = np.ones((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), np.float32)
    for number, planes in enumerate(found):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = planes.transpose(1, 2, 0)
    small = np.rint(np.clip(sheet, 0, 1) * 255).astype(np.uint8)
    enlarged: Sheet = small.repeat(scale, 0).repeat(scale, 1)
    return enlarged


def layout(shape: Sequence[int], columns: int | None, scale: int | None) -> tuple[int, int, int]:
    """[count, C, H, W] on a sheet -> its columns, its rows, how many times larger they become.

    UsageError for columns or a scale below 1, and where the sheet would be above the limits of a picture."""
    for name, value in (("columns", columns), ("scale", scale)):
        if value is not None and (not isinstance(value, Integral) or value < 1):
            raise UsageError(f"{name} {value} of a sheet: give a whole number, 1 or more")
    count, _, height, width = shape
    columns = min(columns or math.isqrt(count - 1) + 1, count)
    rows = -(-count // columns)
    scale = scale or max(1, round(SIDE / max(height, width)))
    sides = scale * (columns * (width + GAP) - GAP), scale * (rows * (height + GAP) - GAP)
    if sides[0] * sides[1] > DEFAULT_LIMITS.max_pixels or max(sides) > DEFAULT_LIMITS.max_side:
        raise UsageError(
            f"{count} pictures of {width} x {height} pixels, {scale} times larger, make a sheet of "
            f"{sides[0]} x {sides[1]}, more than a picture may have; ask for fewer, or a smaller scale"
        )
    return columns, rows, scale
