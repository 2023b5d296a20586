"""Training that cannot begin: one line that says what is wrong and where, and no folder is made for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from conftest import DATA  # noqa: E402
from test_training import arguments, config, folder  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

__all__ = ["folder"]  # a fixture


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def told(capsys: Any, *argv: str) -> tuple[int, str]:
    code, err = entry.main(list(argv)), capsys.readouterr().err
    assert err.startswith("aecodec train: ") and err.count("\n") == 1 and "Errno" not in err
    return code, err


def test_a_file_of_settings_that_is_none(place: Path, capsys: Any) -> None:
    for name, contents, words in (
        ("none.toml", None, "cannot read 'none.toml': No such file or directory; give a TOML file"),
        ("rgb.png", (DATA / "budgie.png").read_bytes(), "'rgb.png' is no text; give a TOML file"),
        ("run.txt", b"steps: 7", "'run.txt' is no TOML: "),
        (".", None, "cannot read '.': "),
    ):
        if contents:
            (place / name).write_bytes(contents)
        code, err = told(capsys, name)
        assert code == 3 and words in err
    assert sorted(p.name for p in place.iterdir()) == ["rgb.png", "run.txt"]


def test_nothing_to_learn_from(place: Path, capsys: Any) -> None:
    (place / "empty").mkdir()
    (place / "rgb.png").write_bytes((DATA / "budgie.png").read_bytes())
    (place / "cut").mkdir()
    (place / "cut" / "a.png").write_bytes(b"nothing")
    for data, code, words in (
        ([], 2, "the setting 'data', which names nothing; name folders or .tar files: --set 'data="),
        (["empty"], 2, "no pictures found in empty; name folders"),
        (["none"], 3, "training data none: no such file or folder"),
        (["rgb.png"], 3, "training data rgb.png: neither a folder nor a .tar file"),
        (["cut"], 3, os.path.join("cut", "a.png") + " cannot be read"),
    ):
        found, err = told(capsys, f"--set=data={data}", "--set=size=tiny")
        assert found == code and words in err
    assert not (place / "runs").exists()


def test_no_arguments_at_all(place: Path, capsys: Any) -> None:
    assert told(capsys)[0] == 2
    assert list(place.iterdir()) == []


def test_weights_that_are_not_there(place: Path, folder: Path, capsys: Any) -> None:
    code, err = told(capsys, *arguments(config(folder, place / "out", init="none.pt")))
    assert code == 3 and "cannot read 'none.pt': No such file or directory" in err
    code, err = told(capsys, "--evaluate", "none.pt", str(folder))
    assert code == 3 and "'none.pt'" in err
    assert list(place.iterdir()) == []


def test_a_folder_for_the_run_that_cannot_be(place: Path, folder: Path, capsys: Any) -> None:
    (place / "out").write_bytes(b"a file")
    code, err = told(capsys, *arguments(config(folder, place / "out")))
    assert code == 9 and "'out'" in err and str(place / "out") in err
    code, _ = told(capsys, *arguments(config(folder, place / "out" / "below")))
    assert code == 9


def test_the_folder_is_made_with_what_is_in_it(place: Path, folder: Path) -> None:
    trainer = Trainer(config(folder, place / "a" / "out"))
    assert list(place.iterdir()) == []
    trainer.save()
    assert (place / "a" / "out" / "last.pt").exists()


def test_the_command_line_tells_the_same(cli: Any, place: Path) -> None:
    result = cli("train", "none.toml")
    assert result.code == 3 and result.err.startswith("aecodec train: cannot read 'none.toml'")
    assert "torch" in sys.modules and list(place.iterdir()) == []
