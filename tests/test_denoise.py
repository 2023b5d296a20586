"""Denoising by coding: the estimate of the noise, the quality it asks for, what comes out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import aecodec
from aecodec import models
from aecodec.errors import UsageError
from aecodec.latents import denoise
from aecodec.pixels import Picture
from tests.conftest import psnr
from tests.synthetic import smooth


def noisy(clean, sigma, seed=0):
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(clean + rng.normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [5, 15, 30])
def test_sigma_is_estimated(sigma):
    picture = noisy(smooth(2, 160, 200) // 2 + 64, sigma)
    assert denoise.estimate_sigma(picture) == pytest.approx(sigma, rel=0.08)
    deep = picture.astype(np.uint16) * 257
    assert denoise.estimate_sigma(deep) == pytest.approx(denoise.estimate_sigma(picture), rel=0.01)
    assert denoise.estimate_sigma(picture[:1]) == 0
    for wrong in (picture[:, :, 0], picture.astype(np.float32), picture[:0]):
        with pytest.raises(UsageError, match="uint8 or uint16"):
            denoise.estimate_sigma(wrong)


def test_more_noise_asks_for_less_quality(bundle):
    found = [denoise.quality_for(bundle, sigma) for sigma in (0, 1, 5, 10, 25, 50, 200)]
    assert found == sorted(found, reverse=True) and found[0] == 100 and found[-1] == 0
    assert 30 < denoise.quality_for(bundle, 25) < 45
    learned = replace(bundle, name="nano-denoise")
    assert denoise.quality_for(bundle, 25) + 5 < denoise.quality_for(learned, 25) < 60


def test_sigmas_at_the_ends(bundle, cli, tmp_path):
    assert denoise.quality_for(bundle, 1e-320) == 100 and denoise.quality_for(bundle, 255) == 0
    for sigma in (256, 1e308, -1, float("nan")):
        with pytest.raises(UsageError, match="0..255"):
            denoise.quality_for(bundle, sigma)
        refused = cli("denoise", "none.png", "-o", tmp_path / "a.png", f"--sigma={sigma}")
        assert refused.code == UsageError.exit_code and "outside 0..255" in refused.err
    strongest = np.zeros((8, 8, 1), np.uint8)
    strongest[::2, ::2] = strongest[1::2, 1::2] = 255
    assert denoise.estimate_sigma(strongest) == 255


def test_noise_goes(codec, city):
    picture = noisy(city, 25)
    with_options = denoise.make_codec(models.default_name(), device="cpu", threads=2)
    found = denoise.denoise(Picture(picture), with_options).pixels
    assert psnr(found, city) > psnr(picture, city) + 4
    worse = denoise.denoise(Picture(picture), with_options, quality=90).pixels
    assert psnr(found, city) > psnr(worse, city) + 1


def test_grey_noise_asks_for_less(bundle, city):
    """The quality that fits grey is nearer to the best than that of a colour picture with as much noise."""
    grey = city[:256, :256].mean(2).round().astype(np.uint8)[..., None]
    picture = noisy(grey, 15)
    codec = denoise.make_codec(models.default_name(), device="cpu", threads=2)
    fitting, other = (denoise.quality_for(bundle, 15, channels) for channels in (1, 3))
    assert fitting < other - 10
    results = [
        denoise.denoise(Picture(picture), codec, quality=quality).pixels for quality in (fitting, other)
    ]
    assert psnr(results[0], grey) > psnr(results[1], grey) + 0.3
    np.testing.assert_array_equal(denoise.denoise(Picture(picture), codec, 15).pixels, results[0])


def test_the_denoising_model_does_better(city):
    """At the quality that each takes, and its files are those of an ordinary model."""
    picture = Picture(noisy(city, 25))
    plain, special = (denoise.make_codec(name, device="cpu", threads=2) for name in ("nano", None))
    assert denoise.is_denoising(special.bundle) and special.bundle.model_id == plain.bundle.model_id
    found = denoise.encode(picture, special, 25)
    other = denoise.encode(picture, plain, 25)
    decoder = aecodec.Codec("nano", device="cpu", threads=2)
    assert psnr(decoder.decode(found), city) > psnr(decoder.decode(other), city) + 0.1


def test_command(cli, city, tmp_path):
    source, out = tmp_path / "noisy.png", tmp_path / "clean.png"
    alpha = np.full(city.shape[:2], 200, np.uint8)
    Image.fromarray(np.dstack([noisy(city, 20), alpha])).save(source)
    result = cli("denoise", source, "-o", out, "--json", "--device", "cpu")
    facts = json.loads(result.out)
    assert result.code == 0 and 15 < facts["sigma"] < 25 and facts["model"] == "nano-denoise"
    assert facts["status"] == "done" and facts["output"] == str(out)
    with Image.open(out) as image:
        assert image.mode == "RGBA" and (np.asarray(image)[..., 3] == 200).all()
        assert psnr(np.asarray(image)[..., :3], city) > psnr(noisy(city, 20), city) + 3
    again = cli("denoise", source, "-o", out, "--json", "--device", "cpu")
    assert again.code == 9 and json.loads(again.out)["status"] == "failed"
    small = tmp_path / "clean.aec"
    assert cli("denoise", source, "-o", small, "--sigma", 20, "--device", "cpu").code == 0
    facts = aecodec.info(small)
    assert facts["model_name"] == "nano" and not any(g["pixel_blocks"] for g in facts["groups"])
    assert cli("denoise", source, "-o", out, "--sigma", -3, "--device", "cpu").code == 2


def test_a_denoising_model_is_preferred(monkeypatch):
    default = models.find()
    special = replace(default, name=default.name + denoise.SUFFIX)
    monkeypatch.setattr(models, "installed", lambda: [default, special])
    assert denoise.find_model() is special
    assert denoise.find_model(default.name) is default
    monkeypatch.setattr(models, "installed", lambda: [default])
    assert denoise.find_model() is default
