"""What a run saves and when, what it takes up again, and disks that are full."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from test_training import arguments, config, folder, run  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.checkpoint import read_state, write_state  # noqa: E402
from aecodec.training.report import Report  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

__all__ = ["folder"]  # a fixture
FULL = OSError(errno.ENOSPC, "No space left on device")


def full(*_: Any, **__: Any) -> None:
    raise FULL


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("weight_decay", 0.25, "weight_decay"),
        ("muon_momentum", 0.5, "momentum"),
        ("muon_lr", 0.001, "lr"),
    ],
)
def test_settings_that_change_before_a_resume(
    folder: Path, tmp_path: Path, key: str, value: float, name: str
) -> None:
    """They count, and the optimisers' state is kept."""
    first = Trainer(config(folder, tmp_path))
    run(first, 4)
    first.save()
    changed, same = (Trainer(config(folder, tmp_path, **more)) for more in ({key: value}, {}))
    assert changed.resume() and same.resume()
    assert changed.optimisers[0].param_groups[0][name] == value
    for found, kept in zip(changed.optimisers, first.optimisers, strict=True):
        for p, q in zip(*(o.param_groups[0]["params"] for o in (found, kept)), strict=True):
            assert found.state[p].keys() == kept.state[q].keys()
            assert all(
                torch.equal(torch.as_tensor(found.state[p][k]), torch.as_tensor(v))
                for k, v in kept.state[q].items()
            )
    for trainer in (changed, same):
        trainer.train_step()
    weights = [t.optimisers[0].param_groups[0]["params"][0] for t in (changed, same)]
    assert not torch.equal(*weights)


def test_a_checkpoint_from_before_the_count_of_skipped_steps(folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(config(folder, tmp_path))
    trainer.save()
    state = read_state(tmp_path / "last.pt")
    del state["skipped"]
    write_state(state, tmp_path / "last.pt")
    assert Trainer(config(folder, tmp_path)).resume()


def test_the_checkpoint_comes_before_the_samples(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """That they cannot be written is said, and ends nothing."""
    seen = []

    def failing(image: Image.Image, path: Path) -> None:
        seen.append(read_state(tmp_path / "last.pt")["step"])
        full()

    monkeypatch.setattr(Image.Image, "save", failing)
    assert entry.main(arguments(config(folder, tmp_path, steps=2, evaluate_every=1))) == 0
    assert seen == [1, 2]
    told = capsys.readouterr().err
    assert told.count("warning: no samples in ") == 2 and "No space left on device" in told
    assert '"validation"' in (tmp_path / "log.jsonl").read_text()


def test_the_last_checkpoint_is_written_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = Trainer.save

    def noting(self: Trainer) -> None:
        saved.append(self.step)
        save(self)

    monkeypatch.setattr(Trainer, "save", noting)
    assert entry.main(arguments(config(folder, tmp_path, steps=3, evaluate_every=2))) == 0
    assert saved == [2, 3]
    assert entry.main(arguments(config(folder, tmp_path, steps=4, evaluate_every=0))) == 0
    assert saved == [2, 3, 4]


@pytest.mark.parametrize("where", [(torch, "save"), (Report, "line")])
def test_a_full_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, where: tuple[Any, str]
) -> None:
    """One line, the exit code of an output that cannot be written, and no halves of files."""
    monkeypatch.setattr(*where, full)
    assert entry.main(arguments(config(folder, tmp_path, steps=2, validation=0))) == 9
    told = capsys.readouterr().err
    assert told.startswith("aecodec train: cannot write into ") and told.count("\n") == 1
    assert repr(str(tmp_path)) in told and "No space left on device" in told
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_full_disk_of_a_small_autoencoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(torch, "save", full)
    changes = ["network=fc", "steps=1", "hidden=[4]", f"out={tmp_path / 'out'}"]
    assert entry.main([f"--set={change}" for change in changes]) == 9
    told = capsys.readouterr().err
    assert told.startswith("aecodec train: cannot write into ") and told.count("\n") == 1
