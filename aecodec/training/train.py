"""The training loop: config -> crops -> CodecModel -> checkpoints with EMA weights.

Loss of a picture at quality q: bits per pixel + lambda(q) * MSE on the 0..255 scale (objectives/), weighted
so that every quality has its share (balance.py).  phases.py says what each step does, run_folder.py keeps
the checkpoints, which hold everything a run needs to go on exactly where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import run_folder
from .arithmetic import multiplies_bfloat16
from .balance import seam_weight, share_of
from .config import Config
from .data import Crops, load_pictures
from .divergence import Watch
from .dormant import Dormant, layer_inputs
from .evaluate import evaluate, save_samples
from .model import lambda_of
from .objectives import Forward, Loss, codec_objective, corruption_of
from .optim import Ema, Muon, make_optimisers, restore
from .phases import Phase, phase_of, random_levels, schedule, seed_of
from .processes import Processes
from .report import Report
from .start import first_model
from .stopping import Stop

__all__ = ["Trainer", "random_levels", "schedule"]


class Trainer:
    """One run.  `resume()` continues from `out/last.pt`; `init` in the config warm-starts from weights."""

    def __init__(self, cfg: Config):
        self.cfg = cfg
        cfg.check()
        self.objective = codec_objective(cfg, seams=cfg.seam > 0)
        self.corruption = corruption_of(cfg)
        self.processes = Processes(cfg.device)
        self.device = self.processes.device
        if cfg.threads:
            torch.set_num_threads(cfg.threads)
        torch.manual_seed(cfg.seed)
        torch.backends.cuda.matmul.allow_tf32 = True
        self.out = Path(cfg.out)
        pictures = load_pictures(cfg.data)
        held_out = min(cfg.validation, len(pictures) - 1)
        self.validation, seen = pictures[:held_out], pictures[held_out:]
        rank, world = self.processes.rank, self.processes.world
        self.crops = Crops(seen, self.device, cfg.seed, rank, world, cfg.enlarge)
        self.model = first_model(cfg, seen)
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers = make_optimisers(self.model, cfg)
        self.base_lr = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.model, cfg.ema)
        self.dormant = Dormant(self.model)
        self.revived = (0, 0)
        self.forward: Any = torch.compile(self.model) if cfg.compile else self.model
        self.step = 0
        self.saved = -1  # the step of the last checkpoint
        self.elapsed = 0.0
        self.stop = Stop()
        self.watch = Watch()

    # -- checkpoints -----------------------------------------------------------------------------

    def make_folder(self) -> None:
        """OutputError where there can be none."""
        run_folder.make(self.cfg.out)

    def save(self) -> None:
        """What is reached, by the first of several processes.  Diverged when it is not finite."""
        self.saved = self.step
        if self.processes.rank:
            return
        self.make_folder()
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.weights,
            "step": self.step,
            "elapsed": self.elapsed,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "acted": self.dormant.acted,
            "skipped": self.watch.skipped,
            "config": vars(self.cfg),
        }
        run_folder.save(self.out, state)

    def resume(self) -> bool:
        """Load `last.pt` of the output folder if it is there; says whether it was.

        OSError or ValueError when it cannot be gone on from."""
        state = run_folder.load(self.out)
        if state is None:
            return False
        try:
            self._restore(state)
        except (KeyError, RuntimeError, ValueError):
            path = self.out / run_folder.LAST
            raise ValueError(f"{path} is of another model or optimiser; start anew with --fresh") from None
        return True

    def _restore(self, state: dict[str, Any]) -> None:
        """In place, where the optimisers and the compiled model look."""
        self.model.load_state_dict(state["model"])
        for key, value in state["ema"].items():
            self.ema.weights[key].copy_(value)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            restore(optimiser, saved)
        for name, acted in state.get("acted", {}).items():
            self.dormant.acted[name].copy_(acted)
        self.step, self.elapsed = state["step"], state["elapsed"]
        self.watch.skipped = state.get("skipped", 0)

    # -- one step --------------------------------------------------------------------------------

    def done(self) -> float:
        """Share of the run behind us, by steps or, with `minutes` set, by training time."""
        if self.cfg.minutes:
            return min(1.0, self.elapsed / (60 * self.cfg.minutes))
        return self.step / self.cfg.steps

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16, where it is wanted and fast."""
        on = self.cfg.amp and self.done() < self.cfg.float32_from and multiplies_bfloat16(self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def train_step(self) -> tuple[float, Tensor, Tensor]:
        """-> loss; bits a pixel and MSE on the 0..255 scale, [B] each, of this process's crops."""
        phase = phase_of(self.step, self.done(), self.cfg)
        self._enter(phase)
        x, level = self._batch(phase)
        loss, x_hat = self._loss(x, level, phase)
        self._learn(loss.total)
        self.step += 1
        if self.cfg.look_every and self.step % self.cfg.look_every == 0:
            self.look(x, level)
        mse = (x_hat - x).square().mean((1, 2, 3)) * 255**2
        return float(loss.total.detach()), loss.parts["rate"].detach(), mse

    def _enter(self, phase: Phase) -> None:
        """Sets learning rates and what learns."""
        for optimiser, rates in zip(self.optimisers, self.base_lr, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * phase.rate
        if not self.cfg.train_only:
            for module in (self.model.g_a, self.model.h_a, self.model.gain, self.model.hyper_gain):
                module.requires_grad_(not phase.frozen)

    def _batch(self, phase: Phase) -> tuple[Tensor, Tensor]:
        """-> this process's share of the step's crops [B, 3, H, W], 0..1, and of its levels [B]; what torch
        draws from then on is its own."""
        rank, world = self.processes.rank, self.processes.world
        torch.manual_seed(seed_of(self.step, self.cfg))
        x = self.crops.batch(self.step, phase.crop, phase.batch).float().div_(255)
        level = random_levels(phase.batch)[rank::world]
        if rank:
            torch.manual_seed(seed_of(self.step, self.cfg, rank))
        return x, level.to(self.device)

    def _loss(self, x: Tensor, level: Tensor, phase: Phase) -> tuple[Loss, Tensor]:
        """x [B, 3, H, W] in 0..1, level [B] -> the loss; x_hat [B, 3, H, W], detached."""
        cfg = self.cfg
        lmbda: Any = lambda_of(level.float(), cfg.lambda_low, cfg.lambda_high)  # [B]
        given = x if self.corruption is None else self.corruption(x)
        with self.autocast():
            output = self.forward(given, level, exact=phase.exact, hard=phase.frozen)
        bits, seam = output.y_bits + output.z_bits, seam_weight(level, cfg)
        passed = Forward(given, x, output.x_hat, output.y_hat, self._encode(level), bits=bits, seam=seam)
        loss = self.objective(passed, lmbda, share_of(lmbda, given, x, cfg))
        return loss, output.x_hat.detach()

    def _learn(self, loss: Tensor) -> None:
        """One step of the optimisers, unless the gradient is not finite; the averages follow.

        Diverged after many steps without."""
        loss.backward()
        self.processes.mean_gradients(self.model)
        self.dormant.watch()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.clip)
        if finite := bool(torch.isfinite(norm)):
            for optimiser in self.optimisers:
                optimiser.step()
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.ema.update(self.model, self.step)
        self.watch.step(finite)

    def _encode(self, level: Tensor) -> Callable[[Tensor], Tensor]:
        """level [B] -> x [B, 3, H, W] -> y [B, N, H/16, W/16] in quantiser steps, for the Jacobian."""

        def encode(x: Tensor) -> Tensor:
            with self.autocast():
                y: Tensor = self.model.g_a(x, level) * self.model.gain(level)
            return y

        return encode

    @torch.no_grad()
    def look(self, x: Tensor, level: Tensor) -> None:
        """What the layers are given for x [B, 3, H, W] and level [B], told to Muon; units that have stopped
        to act start again."""
        with self.autocast():
            inputs = layer_inputs(self.model, x, level)
        if self.cfg.centre:
            for muon in (optimiser for optimiser in self.optimisers if isinstance(optimiser, Muon)):
                for name, values in inputs.items():
                    weight = self.model.get_parameter(f"{name}.weight")
                    muon.centre(weight, self.processes.mean(values.mean(1)))
        if self.done() < self.cfg.revive_until:
            torch.manual_seed(self.step)  # which a resumed run draws with, too
            self.revived = self.dormant.revive(inputs, self.ema.weights, self.optimisers)
            self.processes.follow_first((*self.model.state_dict().values(), *self.ema.weights.values()))

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> None:
        """All steps, or those until a signal (`stop`); either way what is reached is saved.

        Diverged when the loss is not finite at the end, or for long; OSError where nothing can be written."""
        self.make_folder()
        report = Report(self.out, self.processes, self.cfg.tensorboard)
        try:
            with self.stop:
                self._steps(report)
                if self.saved != self.step:
                    self.save()
        finally:
            report.close()
        if self.done() >= 1:
            self.watch.end()
        self.processes.end()

    def _steps(self, report: Report) -> None:
        cfg = self.cfg
        started = saved = time.monotonic()
        while self.done() < 1:
            if told := self.processes.largest(self.stop.signal):  # all leave, whichever was told to
                self.stop.signal = told
                break
            before = time.monotonic()
            report.add(*self.train_step())
            self.elapsed = self.processes.clock(self.elapsed + time.monotonic() - before)
            if self._due(cfg.log_every):
                more = {"revived": self.revived[0]} if cfg.look_every else {}
                report.line(self.step, self.elapsed, self.done(), **more)
            evaluated = self._due(cfg.evaluate_every)
            if evaluated or time.monotonic() - saved > 60 * cfg.save_minutes:
                self.save()
                saved = time.monotonic()
            if evaluated and self.processes.rank == 0:
                self._evaluate(report)
            if cfg.stop_minutes and self.processes.clock(time.monotonic() - started) > 60 * cfg.stop_minutes:
                break

    def _due(self, every: int) -> bool:
        """Of what is done every so many steps, and at the end; 0: never."""
        return bool(every) and (self.step % every == 0 or self.done() >= 1)

    def _evaluate(self, report: Report) -> None:
        """The averaged weights on the pictures that are held out; a signal cuts it short."""
        if not self.validation or self.stop.signal:
            return
        found = {}
        with self._averaged(), self.stop.cutting_short():
            found["validation"] = evaluate(self.model, self.validation, self.device, self.cfg)
            if noise := self.cfg.noise_validation:
                found["noisy"] = evaluate(self.model, self.validation, self.device, self.cfg, noise)
            path = self.out / f"samples-{self.step:07d}.png"
            save_samples(self.model, self.validation[:2], self.device, path)
        if not self.stop.signal:
            report.evaluation(self.step, found)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model has the averaged weights inside."""
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        try:
            self.model.load_state_dict(self.ema.weights)
            yield
        finally:
            self.model.load_state_dict(kept)
