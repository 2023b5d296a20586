"""`effort`: the encoder looks at what the decoder will make of its file, and mends it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import DATA, psnr
from PIL import Image

import aecodec
from aecodec import Codec, container, encoding
from aecodec.cli.main import main
from aecodec.cutting import with_steps
from aecodec.decoding import decode_symbols
from aecodec.errors import UsageError
from aecodec.groups import Groups
from aecodec.loaded import quality_of
from tests.synthetic import smooth

TINY = DATA / "bundles" / "tiny"
QUALITIES = (15, 35, 55, 75)


def curve(codec, picture, effort):
    """[2, qualities]: log of bytes, PSNR."""
    files = [codec.encode(picture, quality, effort=effort) for quality in QUALITIES]
    return np.array([(np.log(len(data)), psnr(codec.decode(data), picture)) for data in files]).T


def saving(plain, other):
    """Mean change of the logarithm of bytes at equal PSNR."""
    inside = (other[1] > plain[1][0]) & (other[1] < plain[1][-1])
    assert inside.sum() >= 2
    return np.mean(other[0][inside] - np.interp(other[1][inside], plain[1], plain[0]))


@pytest.mark.parametrize(("name", "most"), [("city", -0.015), ("budgie", 0.005)])
def test_looking_saves_bytes(codec, name, most, request):
    """The second picture is so small that a few bytes of its files, which may differ between CPUs, are more
    than what is saved."""
    picture = request.getfixturevalue(name)
    plain, once, twice = (curve(codec, picture, effort) for effort in range(3))
    assert saving(plain, once) < most and saving(plain, twice) < most


def in_bands(monkeypatch, rows):
    """A codec that works on few rows of blocks at a time, as on large pictures; networks alone."""
    monkeypatch.setattr(encoding, "WIDEST", 4 * rows)
    codec = Codec(TINY, device="cpu", threads=1, pixel_blocks=False)
    codec._loader.load(codec.bundle).networks.largest = 30
    return codec


def picture_of(height, width):
    detail = np.random.default_rng(4).integers(0, 60, (height, width, 3))
    return np.clip(smooth(2, height, width) * 0.8 + detail, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("effort", [1, 2])
def test_means_are_those_of_the_decoder_in_every_band(monkeypatch, effort):
    """A band that is mended after another one has used its symbols would spoil the other one's means."""
    seen, bands, plain = {}, set(), encoding._Encoder._halves

    def halves(self, numbers):
        bands.add(numbers)
        for number, first, residual, index in plain(self, numbers):
            y = self._y.group(self._grid.all[number])
            seen[number] = y - residual  # mu_2, where the second half is
            yield number, first, residual, index

    monkeypatch.setattr(encoding._Encoder, "_halves", halves)
    codec = in_bands(monkeypatch, 4)
    monkeypatch.setattr("aecodec.datapath.choose_edge", lambda size, side: 16)
    data = codec.encode(picture_of(64 * 15, 64 * 3), 70, effort=effort)
    parsed = container.read_file(data)
    model = codec._loader.load(codec.bundle)
    symbols, z_hat, _ = decode_symbols(model, parsed.header, parsed.groups)
    session = model.networks.derived("steps", "synthesis", with_steps)
    feed = {"symbols": symbols, "z_hat": z_hat, "quality": quality_of(parsed.header)}
    mean = session.run(None, feed)[1][0] - symbols[0]
    groups = Groups.of(parsed.header)
    assert len(seen) == len(groups.all) and len(bands) > 2
    channel, row, column = np.indices(mean.shape)
    second = ((row + column) % 2 == 1) ^ (channel >= len(mean) // 2)  # docs/format.md, the two halves
    for number, group in enumerate(groups.all):
        there = groups.cut(second, group)
        np.testing.assert_allclose(seen[number][there], groups.cut(mean, group)[there], atol=1e-3)


def test_bytes_are_the_same_for_any_number_of_threads(city):
    files = {Codec(TINY, device="cpu", threads=n).encode(city, 60, effort=1) for n in (1, 2, 4)}
    assert len(files) == 1


@pytest.mark.parametrize("kind", ["grey", "alpha", "sixteen", "one pixel", "text"])
def test_every_kind_of_picture(codec, city, kind):
    ramp = np.linspace(0, 255, city.shape[1]).astype(np.uint8) * np.ones((city.shape[0], 1), np.uint8)
    text = np.full((128, 192, 3), 255, np.uint8)
    text[::3, ::5] = 0
    picture = {
        "grey": city[:, :, 1],
        "alpha": np.dstack([city, ramp]),
        "sixteen": city.astype(np.uint16) * 257,
        "one pixel": city[:1, :1],
        "text": text,
    }[kind]
    plain, mended = (codec.encode(picture, 60, alpha_quality=40, effort=n) for n in (0, 1))
    worth = 65535 if kind == "sixteen" else 255
    error = [np.mean((codec.decode(data) / worth - picture / worth) ** 2) for data in (plain, mended)]
    assert codec.decode(mended).shape == picture.shape and codec.decode(mended).dtype == picture.dtype
    assert error[1] <= 1.02 * error[0] + 1e-9 and len(mended) <= 1.05 * len(plain)


def test_targets_are_met_with_effort(codec, city):
    data = codec.encode(city, target_size=12000, effort=1)
    assert abs(len(data) / 12000 - 1) < 0.01
    assert psnr(codec.decode(data), city) > psnr(codec.decode(codec.encode(city, target_size=12000)), city)


def test_everywhere_alike(codec, city, tmp_path):
    Image.fromarray(city).save(tmp_path / "in.png")
    assert main(["encode", str(tmp_path / "in.png"), str(tmp_path / "out.aec"), "--effort", "1"]) == 0
    expected = (tmp_path / "out.aec").read_bytes()
    assert expected == aecodec.encode(city, effort=1) != aecodec.encode(city)
    out = io.BytesIO()
    aecodec.register()
    Image.fromarray(city).save(out, "AEC", effort=1)
    assert out.getvalue() == expected


@pytest.mark.parametrize("effort", [-1, 3, 1.5, "1", None, float("nan")])
def test_effort_that_makes_no_sense(codec, city, effort):
    with pytest.raises(UsageError, match="effort .*: a whole number from 0 to 2 is needed"):
        codec.encode(city, effort=effort)


@pytest.mark.parametrize("text", ["-1", "3", "much"])
def test_effort_of_the_command_line(text, capsys):
    assert main(["encode", "in.png", "out.aec", "--effort", text]) == 2
    assert "--effort" in capsys.readouterr().err
