"""The training loop: config -> crops -> CodecModel -> checkpoints with EMA weights.

Loss of a picture at quality q: bits per pixel + lambda(q) * MSE on the 0..255 scale, weighted so that
every quality has its share (objectives/).  Checkpoints hold everything a run needs to go on exactly where
it was."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aecodec.errors import OutputError

from .arithmetic import multiplies_bfloat16
from .checkpoint import ENCODER, read_state, warm_start, write_state
from .config import Config
from .data import Crops, klt_basis, load_pictures
from .dormant import Dormant, layer_inputs
from .evaluate import evaluate, save_samples
from .layers import LEVELS
from .model import CodecModel, lambda_of, size_of
from .objectives import Forward, codec_objective, corruption_of
from .optim import Ema, Muon, make_optimisers
from .processes import Processes
from .report import Report
from .stopping import Stop


def random_levels(count: int) -> Tensor:
    """One level from each of `count` equal shares of the scale: every step sees low and high rates."""
    return ((torch.arange(count) + torch.rand(count)) * (LEVELS / count)).long()


def schedule(step: int, done: float, cfg: Config) -> float:
    """Learning rate factor: linear warm-up, constant share, linear to zero as `done` reaches 1."""
    if step < cfg.warmup:
        return (step + 1) / cfg.warmup
    return min(1.0, max(0.0, (1 - done) / max(1e-9, 1 - cfg.constant)))


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
        self.validation = pictures[:held_out]
        self.crops = Crops(
            pictures[held_out:],
            self.device,
            cfg.seed,
            self.processes.rank,
            self.processes.world,
            cfg.enlarge,
        )
        self.model = CodecModel(
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
            new = warm_start(self.model, cfg.init, cfg.init_encoder)
            if new:
                print(f"not in {cfg.init}, starting as the identity: {', '.join(new)}", flush=True)
        elif cfg.shortcut:
            self.model.start_from_klt(*klt_basis(pictures[held_out:], self.model.size.n))
        if cfg.train_only == "encoder":
            for name, module in self.model.named_children():
                module.requires_grad_(name in ENCODER)
        self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimisers = make_optimisers(self.model, cfg)
        self.base_lr = [[g["lr"] for g in o.param_groups] for o in self.optimisers]
        self.ema = Ema(self.model, cfg.ema)
        self.dormant = Dormant(self.model)
        self.revived = (0, 0)
        self.forward: Any = torch.compile(self.model) if cfg.compile else self.model
        self.step = 0
        self.elapsed = 0.0
        self.stop = Stop()
        self.middle = float(lambda_of(31.5, cfg.lambda_low, cfg.lambda_high))

    # -- checkpoints -----------------------------------------------------------------------------

    def make_folder(self) -> None:
        """OutputError where there can be none."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"setting 'out': no folder {self.cfg.out!r}: {error.strerror}") from None

    def save(self) -> None:
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
            "config": vars(self.cfg),
        }
        write_state(state, self.out / "last.pt")
        half = {
            k: v.to(torch.float16).cpu() if v.is_floating_point() else v for k, v in self.ema.weights.items()
        }
        config = {**vars(self.cfg), "data": [], "init": "", "out": ""}  # weights travel, paths stay
        write_state({"model": half, "config": config, "step": self.step}, self.out / "weights.pt")

    def resume(self) -> bool:
        """Load `last.pt` of the output folder if it is there; says whether it was.

        OSError or ValueError when it cannot be gone on from."""
        path = self.out / "last.pt"
        if not path.exists():
            return False
        try:
            state = read_state(path)
        except ValueError as error:
            raise ValueError(f"{error}; start anew with --fresh") from None
        try:
            self.model.load_state_dict(state["model"])
            for key, value in state["ema"].items():
                self.ema.weights[key].copy_(value)
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            for name, acted in state.get("acted", {}).items():
                self.dormant.acted[name].copy_(acted)
            self.step, self.elapsed = state["step"], state["elapsed"]
        except (KeyError, RuntimeError, ValueError):
            raise ValueError(f"{path} is of another model or optimiser; start anew with --fresh") from None
        return True

    # -- one step --------------------------------------------------------------------------------

    def done(self) -> float:
        """Share of the run behind us, by steps or, with `minutes` set, by training time."""
        if self.cfg.minutes:
            return min(1.0, self.elapsed / (60 * self.cfg.minutes))
        return self.step / self.cfg.steps

    def autocast(self) -> AbstractContextManager[Any]:
        on = self.cfg.amp and self.done() < self.cfg.float32_from and multiplies_bfloat16(self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def train_step(self) -> tuple[float, Tensor, Tensor]:
        cfg = self.cfg
        done = self.done()
        factor = schedule(self.step, done, cfg)
        for optimiser, rates in zip(self.optimisers, self.base_lr, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        frozen = done >= cfg.freeze_encoder_from
        late = done >= cfg.final_from
        crop, batch = (cfg.final_crop, cfg.final_batch) if late else (cfg.crop, cfg.batch)
        if not cfg.train_only:
            for module in (self.model.g_a, self.model.h_a, self.model.gain, self.model.hyper_gain):
                module.requires_grad_(not frozen)
        # Noise too is a function of the step alone, so that a resumed run repeats it.
        torch.manual_seed(cfg.seed * 1_000_003 + self.step)
        x = self.crops.batch(self.step, crop, batch).float().div_(255)
        level = self._own_levels(batch).to(self.device)
        lmbda = lambda_of(level.float(), cfg.lambda_low, cfg.lambda_high)
        given = x if self.corruption is None else self.corruption(x)
        with self.autocast():
            output = self.forward(given, level, exact=done >= cfg.exact_from, hard=frozen)
        seam = cfg.seam * (1 - level / 32).clamp(min=0)
        bits = output.y_bits + output.z_bits
        passed = Forward(given, x, output.x_hat, output.y_hat, self._encode(level), bits=bits, seam=seam)
        loss = self.objective(passed, lmbda, self._share(lmbda, given, x))  # type: ignore[arg-type]
        loss.total.backward()
        self.processes.mean_gradients(self.model)
        self.dormant.watch()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.ema.update(self.model, self.step)
        self.step += 1
        if cfg.look_every and self.step % cfg.look_every == 0:
            self.look(x, level)
        mse = (output.x_hat.detach() - x).square().mean((1, 2, 3)) * 255**2
        return float(loss.total.detach()), loss.parts["rate"].detach(), mse

    def _encode(self, level: Tensor) -> Callable[[Tensor], Tensor]:
        def encode(x: Tensor) -> Tensor:
            with self.autocast():
                y: Tensor = self.model.g_a(x, level) * self.model.gain(level)
            return y

        return encode

    def _share(self, lmbda: Any, given: Tensor, x: Tensor) -> Tensor:
        """[B]: one over about what each sample's loss is, up to one factor, so that all count alike."""
        share: Tensor = (lmbda / self.middle) ** -self.cfg.balance
        if given is x:
            return share
        noise = (given - x).square().mean((1, 2, 3)) * 255**2
        return 1 / (1 / share + self.cfg.noise_balance * lmbda * noise)

    @torch.no_grad()
    def look(self, x: Tensor, level: Tensor) -> None:
        """What the layers are given, told to Muon; units that have stopped to act start again."""
        with self.autocast():
            inputs = layer_inputs(self.model, x, level)
        if self.cfg.centre:
            for optimiser in self.optimisers:
                if isinstance(optimiser, Muon):
                    for name, values in inputs.items():
                        weight = self.model.get_parameter(f"{name}.weight")
                        optimiser.centre(weight, self.processes.mean(values.mean(1)))
        if self.done() < self.cfg.revive_until:
            torch.manual_seed(self.step)
            self.revived = self.dormant.revive(inputs, self.ema.weights, self.optimisers)
            self.processes.follow_first((*self.model.state_dict().values(), *self.ema.weights.values()))

    def _own_levels(self, batch: int) -> Tensor:
        """This process's share of the step's levels, as of its crops; from then on its noise is its own."""
        level = random_levels(batch)[self.processes.rank :: self.processes.world]
        if self.processes.rank:
            torch.manual_seed((self.cfg.seed * 1_000_003 + self.step) ^ (self.processes.rank << 40))
        return level

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> None:
        """All steps, or those until a signal (`stop`); either way what is reached is saved."""
        self.make_folder()
        report = Report(self.out, self.processes, self.cfg.tensorboard)
        try:
            with self.stop:
                self._steps(report)
                self.save()
        finally:
            report.close()
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
            if self.step % cfg.log_every == 0 or self.done() >= 1:
                more = {"revived": self.revived[0]} if cfg.look_every else {}
                report.line(self.step, self.elapsed, self.done(), **more)
            if self.processes.rank == 0 and (self.step % cfg.evaluate_every == 0 or self.done() >= 1):
                self._evaluate(report)
            if time.monotonic() - saved > 60 * cfg.save_minutes:
                self.save()
                saved = time.monotonic()
            if cfg.stop_minutes and self.processes.clock(time.monotonic() - started) > 60 * cfg.stop_minutes:
                break

    def _evaluate(self, report: Report) -> None:
        """The averaged weights on the pictures that are held out."""
        if not self.validation or self.stop.signal:
            return
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        found = {}
        try:
            self.model.load_state_dict(self.ema.weights)
            with self.stop.cutting_short():
                found["validation"] = evaluate(self.model, self.validation, self.device, self.cfg)
                if noise := self.cfg.noise_validation:
                    found["noisy"] = evaluate(self.model, self.validation, self.device, self.cfg, noise)
                path = self.out / f"samples-{self.step:07d}.png"
                save_samples(self.model, self.validation[:2], self.device, path)
        finally:
            self.model.load_state_dict(kept)
        if not self.stop.signal:
            report.evaluation(self.step, found)
