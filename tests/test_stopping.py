"""Training that is stopped: what a signal leaves behind, checkpoints that cannot be gone on from."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from test_training import arguments, config, folder, run  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training import train  # noqa: E402
from aecodec.training.checkpoint import read_state, write_state  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

__all__ = ["folder"]  # a fixture
STOPPED = 2
"""Steps that are whole when the signal comes in the next one."""


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def signal_in_step(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Adam, the second optimiser, is told them before it makes its part of step STOPPED."""
    adam, calls = torch.optim.Adam.step, []

    def step(self: Any) -> None:
        calls.append(self)
        if len(calls) == STOPPED + 1:
            for number in numbers:
                signal.raise_signal(number)
        adam(self)

    monkeypatch.setattr(torch.optim.Adam, "step", step)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_has_begun_is_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, number: int
) -> None:
    whole = Trainer(config(folder, tmp_path / "whole"))
    run(whole, STOPPED + 1)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    signal_in_step(monkeypatch, number)
    assert entry.main(arguments(config(folder, tmp_path / "stopped"))) == 128 + number
    assert f"stopped at step {whole.step};" in capsys.readouterr().err
    saved = read_state(tmp_path / "stopped" / "last.pt")
    assert saved["step"] == whole.step and same(saved["model"], whole.model.state_dict())
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_second_signal_does_not_wait(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """And what it leaves half done is not saved."""
    signal_in_step(monkeypatch, signal.SIGINT, signal.SIGINT)
    assert entry.main(arguments(config(folder, tmp_path))) == 130
    assert "stopped at once" in capsys.readouterr().err
    assert not (tmp_path / "last.pt").exists()


def test_validation_is_cut_short(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved then are the weights of the run, not the averaged ones that were measured."""
    kept: dict[str, Any] = {}
    evaluate = Trainer._evaluate

    def noting(self: Trainer, report: Any) -> None:
        kept.update({name: value.clone() for name, value in self.model.state_dict().items()})
        evaluate(self, report)

    def interrupted(model: Any, *_: Any) -> None:
        assert not same(model.state_dict(), kept)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    monkeypatch.setattr(Trainer, "_evaluate", noting)
    monkeypatch.setattr(train, "evaluate", interrupted)
    assert entry.main(arguments(config(folder, tmp_path, evaluate_every=STOPPED))) == 130
    saved = read_state(tmp_path / "last.pt")
    assert saved["step"] == STOPPED and same(saved["model"], kept)
    assert "validation" not in (tmp_path / "log.jsonl").read_text()


def test_signals_that_are_ignored_stay_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a job in a shell's background
    try:
        signal_in_step(monkeypatch, signal.SIGINT, signal.SIGINT)
        assert entry.main(arguments(config(folder, tmp_path, steps=STOPPED + 1, validation=0))) == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("other", [{"size": "nano"}, {"optimiser": "adam"}, "torn", "another file"])
def test_a_checkpoint_of_something_else(folder: Path, tmp_path: Path, capsys: Any, other: Any) -> None:
    changes = other if isinstance(other, dict) else {}
    Trainer(config(folder, tmp_path)).save()
    last = tmp_path / "last.pt"
    if other == "torn":
        last.write_bytes(last.read_bytes()[:-1000])
    elif other == "another file":
        last.write_bytes(b"PK torn")
    settings = arguments(config(folder, tmp_path, steps=1, validation=0, **changes))
    assert entry.main(settings) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and str(last) in told and "--fresh" in told
    assert entry.main([*settings, "--fresh"]) == 0


def test_weights_to_start_from_that_are_none(folder: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "torn.pt").write_bytes(b"PK torn")
    init = str(tmp_path / "torn.pt")
    assert entry.main(arguments(config(folder, tmp_path / "out", init=init))) == 2
    assert init in (told := capsys.readouterr().err) and told.count("\n") == 1


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "last.pt", []
    fsync = os.fsync

    def noting(handle: int) -> None:
        size = os.fstat(handle).st_size
        synced.append((path.exists(), size))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    write_state({"model": {"a": torch.ones(1000)}}, path)
    assert synced == [(False, path.stat().st_size)]
    assert torch.equal(read_state(path)["model"]["a"], torch.ones(1000))
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
