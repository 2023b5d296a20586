"""A picture or .aec file -> what its anomaly map is made of, by each of the three ways (anomaly.py).

memory  the leading channels of y_hat, without the picture's own median and size
rate    bits of each position
error   squared error of the decoded picture
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aecodec import models, pixels
from aecodec.codec import Codec
from aecodec.container import MAGIC
from aecodec.errors import InputError, UsageError
from aecodec.latents import rates
from aecodec.latents.reading import Latents, bytes_of, read_file
from aecodec.options import stored_quality
from aecodec.pixels import ImageInput

Float = NDArray[np.float32]
By = Literal["memory", "rate", "error"]
KINDS: tuple[By, ...] = ("memory", "rate", "error")
CHANNELS = 16
QUALITY: dict[str, float] = {"memory": 70.0, "rate": 70.0, "error": 15.0}
"""At which pictures are encoded. A codec spends bits until the error is even, so that it tells little at a
high quality; at a low one what is hard to code stays wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a map is made of."""

    positions: Float
    """[CHANNELS, rows, columns] of latents for the memory; for others [1, rows, columns], the map itself."""
    notes: tuple[str, ...] = ()
    """What was changed to make a picture codable, in words for the user."""


def checked_quality(by: By, quality: float | None) -> float:
    """That at which pictures are encoded. UsageError for one outside 0..100, or for an unknown `by`."""
    if by not in KINDS:
        raise UsageError(f"an anomaly map by {by!r}: use {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    if quality is None:
        return QUALITY[by]
    stored_quality(quality)
    return float(quality)


def read(source: ImageInput, codec: Codec, by: By = "memory", quality: float | None = None) -> Reading:
    """A picture or .aec file -> what fit_readings() takes. Raises what fit() does."""
    quality = checked_quality(by, quality)
    data = bytes_of(source)
    if data is not None and data.startswith(MAGIC):
        if by == "error":
            raise InputError(
                "an .aec file does not hold the picture to compare with; give the picture itself"
            )
        latents = read_file(data, codec)
        if latents.header.model_id != codec.bundle.model_id:
            raise UsageError(
                f"the file was made with model {models.called(latents.header.model_id)}, normal is told by "
                f"latents of {models.called(codec.bundle.model_id)}; learn with the file's model, or give "
                "the picture itself"
            )
        return _of_latents(latents, by)
    picture = pixels.read_picture(source if data is None else data, codec.limits, alpha=False)
    coded = codec.encode_picture(picture, quality)
    if by == "error":
        return Reading(_error(picture.array, codec.decode_picture(coded).array)[None], picture.notes)
    return replace(_of_latents(read_file(coded, codec), by), notes=picture.notes)


def _of_latents(latents: Latents, by: By) -> Reading:
    rows, columns = latents.size
    if by == "rate":
        return Reading(rates.of_y(latents)[None, :rows, :columns])
    y = latents.y_hat()[:CHANNELS, :rows, :columns]
    y = y - np.median(y, (1, 2), keepdims=True)
    return Reading(y / (np.sqrt(np.square(y).mean()) + np.float32(0.02)))


def _error(a: pixels.Pixels, b: pixels.Pixels) -> Float:
    """[H, W, C] both -> mean squared errors of the squares of 16 x 16 pixels, 0..255 scale."""
    squares = np.square((a.astype(np.float32) - b) * np.float32(255 / np.iinfo(a.dtype).max)).mean(2)
    edges = [(0, -side % 16) for side in squares.shape]
    squares = np.pad(squares, edges, mode="edge")
    rows, columns = (side // 16 for side in squares.shape)
    means: Float = squares.reshape(rows, 16, columns, 16).mean((1, 3))
    return means
