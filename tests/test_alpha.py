"""Transparency: exact, with loss, left out; and what colour under it costs."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import accumulate

import numpy as np
import pytest
from conformance.pieces import PNG, PNG_END, png_chunk
from conftest import psnr
from PIL import Image, ImageFile

import aecodec
from aecodec import alpha, container, pixels, png_rows, sections
from aecodec.errors import CorruptError, FormatError, UsageError
from aecodec.pixels import read_picture


def disc(height, width, soft=8.0):
    """uint8 [H, W]: 255 in the middle, 0 outside, an edge of `soft` pixels."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot(y - height / 2, x - width / 2)
    return np.clip((min(height, width) / 3 - radius) * 255 / soft, 0, 255).astype(np.uint8)


def test_exact(codec):
    rng = np.random.default_rng(2)
    for kind in (np.uint8, np.uint16):
        plane = rng.integers(0, np.iinfo(kind).max, (33, 47), kind)
        assert np.array_equal(alpha.unpack(alpha.pack(plane), 47, 33, 8 * plane.itemsize), plane)
        with pytest.raises(CorruptError, match="ALPH"):
            alpha.unpack(alpha.pack(plane), 47, 33, 24 - 8 * plane.itemsize)
    plane = plane.astype(np.uint8)
    array = np.dstack([np.full((33, 47), 90, np.uint8), plane])
    decoded = codec.decode(codec.encode(array, 50))
    assert np.array_equal(decoded[:, :, 1], plane) and psnr(decoded[:, :, 0], array[:, :, 0]) > 25


