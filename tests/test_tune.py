"""`--tune`: models that were trained for something else than PSNR."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from conftest import DATA, psnr
from PIL import Image

import aecodec
from aecodec import models
from aecodec.codec import Codec
from aecodec.errors import ModelError, UsageError
from aecodec.metrics import ms_ssim

CITY = DATA / "city.jpg"
TUNED = "nano-perceptual"


@pytest.fixture(scope="module", params=["nano", "fast"])
def curves(request, codec, city):
    """Of both forms [4, qualities]: log of bytes, -log(1 - MS-SSIM), PSNR and, with torch, SSIMULACRA 2."""
    found = []
    for each in (Codec(models.tuned(request.param, tune), device="cpu", threads=1) for tune in models.TUNES):
        rows = []
        for quality in (10, 30, 50, 70):
            data = each.encode(city, quality)
            decoded = codec.decode(data)
            values = -np.log(1 - ms_ssim(decoded, city)), psnr(decoded, city), ssimulacra2(decoded, city)
            rows.append((np.log(len(data)), *values))
        found.append(np.array(rows).T)
    return found


def ssimulacra2(a, b):
    try:
        import torch
    except ImportError:
        return np.nan
    from aecodec.training.objectives.ssimulacra2 import errors, score

    a, b = (torch.tensor(x).permute(2, 0, 1)[None].float() / 255 for x in (a, b))
    return float(score(errors(a, b)))


def gain(curves, metric):
    """Mean change of bytes at equal quality, as a logarithm."""
    (own, tuned) = curves
    inside = tuned[metric][(tuned[metric] > own[metric][0]) & (tuned[metric] < own[metric][-1])]
    assert len(inside) >= 2
    return np.mean(np.interp(inside, tuned[metric], tuned[0]) - np.interp(inside, own[metric], own[0]))


def test_each_is_the_better_one_by_its_metric(curves):
    assert gain(curves, 1) < -0.05 and 0 < gain(curves, 2) < 0.4


def test_what_people_see_is_what_it_was_trained_for(curves):
    pytest.importorskip("torch")
    assert gain(curves, 3) < -0.2


WAYS = {
    (): "fast-perceptual",
    ("--tune", "perceptual"): "fast-perceptual",
    ("--tune", "psnr"): "fast",
    ("--model", "nano"): "nano",
    ("--model", "nano", "--tune", "psnr"): "nano",
    ("--model", "nano", "--tune", "perceptual"): TUNED,
    ("--model", TUNED): TUNED,
    ("--model", TUNED, "--tune", "psnr"): "nano",
}


@pytest.mark.parametrize(("options", "name"), WAYS.items(), ids=lambda value: " ".join(value) or "none")
def test_the_command_line_takes_the_model_of_its_options(cli, tmp_path, options, name):
    out = tmp_path / "a.aec"
    assert cli("encode", CITY, out, "-q", "30", "--device", "cpu", *options) == (0, b"", "")
    assert json.loads(cli("info", out, "--json").out)["model_id"] == models.find(name).model_id.hex()
    assert cli("decode", out, tmp_path / "a.png").code == 0


def test_python_and_pillow_take_it_too(city):
    aecodec.register()
    models_of = {"psnr": "fast", "perceptual": "fast-perceptual", None: "fast-perceptual"}
    for tune, name in models_of.items():
        data = aecodec.encode(city, 30, device="cpu", threads=1, tune=tune)
        assert data == aecodec.encode(city, 30, name, "cpu", 1)
        saved = io.BytesIO()
        Image.fromarray(city).save(saved, "AEC", quality=30, device="cpu", threads=1, tune=tune)
        assert saved.getvalue() == data
    with pytest.raises(UsageError, match="tune 'ssim' is unknown; use one of psnr, perceptual"):
        aecodec.encode(city, tune="ssim")


def test_with_many_inputs(cli, tmp_path):
    ways = ("--tune", "psnr"), ("--model", "fast"), ()
    for name, option in zip("abc", ways, strict=True):
        options = ("--out-dir", tmp_path / name, "-q", "5", "--device", "cpu", *option)
        assert cli("encode", CITY, *options).code == 0
    a, b, c = ((tmp_path / name / "city.aec").read_bytes() for name in "abc")
    assert a == b != c


def test_a_tuned_model_is_asked_for_its_own_tune():
    assert models.tuned(TUNED, "perceptual") == TUNED and models.tuned("nano", "psnr") == "nano"
    assert models.tuned(None, "perceptual") is None is models.tuned(None, None)
    assert models.tuned("any", None) == "any"


def test_the_model_beside_one_in_a_folder(tmp_path):
    """Not one of that name elsewhere, which may be another's."""
    for name in ("nano", TUNED):
        shutil.copytree(models.find(name).path, tmp_path / name)
    folder = tmp_path / "nano"
    assert models.tuned(folder, "perceptual") == tmp_path / TUNED
    assert models.tuned(tmp_path / TUNED, "psnr") == folder
    shutil.rmtree(tmp_path / TUNED)
    with pytest.raises(ModelError, match="'nano' .* has no perceptual form.*place of nano-perceptual"):
        models.tuned(folder, "perceptual")
    folder.rename(tmp_path / "other")
    shutil.copytree(models.find(TUNED).path, tmp_path / TUNED)
    with pytest.raises(ModelError, match="'nano-perceptual' .* has no psnr form.*place of nano to"):
        models.tuned(tmp_path / TUNED, "psnr")


def test_models_without_one_say_so(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(DATA / "bundles"))
    with pytest.raises(ModelError, match=r"model 'tiny' \(\w+\) has no perceptual form; installed: "):
        models.tuned("tiny", "perceptual")
    result = cli("encode", CITY, tmp_path / "a.aec", "--model", "tiny", "--tune", "perceptual")
    assert result.code == 7 and result.err.count("\n") == 1 and not list(tmp_path.iterdir())


def test_it_is_nothing_for_decoders(cli, tmp_path):
    result = cli("batch", "decode", tmp_path, tmp_path / "out", "--tune", "perceptual")
    assert result.code == 2 and "--tune is for encode" in result.err
