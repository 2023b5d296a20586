"""Training by several processes: what one would do with the whole batch, and checkpoints of either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from batches import PATIENCE  # noqa: E402
from test_training import arguments, config, folder  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.config import Config  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

__all__ = ["folder"]  # a fixture
pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")

PROBE = """
import os, signal, sys, torch
from aecodec.training import __main__ as entry, train

class Kept(train.Trainer):
    def train_step(self):
        if self.processes.rank == 1 and self.step == int(os.environ["TOLD_AT"]):
            signal.raise_signal(signal.SIGTERM)
        return super().train_step()

    def save(self):  # before the first of them ends: torchrun ends the other one then, if that was told to
        super().save()
        state = {"model": self.model.state_dict(), "ema": self.ema.weights}
        state |= {"optimisers": [o.state_dict() for o in self.optimisers]}
        torch.save(state, self.out / f"rank-{self.processes.rank}.pt")

entry.Trainer = Kept
sys.exit(entry.main(sys.argv[1:]))
"""
STEADY = {
    "batch": 4,
    "final_batch": 4,
    "log_every": 1,
    "constant": 0.999,  # so that the length of a run does not change its learning rates
    "warmup": 0,
    "exact_from": 1.0,
    "freeze_encoder_from": 1.0,
    "validation": 0,
    "muon_lr": 0.01,
}


def torchrun(cfg: Config, tmp_path: Path, told_at: int = -1) -> list[dict[str, Any]]:
    """Trains with two processes -> the state of each at the end.  told_at: the step in which the second of
    them gets a signal."""
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, script, *arguments(cfg)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOLD_AT": str(told_at)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode == 0) == (told_at < 0), done.stderr[-3000:]
    return [torch.load(Path(cfg.out) / f"rank-{rank}.pt", weights_only=True) for rank in range(2)]


def curve(cfg: Config) -> dict[int, float]:
    """{step: loss}, as logged; each step once."""
    rows = [json.loads(line) for line in (Path(cfg.out) / "log.jsonl").read_text().splitlines()]
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    assert len(dict(losses)) == len(losses)
    return dict(losses)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def distance(found: dict[str, Any], wanted: dict[str, Any], start: dict[str, Any]) -> float:
    """How far apart two models are, as a share of the way that training went."""
    apart = sum((found[name] - value).square().sum().item() for name, value in wanted.items())
    gone = sum((value - start[name]).square().sum().item() for name, value in wanted.items())
    return float((apart / gone) ** 0.5)


def test_two_processes_are_one_with_the_whole_batch(folder: Path, tmp_path: Path) -> None:
    """With the encoder frozen nothing is drawn but crops and levels, and these are shared: only the order of
    floating-point sums differs."""
    settings = {**STEADY, "freeze_encoder_from": 0.0, "steps": 2}
    two, one = (config(folder, tmp_path / name, **settings) for name in ("two", "one"))
    first, second = torchrun(two, tmp_path)
    assert first["optimisers"][1]["state"] and same(first, second)
    alone = Trainer(one)
    start = {name: value.clone() for name, value in alone.model.state_dict().items()}
    losses = [alone.train_step()[0] for _ in range(2)]
    # Adam's first steps have the size of the learning rate whatever the gradient's, so that rounding can
    # turn single weights the other way; a gradient that is not averaged is off by more than half.
    assert distance(first["model"], alone.model.state_dict(), start) < 0.05
    assert curve(two) == pytest.approx(dict(enumerate(losses, 1)), rel=1e-3)


def test_a_run_goes_on_with_another_number_of_processes(folder: Path, tmp_path: Path) -> None:
    """Two, one, two: the loss follows that of one process, whose noise alone is another."""
    parts = tmp_path / "parts"
    torchrun(config(folder, parts, **STEADY, steps=2), tmp_path)
    assert entry.main(arguments(config(folder, parts, **STEADY, steps=4))) == 0
    cfg = config(folder, parts, **STEADY, steps=6)
    first, second = torchrun(cfg, tmp_path)
    assert same(first, second)
    last = torch.load(parts / "last.pt", weights_only=True)
    assert last["step"] == 6 and same(last["optimisers"], second["optimisers"])
    found = curve(cfg)
    assert list(found) == list(range(1, 7))

    def losses(seed: int) -> list[float]:
        alone = Trainer(config(folder, tmp_path / f"alone-{seed}", **STEADY, steps=6, seed=seed))
        return [alone.train_step()[0] for _ in found]

    def apart(a: list[float]) -> float:
        return max(abs(loss / found[step] - 1) for step, loss in enumerate(a, 1))

    own, other = apart(losses(1)), apart(losses(2))
    assert own < 0.01 < other, "another seed's crops and levels are far off"


def test_a_signal_to_one_process_stops_all(folder: Path, tmp_path: Path) -> None:
    cfg = config(folder, tmp_path / "out", **STEADY, steps=6)
    first, second = torchrun(cfg, tmp_path, told_at=1)
    assert same(first, second)
    last = torch.load(tmp_path / "out" / "last.pt", weights_only=True)
    assert last["step"] == 2 and same(last["model"], second["model"])


def test_units_start_again_alike(folder: Path, tmp_path: Path) -> None:
    """What layers are given differs between processes; what follows from it must not."""
    cfg = config(folder, tmp_path / "out", **STEADY, steps=3, look_every=1, revive_until=0.9)
    first, second = torchrun(cfg, tmp_path)
    assert same(first, second)
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["revived"] > 0
    assert any("centre" in state for state in first["optimisers"][0]["state"].values())


def test_a_batch_that_cannot_be_shared(folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert entry.main(arguments(config(folder, tmp_path, batch=4))) == 2
    assert "'batch'" in (told := capsys.readouterr().err) and "3 processes" in told
