"""Hidden units that never act are left out of a bundle: the graphs compute the same with fewer layers.

Training may drive the inputs of a ReLU below zero for every picture. Such a unit gives 0 whatever comes in
and learns nothing any more. A unit is kept if it ever gave more than 0 on the pictures, at any quality, or
on drawn extremes (flat, saturated, noise), and each layer is filled up to a multiple of 16 units, the width
of a vector, with those that came nearest to it. What a dropped unit adds is a constant: that of its bias
behind the depthwise layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.training.layers import LEVELS, Block
from aecodec.training.model import CodecModel

VECTOR = 16
CROP = 256


class NarrowBlock(nn.Module):
    """A Block with some of its hidden units; a branch that has none left is None."""

    def __init__(self, block: Block, mixing: Tensor, expanded: Tensor):
        """mixing, expanded: numbers of the units to keep in either branch."""
        super().__init__()
        self.act = block.act
        silent = torch.ones(block.spatial.weight.shape[0], dtype=torch.bool)
        silent[mixing] = False
        spatial, out = block.spatial, block.mix_out
        constant = out.weight.detach()[:, silent, 0, 0] @ spatial.bias.detach()[silent]
        self.mix_in, self.spatial, self.mix_out = None, None, None
        if len(mixing):
            self.mix_in, self.mix_out = _rows(block.mix_in, mixing), _columns(out, mixing)
            self.spatial = nn.Conv2d(len(mixing), len(mixing), 3, padding=1, groups=len(mixing))
            self.spatial.weight = nn.Parameter(spatial.weight.detach()[mixing])
            self.spatial.bias = nn.Parameter(spatial.bias.detach()[mixing])
            self.mix_out.bias = nn.Parameter(out.bias.detach() + constant)
            constant = torch.zeros_like(constant)
        else:
            constant = constant + out.bias.detach()
        self.expand, self.contract = None, None
        if len(expanded):
            self.expand, self.contract = _rows(block.expand, expanded), _columns(block.contract, expanded)
        else:
            constant = constant + block.contract.bias.detach()
        if self.mix_out is not None and self.expand is None:
            self.mix_out.bias = nn.Parameter(self.mix_out.bias.detach() + constant)
            constant = torch.zeros_like(constant)
        elif self.mix_out is None and self.expand is not None:
            # the branch reads x + constant: move the constant behind it
            weight = self.expand.weight.detach()[:, :, 0, 0]
            before = constant
            self.expand.bias = nn.Parameter(self.expand.bias.detach() + weight @ before)
            self.contract.bias = nn.Parameter(self.contract.bias.detach() + before)
            constant = torch.zeros_like(constant)
        self.constant = constant
        """[C] what is added where no branch is left to add it, else 0."""

    def forward(self, x: Tensor) -> Tensor:
        if self.mix_in is not None:
            x = x + self.mix_out(self.spatial(self.act(self.mix_in(x))))
        if self.expand is not None:
            x = x + self.contract(self.act(self.expand(x)))
        return x + self.constant[:, None, None]


def _rows(layer: nn.Conv2d, keep: Tensor) -> nn.Conv2d:
    narrow = nn.Conv2d(layer.in_channels, len(keep), 1)
    narrow.weight = nn.Parameter(layer.weight.detach()[keep])
    narrow.bias = nn.Parameter(layer.bias.detach()[keep])
    return narrow


def _columns(layer: nn.Conv2d, keep: Tensor) -> nn.Conv2d:
    narrow = nn.Conv2d(len(keep), layer.out_channels, 1)
    narrow.weight = nn.Parameter(layer.weight.detach()[:, keep])
    narrow.bias = nn.Parameter(layer.bias.detach().clone())
    return narrow


def stages(model: CodecModel) -> Iterator[tuple[nn.Module, str]]:
    """(owner, attribute) of every chain of blocks in the float networks."""
    yield from ((model.g_a, name) for name in ("blocks", "deep"))
    yield from ((model.g_s, name) for name in ("deep", "blocks"))
    yield from ((owner, name) for owner in (model.h_a, model.h_s) for name in ("blocks1", "blocks2"))
    yield model.context, "blocks"


def blocks_of(stage: nn.Module) -> list[Block]:
    return list(stage) if isinstance(stage, nn.Sequential) else [stage]


def extremes(side: int) -> Iterator[Tensor]:
    """Drawn pictures [1, 3, side, side] that photographs do not cover: flat corners of the colour cube,
    edges between saturated colours, noise, stripes."""
    generator = torch.Generator().manual_seed(0)
    for corner in range(8):
        colour = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2], dtype=torch.float32)
        flat = colour[None, :, None, None].expand(1, 3, side, side)
        yield flat
        yield torch.where(torch.arange(side) < side // 2 + 3, flat, 1 - flat)
    yield torch.rand(1, 3, side, side, generator=generator)
    yield torch.randint(2, (1, 3, side, side), generator=generator).float()
    for width in (1, 2, 5, 16):
        yield (torch.arange(side) // width % 2).float().expand(1, 3, side, side)


@torch.no_grad()
def most_active(
    model: CodecModel, pictures: list[Tensor], crops: int, side: int = CROP, seed: int = 0
) -> dict[nn.Module, Tensor]:
    """Convolution in front of a ReLU -> the largest value [C] that each of its units ever gave."""
    found: dict[nn.Module, Tensor] = {}

    def watch(layer: nn.Module, _: object, output: Tensor) -> None:
        largest = output.amax((0, 2, 3))
        found[layer] = torch.maximum(found[layer], largest) if layer in found else largest

    layers = [
        layer
        for owner, name in stages(model)
        for block in blocks_of(getattr(owner, name))
        for layer in (block.mix_in, block.expand)
    ]
    handles = [layer.register_forward_hook(watch) for layer in layers]
    try:
        rng = np.random.default_rng(seed)
        for number in range(crops):
            picture = pictures[number % len(pictures)]
            top, left = (int(rng.integers(max(1, length - side + 1))) for length in picture.shape[1:])
            x = picture[None, :, top : top + side, left : left + side].float() / 255
            x = x[:, :, : x.shape[2] // 64 * 64, : x.shape[3] // 64 * 64]
            level = (LEVELS - 1) * ((number * 37) % crops) / max(1, crops - 1)
            model(x, torch.tensor([level]), exact=True, hard=True)
        for number, x in enumerate(extremes(side)):
            model(x, torch.tensor([(0.0, 31.5, 63.0)[number % 3]]), exact=True, hard=True)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _kept(largest: Tensor) -> Tensor:
    """Numbers of the units that ever acted, in order, and of the nearest others up to a full vector."""
    live = int((largest > 0).sum())
    count = min(len(largest), -(-live // VECTOR) * VECTOR)
    return largest.argsort(descending=True, stable=True)[:count].sort().values


@torch.no_grad()
def prune(model: CodecModel, pictures: list[Tensor], crops: int = 192, side: int = CROP) -> tuple[int, int]:
    """Narrows the model's blocks in place -> hidden units that are left, and that there were.

    pictures: uint8 [3, H, W], sides at least 64; `crops` squares of `side` pixels are looked at. Only for
    ReLU: other activations never stay at 0."""
    largest = most_active(model, pictures, crops, side)
    left = total = 0
    for owner, name in stages(model):
        narrow = []
        for block in blocks_of(getattr(owner, name)):
            mixing, expanded = _kept(largest[block.mix_in]), _kept(largest[block.expand])
            left += len(mixing) + len(expanded)
            total += len(largest[block.mix_in]) + len(largest[block.expand])
            narrow.append(NarrowBlock(block, mixing, expanded))
        setattr(owner, name, nn.Sequential(*_without_constants(narrow)))
    return left, total


def _without_constants(blocks: list[NarrowBlock]) -> list[NarrowBlock]:
    """The blocks that still have branches; what the others add goes into the biases of these."""
    kept: list[NarrowBlock] = []
    pending = torch.zeros_like(blocks[0].constant)  # [C], to be added to what the next block reads
    for block in blocks:
        if block.mix_in is None and block.expand is None:
            pending = pending + block.constant
            continue
        first, last = (
            (block.mix_in, block.mix_out) if block.mix_in is not None else (block.expand, block.contract)
        )
        first.bias += first.weight[:, :, 0, 0] @ pending
        last.bias += pending
        pending = torch.zeros_like(pending)
        kept.append(block)
    if not kept:
        blocks[0].constant = pending
        return blocks[:1]
    last = kept[-1].contract if kept[-1].contract is not None else kept[-1].mix_out
    last.bias += pending
    return kept
