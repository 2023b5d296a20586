"""Training configuration: one dataclass, read from TOML, overridden with --set key=value."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Config:
    """Every knob of a run.  `size`: nano, fast, std or hq.  Fractions are of `steps`."""

    size: str = "nano"
    data: list[str] = dataclasses.field(default_factory=list)
    validation: int = 8
    out: str = "runs/default"
    init: str = ""
    seed: int = 1

    activation: str = "relu"
    expansion: int = 2
    shortcut: bool = True
    float_scales: bool = False
    # Encoder rounding: 0 to the nearest, 0.3 leans to zero where that saves more bits than it costs quality.
    dead_zone: float = 0.3

    lambda_low: float = 0.0005
    lambda_high: float = 0.4
    # Each sample's loss is divided by (lambda / mean lambda)^balance, so every quality gets its share.
    balance: float = 0.5
    # Weight of visible steps between patches beside the squared error, at level 0; none from level 32 on.
    seam: float = 0.0

    steps: int = 10000
    # Above 0: the schedule runs by training time, not by steps, and ends after this many minutes.
    minutes: float = 0.0
    # Of all processes together, as is final_batch.
    batch: int = 8
    crop: int = 256
    final_crop: int = 256
    final_batch: int = 8
    final_from: float = 1.0
    warmup: int = 100
    constant: float = 0.2
    muon_lr: float = 0.03
    adam_lr: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    exact_from: float = 0.4
    freeze_encoder_from: float = 0.88
    float32_from: float = 1.0

    device: str = "cpu"
    amp: bool = True
    compile: bool = False
    threads: int = 0
    log_every: int = 50
    save_minutes: float = 4.0
    evaluate_every: int = 2000
    tensorboard: bool = False
    # Stop cleanly after this many minutes, checkpoint written; 0: run to the end.
    stop_minutes: float = 0.0

    @classmethod
    def load(cls, path: str | None, overrides: list[str]) -> Config:
        """Config from a TOML file (or the defaults) and `key=value` overrides in TOML syntax.

        Raises ValueError naming the key that is unknown or of the wrong type."""
        values: dict[str, Any] = {}
        if path:
            values.update(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        for item in overrides:
            key, sep, text = item.partition("=")
            if not sep:
                raise ValueError(f"--set {item}: expected key=value")
            try:
                values[key] = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                values[key] = text
        return cls._checked(values)

    @classmethod
    def _checked(cls, values: dict[str, Any]) -> Config:
        defaults = cls()
        known = [f.name for f in dataclasses.fields(cls)]
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"unknown setting {key!r}; known settings: {', '.join(known)}")
            wanted = type(getattr(defaults, key))
            if wanted is float and type(value) is int:
                values[key] = float(value)
            elif type(value) is not wanted:  # not isinstance: true is no number
                raise ValueError(f"setting {key!r} wants {wanted.__name__}, got {value!r}")
        for key in ("crop", "final_crop"):
            if (value := values.get(key, 64)) < 64 or value % 64:
                raise ValueError(f"setting {key!r} wants a multiple of 64, got {value}")
        return dataclasses.replace(defaults, **values)
