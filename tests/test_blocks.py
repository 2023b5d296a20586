"""Blocks coded as pixels: chosen where they pay, exact where they should be, refused where they are wrong."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from conftest import psnr
from PIL import Image, ImageDraw, ImageFont

from aecodec import block_choice, blocks, container, describe
from aecodec.codec import Codec
from aecodec.errors import CorruptError, FormatError
from aecodec.groups import Group


def page(height: int = 192, width: int = 256) -> np.ndarray:
    """uint8 [H, W, 3]: black and red text on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for line in range(height // 16):
        ink = (200, 0, 0) if line % 3 == 0 else (0, 0, 0)
        text = "Sphinx of black quartz, judge my vow 0123456789 " * 3
        draw.text((3, 2 + 16 * line), text, fill=ink, font=ImageFont.load_default(12))
    return np.asarray(image)


@pytest.fixture(scope="module")
def networks_only():
    return Codec(device="cpu", threads=2, pixel_blocks=False)


@pytest.mark.parametrize("quality", [10, 40, 80])
def test_text_becomes_sharp_and_small(codec, networks_only, quality):
    picture = page()
    data, plain = codec.encode(picture, quality), networks_only.encode(picture, quality)
    assert len(data) < 0.8 * len(plain)
    assert psnr(codec.decode(data), picture) > psnr(codec.decode(plain), picture) + 10
    assert psnr(codec.decode(data), picture) > 30


def test_one_pixel_patterns_survive(codec):
    checker = np.repeat(np.indices((130, 150)).sum(0)[:, :, None] % 2 * 255, 3, 2).astype(np.uint8)
    np.testing.assert_array_equal(codec.decode(codec.encode(checker, 60)), checker)


def test_noise_is_quantised_by_quality(codec):
    noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    found = [codec.encode(noise, quality) for quality in (60, 100)]
    assert len(found[0]) < 0.8 * len(found[1]) < 0.8 * noise.size
    assert 23 < psnr(codec.decode(found[0]), noise) < psnr(codec.decode(found[1]), noise) - 6


@pytest.mark.parametrize("quality", [5, 60])
def test_photographs_have_none(codec, city, budgie, quality):
    for picture in (city, budgie):
        parsed = container.read_file(codec.encode(picture, quality))
        assert not any(parsed.blocks)


@pytest.mark.parametrize("quality", [0, 10, 30, 60])
@pytest.mark.parametrize("colour", [(255, 255, 255), (200, 30, 40)])
@pytest.mark.parametrize("side", [16, 64, 256, 257])
def test_a_plain_colour_is_exact(codec, side, colour, quality):
    picture = np.full((side, side, 3), colour, np.uint8)
    data = codec.encode(picture, quality)
    assert np.array_equal(codec.decode(data), picture) and len(data) < 130


def test_a_photograph_with_text_in_it(codec, networks_only, city):
    """The blocks under the text are pixels, the photograph around them is as it was."""
    picture = city.copy()
    picture[64:192, 128:384] = page(128, 256)
    data, plain = codec.encode(picture, 60), networks_only.encode(picture, 60)
    assert any(container.read_file(data).blocks)
    found, lossy = codec.decode(data), codec.decode(plain)
    assert psnr(found[64:192, 128:384], picture[64:192, 128:384]) > 35
    assert psnr(found[:, :96], picture[:, :96]) > psnr(lossy[:, :96], picture[:, :96]) - 0.3
    assert len(data) < len(plain)


@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_blocks_go_smoothly_from_one_side_to_the_other(channels):
    picture = np.zeros((100, 300, channels), np.uint8)
    picture[:, :64], picture[:, 64:256], picture[:, 256:] = 40, 255, 200
    mask = np.zeros((2, 5), np.bool_)
    mask[:, 1:4] = True
    found = blocks.hide(picture, mask)
    np.testing.assert_array_equal(found[:, :64], 40)
    np.testing.assert_array_equal(found[:, 256:], 200)
    assert found.shape == picture.shape
    steps = np.diff(found[99, 32:256, -1].astype(int))
    assert steps.min() >= 0 and steps.max() <= 8
    assert picture[0, 100, 0] == 255, "the picture itself stays as it is"
    assert blocks.hide(picture, np.ones_like(mask)).min() == 255
    assert blocks.hide(picture, np.zeros_like(mask)) is picture


@pytest.mark.parametrize("threads", [1, 2])
def test_many_blocks_are_chosen_by_a_sample(threads, monkeypatch):
    """Of 600 candidates, text is taken and noise is not; only the best tolerance is tried on all."""
    tried = []
    part = block_choice._Part
    monkeypatch.setattr(block_choice, "_Part", lambda *a: tried.append(len(a[1])) or part(*a))
    rng = np.random.default_rng(0)
    picture = np.tile(page(64, 64), (20, 30, 1))
    noisy = rng.random((20, 30)) < 0.3
    for row, column in np.argwhere(noisy):
        picture[64 * row :, 64 * column :][:64, :64] = rng.integers(0, 256, (64, 64, 3))
    costs = np.full(600, 20000.0)
    better, every = block_choice.choose(picture, costs, 0 * costs, np.ones((20, 30), np.bool_), 0.3, threads)
    np.testing.assert_array_equal(better.mask, ~noisy)
    assert every.mask.all()
    assert sum(tried) == block_choice.SAMPLE + 600


def test_the_sample_is_of_all_columns():
    """Of a screen 128 blocks high, whose first column is unlike the others."""
    rng = np.random.default_rng(0)
    picture = np.tile(page(64, 64), (128, 4, 1))
    picture[:, :64] = rng.integers(0, 256, (8192, 64, 3))
    costs = np.full(512, 20000.0)
    chosen = block_choice.choose(picture, costs, 0 * costs, np.ones((128, 4), np.bool_), 0.3)[0]
    assert chosen.mask[:, 1:].all() and not chosen.mask[:, 0].any()


@pytest.mark.parametrize(("dear", "ways"), [(1000.0, 2), (700.0, 1)])
def test_all_candidates_are_tried_where_the_networks_are_not_far_better(dear, ways):
    """Though one in three only costs less by itself: without the others no symbols are left."""
    picture = np.tile(page(64, 64), (4, 6, 1))
    costs = np.where(np.arange(24) % 3, 1.0, dear)
    found = block_choice.choose(picture, costs, 0 * costs, np.ones((4, 6), np.bool_), 0.3)
    assert [int(way.mask.sum()) for way in found] == [8, 24][:ways]


def test_errors_are_those_of_the_way_that_is_taken():
    """Text at a weight that merges colours: of what is taken that of its pixels, of the rest the other."""
    picture = np.concatenate([page(64, 64), np.random.default_rng(1).integers(0, 256, (64, 64, 3))], 1)
    picture = picture.astype(np.uint8)
    mask, bits, errors = np.ones((1, 2), np.bool_), np.array([9000.0, 100.0]), np.array([1e6, 7.0])
    for chosen in block_choice.choose(picture, bits, errors, mask, 1e-4):
        payload = blocks.pack(picture, chosen.mask, [Group(0, 0, 4, 8)], chosen.tolerance)[0]
        found = picture.copy()
        blocks.paste(found, [Group(0, 0, 4, 8)], [payload])
        error = np.square(found.astype(float) - picture).mean(2).sum() + (0 if chosen.mask[0, 1] else 7)
        assert chosen.mask[0, 0] and chosen.tolerance and chosen.error == pytest.approx(error)


def test_nothing_is_chosen_where_nothing_is_saved():
    noise = np.random.default_rng(1).integers(0, 256, (64, 640, 3)).astype(np.uint8)
    few = np.full(10, 10.0)
    assert block_choice.choose(noise, few, few, np.ones((1, 10), np.bool_), 0.01) == []


@pytest.mark.parametrize("quality", [5, 30, 60])
def test_pictures_of_few_colours_take_what_is_cheapest(codec, networks_only, quality):
    """Large shapes with soft edges never cost more, in bits and weighted errors, than by networks alone."""
    image = Image.new("RGB", (512, 512), (250, 250, 245))
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate([(230, 0, 0), (0, 170, 0), (0, 60, 255), (255, 210, 0)]):
        draw.ellipse(
            (60 + 240 * (i % 2), 60 + 240 * (i // 2), 210 + 240 * (i % 2), 210 + 240 * (i // 2)), colour
        )
    picture = np.asarray(image.resize((256, 256), Image.Resampling.BOX))
    lmbda = codec.bundle.lmbda(63 * quality / 100)

    def cost(codec):
        data = codec.encode(picture, quality)
        error = np.square(codec.decode(data).astype(float) - picture).mean(2).sum()
        return 8 * len(data) + lmbda * error

    assert cost(codec) <= cost(networks_only)


def test_grey_and_alpha(codec):
    grey = page()[:, :, 0]
    found = codec.decode(codec.encode(grey, 100))
    assert found.shape == grey.shape and psnr(found, grey) > 45
    both = np.dstack([page(), np.arange(192 * 256).reshape(192, 256).astype(np.uint8)])
    found = codec.decode(codec.encode(both, 60))
    np.testing.assert_array_equal(found[:, :, 3], both[:, :, 3])


def test_region_is_the_crop(codec):
    picture = page(600, 700)
    data = codec.encode(picture, 60)
    whole = codec.decode(data).astype(int)
    for x, y, width, height in ((0, 0, 700, 600), (500, 490, 100, 60), (63, 64, 1, 1), (511, 511, 3, 89)):
        part = codec.decode(data, region=(x, y, width, height))
        assert np.abs(whole[y : y + height, x : x + width] - part).max() <= 1


def test_preview_shows_them(codec):
    picture = page()
    data = codec.encode(picture, 60)
    for divisor in (2, 8, 16):
        wanted = picture.reshape(192 // divisor, divisor, 256 // divisor, divisor, 3).mean((1, 3))
        assert np.abs(codec.decode(data, scale=1 / divisor) - wanted).mean() < 3


GROUP = Group(32, 64, 12, 20)  # 3 x 5 blocks, from pixel (512, 1024) on


@pytest.fixture(scope="module")
def packed():
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (512 + 150, 1024 + 300, 3), np.uint8)  # the last blocks are partial
    mask = np.zeros((11, 21), np.bool_)
    mask[8:11, 16:21] = rng.integers(0, 2, (3, 5))
    mask[10, 20] = True
    return pixels, mask, blocks.pack(pixels, mask, [GROUP])[0]


def test_pack_unpack_paste(packed):
    pixels, own, payload = packed
    mask, found = blocks.unpack(payload, GROUP, 3, 0)
    np.testing.assert_array_equal(mask, own[8:11, 16:21])
    assert found.shape == (mask.sum(), 64, 64, 3)
    result = np.zeros_like(pixels)
    blocks.paste(result, [GROUP], [payload])
    chosen = np.kron(own, np.ones((64, 64), np.uint8))[: pixels.shape[0], : pixels.shape[1], None]
    np.testing.assert_array_equal(result, pixels * chosen)
    part = np.zeros((100, 130, 3), np.uint8)
    blocks.paste(part, [GROUP], [payload], origin=(530, 1100))
    np.testing.assert_array_equal(part, result[530:630, 1100:1230])
    assert blocks.pack(pixels, np.zeros_like(own), [GROUP, GROUP]) == [b"", b""]


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.9, 1])
def test_blocks_of_two_files_mixed(share):
    """The first places as in the second file, the others as in the first, also where only one has any."""
    groups = [Group(0, 0, 8, 8), Group(0, 8, 8, 4)]
    pictures = np.random.default_rng(1).integers(0, 256, (2, 128, 192, 3), np.uint8)
    masks = np.array([[[1, 0, 0], [1, 1, 0]], [[1, 1, 1], [1, 0, 0]]], np.bool_)
    first, second = (blocks.pack(p, mask, groups) for p, mask in zip(pictures, masks, strict=True))
    places = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]  # group by group
    wanted, mask = pictures[0].copy(), np.zeros((2, 3), np.bool_)
    for i, (row, column) in enumerate(places):
        of = int(i < round(share * 5))
        mask[row, column] = masks[of, row, column]
        at = slice(64 * row, 64 * row + 64), slice(64 * column, 64 * column + 64)
        wanted[at] = pictures[of][at]
    found = blocks.mixed(first, second, groups, share)
    assert found == blocks.pack(wanted, mask, groups)
    np.testing.assert_array_equal(blocks.mask_of(found, groups), mask)


