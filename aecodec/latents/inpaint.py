"""Parts of a picture that are missing, filled by what the codec takes for a picture.

    hole = smooth continuation of its surroundings
    for a quality from the lowest to a high one:  hole = hole of decode(encode(picture))
    result: the mean of the continuation and of what the turns made of it

What comes out of the decoder is what it can explain in few bits; the known pixels are put back after each
turn, so that the hole has to agree with them. This is alternating projection, on the known pixels and on
what the bottleneck lets through, with the codec as the prior (Venkatakrishnan, Bouman, Wohlberg,
Plug-and-play priors for model based reconstruction, 2013). Structure is continued, nothing is invented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aecodec import conceal, pixels
from aecodec.codec import Codec
from aecodec.errors import UsageError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.orientation import upright
from aecodec.pixels import ImageInput, Picture

Mask = NDArray[np.bool_]
QUALITIES = tuple(range(0, 76, 5))
LARGEST = 200_000
"""Pixels of a hole that the biharmonic equation is solved for; its time grows faster than the hole."""


def read_mask(source: ImageInput, picture: Picture, limits: Limits = DEFAULT_LIMITS) -> Mask:
    """White where pixels of `picture` are missing, as both are seen -> [H, W] of its pixels as stored.

    An array of bool, and any mask whose values are 0 and 1 alone, is taken as such. What is more transparent
    than not is not white, whatever colour is below.
    Raises what read_picture does; UsageError when the two are not seen in one size, or when a mask that is
    not all black has no white."""
    if isinstance(source, np.ndarray) and source.dtype == np.bool_:
        source = source.astype(np.uint8)
    marked = pixels.read_picture(source, limits)
    values, white = marked.array, np.iinfo(marked.pixels.dtype).max
    if marked.alpha is not None:
        half = white // 2 if marked.alpha.max() > 1 else 0
        values = values * (marked.alpha > half)[:, :, None]
    brightest = values.max()
    if brightest == 1:
        values = values * white
    drawn = upright(pixels.shallow(replace(marked, pixels=values, alpha=None)))
    seen = drawn.array.max(2, keepdims=True)
    stored = np.empty((*picture.pixels.shape[:2], 1), np.uint8)
    turned = upright(Picture(stored, orientation=picture.orientation)).array  # a view of it
    if seen.shape != turned.shape:
        have, want = (f"{s[1]} x {s[0]}" for s in (seen.shape, turned.shape))
        raise UsageError(f"the mask has {have} pixels, the picture as it is seen {want}; they must be equal")
    turned[:] = seen
    mask: Mask = stored[:, :, 0] > 127
    if brightest and not mask.any():
        raise UsageError(
            f"the mask marks nothing: its brightest value is {brightest}, white is {white}; "
            "make what is missing white"
        )
    return mask


def continued(samples: pixels.Pixels, mask: Mask) -> pixels.Pixels:
    """[H, W, C], [H, W] -> the hole filled smoothly from around it.

    The mean of push-pull interpolation (conceal.py), which does not overshoot, and of the biharmonic equation
    (scikit-image), which keeps slopes: it is better than either. The first alone where scikit-image is not
    installed, or where the hole is huge."""
    pulled = conceal.fill(samples, mask)
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        return pulled
    if mask.all() or not mask.any() or mask.sum() > LARGEST:
        return pulled
    largest = np.iinfo(samples.dtype).max
    known = np.where(mask[:, :, None], 0, samples) / largest
    bent = np.clip(inpaint_biharmonic(known, mask, channel_axis=2, split_into_regions=True), 0, 1) * largest
    filled = np.rint((pulled + bent) / 2).astype(samples.dtype)
    return np.where(mask[:, :, None], filled, samples)


def inpaint(
    picture: Picture,
    mask: Mask,
    codec: Codec,
    qualities: Sequence[float] = QUALITIES,
    step: Callable[[], object] = lambda: None,
) -> Picture:
    """A picture, [H, W] true where it is missing, as it is stored (see read_mask) -> the picture with its
    hole filled; the rest is as it was.

    codec: best without pixel_blocks. step: called after each turn. Raises what encoding does; UsageError for
    a mask of another size, or not of bool."""
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        have = getattr(mask, "dtype", type(mask).__name__)
        raise UsageError(
            f"an array of bool is needed as the mask, not {have}; take read_mask(), or mask > 127 of a "
            "drawn one"
        )
    if mask.shape != picture.pixels.shape[:2]:
        raise UsageError(f"a mask {list(picture.pixels.shape[:2])} is needed, not {list(mask.shape)}")
    if not mask.any():
        return picture
    hole = mask[:, :, None]
    smooth = filled = continued(picture.array, mask)
    for quality in qualities:
        plain = Picture(filled, orientation=picture.orientation)
        decoded = codec.decode_picture(codec.encode_picture(plain, quality)).array
        filled = np.where(hole, decoded, picture.array)
        step()
    mean = np.rint((smooth.astype(np.float32) + filled) / 2).astype(picture.pixels.dtype)
    return replace(picture, pixels=np.where(hole, mean, picture.array))
