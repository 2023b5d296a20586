"""Settings of a run: what cannot work is refused by name before anything is read, 0 means never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from test_training import arguments, config, folder  # noqa: E402

from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.config import RANGES as CODEC_RANGES  # noqa: E402
from aecodec.training.config import Config  # noqa: E402
from aecodec.training.family.config import RANGES as FAMILY_RANGES  # noqa: E402
from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.ranges import COUNT, DECAY, NOT_NEGATIVE, POSITIVE, RATE, SEED, SHARE  # noqa: E402
from aecodec.training.settings_file import read_values  # noqa: E402

__all__ = ["folder"]  # a fixture
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))
OUTSIDE = {
    COUNT[0]: (0, -3),
    NOT_NEGATIVE[0]: (-1,),
    POSITIVE[0]: (0, -1),
    SHARE[0]: (-0.1, 2),
    DECAY[0]: (-0.1, 1),
    RATE[0]: (-1, 1e38),
    SEED[0]: (-1, 2**32),
}
NUMBERS = [key for _, keys in CODEC_RANGES for key in keys]


def refused(capsys: Any, *changes: str) -> str:
    assert entry.main([f"--set={change}" for change in changes]) == 2
    told: str = capsys.readouterr().err
    assert told.startswith("aecodec train: setting ") and told.count("\n") == 1
    return told


def cases(ranges: Any) -> list[tuple[str, float]]:
    return [(key, value) for (words, _), keys in ranges for key in keys for value in OUTSIDE[words]]


def written(cls: type, key: str, value: float) -> str:
    return f"{key}={float(value) if isinstance(getattr(cls(), key), float) else round(value)}"


@pytest.mark.parametrize(("key", "value"), cases(CODEC_RANGES))
def test_out_of_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, key: str, value: float
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"setting {key!r} wants " in refused(capsys, written(Config, key, value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("key", "value"), cases(FAMILY_RANGES))
def test_out_of_range_for_a_small_autoencoder(capsys: Any, key: str, value: float) -> None:
    change = written(FamilyConfig, key, value)
    assert f"setting {key!r} wants " in refused(capsys, "network=fc", "data=nowhere", change)


def test_what_the_tables_must_hold() -> None:
    """Each of these ended a run with a traceback, never, or with weights of nothing."""
    numbers = {"steps", "validation", "log_every", "evaluate_every", "expansion", "batch", "threads", "seed"}
    assert numbers | {"lambda_low", "clip", "ema", "enlarge"} <= set(NUMBERS)
    left = {k for k, v in vars(Config()).items() if type(v) in (int, float)} - set(NUMBERS)
    assert not {key for key in left if key in Config.__annotations__} - {"crop", "final_crop"}


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_no_number(capsys: Any, value: str) -> None:
    assert "setting 'minutes' wants 0 or more, got " in refused(capsys, f"minutes={value}")


@pytest.mark.parametrize("value", ["0", "-2", "1.5", "'8'"])
def test_a_shape_that_is_none(folder: Path, tmp_path: Path, capsys: Any, value: str) -> None:
    changes = (f"data=['{folder}']", f"out={tmp_path}", "size=tiny", f"shape={{c = {value}}}")
    assert "setting 'shape': 'c' wants 1 or more, got " in refused(capsys, *changes)


def test_qualities_that_fall(capsys: Any) -> None:
    assert "'lambda_high' wants lambda_low, 0.5" in refused(capsys, "lambda_low=0.5", "lambda_high=0.4")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_is_in_range(path: Path) -> None:
    cls: Any = FamilyConfig if "network" in read_values(str(path), []) else Config
    cls.load(str(path), []).check()


def test_configurations_are_found() -> None:
    assert len(CONFIGS) > 20


def test_never(folder: Path, tmp_path: Path) -> None:
    """Neither log lines nor samples, in a run that has pictures to measure."""
    changes = {"steps": 2, "log_every": 0, "evaluate_every": 0, "look_every": 0}
    assert entry.main(arguments(config(folder, tmp_path, **changes))) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"last.pt", "weights.pt", "log.jsonl"}
    assert (tmp_path / "log.jsonl").read_text() == ""
