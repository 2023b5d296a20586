"""Latents of a picture by the smallest bundle, for tests."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import Codec
from aecodec.latents import reading
from tests.conftest import DATA
from tests.synthetic import smooth

TINY = DATA / "bundles" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    """Its networks alone: they are so small that noise is cheaper as pixels."""
    return Codec(TINY, device="cpu", threads=1, pixel_blocks=False)


@pytest.fixture(scope="module")
def picture():
    """Detail and smooth parts, no multiple of 16."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 90, (100, 149, 3))
    return np.clip(smooth(1, 100, 149) * 0.7 + noise * (np.arange(149) > 80)[:, None], 0, 255).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def latents(tiny, picture):
    return reading.read(picture, tiny, 70)


def decoded_first(y):
    """[N, h, w] -> [N/2, P]: the first half of the channels where they are decoded first."""
    rows, columns = np.indices(y.shape[1:])
    return y[: len(y) // 2, (rows + columns) % 2 == 0]
