"""Targets: how near the search comes, in how few encodings, and what it does where there is no answer."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from conftest import DATA, psnr
from PIL import Image
from searches import Fake, smooth

import aecodec
from aecodec import raster, rate_control
from aecodec.errors import UsageError
from aecodec.integrations import webdataset
from aecodec.pixels import open_picture, read_picture
from aecodec.quality_search import PATIENCE
from aecodec.rate_control import STEPS, Target

CITY = DATA / "city.jpg"


def staircase(quality):
    return 500 + 400 * (quality // 1000)


def bent(quality):
    return 800 + 60000 * (quality / STEPS) ** 6


@pytest.mark.parametrize("size", [smooth, bent])
@pytest.mark.parametrize("wanted", [900, 1500, 4000, 9000])
def test_size_within_half_a_percent(size, wanted):
    fake = Fake(size)
    found = fake.reach(Target(size=wanted))
    assert abs(len(found.data) / wanted - 1) <= 0.0055 and not found.note
    assert found.runs == len(fake.asked) == len(set(fake.asked))
    assert found.runs <= (5 if size is smooth else 12)
    assert len(found.data) == int(size(found.quality))


def test_nearest_step_where_sizes_jump():
    found = Fake(staircase).reach(Target(size=1250))
    assert len(found.data) == 1300 and "nearer" in found.note


@pytest.mark.parametrize("at", [1, 5000, 9001, STEPS - 1])
def test_a_jump_that_nothing_bridges_is_found_by_halving(at):
    """Hardly a quality is left between the two files around it, which the note may then say."""
    fake = Fake(lambda quality: 1000 + 1000 * (quality >= at) + quality / STEPS)
    found = fake.reach(Target(size=1400))
    assert found.quality < at and "no quality comes much nearer" in found.note
    above = min(quality for quality in fake.asked if quality >= at)
    assert above - found.quality <= STEPS / 100 and found.runs <= PATIENCE + 8


@pytest.mark.parametrize("wanted", [990, 1010, 1100, 9000])
def test_a_size_that_no_quality_changes(wanted):
    """A plain picture: the ends say so."""
    if wanted > 1000:
        found = Fake(lambda quality: 1000).reach(Target(size=wanted))
        assert found.runs <= 4 and found.note
    else:
        with pytest.raises(UsageError, match="has 1000"):
            Fake(lambda quality: 1000).reach(Target(size=wanted))
    found = Fake(lambda quality: 1000).reach(Target(max_size=max(wanted, 1000)))
    assert found.runs == 1


@pytest.mark.parametrize("wanted", [1040, 1500, 2200])
def test_a_size_that_hardly_changes_but_for_one_jump(wanted):
    found = Fake(lambda quality: 1000 + quality // 1600 + 1300 * (quality > 11_111)).reach(
        Target(size=wanted)
    )
    assert found.runs <= 16 and "nearer" in found.note
    assert (found.quality <= 11_111) == (wanted < 1510)


@pytest.mark.parametrize("size", [smooth, bent, staircase])
@pytest.mark.parametrize("limit", [950, 1250, 3999, 6000])
def test_max_size_is_never_exceeded(size, limit):
    found = Fake(size).reach(Target(max_size=limit), start=STEPS)
    assert len(found.data) <= limit
    if size is not staircase:
        assert len(found.data) >= 0.99 * limit


def test_max_size_keeps_the_quality_where_it_fits():
    fake = Fake(smooth)
    found = fake.reach(Target(max_size=10**6), start=7000)
    assert (found.quality, found.runs, found.note) == (7000, 1, "")


def test_bpp_is_of_the_whole_file():
    assert abs(len(Fake(smooth).reach(Target(bpp=16), pixels=1000).data) / 2000 - 1) < 0.006


def test_psnr():
    found = Fake(smooth).reach(Target(psnr=36.5))
    assert abs(20 + 5 * math.log10(len(found.data)) - 36.5) <= 0.02


def test_out_of_reach():
    found = Fake(smooth).reach(Target(size=10**6))
    assert found.quality == STEPS and "quality 100" in found.note
    for target in (Target(size=400), Target(max_size=499), Target(bpp=1)):
        with pytest.raises(UsageError, match="smallest file that was found has 500"):
            Fake(smooth).reach(target)


@pytest.mark.parametrize("bpp", [1e-9, 1e-300, 0.5, 1])
def test_a_pixel_cannot_have_less_than_a_byte(bpp):
    """Of a picture of one: its target rounds to none at all."""
    with pytest.raises(UsageError, match=r"bits a pixel \(bpp\), which are 1 bytes; .* found has 500, 4000 "):
        Fake(smooth).reach(Target(bpp=bpp), pixels=1)


def test_a_real_pixel(cli, codec, tmp_path):
    pixel = np.full((1, 1, 3), 90, np.uint8)
    for bpp in (1e-9, 1, 8):
        with pytest.raises(UsageError, match=rf"does not fit into {bpp:g} bits a pixel"):
            codec.encode(pixel, target_bpp=bpp)
    with pytest.warns(UserWarning, match="target"):
        assert codec.decode(codec.encode(pixel, target_bpp=10**6)).shape == (1, 1, 3)
    smallest = len(codec.encode(pixel, 0))
    assert len(codec.encode(pixel, target_bpp=8 * smallest)) <= smallest * 1.01
    Image.fromarray(pixel).save(tmp_path / "a.png")
    done = cli("encode", tmp_path / "a.png", tmp_path / "a.aec", "--target-bpp", "1")
    assert done.code == 2 and "bpp" in done.err and not (tmp_path / "a.aec").exists()


def test_exact_pictures():
    """Infinite decibels end no search with an error."""
    psnr = lambda data: math.inf if len(data) > 900 else 30.0  # noqa: E731
    found = rate_control.reach(Target(psnr=50), 1000, 0, Fake(smooth), psnr)
    assert "nearer" in found.note and 2 <= found.runs <= 24
    always = rate_control.reach(Target(psnr=50), 1000, 0, Fake(smooth), lambda data: math.inf)
    assert always.quality == 0 and "quality 0 is above" in always.note


def test_targets_exclude_each_other():
    with pytest.raises(UsageError, match="bpp and psnr"):
        Target(bpp=1, psnr=30)
    for bad in (0, -1, math.nan, math.inf):
        with pytest.raises(UsageError):
            Target(bpp=bad)
    assert not Target() and Target(size=1)


@pytest.mark.parametrize("bpp", [0.4, 1.5])
def test_real_sizes(codec, city, bpp):
    data = codec.encode(city, target_bpp=bpp)
    assert abs(8 * len(data) / (410 * 300) / bpp - 1) < 0.01


def test_real_psnr(codec, city):
    assert abs(psnr(codec.decode(codec.encode(city, target_psnr=31)), city) - 31) < 0.05


def framed(colours, dtype=np.uint8):
    """[192, 192, C + 1] of which the middle shows."""
    alpha = np.zeros((192, 192, 1), dtype)
    alpha[50:130, 60:150] = np.iinfo(dtype).max
    return np.concatenate([colours[:192, :192].astype(dtype) * dtype(np.iinfo(dtype).max // 255), alpha], 2)


@pytest.mark.parametrize(
    ("channels", "dtype", "alpha_quality"),
    [(3, np.uint8, None), (1, np.uint8, None), (3, np.uint16, None), (3, np.uint8, 20)],
)
def test_psnr_of_what_is_seen(codec, budgie, channels, dtype, alpha_quality):
    """What fills the rest, and is nearly exact, does not count."""
    picture = framed(budgie[:, :, :channels], dtype)
    data = codec.encode(picture, target_psnr=35, alpha_quality=alpha_quality)
    decoded, seen = codec.decode(data), picture[:, :, -1] > 0
    errors = decoded[seen, :channels].astype(float) - picture[seen, :channels]
    assert abs(20 * math.log10(np.iinfo(dtype).max / np.sqrt(np.mean(errors**2))) - 35) < 0.03
    assert psnr(decoded[:, :, :channels], read_picture(picture).array) > 37 or dtype == np.uint16


def test_psnr_of_what_is_seen_of_a_large_picture(codec, budgie, monkeypatch):
    picture = framed(budgie)
    monkeypatch.setattr(raster, "TILE", 128)
    assert isinstance(open_picture(picture).pixels, raster.HiddenRaster)
    decoded, seen = codec.decode(codec.encode(picture, target_psnr=35)), picture[:, :, -1] > 0
    assert abs(psnr(decoded[seen], picture[seen]) - 35) < 1.3  # alpha, which is exact, is in this one
    assert abs(psnr(decoded[seen, :3], picture[seen, :3]) - 35) < 0.03


def test_psnr_where_nothing_is_seen(codec, city):
    with pytest.warns(UserWarning, match="quality 0 is above"):
        data = codec.encode(np.dstack([city, np.zeros(city.shape[:2], np.uint8)]), target_psnr=35)
    assert not codec.decode(data)[:, :, 3].any()


def test_a_target_is_a_quality(codec, city, tmp_path):
    """The same bytes come from the quality that was found."""
    picture_size = 9000
    data = codec.encode(city, target_size=picture_size)
    assert abs(len(data) / picture_size - 1) < 0.01
    from aecodec import info

    assert codec.encode(city, quality=info(data)["level"] / 0.63) == data


def test_command_line(cli, tmp_path):
    out = tmp_path / "a.aec"
    done = cli("encode", CITY, out, "--target-size", "9k", "--json")
    facts = json.loads(done.out)
    assert done.code == 0 and abs(out.stat().st_size / 9000 - 1) < 0.01 and 2 <= facts["encodings"] <= 6
    assert cli("encode", CITY, out, "--max-size", "0.006M", "-q", "90", "--force").code == 0
    assert 5940 <= out.stat().st_size <= 6000
    assert cli("encode", CITY, out, "--target-psnr", "99", "--force").err.count("quality 100") == 1
    for options in (("--max-size", "50"), ("--target-bpp", "1", "--max-size", "9k"), ("--target-size", "x")):
        done = cli("encode", CITY, tmp_path / "b.aec", *options)
        assert done.code == 2 and done.err.count("\n") == 1 and not (tmp_path / "b.aec").exists()


def test_alpha_counts(codec, city):
    noise = np.random.default_rng(1).integers(0, 256, (96, 128), np.uint8)
    data = codec.encode(np.dstack([city[:96, :128], noise]), target_size=13000)
    assert abs(len(data) / 13000 - 1) < 0.005


def test_two_targets_are_told_at_once(cli, tmp_path):
    result = cli("encode", DATA / "city.jpg", tmp_path / "a.aec", "--target-bpp", 1, "--max-size", "9k")
    assert result.code == 2 and "not allowed with" in result.err
    both = ("--target-bpp", 1, "--max-size", "9k")
    assert cli("batch", "encode", DATA, tmp_path / "out", *both).code == 2 and not any(tmp_path.iterdir())


REPLACING = {"target_bpp": 1, "target_size": 9000, "target_psnr": 30}


@pytest.mark.parametrize("name", REPLACING)
def test_a_quality_beside_a_target_that_finds_it(cli, city, tmp_path, name):
    """It would have no effect."""
    both = {name: REPLACING[name], "quality": 60}
    option, wanted = f"--{name.replace('_', '-')}", f"quality and {name} exclude each other"
    for command in (("encode", CITY), ("batch", "encode", DATA)):
        done = cli(*command, tmp_path / "out", "-q", "60", option, REPLACING[name])
        assert done.code == 2 and f"-q and {option} exclude each other" in done.err
        assert done.err.count("\n") == 1 and not any(tmp_path.iterdir())
    with pytest.raises(UsageError, match=wanted):
        aecodec.encode(city, **both)
    with pytest.raises(UsageError, match=wanted):
        webdataset.encoder(**both)
    aecodec.register()
    with pytest.raises(OSError, match=wanted):
        Image.fromarray(city).save(io.BytesIO(), "AEC", **both)


def test_a_quality_beside_a_largest_size(city):
    assert aecodec.encode(city, 20, max_size=10**6) == aecodec.encode(city, 20)
    assert aecodec.encode(city, max_size=10**6) == aecodec.encode(city) == aecodec.encode(city, 60)
