"""Holes filled through the codec; contact sheets."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from aecodec import Codec, conceal
from aecodec.errors import UsageError
from aecodec.latents import inpaint
from aecodec.pixels import Picture
from tests.conftest import psnr


@pytest.fixture(scope="module")
def plain():
    return Codec(device="cpu", threads=2, pixel_blocks=False)


@pytest.fixture(scope="module")
def damaged(city):
    """A part of a photograph with strokes missing -> the part, the mask."""
    part = city[100:292, 100:292]
    mask = np.zeros(part.shape[:2], bool)
    mask[40:52, 20:170] = mask[20:180, 90:100] = True
    mask |= np.abs(np.subtract.outer(np.arange(192), np.arange(192))) < 6
    return part, mask


def test_better_than_interpolation(damaged, plain):
    part, mask = damaged
    hole = np.where(mask[..., None], 0, part).astype(np.uint8)
    filled = inpaint.inpaint(Picture(hole), mask, plain).pixels
    np.testing.assert_array_equal(filled[~mask], part[~mask])
    ours = psnr(filled[mask], part[mask])
    assert ours > psnr(inpaint.continued(hole, mask)[mask], part[mask]) + 0.1
    assert ours > psnr(conceal.fill(hole, mask)[mask], part[mask]) + 0.2


def test_what_is_in_the_hole_does_not_matter(damaged, plain):
    part, mask = damaged
    results = []
    for value in (0, 255):
        hole = np.where(mask[..., None], value, part).astype(np.uint8)
        results.append(inpaint.inpaint(Picture(hole), mask, plain, (10, 40)).pixels)
    np.testing.assert_array_equal(*results)


def test_no_hole_and_no_picture(plain, city):
    small = city[:64, :64]
    none = np.zeros((64, 64), bool)
    np.testing.assert_array_equal(inpaint.inpaint(Picture(small), none, plain).pixels, small)
    assert inpaint.inpaint(Picture(small), ~none, plain, (20,)).pixels.shape == small.shape
    with pytest.raises(UsageError, match="a mask"):
        inpaint.inpaint(Picture(small), none[:5], plain)


def test_sixteen_bits_and_grey(plain, city):
    mask = np.zeros((70, 70), bool)
    mask[30:40] = True
    deep = city[:70, :70, :1].astype(np.uint16) * 257
    filled = inpaint.inpaint(
        Picture(np.where(mask[..., None], 0, deep).astype(np.uint16)), mask, plain, (50,)
    )
    assert filled.pixels.dtype == np.uint16 and filled.pixels.shape == deep.shape
    assert filled.pixels[mask].mean() == pytest.approx(deep[mask].mean(), rel=0.3)


def test_command(cli, damaged, tmp_path):
    part, mask = damaged
    names = [tmp_path / name for name in ("in.png", "mask.png", "out.png")]
    Image.fromarray(np.where(mask[..., None], 255, part).astype(np.uint8)).save(names[0])
    Image.fromarray(mask).save(names[1])
    options = ["--mask", names[1], "-o", names[2], "--device", "cpu", "--json"]
    result = cli("inpaint", names[0], *options)
    assert result.code == 0 and json.loads(result.out)["filled"] == mask.sum()
    with Image.open(names[2]) as image:
        found = np.asarray(image)
    np.testing.assert_array_equal(found[~mask], part[~mask])
    assert psnr(found[mask], part[mask]) > 15
    assert cli("inpaint", names[0], *options).code == 9
    before = names[1].read_bytes()
    refused = cli("inpaint", names[0], "--mask", names[1], "-o", names[1], "--force")
    assert refused.code == UsageError.exit_code and names[1].read_bytes() == before
    Image.fromarray(mask | True).save(names[1])
    everywhere = json.loads(cli("inpaint", names[0], *options, "--force").out)
    assert everywhere["filled"] == mask.size and "white everywhere" in everywhere["notes"][-1]
    Image.fromarray(mask[:50]).save(names[1])
    assert cli("inpaint", names[0], *options, "--force").code == UsageError.exit_code


def oriented(array, kind):
    """A PNG file that is to be shown turned, and what is seen of it."""
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = kind
    Image.fromarray(array).save(out, "PNG", exif=exif)
    with Image.open(out) as image:
        return out.getvalue(), np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("kind", range(1, 9))
@pytest.mark.parametrize("side", [20, 30])
def test_masks_are_turned_to_the_stored_pixels(kind, side):
    """Whatever the orientation of either: what is white on the picture as it is seen is missing."""
    stored = np.random.default_rng(0).integers(0, 2, (20, side)).astype(np.uint8) * 255
    _, seen = oriented(stored, kind)
    picture = Picture(np.zeros((*stored.shape, 1), np.uint8), orientation=kind)
    np.testing.assert_array_equal(inpaint.read_mask(seen, picture), stored > 0)
    for other in (6, 7):
        back = np.rot90(seen) if other == 6 else np.rot90(seen, 2).T
        data, turned = oriented(back, other)
        np.testing.assert_array_equal(turned, seen)
        np.testing.assert_array_equal(inpaint.read_mask(data, picture), stored > 0)
    with pytest.raises(UsageError, match=r"the mask has 5 x 3 pixels, the picture as it is seen"):
        inpaint.read_mask(seen[:3, :5], picture)


@pytest.mark.parametrize("kind", [1, 6])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3)])
def test_masks_of_two_values(shape, kind):
    """bool, 0 and 1, or black and white: all mean the same."""
    seen = np.zeros(shape, bool)
    seen[3:9, 5:20] = True
    side = (30, 20) if kind == 6 else (20, 30)
    picture = Picture(np.zeros((*side, 1), np.uint8), orientation=kind)
    masks = [
        seen,
        seen.astype(np.uint8),
        seen.astype(np.uint16),
        seen * np.uint8(255),
        seen * np.uint16(65535),
    ]
    found = [inpaint.read_mask(mask, picture) for mask in masks]
    assert found[0].dtype == bool and found[0].sum() == 6 * 15
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    for none in (~seen & seen, np.zeros(shape, np.uint8)):
        assert not inpaint.read_mask(none, picture).any()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_in_a_mask_is_not_white(kind, channels):
    """Strokes on a layer of their own, whatever colour its transparent pixels have."""
    white = np.iinfo(kind).max
    strokes = np.full((20, 30, channels + 1), white, kind)
    strokes[:, :, -1] = white // 2
    strokes[3:9, 5:20, -1] = white // 2 + 1
    picture = Picture(np.zeros((20, 30, 1), np.uint8))
    found = inpaint.read_mask(strokes, picture)
    assert found.sum() == 6 * 15 and found[3:9, 5:20].all()
    strokes[4, 6, :-1] = 0
    assert inpaint.read_mask(strokes, picture).sum() == 6 * 15 - 1
    strokes[:, :, -1] = 0
    assert not inpaint.read_mask(strokes, picture).any()
    ones = np.zeros_like(strokes)
    ones[3:9, 5:20] = 1
    np.testing.assert_array_equal(inpaint.read_mask(ones, picture), found)


@pytest.mark.parametrize(("kind", "grey", "white"), [(np.uint8, 100, 255), (np.uint16, 255, 65535)])
def test_masks_too_dark_to_mark_anything_are_refused(kind, grey, white):
    mask = np.zeros((20, 30), kind)
    mask[5:9] = grey
    with pytest.raises(UsageError, match=f"brightest value is {grey}, white is {white}; make"):
        inpaint.read_mask(mask, Picture(np.zeros((20, 30, 1), np.uint8)))


@pytest.mark.parametrize("mask", [np.ones((64, 64), np.uint8), np.ones((64, 64)), [[True] * 64] * 64, None])
def test_only_masks_of_bool_are_filled_by(plain, city, mask):
    with pytest.raises(UsageError, match="array of bool .*read_mask"):
        inpaint.inpaint(Picture(city[:64, :64]), mask, plain)


def test_a_mask_drawn_on_a_turned_picture(cli, city, tmp_path, monkeypatch):
    monkeypatch.setattr(inpaint, "QUALITIES", (40,))
    names = [tmp_path / name for name in ("in.png", "mask.png", "out.png")]
    data, seen = oriented(city[:48, :80], 6)
    names[0].write_bytes(data)
    mask = np.zeros(seen.shape[:2], bool)
    mask[5:15, 20:40] = True
    Image.fromarray(mask).save(names[1])
    result = cli("inpaint", names[0], "--mask", names[1], "-o", names[2], "--device", "cpu")
    assert result.code == 0, result.err
    with Image.open(names[2]) as image:
        assert image.size == (80, 48) and image.getexif()[0x0112] == 6
        found = np.asarray(ImageOps.exif_transpose(image))
    changed = (found != seen).any(2)
    assert changed[mask].mean() > 0.5 and not changed[~mask].any()


def test_a_mask_without_white_is_told(cli, damaged, tmp_path):
    part, mask = damaged
    Image.fromarray(part).save(tmp_path / "in.png")
    Image.fromarray(np.zeros_like(mask)).save(tmp_path / "mask.png")
    out = tmp_path / "out.png"
    result = cli(
        "inpaint", tmp_path / "in.png", "--mask", tmp_path / "mask.png", "-o", out, "--device", "cpu"
    )
    assert result.code == 0 and "is white nowhere: nothing was filled" in result.err
    with Image.open(out) as image:
        np.testing.assert_array_equal(np.asarray(image), part)
