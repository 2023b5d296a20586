"""A noisy picture -> a clean one, by coding it: noise cannot be predicted, so its bits are the first to go.

With an ordinary model this is denoising by lossy compression (Natarajan, Filtering random noise from
deterministic signals via data compression, 1995), at the quality where a squared error of the size of the
noise stops being worth its bits. A denoising model has learnt to take a noisy picture for a clean one; its
files are read by the decoder it was trained with.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from aecodec import models, pixels
from aecodec.codec import Codec
from aecodec.describe import LEVELS_PER_QUALITY
from aecodec.errors import UsageError
from aecodec.model_bundle import Bundle
from aecodec.pixels import Picture

SUFFIX = "-denoise"
"""Of the names of denoising models: nano-denoise makes files for the decoder of nano."""
BITS_FOR_NOISE = 2.8
"""lambda * sigma^2 where the PSNR to the clean picture is highest: 2.7 to 3.0 at sigma 10, 25 and 50 on three
photographs with `nano`, although the best qualities are 65, 37 and 18. In grey so is 3 lambda * sigma^2."""
MAD_OF_NORMAL = 0.6745
FINEST = 1e-6
"""The square of a smaller sigma may be 0 in float."""
LEARNED_BITS = 9.0
"""The same for a denoising model, whose own part of the work lets it be finer: best at sigma 25 on Kodak."""


def estimate_sigma(samples: pixels.Pixels) -> float:
    """[H, W, C] -> standard deviation of the noise, on the scale 0..255.

    The median size of the finest diagonal Haar details (Donoho and Johnstone, Ideal spatial adaptation by
    wavelet shrinkage, 1994), averaged over the channels. 0 for a picture of a single row or column.
    UsageError for other arrays."""
    if samples.ndim != 3 or samples.dtype not in (np.uint8, np.uint16) or not samples.size:
        have = f"{samples.dtype} {list(samples.shape)}"
        raise UsageError(f"the noise of {have} cannot be told; give uint8 or uint16 [H, W, C]")
    height, width, _ = samples.shape
    if min(height, width) < 2:
        return 0.0
    x = samples[: height // 2 * 2, : width // 2 * 2].astype(np.float32)
    details = (x[::2, ::2] - x[1::2, ::2] - x[::2, 1::2] + x[1::2, 1::2]) / 2
    size = np.median(np.abs(details), axis=(0, 1)) / MAD_OF_NORMAL
    return min(255.0, float(size.mean()) * 255 / float(np.iinfo(samples.dtype).max))


def quality_for(bundle: Bundle, sigma: float, channels: int = 3) -> float:
    """Noise of standard deviation `sigma` (0..255) -> the quality 0..100 at which coding removes it.

    channels: 1 for a grey picture, which is coded as three equal channels: all its noise is in one direction
    of colour, where it is as strong as noise of sqrt(3) sigma in each channel for itself."""
    if not 0 <= sigma <= 255:
        raise UsageError(f"sigma {sigma} is no standard deviation; give one of 0..255")
    if sigma == 0:
        return 100.0
    low, high = bundle.lambdas
    bits = LEARNED_BITS if is_denoising(bundle) else BITS_FOR_NOISE
    variance = max(sigma, FINEST) ** 2 * (3 if channels == 1 else 1)
    level = 63 * math.log(bits / variance / low) / math.log(high / low) if high > low else 0.0
    return min(100.0, max(0.0, level / LEVELS_PER_QUALITY))


def is_denoising(bundle: Bundle) -> bool:
    return bundle.name.endswith(SUFFIX)


def find_model(model: str | None = None) -> Bundle:
    """The model that is asked for; else the denoising one of the default model; else the first denoising one
    that is installed; without any, the default."""
    if model is not None:
        return models.find(model)
    default = models.find()
    names = default.name, default.name + SUFFIX
    denoising = [bundle for bundle in models.installed() if is_denoising(bundle)]
    return min(denoising, key=lambda bundle: bundle.name not in names, default=default)


def make_codec(model: str | None = None, **options: object) -> Codec:
    """A Codec for encode(): without blocks coded as pixels, which would keep the noise.

    options: those of Codec."""
    return Codec(find_model(model).path, pixel_blocks=False, **options)  # type: ignore[arg-type]


def encode(picture: Picture, codec: Codec, sigma: float | None = None, quality: float | None = None) -> bytes:
    """A picture -> an .aec file of it without its noise. sigma: 0..255; None estimates it.

    quality: 0..100, instead of the one that fits sigma. Raises what Codec.encode does."""
    if quality is None:
        known = estimate_sigma(picture.array) if sigma is None else sigma
        quality = quality_for(codec.bundle, known, picture.pixels.shape[2])
    return codec.encode_picture(picture, quality)


def denoise(
    picture: Picture, codec: Codec, sigma: float | None = None, quality: float | None = None
) -> Picture:
    """encode() and back; alpha and metadata stay as they are."""
    found = codec.decode_picture(encode(picture, codec, sigma, quality))
    return replace(picture, pixels=found.pixels)
