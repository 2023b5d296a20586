"""What the layers of a model see: samples of their inputs on training crops -> ranges for 8-bit integers.

A range is the pair (scale, zero) for which round(x / scale) + zero, cut to 0 .. 255, has the smallest
squared error on the samples: cutting tails off is often better than the full range (Choukroun et al.,
Low-bit Quantization of Neural Networks for Efficient Inference, 2019). Crops are spread over all qualities,
whose gains change what the layers see."""

from __future__ import annotations

from dataclasses import dataclass

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
CUTS = np.linspace(0.3, 1.0, 15)
TILTS = ((1.0, 1.0), (0.8, 1.0), (1.0, 0.8))
"""Shares of the lower and the upper end."""


@dataclass(frozen=True)
class Range:
    """Real value of the integer q of channel c: (q - zero[c]) * scale[c]. All are [C], zero in 0 .. 255."""

    scale: Array
    zero: Array
    mean: Array | float = 0.0
    """Of the real values."""

    def repeated(self, count: int) -> Range:
        """The channels `count` times, one set after the other."""
        mean = np.broadcast_to(self.mean, self.scale.shape)
        return Range(*(np.tile(part, count) for part in (self.scale, self.zero, mean)))

    def times(self, level: Array) -> Range:
        """Of the same integers, where the real values are `level` [C] times these."""
        return Range(self.scale * level, self.zero, self.mean * level)


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
            level = (LEVELS - 1) * (number + 0.5) / crops
            model(x, torch.tensor([level]), exact=True, hard=True)
    finally:
        for handle in handles:
            handle.remove()
    return {name: np.concatenate(parts, 1) for name, parts in kept.items()}


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
    return Range(scale, offset, mean_of(samples))


def of_all(samples: Array, zero: float | None = None) -> Range:
    """One range for all channels."""
    scale, offset = _search(samples.reshape(1, -1), zero)
    count = len(samples)
    return Range(np.repeat(scale, count), np.repeat(offset, count), mean_of(samples))


def mean_of(samples: Array) -> Array:
    """Samples [C, n] of `collect` -> [C], without the two ends of each crop that it adds."""
    each = PER_CROP + 2
    if samples.shape[1] % each:
        return samples.mean(1)
    return samples.reshape(len(samples), -1, each)[:, :, :PER_CROP].mean((1, 2))


def levelled(*samples: Array) -> Array:
    """[C] factors that give all channels about the same reach, for tensors [C, n] that share their scales."""
    reach = np.stack([np.quantile(np.abs(s), 0.9999, axis=1) for s in samples]).max(0)
    return np.maximum(reach, NARROWEST * reach.max())
