"""Where a run starts: the weights of another one, or the KLT of its pictures."""

from __future__ import annotations

from torch import Tensor

from .checkpoint import ENCODER, warm_start
from .config import Config
from .data import klt_basis
from .model import CodecModel, size_of


def first_model(cfg: Config, pictures: list[Tensor]) -> CodecModel:
    """The model that a run starts from: the weights of `init`, or the KLT of uint8 pictures [3, H, W].

    OSError or ValueError when `init` cannot be used."""
    model = CodecModel(
        size_of(cfg.size, cfg.shape),
        cfg.activation,
        cfg.expansion,
        cfg.shortcut,
        cfg.lambda_low,
        cfg.lambda_high,
        cfg.float_scales,
        cfg.dead_zone,
    )
    if cfg.init:
        new = warm_start(model, cfg.init, cfg.init_encoder)
        if new:
            print(f"not in {cfg.init}, starting as the identity: {', '.join(new)}", flush=True)
    elif cfg.shortcut:
        model.start_from_klt(*klt_basis(pictures, model.size.n))
    if cfg.train_only == "encoder":
        for name, module in model.named_children():
            module.requires_grad_(name in ENCODER)
    return model
