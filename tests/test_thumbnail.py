"""The small picture inside a file: what it shows, what it costs, and files in which it is wrong."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from conftest import psnr
from PIL import Image

import aecodec
from aecodec import container, pixels, thumbnail
from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.networks import Networks
from aecodec.pixels import Picture


def without(file, payload=None):
    """The file without its thumbnail, or with another one."""
    parsed = container.read_file(file)
    kept = {tag: bytes(data) for tag, data in parsed.sections.items() if tag != thumbnail.TAG}
    if payload is not None:
        kept[thumbnail.TAG] = payload
    return container.write_file(parsed.header, kept, [bytes(g) for g in parsed.groups], parsed.blocks)


@pytest.fixture(scope="module")
def file(codec, city):
    return codec.encode(city, 40, thumbnail=True)


@pytest.fixture
def no_networks(monkeypatch):
    def run(*arguments, **inputs):
        raise AssertionError("a network runs")

    monkeypatch.setattr(Networks, "_run", run)


def test_what_it_shows(codec, city, file, city_file):
    assert without(file) == city_file  # everything else is as before
    small = codec.decode(file, scale=1 / 16)
    means = np.asarray(Image.fromarray(city).reduce(16))
    assert small.shape == (19, 26, 3) and psnr(small, means) > 25
    assert psnr(small, codec.decode(city_file, scale=1 / 16)) > 24
    assert np.array_equal(codec.decode(file), codec.decode(city_file))
    assert len(file) - len(city_file) < 900


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_kind(codec, city, channels, kind):
    deep = kind == np.uint16
    planes = city[:96, :130, :1] if channels < 3 else city[:96, :130]
    picture = planes.astype(kind) * (257 if deep else 1)
    if channels in (2, 4):
        alpha = np.zeros((96, 130, 1), kind)
        alpha[:, 40:] = 65535 if deep else 255
        picture = np.concatenate([picture, alpha], 2)
    data = codec.encode(picture, 40, thumbnail=True)
    small = codec.decode(data, scale=1 / 16)
    assert small.dtype == kind and small.shape[:2] == (6, 9)
    assert small.ndim == (2 if channels == 1 else 3) and (channels == 1 or small.shape[2] == channels)
    if channels in (2, 4):
        assert not small[:, :2, -1].any() and (small[:, 3:, -1] == (65535 if deep else 255)).all()


def test_never_instead_of_16_bits(codec, city):
    """It has 8 of them, and less of the picture than the latents."""
    picture = (city[:96, :130].astype(np.uint16) << 8) + np.arange(130, dtype=np.uint16)[None, :, None]
    with_it = codec.encode(picture, 80, thumbnail=True)
    assert thumbnail.TAG in container.read_file(with_it).sections
    small = codec.decode(with_it, scale=1 / 16)
    assert np.array_equal(small, codec.decode(codec.encode(picture, 80), scale=1 / 16))
    assert (small % 257).any()


def test_latents_are_those_of_the_groups(file, city_file):
    for kind in ("pooled", "spatial"):
        both = (aecodec.latents.features(data, kind, device="cpu") for data in (file, city_file))
        assert np.array_equal(*both)


def test_metadata_and_orientation(codec, city):
    picture = Picture(city, None, b"profile", b"", b"<x/>", 6, (300, 200))
    data = codec.encode_picture(picture, 30, thumbnail=True)
    small = codec.decode_picture(data, 16)
    assert (small.icc, small.xmp, small.orientation, small.dpi) == (b"profile", b"<x/>", 6, (300, 200))
    assert codec.decode(data, scale=1 / 16, apply_orientation=True).shape == (26, 19, 3)


def test_no_model_no_network(cli, file, tmp_path, no_networks):
    """Not even a file whose model nobody has needs one."""
    parsed = container.read_file(file)
    sections = {tag: bytes(data) for tag, data in parsed.sections.items()}
    header = parsed.header._replace(model_id=b"unknown!")
    data = container.write_file(header, sections, [bytes(g) for g in parsed.groups])
    (tmp_path / "a.aec").write_bytes(data)
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png", "--scale", "1/16").code == 0
    assert cli("decode", tmp_path / "a.aec", tmp_path / "b.png", "--fit", "25").code == 0
    for name, size in (("a.png", (26, 19)), ("b.png", (25, 18))):
        with Image.open(tmp_path / name) as image:
            assert image.size == size
    aecodec.register()
    with Image.open(tmp_path / "a.aec") as image:
        image.draft(None, (20, 15))
        assert image.size == (26, 19) and image.getpixel((3, 3))
    assert cli("decode", tmp_path / "a.aec", tmp_path / "c.png").code == 7


@pytest.mark.parametrize("payload", [b"", b"no WebP", "another size", "cut"])
def test_wrong_ones_are_left_alone(codec, city_file, file, payload):
    if payload == "another size":
        out = io.BytesIO()
        Image.new("RGB", (26, 20)).save(out, "WEBP")
        payload = out.getvalue()
    elif payload == "cut":
        payload = bytes(container.read_file(file).sections[thumbnail.TAG])[:-60]
    data = without(file, payload)
    codec.verify(data)
    assert np.array_equal(codec.decode(data, scale=1 / 16), codec.decode(city_file, scale=1 / 16))


def test_targets_count_it(codec, city):
    data = codec.encode(city, target_size=9000, thumbnail=True)
    assert abs(len(data) / 9000 - 1) < 0.01 and thumbnail.TAG in container.read_file(data).sections


def test_command_line(cli, tmp_path, city):
    Image.fromarray(city).save(tmp_path / "in.png")
    for name, options in (("a.aec", ["--thumbnail"]), ("b.aec", [])):
        assert cli("encode", tmp_path / "in.png", tmp_path / name, "-q", "40", *options) == (0, b"", "")
        for side, size in ((26, (26, 19)), (64, (64, 47)), (300, (300, 220)), (5000, (410, 300))):
            done = cli("decode", tmp_path / name, tmp_path / "out.png", "--fit", side, "--force")
            assert done.code == 0, done.err
            with Image.open(tmp_path / "out.png") as image:
                assert image.size == size
    assert cli("decode", tmp_path / "a.aec", "-", "--fit", "64", "--scale", "1/8").code == 2
    assert cli("decode", tmp_path / "a.aec", "-", "--fit", "0").code == 2
    image = pixels.to_pil(Picture(city))
    aecodec.register()
    image.save(tmp_path / "c.aec", quality=40, thumbnail=True)
    assert (tmp_path / "c.aec").read_bytes() == (tmp_path / "a.aec").read_bytes()


def test_resampling_takes_16_bits_to_8(cli, codec, city, tmp_path):
    """As the help of --fit says."""
    deep = city[:96, :130, 0].astype(np.uint16) * 257
    (tmp_path / "a.aec").write_bytes(codec.encode(deep, 40))
    for side, size, mode in ((130, (130, 96), "I;16"), (65, (65, 48), "I;16"), (60, (60, 44), "L")):
        assert cli("decode", tmp_path / "a.aec", tmp_path / "out.png", "--fit", side, "--force").code == 0
        with Image.open(tmp_path / "out.png") as image:
            assert (image.size, image.mode) == (size, mode)


def test_divisors():
    divisor = lambda *a: thumbnail.divisor_for(*a, (1, 2, 4, 8, 16))  # noqa: E731
    assert [divisor(4000, 3000, n) for n in (128, 250, 256, 278, 512, 1024, 5000)] == [16, 16, 16, 8, 8, 4, 1]
    assert divisor(100, 80, 128) == 1 and divisor(1, 1, 1) == 16  # still a pixel


def test_faster_than_the_whole(codec, city):
    """Fifteen times at least; a hundred and more on larger pictures."""
    data = codec.encode(np.tile(city[:256, :384], (4, 4, 1)), 30, thumbnail=True)

    def cpu(scale):
        begin = time.process_time()
        codec.decode(data, scale=scale)
        return time.process_time() - begin

    cpu(1)
    assert 15 * min(cpu(1 / 16) for _ in range(3)) < min(cpu(1) for _ in range(2))


def test_one_codec_for_all(file):
    assert Codec(device="cpu").decode(file, scale=1 / 16).shape == (19, 26, 3)


@pytest.mark.parametrize("seen", [False, True])
def test_made_of_strips_as_of_the_whole(monkeypatch, city, seen):
    alpha = np.add.outer(np.arange(300), np.arange(410)).astype(np.uint8) if seen else None
    whole = thumbnail.pack(Picture(city, alpha))
    monkeypatch.setattr(thumbnail, "STRIP", 32)
    assert thumbnail.pack(Picture(city, alpha)) == whole


def test_longer_than_webp_can_be(codec):
    with pytest.raises(InputError, match="gets no thumbnail"):
        codec.encode(np.zeros((1, thumbnail.LONGEST + 1), np.uint8), 0, thumbnail=True)
