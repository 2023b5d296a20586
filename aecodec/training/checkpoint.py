"""Reading what a run wrote: `weights.pt` (EMA weights, float16) or `last.pt` (everything, float32)."""

from __future__ import annotations

import pickle
from typing import Any

import torch

from .model import SIZES, CodecModel


def load_model(path: str) -> tuple[CodecModel, dict[str, Any]]:
    """-> the EMA weights as a float32 model in eval mode, the run's config with its `step`.

    OSError or ValueError when the file is none of the two."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is no checkpoint of aecodec.training: {error}") from None
    if not isinstance(state, dict) or "model" not in state or "config" not in state:
        raise ValueError(f"{path} is no checkpoint of aecodec.training")
    cfg = state["config"]
    model = CodecModel(
        SIZES[cfg["size"]],
        cfg["activation"],
        cfg["expansion"],
        cfg["shortcut"],
        cfg["lambda_low"],
        cfg["lambda_high"],
        cfg["float_scales"],
        cfg.get("dead_zone", 0.0),
    )
    weights = state["ema"] if "ema" in state else state["model"]
    model.load_state_dict({k: v.float() for k, v in weights.items()})
    return model.eval(), {**cfg, "step": state["step"]}