def webp(size, **options) -> bytes:
    out = BytesIO()
    Image.new(options.pop("mode", "RGB"), size, 7).save(out, "WEBP", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "mask"),
        (b"\x80", "mask"),
        (b"\0\0" + webp((64, 64), lossless=True), "mask"),
        (b"\x80\x01" + webp((64, 64), lossless=True), "mask"),
        (b"\x80\0" + webp((64, 64), lossless=False), "lossless"),
        (b"\x80\0" + webp((64, 128), lossless=True), "64 x 64"),
        (b"\xc0\0" + webp((64, 64), lossless=True), "128 x 64"),
        (b"\x80\0" + webp((64, 64), lossless=True, mode="RGBA", exact=True), "RGB"),
        (b"\x80\0" + webp((64, 64), lossless=True)[:-5], "WebP"),
        (b"\x80\0RIFF\x04\0\0\0WEBPVP8L\xff\xff\xff\xff", "WebP"),
    ],
)
def test_bad_payloads_are_refused(payload, message):
    with pytest.raises(CorruptError, match=f"group 3.*{message}"):
        blocks.unpack(payload, GROUP, 3, 3)


def test_every_flipped_bit_is_found_and_salvaged(codec):
    picture = page(600, 700)
    data = codec.encode(picture, 40)
    parsed = container.read_file(data)
    assert all(parsed.blocks), "each of the four groups has some"
    end = len(data) - 4 - len(parsed.groups[3]) - len(parsed.blocks[3])
    start = end - len(parsed.blocks[2])
    for at in range(start, end, max(1, (end - start) // 40)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        with pytest.raises(CorruptError, match="group 2"):
            codec.decode(bytes(broken))
    found, lost = codec.salvage(bytes(broken))
    assert lost == [2] and psnr(found.pixels[:500], picture[:500]) > 30


def test_blocks_that_are_wrong_under_a_right_checksum(codec):
    picture = page()
    parsed = container.read_file(codec.encode(picture, 40))
    wrong = [bytes(2) + bytes(block)[2:] for block in parsed.blocks]
    data = container.write_file(parsed.header, {}, [bytes(g) for g in parsed.groups], wrong)
    for call in (codec.decode, codec.verify):
        with pytest.raises(CorruptError, match="group 0: the mask of its pixel blocks"):
            call(data)


def test_pictures_of_16_bits_have_none(codec):
    deep = page().astype(np.uint16) * 257
    assert not any(container.read_file(codec.encode(deep, 40)).blocks)
    parsed = container.read_file(codec.encode(page(), 40))
    wrong = parsed.header._replace(bit_depth=16)
    groups, coded = ([bytes(part) for part in parts] for parts in (parsed.groups, parsed.blocks))
    data = container.write_file(wrong, {}, groups, coded)
    for call in (codec.decode, codec.verify):
        with pytest.raises(CorruptError, match="8 bits"):
            call(data)


def test_info_tells(codec):
    data = codec.encode(page(), 40)
    parsed = container.read_file(data)
    [group] = describe.info(data)["groups"]
    assert group["pixel_blocks"] == len(parsed.blocks[0]) > 0
    assert group["size"] == len(parsed.groups[0]) + len(parsed.blocks[0])


def test_no_webp_in_pillow(codec, monkeypatch):
    data = codec.encode(page(), 40)
    monkeypatch.setattr("aecodec.blocks.features.check", lambda name: False)
    assert not any(container.read_file(codec.encode(page(), 40)).blocks), "the networks can code everything"
    with pytest.raises(FormatError, match="WebP"):
        codec.decode(data)
