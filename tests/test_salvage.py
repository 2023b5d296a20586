"""Damaged files: what `salvage` saves, how the rest is filled, and what `verify` finds."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import psnr
from PIL import Image

from aecodec import conceal, container
from aecodec.errors import CorruptError, FormatError


@pytest.fixture(scope="module")
def large(codec, city):
    """1100 x 1240: 3 x 3 groups of 512 x 512; the picture and its file."""
    picture = np.pad(city, ((0, 800), (0, 830), (0, 0)), mode="reflect")
    return picture, codec.encode(picture, 40)


def group_ends(data):
    parsed = container.read_file(data)
    ends = len(data) - 4 - sum(len(g) for g in parsed.groups) + np.cumsum([len(g) for g in parsed.groups])
    return [int(e) for e in ends]


def damaged(data, *groups):
    """One bit of the last byte of each of these groups flipped."""
    out = bytearray(data)
    for group in groups:
        out[group_ends(data)[group] - 1] ^= 0x10
    return bytes(out)


def test_whole_file_is_decoded(codec, large):
    picture, lost = codec.salvage(large[1])
    assert lost == [] and np.array_equal(picture.pixels, codec.decode(large[1]))


def test_one_group_is_lost(codec, large):
    original, data = large
    whole = codec.decode(data)
    bad = damaged(data, 4)
    with pytest.raises(CorruptError, match="group 4"):
        codec.decode(bad)
    picture, lost = codec.salvage(bad)
    assert lost == [4]
    inside = np.zeros(whole.shape[:2], bool)
    inside[512:1024, 512:1024] = True
    assert psnr(picture.pixels[~inside], original[~inside]) > psnr(whole[~inside], original[~inside]) - 1
    far = np.ones_like(inside)
    reach = 64 * codec.bundle.halo["synthesis"]
    far[512 - reach : 1024 + reach, 512 - reach : 1024 + reach] = False
    assert np.abs(picture.pixels[far].astype(int) - whole[far]).max() <= 1
    # The hole goes on from its surroundings, and is smooth.
    rim = inside.copy()
    rim[520:1016, 520:1016] = False
    grey = np.full_like(whole[rim], 128)
    assert psnr(picture.pixels[rim], whole[rim]) > psnr(grey, whole[rim]) + 1
    steps = np.abs(np.diff(picture.pixels[600:900, 600:900].astype(int), axis=0))
    assert steps.max() <= 12


def test_cut_file_gives_its_first_groups(codec, large):
    data = large[1]
    picture, lost = codec.salvage(data[: group_ends(data)[5] + 3])
    assert lost == [6, 7, 8] and picture.pixels.shape == large[0].shape


def test_nothing_left(codec, large):
    with pytest.raises(CorruptError, match="nothing"):
        codec.salvage(damaged(large[1], *range(9)))


def test_damage_elsewhere_is_an_error(codec, large):
    for place in (20, 43, 46):  # header, tag and payload of the group index
        bad = bytearray(large[1])
        bad[place] ^= 1
        with pytest.raises((CorruptError, FormatError)):
            codec.salvage(bytes(bad))


def test_group_that_lies_about_its_checksum(codec, large):
    """A payload that is not what the coder made, its checksum right."""
    parsed = container.read_file(large[1])
    groups = [bytes(g) for g in parsed.groups]
    groups[2] = groups[2][:-8]
    bad = container.write_file(parsed.header, {}, groups)
    assert codec.salvage(bad)[1] == [2]


def test_command_line(cli, large, tmp_path):
    (tmp_path / "a.aec").write_bytes(damaged(large[1], 1, 7))
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png").code == 5
    assert not (tmp_path / "a.png").exists()
    done = cli("decode", tmp_path / "a.aec", tmp_path / "a.png", "--salvage")
    assert done.code == 10 and "groups 1, 7" in done.err and done.err.count("\n") == 1
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1240, 1100)
    (tmp_path / "b.aec").write_bytes(large[1])
    assert cli("decode", tmp_path / "b.aec", tmp_path / "b.png", "--salvage") == (0, b"", "")


def test_verify(cli, large, tmp_path):
    (tmp_path / "good.aec").write_bytes(large[1])
    (tmp_path / "bad.aec").write_bytes(damaged(large[1], 3))
    (tmp_path / "text.aec").write_bytes(b"hello")
    assert cli("verify", tmp_path / "good.aec").code == 0
    done = cli(
        "verify", tmp_path / "good.aec", tmp_path / "bad.aec", tmp_path / "text.aec", tmp_path / "none.aec"
    )
    lines = done.out.decode().splitlines()
    assert done.code == 5 and len(lines) == 4
    assert [line.split(": ")[1] for line in lines] == ["ok", "corrupt", "format", "input"]


def test_verify_decodes_the_symbols(codec, large):
    """A file whose container is right and whose symbols are not."""
    parsed = container.read_file(large[1])
    wrong = parsed.header._replace(symbols_crc=parsed.header.symbols_crc ^ 1)
    with pytest.raises(CorruptError, match="decoded symbols"):
        codec.verify(container.write_file(wrong, {}, [bytes(g) for g in parsed.groups]))


def test_fill():
    rng = np.random.default_rng(0)
    i, j = np.mgrid[:70, :90]
    ramp = np.stack([i * 2, j * 2, i + j], 2).astype(np.uint8)
    lost = np.zeros((70, 90), bool)
    lost[20:50, 30:71] = True
    broken = np.where(lost[:, :, None], rng.integers(0, 256, ramp.shape, np.uint8), ramp)
    filled = conceal.fill(broken, lost)
    assert np.array_equal(filled[~lost], ramp[~lost])
    assert np.abs(filled[lost].astype(int) - ramp[lost]).mean() < 10
    flat = np.full((33, 17, 1), 77, np.uint8)
    hole = np.zeros((33, 17), bool)
    hole[:, 3:] = True
    assert (conceal.fill(flat, hole) == 77).all()
    assert (conceal.fill(flat, np.ones((33, 17), bool)) == 128).all()
