"""Targets: how near the search comes, in how few encodings, and what it does where there is no answer."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import DATA, psnr

from aecodec import rate_control
from aecodec.errors import UsageError
from aecodec.rate_control import STEPS, Target

CITY = DATA / "city.jpg"


class Fake:
    """An encoder whose sizes are a function of the quality alone."""

    def __init__(self, size):
        self.size, self.asked = size, []

    def __call__(self, quality):
        assert 0 <= quality <= STEPS
        self.asked.append(quality)
        return bytes(int(self.size(quality)))

    def reach(self, target, pixels=1000, start=9000):
        return rate_control.reach(target, pixels, start, self, lambda data: 20 + 5 * math.log10(len(data)))


def smooth(quality):
    return 500 * math.exp(3.4 * quality / STEPS) + quality / 40


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
        with pytest.raises(UsageError, match="smallest file has 500"):
            Fake(smooth).reach(target)


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
