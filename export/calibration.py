"""What the layers of a model see: samples of their inputs on training crops -> ranges for 8-bit integers.

A range is the pair (scale, zero) for which round(x / scale) + zero, cut to 0 .. 255, has the smallest
squared error on the samples: cutting tails off is often better than the full range (Choukroun et al.,
Low-bit Quantization of Neural Networks for Efficient Inference, 2019). Crops are spread over all qualities,
whose gains change what the layers see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.training.layers import LEVELS
from aecodec.training.model import CodecModel
from aecodec.training.transforms import Lapped

Array = np.ndarray
CROP = 256
PER_CROP = 100
"""Values of each channel that are kept of a crop, beside its largest and smallest."""
TOP = 255.0
NARROWEST = 0.02
"""The smallest scale of a channel, as a share of the layer's largest: channels that hardly ever act would
otherwise have nothing left for the day they do."""
CLASSES = 16
"""Of qualities, between which ranges may differ."""
MOST_SWING = 8.0
CUTS = np.linspace(0.3, 1.0, 15)
TILTS = ((1.0, 1.0), (0.8, 1.0), (1.0, 0.8))
"""Shares of the lower and the upper end."""


@dataclass(frozen=True)
class Range:
    """Real value of the integer q of channel c: (q - zero[c]) * scale[c]. All are [C], zero in 0 .. 255 where
    not shifted."""

    scale: Array
    zero: Array
    mean: Array | float = 0.0
    """Of the real values."""
    covariance: Array | None = None
    """[C, C], of the real values, where it is known."""

    def repeated(self, count: int) -> Range:
        """The channels `count` times, one set after the other; how they vary together is not known."""
        mean = np.broadcast_to(self.mean, self.scale.shape)
        return Range(*(np.tile(part, count) for part in (self.scale, self.zero, mean)))

    def times(self, level: Array) -> Range:
        """Of the same integers, where the real values are `level` [C] times these."""
        covariance = None if self.covariance is None else self.covariance * np.outer(level, level)
        return Range(self.scale * level, self.zero, self.mean * level, covariance)

    def units(self) -> Range:
        """Of the same integers, where the real values are the integers."""
        return Range(np.ones(len(self.scale)), np.zeros(len(self.scale)))

    def shifted(self, middle: Array) -> Range:
        """Of the same integers, where the real values are larger by `middle` [C]; zeros may lie anywhere."""
        zero, mean = self.zero - middle / self.scale, self.mean + middle
        return replace(self, zero=zero, mean=mean)


@torch.no_grad()
def collect(
    model: CodecModel, layers: dict[str, nn.Module], pictures: list[Tensor], crops: int, seed: int = 0
) -> dict[str, Array]:
    """Samples [C, n] of what goes into each layer, by its name; "NAME:out" is what comes out of it."""
    kept: dict[str, list[Array]] = {name: [] for name in layers}
    rng = np.random.default_rng(seed)

    def keep(name: str, x: Tensor) -> None:
        flat = x.detach().transpose(0, 1).flatten(1)
        chosen = torch.from_numpy(rng.integers(flat.shape[1], size=PER_CROP))
        ends = torch.stack([flat.amax(1), flat.amin(1)], 1)
        kept[name].append(torch.cat([flat[:, chosen], ends], 1).numpy())

    def watch_input(name: str) -> object:
        return lambda layer, inputs: keep(name, _read_by(layer, inputs))

    def watch_output(name: str) -> object:
        return lambda layer, inputs, output: keep(name, output)

    handles = [
        layer.register_forward_hook(watch_output(name))
        if name.endswith(":out")
        else layer.register_forward_pre_hook(watch_input(name))
        for name, layer in layers.items()
    ]
    try:
        for number in range(crops):
            picture = pictures[number % len(pictures)]
            top, left = (int(rng.integers(max(1, side - CROP + 1))) for side in picture.shape[1:])
            x = picture[None, :, top : top + CROP, left : left + CROP].float() / 255
            x = x[:, :, : x.shape[2] // 64 * 64, : x.shape[3] // 64 * 64]
            model(x, torch.tensor([float(levels_of(crops)[number])]), exact=True, hard=True)
    finally:
        for handle in handles:
            handle.remove()
    return {name: np.concatenate(parts, 1) for name, parts in kept.items()}


def levels_of(crops: int) -> Array:
    """[crops]: the quality level of each."""
    return (LEVELS - 1) * (np.arange(crops) + 0.5) / crops


def _read_by(layer: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """What the layer's convolution reads."""
    if isinstance(layer, Lapped):
        y_hat, level = inputs
        return y_hat[:, : layer.count] * layer.gain(level)
    return inputs[0]


