"""A folder of small pictures for the tests of many inputs, and what they made of it."""

from __future__ import annotations

import json
import sys

import pytest
from PIL import Image
from synthetic import smooth

COMMAND = [sys.executable, "-m", "aecodec"]
FAST = ("-q", "5", "--device", "cpu")
PATIENCE = 600
"""Seconds for a process that takes one, or a few: on a machine that is busy it takes many."""


def picture(path, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(seed, 40, 56)).save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    """in/: a.png, b c.jpg, deep/er/d.png, and a text."""
    for number, name in enumerate(("a.png", "b c.jpg", "deep/er/d.png")):
        picture(tmp_path / "in" / name, number)
    (tmp_path / "in" / "text.txt").write_text("no picture")
    return tmp_path / "in"


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]
