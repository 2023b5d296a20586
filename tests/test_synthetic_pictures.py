"""benchmarks/synthetic.py draws what its sets are named for, and the same each time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import pictures, synthetic


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return synthetic.write(tmp_path_factory.mktemp("drawn"))


def steps(picture: np.ndarray) -> np.ndarray:
    """Largest change of a channel from each pixel to the one on its right."""
    return np.abs(np.diff(picture.astype(int), axis=1)).max(axis=2)


def test_every_set_has_its_folder_of_rgb_pictures(folders: list[Path]) -> None:
    assert [folder.name for folder in folders] == ["flat", "gradient", "text", "screen", "lineart"]
    for folder in folders:
        for path in pictures.find(folder):
            with Image.open(path) as image:
                assert image.mode == "RGB" and image.size == (768, 512), path.name


def test_the_same_pixels_each_time(folders: list[Path], tmp_path: Path) -> None:
    for before, after in zip(folders, synthetic.write(tmp_path), strict=True):
        for path in pictures.find(before):
            again = pictures.load(after / path.name)
            assert np.array_equal(pictures.pixels(pictures.load(path)), pictures.pixels(again)), path.name


def test_sets_are_what_they_are_called(folders: list[Path]) -> None:
    """Neighbours differ hardly anywhere, by little, or often and by much."""
    for folder in folders:
        for path in pictures.find(folder):
            change = steps(pictures.pixels(pictures.load(path)))
            if folder.name == "flat":
                assert (change > 0).mean() < 0.02, path.name
            elif folder.name == "gradient":
                assert change.max() <= 3, path.name
            else:
                assert (change > 60).mean() > 0.03, path.name


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert synthetic.main([str(tmp_path / "file")]) == 2
    assert "cannot write pictures" in capsys.readouterr().err
