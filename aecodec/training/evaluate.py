"""Rate and distortion of a model in torch: hard rounding, integer scale networks, estimated bits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .config import Config
from .model import CodecModel, lambda_of

EVALUATION_LEVELS = (5, 15, 25, 35, 45, 58)


def pad_to(x: Tensor, multiple: int = 64) -> Tensor:
    """Repeat the last row and column until both sides of [B, 3, H, W] are multiples."""
    height, width = x.shape[2:]
    return F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")


@torch.no_grad()
def evaluate(
    model: CodecModel, pictures: list[Tensor], device: torch.device, cfg: Config, noise: float = 0.0
) -> list[dict[str, Any]]:
    """Per quality level: mean bpp (estimated from the model's densities), mean RGB PSNR, mean RD loss.

    noise: standard deviation, 0..255, of what is added to the pictures before they are coded; PSNR and loss
    are against the clean ones."""
    rows = []
    for level in EVALUATION_LEVELS:
        lmbda = float(lambda_of(float(level), cfg.lambda_low, cfg.lambda_high))
        found = [picture_rd(model, p, level, device, noise) for p in pictures]
        bpp, mse = np.array(found).T
        rows.append(
            {
                "level": level,
                "bpp": round(float(bpp.mean()), 5),
                "psnr": round(float((10 * np.log10(255**2 / mse)).mean()), 4),
                "loss": round(float((bpp + lmbda * mse).mean()), 5),
            }
        )
    return rows


@torch.no_grad()
def picture_rd(
    model: CodecModel, picture: Tensor, level: float, device: torch.device, noise: float = 0.0
) -> tuple[float, float]:
    """(bpp, MSE on the 0..255 scale of the rounded, clipped picture) for one uint8 [3, H, W]."""
    x = picture[None].to(device).float() / 255
    given = with_noise(picture, noise)[None].to(device).float() / 255 if noise else x
    height, width = x.shape[2:]
    output = model(pad_to(given), torch.tensor([float(level)], device=device), exact=True, hard=True)
    x_hat = output.x_hat[:, :, :height, :width].clamp(0, 1).mul(255).round()
    bpp = float((output.y_bits + output.z_bits).sum()) / (height * width)
    return bpp, float((x_hat - x * 255).square().mean()) + 1e-9


def with_noise(picture: Tensor, sigma: float) -> Tensor:
    """uint8 of any shape -> the same with Gaussian noise, rounded and clipped; always the same noise."""
    drawn = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0)) * sigma
    return (picture.cpu() + drawn).round().clamp(0, 255).byte()


@torch.no_grad()
def save_samples(model: CodecModel, pictures: list[Tensor], device: torch.device, path: Path) -> None:
    """A contact sheet: the original and three qualities of each picture, top left 256x256.

    A warning where it cannot be written: a run goes on without."""
    rows = []
    for picture in pictures:
        x = picture[None, :, :256, :256].to(device).float() / 255
        height, width = x.shape[2:]
        cells = [x]
        for level in (5.0, 25.0, 50.0):
            output = model(pad_to(x), torch.tensor([level], device=device), exact=True, hard=True)
            cells.append(output.x_hat[:, :, :height, :width].clamp(0, 1))
        row = torch.cat(cells, 3)[0]
        rows.append(F.pad(row, (0, 1024 - row.shape[2], 0, 256 - row.shape[1])))
    sheet = torch.cat(rows, 1).permute(1, 2, 0).mul(255).round().byte().cpu().numpy()
    try:
        Image.fromarray(sheet).save(path)
    except OSError as error:
        print(f"warning: no samples in {str(path)!r}: {error.strerror or error}", file=sys.stderr, flush=True)
