"""Reading what a run wrote: `weights.pt` (EMA weights, float16) or `last.pt` (everything, float32)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .divergence import not_finite
from .layers import Block
from .model import CodecModel, size_of
from .transforms import Lapped, Refinement
from .widen import widened
from .z_context import NeighbourPrior


def write_state(state: dict[str, Any], path: Path) -> None:
    """All of it or nothing, also where the power fails: a name is given to what is on the disk."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_state(path: str | Path) -> dict[str, Any]:
    """What a run wrote, on the CPU.  OSError, or ValueError when it is torn, something else or not finite."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception:  # torch has one for each way in which bytes can be wrong, and pages of advice
        state = None
    if not isinstance(state, dict) or not all(map(_are_weights, (state.get("model"), state.get("ema", {})))):
        raise ValueError(f"{path} is torn, or no checkpoint of aecodec.training")
    for key in ("model", "ema"):
        refuse_broken(state.get(key, {}), path)
    return state


def _are_weights(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values())


def refuse_broken(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """ValueError when a value is infinite or NaN."""
    if name := not_finite(weights):
        raise ValueError(f"{path}: {name} has values that are not finite: the run that wrote it had diverged")


def load_model(path: str) -> tuple[CodecModel, dict[str, Any]]:
    """-> the EMA weights as a float32 model in eval mode, the run's config with its `step`.

    OSError or ValueError when the file is none of the two."""
    state = read_state(path)
    if "config" not in state:
        raise ValueError(f"{path} is no checkpoint of aecodec.training")
    cfg = state["config"]
    model = CodecModel(
        size_of(cfg["size"], cfg.get("shape", {})),
        cfg["activation"],
        cfg["expansion"],
        cfg["shortcut"],
        cfg["lambda_low"],
        cfg["lambda_high"],
        cfg["float_scales"],
        cfg.get("dead_zone", 0.0),
    )
    weights = state["ema"] if "ema" in state else state["model"]
    weights = {k: v.float() for k, v in weights.items()}
    _complete(model, weights, NeighbourPrior)  # runs before there was one: it changes nothing
    model.load_state_dict(weights)
    return model.eval(), {**cfg, "step": state["step"]}


def _complete(model: CodecModel, weights: dict[str, Tensor], *kinds: type[nn.Module]) -> list[str]:
    """Adds the modules of these kinds that `weights` lack, as they are in `model` -> their names."""
    new = [
        name
        for name, module in model.named_modules()
        if isinstance(module, kinds) and not any(key.startswith(f"{name}.") for key in weights)
    ]
    for key, value in model.state_dict().items():
        if key not in weights and any(key.startswith(f"{name}.") for name in new):
            weights[key] = value
    return new


def _fitting(model: CodecModel, path: str) -> dict[str, Tensor]:
    """The weights of a run, widened where they are of a narrower model."""
    state = read_state(path)
    weights: dict[str, Tensor] = state["model"]
    if "size" not in (cfg := state.get("config", {})):
        return weights
    try:
        return widened(weights, size_of(cfg["size"], cfg.get("shape", {})), model)
    except ValueError as error:
        raise ValueError(f"{path} does not fit this model: {error}") from None


ENCODER = ("g_a", "h_a", "hyper_gain")
"""Modules that only an encoder has.  `gain` is none of them: the decoder undoes it."""


def warm_start(model: CodecModel, path: str, encoder: str = "") -> list[str]:
    """Give `model` the weights of a run of its size, of a narrower or a shallower one -> new layers' names.

    encoder: the run that the modules of ENCODER come from, where that is another.

    A block, lapped transform, refinement or context of z that the weights do not have changes nothing at
    first, so the model starts where the old one ended; so does a wider one (widen.py).  ValueError when
    anything else is missing, left over or of another shape."""
    weights = _fitting(model, path)
    if encoder:
        other = _fitting(model, encoder)
        weights = {k: v for k, v in weights.items() if k.split(".")[0] not in ENCODER}
        weights |= {k: v for k, v in other.items() if k.split(".")[0] in ENCODER}
    new = _complete(model, weights, Block, Lapped, Refinement, NeighbourPrior)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        names = f"{path} with the encoder of {encoder}" if encoder else path
        raise ValueError(f"{names} does not fit this model: {error}") from None
    for name in new:
        layer = model.get_submodule(name)
        if isinstance(layer, Block):  # the others start from zero by themselves
            nn.init.zeros_(layer.mix_out.weight)
            nn.init.zeros_(layer.contract.weight)
    return new
