"""The loop of a small autoencoder: pictures in memory, a few thousand steps, weights.pt at the end."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from aecodec.training.checkpoint import refuse_broken
from aecodec.training.divergence import Diverged, not_finite
from aecodec.training.objectives import Forward, autoencoder_objective, corruption_of
from aecodec.training.optim import Muon

from .config import FamilyConfig
from .data import Pictures, load
from .networks import Autoencoder

KIND = "autoencoder"
"""What weights.pt says of itself, beside the codec's, which say nothing."""
OPTIMISERS = ("adam", "muon")


def optimisers(model: nn.Module, kind: str, lr: float) -> list[torch.optim.Optimizer]:
    """adam: one for everything at lr.  muon: Muon at lr for matrices, Adam at 1e-3 for the rest."""
    if kind not in OPTIMISERS:
        raise ValueError(f"setting 'optimiser': {kind!r} is unknown; known: {', '.join(OPTIMISERS)}")
    if kind == "adam":
        return [torch.optim.Adam(model.parameters(), lr)]
    matrices = [p for p in model.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if p.dim() != 2]
    return [Muon(matrices, lr=lr), torch.optim.Adam(rest, 1e-3)]


class FamilyTrainer:
    """One run; equal configurations give equal weights on one machine with one thread."""

    def __init__(self, cfg: FamilyConfig, pictures: Pictures | None = None):
        self.cfg = cfg
        cfg.check()
        if cfg.threads:
            torch.set_num_threads(cfg.threads)
        torch.manual_seed(cfg.seed)
        self.objective = autoencoder_objective(cfg)
        self.corruption = corruption_of(cfg)
        self.pictures = pictures or load(cfg.data, cfg.side, cfg.grey)
        self.train = torch.from_numpy(self.pictures.train)
        self.model = Autoencoder(cfg.shape(self.pictures.shape))
        self.model.decoder.start_at(self.train.mean(0))
        self.optimisers = optimisers(self.model, cfg.optimiser, cfg.lr)
        self.base_lr = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.rng = np.random.default_rng(cfg.seed)
        self.order = np.zeros(0, np.int64)
        self.step = 0

    def batch(self) -> Tensor:
        """The next [B, C, H, W] of a pass over the training pictures in random order."""
        size = min(self.cfg.batch, len(self.train))
        if len(self.order) < size:
            self.order = self.rng.permutation(len(self.train))
        chosen, self.order = self.order[:size], self.order[size:]
        return self.train[chosen]

    def train_step(self) -> dict[str, float]:
        """-> the loss and its parts, means over the batch."""
        cfg = self.cfg
        factor = min(1.0, (1 - self.step / cfg.steps) / (1 - min(cfg.constant, 0.99)))
        for optimiser, rates in zip(self.optimisers, self.base_lr, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        x = self.batch()
        given = x if self.corruption is None else self.corruption(x)
        x_hat, h, mean, std = self.model(given)
        out = Forward(given, x, x_hat, h, self.model.encode, mean=mean, std=std)
        loss = self.objective(out)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        parts = {"loss": loss.total, "distortion": loss.distortion.mean()}
        parts |= {name: value.mean() for name, value in loss.parts.items()}
        return {name: float(value.detach()) for name, value in parts.items()}

    def run(self, say: Callable[[str], None] = print) -> None:
        """All steps; the log has a line for every tenth of them.  Diverged when its loss is not finite."""
        out = Path(self.cfg.out)
        out.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        every = max(1, self.cfg.steps // 10)
        with (out / "log.jsonl").open("w", encoding="utf-8") as log:
            while self.step < self.cfg.steps:
                found = self.train_step()
                if self.step % every == 0 or self.step == self.cfg.steps:
                    if not math.isfinite(found["loss"]):
                        raise Diverged(f"the loss is {found['loss']} at step {self.step}; lower 'lr'")
                    row = {k: round(v, 6) for k, v in found.items()}
                    row |= {"step": self.step, "seconds": round(time.monotonic() - started, 2)}
                    log.write(json.dumps(row) + "\n")
                    log.flush()
                    bar = "#" * (20 * self.step // self.cfg.steps)
                    text = "  ".join(f"{k} {v:.5g}" for k, v in found.items())
                    say(f"[{bar:<20}] step {self.step} {text}")
        self.save()

    def save(self) -> None:
        """weights.pt in the output folder: weights, settings and the pictures' shape.  Diverged instead of
        weights that are not finite."""
        if name := not_finite(self.model.state_dict()):
            raise Diverged(f"{name} is not finite after step {self.step}; lower 'lr'")
        path = Path(self.cfg.out) / "weights.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        config = {**vars(self.cfg), "data": Path(self.cfg.data).name, "out": ""}  # weights travel, paths stay
        state = {"kind": KIND, "model": self.model.state_dict(), "config": config, "step": self.step}
        torch.save({**state, "input": list(self.pictures.shape)}, path)


def load_autoencoder(path: str) -> tuple[Autoencoder, FamilyConfig]:
    """weights.pt of a run -> the model in eval mode and its settings. ValueError when it is none, or
    not finite."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise ValueError(f"{path} are no weights of a small autoencoder")
    refuse_broken(state["model"], path)
    cfg = FamilyConfig(**state["config"])
    channels, height, width = state["input"]
    model = Autoencoder(cfg.shape((channels, height, width)))
    model.load_state_dict(state["model"])
    return model.eval(), cfg
