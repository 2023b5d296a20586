"""An album of .aec files, for tests of what indexes them."""

from __future__ import annotations

import json

import pytest

from tests.synthetic import smooth

COUNT = 12


@pytest.fixture(scope="module")
def pictures(codec):
    """Smooth pictures of different colours, and each as a file of a moderate quality."""
    originals = [smooth(seed, 96, 112) for seed in range(COUNT)]
    return originals, [codec.encode(picture, 40) for picture in originals]


@pytest.fixture
def album(tmp_path, pictures):
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    for number, data in enumerate(pictures[1]):
        (folder / ("deeper" if number % 2 else ".") / f"{number:02}.aec").write_bytes(data)
    return folder


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]
