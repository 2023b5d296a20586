"""Trainings that diverge end with an error, and what they leave is neither exported nor gone on from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from family_runs import digits  # noqa: E402
from family_runs import run as small_run  # noqa: E402
from test_training import arguments, config, folder  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training import divergence  # noqa: E402
from aecodec.training.checkpoint import load_model, read_state  # noqa: E402
from aecodec.training.divergence import Diverged, Watch, not_finite  # noqa: E402
from aecodec.training.family.data import Pictures  # noqa: E402
from aecodec.training.family.train import load_autoencoder  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

__all__ = ["digits", "folder"]  # fixtures


def told(capsys: Any, argv: list[str], code: int) -> str:
    assert entry.main(argv) == code
    err: str = capsys.readouterr().err
    assert err.startswith("aecodec train: ") and err.count("\n") == 1
    return err


def spoiled(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """The loss is NaN in these steps."""
    loss = Trainer._loss

    def broken(self: Trainer, *given: Any) -> Any:
        found, x_hat = loss(self, *given)
        if self.step in steps:
            found.total = found.total * torch.nan
        return found, x_hat

    monkeypatch.setattr(Trainer, "_loss", broken)


# -- the codec -----------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_at_the_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Also where the finished run is started once more."""
    spoiled(monkeypatch, 1, 2)
    settings = arguments(config(folder, tmp_path, steps=3, validation=0))
    for _ in range(2):
        err = told(capsys, settings, 1)
        assert "diverged" in err and "the last 2 steps" in err
    assert not not_finite(load_model(str(tmp_path / "weights.pt"))[0].state_dict())


def test_a_step_that_is_not_finite_is_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(monkeypatch, 1)
    assert entry.main(arguments(config(folder, tmp_path, steps=3, validation=0))) == 0
    assert not not_finite(read_state(tmp_path / "last.pt")["model"])


def test_a_loss_that_is_not_finite_for_long(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    spoiled(monkeypatch, *range(50))
    monkeypatch.setattr(divergence, "PATIENCE", 3)
    assert "the last 3 steps" in told(capsys, arguments(config(folder, tmp_path, validation=0)), 1)
    assert not (tmp_path / "last.pt").exists()


def test_patience_is_for_steps_on_end() -> None:
    watch = Watch()
    for _ in range(3):
        for _ in range(divergence.PATIENCE - 1):
            watch.step(False)
        watch.step(True)
    watch.end()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e5])
def test_what_float16_cannot_hold_is_not_written(folder: Path, tmp_path: Path, value: float) -> None:
    trainer = Trainer(config(folder, tmp_path))
    trainer.save()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trainer.ema.weights["g_a.patch.bias"][3] = value
    with pytest.raises(Diverged, match=r"g_a\.patch\.bias is not finite, or beyond float16"):
        trainer.save()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_that_are_not_finite(folder: Path, tmp_path: Path, capsys: Any) -> None:
    """Neither measured, started from, gone on from nor exported."""
    Trainer(config(folder, tmp_path)).save()
    for name in ("weights.pt", "last.pt"):
        state = torch.load(tmp_path / name, weights_only=True)
        state["model"]["g_s.head.conv.bias"][0] = torch.nan
        torch.save(state, tmp_path / name)
    weights = str(tmp_path / "weights.pt")
    broken = "g_s.head.conv.bias has values that are not finite"
    with pytest.raises(ValueError, match="not finite"):
        load_model(weights)
    assert broken in told(capsys, ["--evaluate", weights, str(folder)], 2)
    assert broken in told(capsys, arguments(config(folder, tmp_path / "next", init=weights)), 2)
    err = told(capsys, arguments(config(folder, tmp_path)), 2)
    assert broken in err and "--fresh" in err
    pytest.importorskip("onnx")
    from export.__main__ import main as export

    assert export([weights, str(tmp_path / "bundle"), "--data", str(folder)]) == 2
    assert broken in capsys.readouterr().err and not (tmp_path / "bundle").exists()


