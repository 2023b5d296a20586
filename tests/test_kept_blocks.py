"""Targets where size and PSNR jump, as blocks come to be coded as pixels or cease to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import psnr
from PIL import Image, ImageDraw
from searches import Fake, smooth

from aecodec import container, rate_control
from aecodec.codec import Codec
from aecodec.errors import UsageError
from aecodec.rate_control import STEPS, Target


class Blocky(Fake):
    """Sizes jump where blocks begin to be coded as pixels; kept, they change nothing else."""

    at = 9000

    def __init__(self, keeps=True, jump=0.5, smooth=smooth):
        super().__init__(lambda q: smooth(q) * (1 + jump * (q >= self.at)))
        self.keeps, self.jump, self.smooth, self.shares = keeps, jump, smooth, []

    def keep(self, first, second, share):
        qualities = [
            next(q for q in self.asked if int(self.size(q)) == len(data)) for data in (first, second)
        ]
        if not self.keeps or max(qualities) < self.at:
            return None
        with_blocks = [q >= self.at for q in qualities]
        blocks = 0 if share is None else share * with_blocks[1] + (1 - share) * with_blocks[0]

        def kept(quality):
            self.asked.append(quality)
            self.shares.append(blocks)
            return bytes(int((1 + self.jump * blocks) * self.smooth(quality)))

        return kept

    def reach(self, target, start=9000):
        psnr = lambda data: 20 + 5 * math.log10(len(data))  # noqa: E731
        return rate_control.reach(target, 1000, start, self, psnr, self.keep)


@pytest.mark.parametrize("share", [1.1, 1.25, 1.4])
def test_pixel_blocks_are_kept_where_the_size_jumps(share):
    wanted = round(smooth(9000) * share)
    fake = Blocky()
    found = fake.reach(Target(size=wanted))
    assert abs(len(found.data) / wanted - 1) <= 0.0055 and not found.note and fake.shares
    assert found.runs == len(fake.asked) <= 10
    assert len(found.data) == int((1 + fake.shares[-1] / 2) * smooth(found.quality))
    limited = Blocky().reach(Target(max_size=wanted), start=STEPS)
    assert 0.99 * wanted <= len(limited.data) <= wanted
    decibels = 20 + 5 * math.log10(wanted)
    assert abs(20 + 5 * math.log10(len(Blocky().reach(Target(psnr=decibels)).data)) - decibels) <= 0.02
    assert "nearer" in Blocky(keeps=False).reach(Target(size=wanted)).note


class AlwaysBlocky(Blocky):
    at = 0


@pytest.mark.parametrize("share", [1.05, 1.2, 1.45])
def test_sizes_that_networks_alone_fit_into(share):
    wanted = round(smooth(0) * share)
    fake = AlwaysBlocky()
    found = fake.reach(Target(size=wanted))
    assert abs(len(found.data) / wanted - 1) <= 0.0055 and found.runs == len(fake.asked) <= 10
    assert 0.99 * wanted <= len(AlwaysBlocky().reach(Target(max_size=wanted)).data) <= wanted
    for target in (Target(size=490), Target(max_size=499)):
        with pytest.raises(UsageError, match="smallest file that was found has 500"):
            AlwaysBlocky().reach(target)
    with pytest.raises(UsageError, match="smallest file that was found has 750"):
        AlwaysBlocky(keeps=False).reach(Target(size=wanted))


def flat(quality):
    """What blocks leave to the quality: next to nothing."""
    return 1000 + quality / 400


@pytest.mark.parametrize("share", [0.1, 0.33, 0.8])
def test_some_of_the_blocks_where_all_are_too_many(share):
    """Without blocks 1,040 bytes at most, with all of them 9,000 at least."""
    wanted = round(1020 + share * 8000)
    fake = Blocky(jump=8, smooth=flat)
    found = fake.reach(Target(size=wanted))
    assert abs(len(found.data) / wanted - 1) < 0.13 and 0 < fake.shares[-1] < 1
    assert found.runs == len(fake.asked) <= 16
    decibels = 20 + 5 * math.log10(wanted)
    found = Blocky(jump=8, smooth=flat).reach(Target(psnr=decibels))
    assert abs(20 + 5 * math.log10(len(found.data)) - decibels) < 0.3
    limited = Blocky(jump=8, smooth=flat).reach(Target(max_size=wanted), start=STEPS)
    assert 0.75 * wanted < len(limited.data) <= wanted


@pytest.mark.parametrize(("size", "jump"), [(flat, 8), (smooth, 0.4)])
def test_max_size_never_raises_the_quality(size, jump):
    """Blocks that are left out make room, which is not spent on more than was asked for."""
    for start in (9000, 9500, 12000):
        whole = (1 + jump) * size(start)
        for limit in (0.75 * whole, 0.95 * whole):
            found = Blocky(jump=jump, smooth=size).reach(Target(max_size=round(limit)), start=start)
            assert found.quality <= start and len(found.data) <= limit


@pytest.mark.parametrize("places", [1, 2, 3, 10])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_blocks_are_whole_and_every_encoding_counts(places, share):
    """No two encodings of the same blocks at one quality, but for one that tells there is nothing between."""
    fake = Blocky(jump=8, smooth=flat)
    kept = []

    def keep(first, second, share):
        encode = Blocky.keep(fake, first, second, round(share * places) / places)

        def counting(quality):
            data = encode(quality)
            kept.append((quality, fake.shares[-1]))
            return data

        return encode and counting

    fake.keep = keep
    wanted = round(1020 + share * 8000)
    found = fake.reach(Target(size=wanted))
    assert found.runs == len(fake.asked)
    between = [k for k in kept if 0 < k[1] < 1]
    assert len(between) - len(set(between)) <= 1
    possible = [math.log(1020 * (1 + 8 * blocks / places) / wanted) for blocks in range(places + 1)]
    assert abs(math.log(len(found.data) / wanted)) < min(map(abs, possible)) + 0.03


def test_one_block_that_costs_much_is_no_smallest_file():
    """Nearest is the file with the block at quality 0; that there are smaller ones is no error."""
    fake = Blocky(jump=2, smooth=flat)
    fake.keep = lambda first, second, share: None if share < 1 else Blocky.keep(fake, second, second, 1.0)
    found = fake.reach(Target(size=2500))
    assert found.quality == 0 and 2900 < len(found.data) < 3100 and "nearer" in found.note


def test_real_pixel_blocks(codec, city):
    """Half a photograph, half a screen."""
    screen = np.full((192, 192, 3), 255, np.uint8)
    screen[20:170:9, 10:180] = (0, 40, 160)
    screen[:, ::7] //= 2
    picture = np.concatenate([city[:192, :192], screen], 1)
    for wanted in (6000, 9000):
        data = codec.encode(picture, target_size=wanted)
        assert abs(len(data) / wanted - 1) < 0.01
        assert psnr(codec.decode(data)[:, :192], city[:192, :192]) > 24
    parsed = container.read_file(data)
    assert any(parsed.blocks)


def test_text_is_left_to_the_networks_where_nothing_else_fits(codec):
    image = Image.new("RGB", (300, 200), "white")
    draw = ImageDraw.Draw(image)
    for top in range(0, 200, 12):
        draw.text((2, top), "sphinx of black quartz judge my vow " * 2, fill=(top, 0, 0))
    alone = Codec(device="cpu", threads=2, pixel_blocks=False)
    limit = round(1.15 * len(alone.encode(image, 0)))
    assert len(codec.encode(image, 0)) > limit
    assert 0.98 * limit < len(codec.encode(image, 60, max_size=limit)) <= limit
    assert abs(len(codec.encode(image, target_size=limit)) / limit - 1) < 0.01
    with pytest.raises(UsageError, match="does not fit into"):
        codec.encode(image, max_size=limit // 2)