@pytest.mark.parametrize("left", [b"", b"x"])
def test_a_stream_that_ends_between_two_parts(left):
    """It is inflated in parts of 64 KiB, and ends with the first one."""
    rows = bytes(25 * 2621)
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    stream = stored + struct.pack(">I", zlib.adler32(rows))
    assert len(stream) == png_rows.TAKEN
    head = png_chunk("IHDR", struct.pack(">IIB", 2620, 25, 8) + bytes(4))
    png = PNG + head + png_chunk("IDAT", stream + left) + PNG_END
    if left:
        with pytest.raises(CorruptError, match="zlib stream"):
            alpha.unpack(png, 2620, 25, 8)
    else:
        assert not alpha.unpack(png, 2620, 25, 8).any()


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_each_filter_of_a_row_is_looked_at(tolerant, interlaced, monkeypatch):
    """Pillow takes any while an application has told it to show what there is of damaged files."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
    head = png_chunk("IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, interlaced))
    rows = [2, 2, 3, 2, 2, 4] if interlaced else [4, 4, 4]
    data = bytearray(sum(rows))
    for at in [0, *accumulate(rows)][:-1]:
        for kind, known in ((4, True), (5, False)):
            data[at] = kind
            png = PNG + head + png_chunk("IDAT", zlib.compress(data)) + PNG_END
            if known:
                assert alpha.unpack(png, 3, 3, 8).shape == (3, 3)
            else:
                with pytest.raises(CorruptError, match="ALPH"):
                    alpha.unpack(png, 3, 3, 8)
        data[at] = 0


def test_hidden_noise_costs_nothing(codec, city):
    """Noise that nobody sees against black that nobody sees: the same bytes, as both are replaced."""
    mask = disc(*city.shape[:2], soft=1.0)
    noise = np.random.default_rng(0).integers(0, 256, city.shape, np.uint8)
    files = []
    for hidden in (np.zeros_like(city), noise, city):
        colours = np.where(mask[:, :, None] > 0, city, hidden)
        files.append(codec.encode(np.dstack([colours, mask]), 60))
    assert files[0] == files[1] == files[2]
    opaque = codec.encode(np.where(mask[:, :, None] > 0, city, noise), 60)
    assert len(files[0]) < len(opaque) / 2


def test_hidden_colour_is_smooth(codec, city):
    mask = disc(*city.shape[:2], soft=1.0)
    picture = read_picture(np.dstack([city, mask]))
    seen = mask > 0
    assert np.array_equal(picture.pixels[seen], city[seen]) and np.array_equal(picture.alpha, mask)
    steps = np.abs(np.diff(picture.pixels.astype(int), axis=0))
    assert steps[~seen[1:] & ~seen[:-1]].mean() < 2 < steps[seen[1:] & seen[:-1]].mean()
    # It costs less than the same hole painted in one colour, whose edge is a step.
    black = codec.encode(np.where(seen[:, :, None], city, 0).astype(np.uint8), 60)
    assert len(codec.encode_picture(pixels.Picture(picture.pixels), 60)) < len(black)


def test_the_edge_keeps_its_quality(codec, city):
    """What is seen is as good as in the opaque picture, and at the edge far better than beside black."""
    mask = disc(*city.shape[:2], soft=1.0)
    seen = mask > 0
    y, x = np.mgrid[: city.shape[0], : city.shape[1]]
    rim = seen & (np.hypot(y - 150, x - 205) > 100 - 4)
    black = np.where(seen[:, :, None], city, 0).astype(np.uint8)
    shown, opaque, beside_black = (
        codec.decode(codec.encode(given, 60))[:, :, :3] for given in (np.dstack([city, mask]), city, black)
    )
    assert psnr(shown[seen], city[seen]) > psnr(opaque[seen], city[seen]) - 0.2
    assert 1000 < rim.sum() < 5000
    assert psnr(shown[rim], city[rim]) > psnr(beside_black[rim], city[rim]) + 2


@pytest.mark.parametrize("quality", [None, 80])
def test_nothing_is_seen(codec, city, quality):
    data = codec.encode(np.dstack([city, np.zeros(city.shape[:2], np.uint8)]), 60, alpha_quality=quality)
    decoded = codec.decode(data)
    assert decoded.shape == (*city.shape[:2], 4) and decoded[:, :, 3].max() <= (0 if quality is None else 1)
    assert len(data) < 2000


def test_with_loss(codec, city):
    rng = np.random.default_rng(1)
    mask = np.clip(disc(*city.shape[:2], 60.0) + rng.normal(0, 12, city.shape[:2]), 0, 255).astype(np.uint8)
    array = np.dstack([city, mask])
    exact = codec.encode(array, 50)
    sizes, errors = [], []
    for quality in (20, 60, 95):
        data = codec.encode(array, 50, alpha_quality=quality)
        parsed = container.read_file(data)
        assert parsed.header.has_alpha and "ALPH" not in parsed.sections
        decoded = codec.decode(data)
        sizes.append(len(data))
        errors.append(np.abs(decoded[:, :, 3].astype(int) - mask).mean())
        assert np.array_equal(decoded[:, :, :3], codec.decode(exact)[:, :, :3])
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert sizes[1] < len(exact) and errors[-1] < 4
    codec.verify(data)
    region = codec.decode(data, (100, 50, 90, 80))
    assert np.abs(region.astype(int) - decoded[50:130, 100:190]).max() <= 1
    with pytest.raises(UsageError, match="quality 101"):
        codec.encode(array, 50, alpha_quality=101)


def test_loss_without_alpha(codec, city):
    assert codec.encode(city, 50, alpha_quality=30) == codec.encode(city, 50)


def test_damage_inside_coded_alpha(codec, city):
    """The inner file is checked as any other, behind checksums that are right."""
    array = np.dstack([city, disc(*city.shape[:2], 60.0)])
    parsed = container.read_file(codec.encode(array, 50, alpha_quality=50))
    inner = container.read_file(parsed.sections["ALPC"])
    groups = [bytes(g) for g in parsed.groups]
    payload = bytes(inner.groups[0])
    wrong = container.write_file(inner.header, {}, [payload[:-1] + bytes([payload[-1] ^ 1])])
    beyond = inner.header._replace(group_edge=codec.bundle.group + 4)
    cases = {
        wrong: CorruptError,
        bytes(parsed.sections["ALPC"])[:-1]: CorruptError,
        b"": FormatError,
        container.write_file(beyond, {}, [payload]): FormatError,
    }
    for bad, error in cases.items():
        data = container.write_file(parsed.header, {"ALPC": bad}, groups)
        calls = [codec.decode, codec.verify, lambda data: codec.decode(data, (0, 0, 64, 64))]
        for call in (*calls, lambda data: codec.decode(data, scale=1 / 16)):
            with pytest.raises(error):
                call(data)


def test_left_out(codec, city):
    """--no-alpha shows what was hidden, as it was stored."""
    array = np.dstack([city, disc(*city.shape[:2])])
    assert codec.encode(array, 50, alpha=False) == codec.encode(city, 50)
    assert "ALPH" not in sections.pack(read_picture(array, alpha=False))


def test_command_line(cli, city, tmp_path):
    path, out = tmp_path / "a.png", tmp_path / "a.aec"
    Image.fromarray(np.dstack([city, disc(*city.shape[:2], 60.0)])).save(path)
    sizes = {}
    small = ("--alpha-quality", "30", "--max-size", "6k")
    for options in ((), ("--alpha-quality", "30"), ("--no-alpha",), small):
        assert cli("encode", path, out, "--force", *options) == (0, b"", "")
        sizes[options] = out.stat().st_size
        assert aecodec.info(out)["alpha"] == (options != ("--no-alpha",))
    kept, coded, without, limited = sizes.values()
    assert coded < kept and limited <= 6000
    assert without == len(aecodec.encode(city, 60, device="cpu"))
    assert cli("encode", path, out, "--force", "--alpha-quality", "3", "--no-alpha").code == 2


def test_pillow(codec, city):
    aecodec.register()
    image = Image.fromarray(np.dstack([city, disc(*city.shape[:2], 60.0)]))
    out = io.BytesIO()
    image.save(out, "AEC", alpha_quality=40)
    assert "ALPC" in container.read_file(out.getvalue()).sections
    with Image.open(io.BytesIO(out.getvalue())) as back:
        assert back.mode == "RGBA" and np.array_equal(np.asarray(back), codec.decode(out.getvalue()))
