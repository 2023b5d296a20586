"""A model as it is before training, its bundle, and pictures to calibrate it on. Needs torch and onnx."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aecodec.training.config import Config
from aecodec.training.model import SIZES, CodecModel
from export.bundle import write_bundle
from export.prune import blocks_of, stages
from export.tables import fit_tables


def fresh(seed: int = 3) -> CodecModel:
    """A model as it is before training, with scale networks that do not rest at one value.

    Its scales are large, so its dead zone is made strong enough to be seen."""
    torch.manual_seed(seed)
    model = CodecModel(SIZES["tiny"], dead_zone_strength=8.0).eval()
    with torch.no_grad():
        for layer in model.scales.layers().values():
            layer.bias += 0.2 * torch.randn_like(layer.bias)
            if layer.level_bias is not None:
                layer.level_bias.knots += 0.2 * torch.randn_like(layer.level_bias.knots)
        assert model.g_s.lapped is not None
        model.g_s.lapped.conv.weight.normal_(std=0.3)
        model.g_s.lapped.gain.knots.normal_(std=0.5)
        model.g_s.refine.correct.weight.normal_(std=0.5)
    return model


def written(folder: Path, **makers: Any) -> tuple[CodecModel, Path]:
    """A fresh model and its bundle. makers: what more write_bundle gets, as functions of the model."""
    model = fresh()
    rng = np.random.default_rng(0)
    pictures = [torch.from_numpy(rng.integers(0, 256, (3, 64, 64), np.uint8)) for _ in range(3)]
    cfg: dict[str, Any] = {**vars(Config(size="tiny")), "step": 0}
    more = {name: make(model) for name, make in makers.items()}
    write_bundle(model, cfg, fit_tables(model, pictures), "fresh", folder, **more)
    return model, folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[CodecModel, Path]:
    return written(tmp_path_factory.mktemp("bundle") / "fresh")


def pictures(count: int = 4) -> list[torch.Tensor]:
    """Soft noise: uint8 [3, 128, 128]."""
    generator = torch.Generator().manual_seed(5)
    small = torch.rand(count, 3, 32, 32, generator=generator)
    large = nn.functional.interpolate(small, scale_factor=4, mode="bilinear")
    return list((large * 255).byte())


def silenced(model: CodecModel, share: float) -> CodecModel:
    """Some hidden units of every block never act; the first unit of the first block in each stage always."""
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for owner, name in stages(model):
            for number, block in enumerate(blocks_of(getattr(owner, name))):
                block.spatial.bias.normal_(std=0.3)  # what silent units add
                block.mix_out.bias.normal_(std=0.3)
                block.contract.bias.normal_(std=0.3)
                for layer in (block.mix_in, block.expand):
                    silent = torch.from_numpy(rng.random(layer.out_channels) < share)
                    if number == 0 and layer is block.mix_in:
                        silent[0] = False
                        layer.bias[0] = 3.0
                    layer.bias[silent] = -1e4
    return model


def largest_pairs(kernel: np.ndarray) -> np.ndarray:
    """[O, I] -> [O, I / 2]: the larger sum of two neighbours' weights of one sign."""
    pairs = kernel.reshape(len(kernel), -1, 2)
    return np.maximum(pairs.clip(min=0).sum(2), -pairs.clip(max=0).sum(2))
