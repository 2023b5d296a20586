"""The output folder of a run: `last.pt`, to go on from, and `weights.pt`, to use and to share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from aecodec.errors import OutputError

from .checkpoint import read_state, write_state
from .divergence import Diverged, not_finite

LAST, WEIGHTS = "last.pt", "weights.pt"


def make(out: str) -> None:
    """The folder of setting `out`. OutputError where there can be none."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"setting 'out': no folder {out!r}: {error.strerror}") from None


def save(out: Path, state: dict[str, Any]) -> None:
    """Both files. state: `model`, `ema`, `step`, `config` and what else the run needs to go on.

    Diverged, and what was saved before stays, when weights are not finite, those of `ema` in float16."""
    half = {k: v.to(torch.float16).cpu() if v.is_floating_point() else v for k, v in state["ema"].items()}
    if name := not_finite(state["model"]) or not_finite(half):
        raise Diverged(
            f"the run has diverged: at step {state['step']} {name} is not finite, or beyond float16; "
            f"{str(out)!r} keeps what was saved before"
        )
    write_state(state, out / LAST)
    config = {**state["config"], "data": [], "init": "", "out": ""}  # weights travel, paths stay
    write_state({"model": half, "config": config, "step": state["step"]}, out / WEIGHTS)


def load(out: Path) -> dict[str, Any] | None:
    """What save() was given last, on the CPU; None where there is nothing.

    OSError, or ValueError when it is torn or something else."""
    path = out / LAST
    if not path.exists():
        return None
    try:
        return read_state(path)
    except ValueError as error:
        raise ValueError(f"{error}; start anew with --fresh") from None
