"""benchmarks/suite.py: all parts in one command, and what is kept when it is called again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import entropy, speed, suite  # noqa: E402

QUICK = [
    "--peers",
    "jpeg",
    "--against",
    "jpeg",
    "--qualities",
    "20",
    "50",
    "80",
    "--rounds",
    "1",
    "--skip-drawn",
]


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Speed without whole processes and the large picture; -> its calls. No peer but JPEG."""
    calls: list[list[str]] = []
    original = speed.main

    def quick(arguments: list[str]) -> int:
        calls.append(arguments)
        return original([*arguments, "--skip-cold", "--skip-large", "--peers", "jpeg-baseline"])

    monkeypatch.setattr(speed, "main", quick)
    return calls


def test_all_parts_and_nothing_twice(
    folder: Path,
    tmp_path: Path,
    no_processes: list[list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "results"
    monkeypatch.setattr(entropy, "main", fake_entropy)
    arguments = [str(folder), *QUICK, "--threads", "1", "--learned", "--out", str(out)]
    assert suite.main(arguments) == 0
    page = (out / "report.html").read_text()
    assert "192 x 192, warm" in page and "Where aecodec is worst against jpeg" in page
    assert page.count("class=viewer") == 2
    assert json.loads((out / "speed.json").read_text())["complete"] is True
    assert "16 rows measured" in capsys.readouterr().out

    assert suite.main(arguments) == 0
    assert "0 rows measured, 16 from" in capsys.readouterr().out
    assert len(no_processes) == 1
    monkeypatch.setattr(suite, "source_hash", lambda: "changed")
    assert suite.main(arguments) == 0
    assert len(no_processes) == 2, "times of another source are stale"


def fake_entropy(arguments: list[str]) -> int:
    """tests/test_benchmarks.py runs the true one."""
    Path(arguments[arguments.index("--out") + 1]).write_text("{}")
    return 0


def test_several_jobs_time_nothing(folder: Path, tmp_path: Path, no_processes: list[list[str]]) -> None:
    out = tmp_path / "results"
    assert suite.main([str(folder), *QUICK, "--jobs", "2", "--out", str(out)]) == 0
    assert not no_processes and not (out / "speed.json").exists()
    assert "Not measured." in (out / "report.html").read_text()


def test_unknown_model(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main([str(folder), "--codecs", "aecodec:none", "--out", str(tmp_path / "r")]) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_sets_of_one_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main([str(folder), str(folder), *QUICK, "--out", str(tmp_path / "r")]) == 2
    assert "another set named" in capsys.readouterr().err
