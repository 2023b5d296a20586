"""Training pictures of other kinds than 8-bit colour, and what the KLT makes of few or flat ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic import smooth

torch = pytest.importorskip("torch")

from test_training import arguments, config, run  # noqa: E402

from aecodec import pixels  # noqa: E402
from aecodec.errors import InputError  # noqa: E402
from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training import start  # noqa: E402
from aecodec.training.checkpoint import load_model  # noqa: E402
from aecodec.training.data import klt_basis, load_pictures  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

SIXTEEN = smooth(3)[:, :, 1].astype(np.uint16) * 257 + 100


def loaded(path: Path) -> np.ndarray:
    (picture,) = load_pictures([str(path.parent)])
    return picture.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.ppm"])
def test_grey_of_16_bits(tmp_path: Path, name: str) -> None:
    """As the codec sees it: Pillow cuts it at 255, and nearly all is white."""
    Image.fromarray(SIXTEEN).save(tmp_path / name)
    found = loaded(tmp_path / name)
    assert found.dtype == np.uint8 and (found == found[:, :, :1]).all()
    shallow = pixels.shallow(pixels.read_picture(tmp_path / name)).array
    np.testing.assert_array_equal(found, np.repeat(shallow, 3, 2))
    assert abs(found[:, :, 0].astype(int) - smooth(3)[:, :, 1]).max() <= 1 and len(np.unique(found)) > 20


def test_grey_of_16_bits_in_which_0_is_white(tmp_path: Path) -> None:
    Image.fromarray(SIXTEEN).save(tmp_path / "a.tif", tiffinfo={262: 0})
    shallow = pixels.shallow(pixels.read_picture(tmp_path / "a.tif")).array
    np.testing.assert_array_equal(loaded(tmp_path / "a.tif"), np.repeat(shallow, 3, 2))


@pytest.mark.parametrize("samples", [SIXTEEN.astype(np.float32), SIXTEEN.astype(np.int32) - 40000])
def test_samples_that_no_range_is_known_of(tmp_path: Path, samples: np.ndarray) -> None:
    Image.fromarray(samples).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif cannot be read: .*0\.\.65535"):
        load_pictures([str(tmp_path)])


def test_training_needs_no_compiled_core() -> None:
    """A machine that trains may have torch, numpy and Pillow, and the sources alone."""
    code = (
        "import sys; sys.modules['aecodec._core'] = None\n"
        "import aecodec.training.__main__ as entry\n"
        "sys.exit(entry.main(['--set=size=none']) != 2 or 'onnxruntime' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "'none' is unknown" in done.stderr, done.stderr


def test_pictures_smaller_than_a_patch(tmp_path: Path, capsys: Any) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for i in range(3):
        Image.fromarray(smooth(i, 15, 90)).save(small / f"{i}.png")
    assert entry.main(arguments(config(small, tmp_path / "out", shortcut=True))) == 2
    told = capsys.readouterr().err
    assert "no training picture has 16 x 16 pixels or more" in told and told.count("\n") == 1


def test_directions_without_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey pictures have 256 directions at most: the weights of 300 latents fit float16, and are trained."""
    for i in range(4):
        Image.fromarray(smooth(i)).convert("L").save(tmp_path / f"{i}.png")
    grey = load_pictures([str(tmp_path)])
    basis, deviation = klt_basis(grey, 300, patches=1000)
    assert (deviation > 0).all() and (deviation[:-1] >= deviation[1:]).all()
    assert float((basis / deviation[:, None]).abs().max()) < 2e4

    monkeypatch.setattr(start, "klt_basis", lambda pictures, n: klt_basis(pictures, n, patches=1000))
    changes = {"steps": 2, "shortcut": True, "shape": {"n": 300}}
    trainer = Trainer(config(tmp_path, tmp_path / "out", **changes))
    run(trainer, 2)
    trainer.save()
    model, _ = load_model(str(tmp_path / "out" / "weights.pt"))
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


def test_the_floor_is_below_what_pictures_have() -> None:
    """Rounding to 8 bits alone is more than it."""
    rng = np.random.default_rng(0)
    noisy = [
        torch.from_numpy((smooth(i) + rng.integers(-1, 2, (96, 112, 3))).clip(0, 255).astype(np.uint8))
        for i in range(4)
    ]
    pictures = [p.permute(2, 0, 1).contiguous() for p in noisy]
    _, deviation = klt_basis(pictures, 768, patches=4000)
    assert len(deviation.unique()) > 700
