"""Training configuration: one dataclass, read from TOML, overridden with --set key=value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from aecodec import metrics

from .layers import ACTIVATIONS
from .model import SIZES
from .objectives import ObjectiveSettings, ssimulacra2
from .processes import process_count
from .ranges import COUNT, DECAY, NOT_NEGATIVE, POSITIVE, RATE, SEED, SHARE, check_ranges
from .settings_file import read_settings

PARTS = ("", "encoder")
RANGES = (
    (COUNT, ("steps", "batch", "final_batch", "expansion")),
    (POSITIVE, ("lambda_low", "lambda_high", "clip")),
    (SHARE, ("enlarge", "constant", "ema", "revive_until")),
    (SHARE, ("final_from", "exact_from", "freeze_encoder_from", "float32_from")),
    (DECAY, ("muon_momentum",)),
    (SEED, ("seed",)),
    (NOT_NEGATIVE, ("validation", "noise_validation", "log_every", "evaluate_every", "look_every")),
    (NOT_NEGATIVE, ("minutes", "save_minutes", "stop_minutes", "warmup", "threads")),
    (RATE, ("muon_lr", "soap_lr", "adam_lr", "weight_decay")),
    (NOT_NEGATIVE, ("dead_zone", "balance", "noise_balance", "seam")),
)


@dataclass
class Config(ObjectiveSettings):
    """Every knob of a run.  `size`: nano, fast, std or hq.  Fractions are of `steps`."""

    size: str = "nano"
    # Fields of model.Size to replace, such as {c = 40, decoder_blocks = 3}.
    shape: dict[str, int] = dataclasses.field(default_factory=dict)
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
    # What is left of the squared error of a sample's noise, about: its loss is divided by so much more.
    noise_balance: float = 0.1
    # Weight of visible steps between patches beside the squared error, at level 0; none from level 32 on.
    seam: float = 0.0
    # "encoder": only g_a, h_a and the gain in front of h_a learn.  Every other weight stays what `init` has,
    # bit for bit, so the decoder of the model that the run started from reads the new encoder's files.
    train_only: str = ""
    # Weights whose encoder is a better start than that of `init`; everything else is of `init`.
    init_encoder: str = ""
    # Above 0: validation measures pictures with Gaussian noise of this standard deviation (0..255) too.
    noise_validation: float = 0.0

    steps: int = 10000
    # Above 0: the schedule runs by training time, not by steps, and ends after this many minutes.
    minutes: float = 0.0
    # Of all processes together, as is final_batch.
    batch: int = 8
    crop: int = 256
    final_crop: int = 256
    final_batch: int = 8
    final_from: float = 1.0
    # Share of the crops that are smaller ones enlarged, by up to 2.5: photographs softer than those at hand.
    enlarge: float = 0.0
    warmup: int = 100
    constant: float = 0.2
    # For dense 1x1 weights: muon, soap or adam.  `dense_layers`: all of them, or `float` (not the scale
    # networks) or `transforms` (only g_a and g_s); Adam takes the others.
    optimiser: str = "muon"
    dense_layers: str = "all"
    muon_lr: float = 0.03
    muon_momentum: float = 0.95
    # Every so many steps hidden units that have not acted since start again, until this share of the run, and
    # Muon learns the means of its layers' inputs (`centre`).  0: never.
    look_every: int = 0
    centre: bool = True
    revive_until: float = 0.6
    soap_lr: float = 3e-3
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
    # In steps; 0: never.
    log_every: int = 50
    evaluate_every: int = 2000
    save_minutes: float = 4.0
    tensorboard: bool = False
    # Stop cleanly after this many minutes, checkpoint written; 0: run to the end.
    stop_minutes: float = 0.0

    @classmethod
    def load(cls, path: str | None, overrides: list[str]) -> Config:
        """Config from a TOML file (or the defaults) and `key=value` overrides in TOML syntax.

        Raises ValueError naming the key that is unknown or of the wrong type."""
        cfg = read_settings(cls, path, overrides)
        for key in ("crop", "final_crop"):
            if (value := getattr(cfg, key)) < 64 or value % 64:
                raise ValueError(f"setting {key!r} wants a multiple of 64, got {value}")
        return cfg

    def check(self) -> None:
        """ValueError naming the settings that cannot work, or not together."""
        for key, value, known in (
            ("size", self.size, tuple(SIZES)),
            ("activation", self.activation, tuple(ACTIVATIONS)),
            ("train_only", self.train_only, PARTS),
        ):
            if value not in known:
                names = ", ".join(name or "nothing" for name in known)
                raise ValueError(f"setting {key!r}: {value!r} is unknown; known: {names}")
        check_ranges(self, RANGES)
        if self.lambda_high < self.lambda_low:
            raise ValueError(f"setting 'lambda_high' wants lambda_low, {self.lambda_low}, or more")
        for name, size in (("batch", self.batch), ("final_batch", self.final_batch)):
            if size % process_count():
                raise ValueError(f"setting {name!r}: {size} cannot be shared by {process_count()} processes")
        for key, side in (("structure", metrics.SHORTEST_SIDE), ("ssimulacra2", ssimulacra2.SHORTEST_SIDE)):
            if getattr(self, key) and min(self.crop, self.final_crop) < side:
                raise ValueError(f"setting {key!r} wants crops of at least {side} pixels")
        for key in ("train_only", "init_encoder"):
            if getattr(self, key) and not self.init:
                raise ValueError(f"setting {key!r} wants 'init', the weights whose other parts are kept")
        if self.train_only and self.freeze_encoder_from < 1:
            raise ValueError(
                "setting 'train_only' = 'encoder' wants 'freeze_encoder_from' = 1.0: no frozen phase"
            )