def _search(samples: Array, zero: float | None) -> tuple[Array, Array]:
    """Best scale and zero of each row; zero: given, or None to find it."""
    low, high = np.minimum(samples.min(1), 0), np.maximum(samples.max(1), 0)
    if zero is not None:
        widest = np.maximum(-low / max(zero, 1e-9) if zero else 0 * low, high / (TOP - zero))
        low, high = -zero * widest, (TOP - zero) * widest
    best = np.full(len(samples), np.inf)
    scale, offset = np.ones(len(samples)), np.zeros(len(samples))
    for cut in CUTS:
        for below, above in TILTS if zero is None else TILTS[:1]:
            step = np.maximum((high * above - low * below) * cut / TOP, 1e-9)
            start = np.rint(-low * below * cut / step) if zero is None else np.full(len(step), zero)
            q = np.clip(np.rint(samples / step[:, None]) + start[:, None], 0, TOP) - start[:, None]
            error = np.square(q * step[:, None] - samples).mean(1)
            better = error < best
            best[better], scale[better], offset[better] = error[better], step[better], start[better]
    return scale, offset


def by_channel(samples: Array, zero: float | None = None) -> Range:
    """A range for each channel."""
    scale, offset = _search(samples, zero)
    raised = scale < NARROWEST * scale.max()
    scale[raised] = NARROWEST * scale.max()
    if zero is None:
        low, high = samples.min(1)[raised], samples.max(1)[raised]
        offset[raised] = np.clip(np.rint(127.5 - (low + high) / 2 / scale[raised]), 0, TOP)
    return Range(scale, offset, *_moments(samples))


def of_all(samples: Array, zero: float | None = None) -> Range:
    """One range for all channels."""
    scale, offset = _search(samples.reshape(1, -1), zero)
    count = len(samples)
    return Range(np.repeat(scale, count), np.repeat(offset, count), *_moments(samples))


def of_pixels(samples: Array) -> Range:
    """The range of pixels as bytes, for samples [C, n] of pixels - 0.5."""
    count = len(samples)
    return Range(np.full(count, 1 / TOP), np.full(count, TOP / 2), *_moments(samples))


def _moments(samples: Array) -> tuple[Array, Array]:
    """Samples [C, n] of `collect` -> mean [C] and covariance [C, C], without the ends of crops."""
    if samples.shape[1] % (PER_CROP + 2) == 0:
        samples = _by_crop(samples)[:, :, :PER_CROP].reshape(len(samples), -1)
    return samples.mean(1), np.atleast_2d(np.cov(samples, bias=True))


def _by_crop(samples: Array) -> Array:
    """[C, n] of `collect` -> [C, crops, PER_CROP + 2].  ValueError for other samples."""
    if samples.shape[1] % (PER_CROP + 2):
        raise ValueError(f"{samples.shape[1]} samples are no whole number of crops ({PER_CROP + 2} each)")
    return samples.reshape(len(samples), -1, PER_CROP + 2)


def swing_of(*samples: Array) -> Array:
    """[CLASSES]: how far values reach in each class of qualities, relative to all, for tensors [C, n] of
    `collect` that share their scales.  Its logarithm is a line through all crops: those of one class
    alone say little, and a parabola was no better."""
    found = []
    for s in samples:
        reach = np.quantile(_by_crop(np.abs(s) / levelled(s)[:, None]), 0.999, axis=(0, 2))
        found.append(np.log(np.maximum(reach, NARROWEST * _largest(reach))))
    level = levels_of(len(found[0]))
    line = np.polyfit(level, np.mean(found, 0), 1)
    middle = LEVELS * (np.arange(CLASSES) + 0.5) / CLASSES
    swing: Array = np.exp(np.polyval(line, middle) - np.polyval(line, level).mean())
    return np.clip(swing, 1 / MOST_SWING, MOST_SWING)


def without_swing(samples: Array, swing: Array) -> Array:
    """Samples [C, n] of `collect`, those of each crop divided by the swing of its quality."""
    by_crop = _by_crop(samples)
    of_crop = (levels_of(by_crop.shape[1]) * CLASSES / LEVELS).astype(int)
    return (by_crop / swing[of_crop][:, None]).reshape(samples.shape)


def levelled(*samples: Array) -> Array:
    """[C] factors that give all channels about the same reach, for tensors [C, n] that share their scales."""
    reach = np.stack([np.quantile(np.abs(s), 0.9999, axis=1) for s in samples]).max(0)
    return np.maximum(reach, NARROWEST * _largest(reach))


def centred(*samples: Array) -> tuple[Array, Array]:
    """[C] middles and [C] reaches on either side of them: `levelled` for channels that are far from 0, of
    which a range around 0 would leave most steps unused."""
    low = np.stack([np.quantile(s, 0.0001, axis=1) for s in samples]).min(0)
    high = np.stack([np.quantile(s, 0.9999, axis=1) for s in samples]).max(0)
    reach = (high - low) / 2
    return (high + low) / 2, np.maximum(reach, NARROWEST * _largest(reach))


def _largest(reach: Array) -> float:
    """1 where nothing reaches anywhere, so that no scale is 0."""
    return float(reach.max()) or 1.0 / NARROWEST