# -- small autoencoders --------------------------------------------------------------------------------


def test_a_small_one_that_diverges(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("sklearn")
    changes = ["steps=40", "hidden=[16]", "lr=1e8", "output=linear", f"out={tmp_path / 'out'}"]
    assert "the loss is " in told(capsys, ["--set=network=fc", *(f"--set={c}" for c in changes)], 1)
    assert not (tmp_path / "out" / "weights.pt").exists()
    for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in the log"))


def test_a_small_one_whose_last_step_was_too_far(digits: Pictures, tmp_path: Path) -> None:
    """The loss of a step is that of the weights before it."""
    trainer = small_run(digits, steps=1, hidden=[16], out=str(tmp_path))
    with torch.no_grad():
        trainer.model.encoder.head.bias[0] = torch.inf
    with pytest.raises(Diverged, match=r"encoder\.head\.bias is not finite after step 1"):
        trainer.save()
    assert list(tmp_path.iterdir()) == []


def test_a_small_one_that_is_not_finite_is_not_exported(
    digits: Pictures, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    from export import autoencoder
    from export.__main__ import main as export

    trainer = small_run(digits, hidden=[16], latent=3, out=str(tmp_path))
    trainer.save()
    weights = tmp_path / "weights.pt"
    state = torch.load(weights, weights_only=True)
    state["model"]["decoder.layers.0.bias"][0] = torch.nan
    torch.save(state, weights)
    with pytest.raises(ValueError, match="not finite"):
        load_autoencoder(str(weights))
    assert export([str(weights), str(tmp_path / "bundle")]) == 2
    assert "not finite" in capsys.readouterr().err and not (tmp_path / "bundle").exists()

    trainer.model.load_state_dict(state["model"])  # past the reading: the comparison sees it as well
    monkeypatch.setattr(autoencoder, "load_autoencoder", lambda _: (trainer.model, trainer.cfg))
    assert export([str(weights), str(tmp_path / "bundle")]) == 2
    assert "disagrees with torch by nan" in capsys.readouterr().err


# -- the comparisons of the exporter -------------------------------------------------------------------


@pytest.mark.parametrize("rounds_means", [False, True])
def test_nan_is_too_far(rounds_means: bool) -> None:
    pytest.importorskip("onnx")
    from export.verify import too_far

    bundle: Any = SimpleNamespace(rounds_means=rounds_means)
    grey, broken = np.full((1, 3, 4, 4), 0.5, np.float32), np.full((1, 3, 4, 4), 0.5, np.float32)
    broken[0, 1, 2, 3] = np.nan
    assert not too_far(bundle, grey, grey) and too_far(bundle, grey, grey + 0.1)
    assert too_far(bundle, grey, broken) and too_far(bundle, broken, grey) and too_far(bundle, broken, broken)


@pytest.mark.parametrize("broken", ["", "analysis.int8", "synthesis.int8"])
def test_nan_of_8_bits_is_too_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    pytest.importorskip("onnx")
    from export import verify

    def opened(_: Path, name: str) -> Any:
        y, x = np.full((1, 4, 4, 4), 2, np.float32), np.full((1, 3, 64, 64), 0.5, np.float32)
        if name == broken:
            y, x = y * np.nan, x * np.nan
        kind = name.split(".")[0]
        return SimpleNamespace(
            run=lambda *_: {"analysis": (y, y), "context": (y, y), "synthesis": (x,)}[kind]
        )

    bundle = SimpleNamespace(precisions={"int8": {"synthesis": ""}}, previews=())
    monkeypatch.setattr(verify, "load", lambda _: bundle)
    monkeypatch.setattr(verify, "open_cpu", opened)
    picture = np.zeros((1, 3, 64, 64), np.float32)
    if not broken:
        verify.check_int8(tmp_path, picture, lambda _: None)
        return
    with pytest.raises(ValueError, match="too far from the float ones"):
        verify.check_int8(tmp_path, picture, lambda _: None)
