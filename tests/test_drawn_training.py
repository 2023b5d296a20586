"""Training pictures drawn from nothing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from aecodec.training import drawn
from aecodec.training.data import load_pictures


def test_a_folder_for_the_trainer(tmp_path):
    """Every picture is another one, and a second run draws the same; another seed does not."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert drawn.main([str(tmp_path / name), "--count", "4", "--seed", str(seed)]) == 0
    first, again, other = (load_pictures([str(tmp_path / name)]) for name in "abc")
    assert [tuple(p.shape) for p in first] == [(3, 512, 512)] * 4
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not any((a == b).all() for a, b in zip(first, other, strict=True))
    assert len({p.numpy().tobytes() for p in first}) == 4


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_smooth_shades_and_sharp_edges(kind):
    """Most steps between neighbours are next to nothing, a few are large."""
    for number in range(4):
        image = drawn.picture(np.random.default_rng((5, number)), kind)
        assert isinstance(image, Image.Image) and image.mode == "RGB"
        steps = np.abs(np.diff(np.asarray(image).astype(int), axis=1)).max(2)
        assert np.median(steps) <= 6 and steps.max() > 20
