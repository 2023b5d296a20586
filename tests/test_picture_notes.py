"""What is said, when a picture is encoded, of colours and values that will not come back as they were."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import DATA
from PIL import Image
from synthetic import smooth

from aecodec import deep, raster
from aecodec.pixels import open_picture


def chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(*chunks, pixels=None, **options):
    """A small PNG with these chunks before its pixels."""
    out = io.BytesIO()
    Image.fromarray(smooth(1, 24, 40) if pixels is None else pixels).save(out, "PNG", **options)
    return out.getvalue()[:33] + b"".join(chunks) + out.getvalue()[33:]


def gamma(value):
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def points(*values):
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


SRGB = chunk(b"sRGB", b"\0")
USUAL = points(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
WIDE = points(0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
PQ = chunk(b"cICP", bytes((9, 16, 0, 1)))


@pytest.mark.parametrize("chunks, named", [
    ((gamma(1),), ["gAMA 1"]),
    ((gamma(0.5),), ["gAMA 0.5"]),
    ((WIDE,), ["cHRM"]),
    ((gamma(1), WIDE), ["gAMA 1", "cHRM"]),
    ((PQ,), ["cICP 9/16/0/1"]),
    ((PQ, SRGB), ["cICP 9/16/0/1"]),
    ((gamma(0.45455), USUAL), []),
    ((gamma(0.45),), []),
    ((gamma(0),), []),
    ((SRGB, gamma(1), WIDE), []),
    ((chunk(b"cICP", bytes((1, 13, 0, 1))), gamma(1)), []),
    ((), []),
])  # fmt: skip
def test_colours_that_are_not_kept(chunks, named):
    notes = open_picture(png(*chunks)).notes
    assert len(notes) == bool(named)
    for name in named:
        assert name in notes[0]


def test_a_profile_goes_before_them():
    profile = b"any bytes, which are kept"
    picture = open_picture(png(gamma(1), WIDE, icc_profile=profile))
    assert picture.icc == profile and not picture.notes
    assert "cICP" in open_picture(png(PQ, icc_profile=profile)).notes[0]


def test_primaries_of_grey_are_of_no_account():
    grey = smooth(1, 24, 40)[:, :, 0]
    assert not open_picture(png(WIDE, pixels=grey)).notes
    assert "gAMA" in open_picture(png(gamma(1), pixels=grey)).notes[0]


def test_of_deep_colour_and_of_an_image_in_pillow():
    data = deep.png(smooth(1, 24, 40).astype(np.uint16) * 257)
    assert "gAMA" in open_picture(data[:33] + gamma(1) + data[33:]).notes[0]
    with Image.open(io.BytesIO(png(gamma(1)))) as image:
        assert "gAMA" in open_picture(image).notes[0]


def test_they_are_told(cli, codec, tmp_path):
    (tmp_path / "a.png").write_bytes(png(gamma(1)))
    done = cli("encode", tmp_path / "a.png", tmp_path / "a.aec", "-q", "20")
    assert done.code == 0 and done.err.count("\n") == 1 and "gAMA 1 of the PNG not kept" in done.err
    with pytest.warns(UserWarning, match="gAMA"):
        codec.encode(tmp_path / "a.png", 20)


def values(channels, low, high):
    shape = (60, 80, channels) if channels > 1 else (60, 80)
    return np.linspace(low, high, 60 * 80 * channels).reshape(shape).astype(np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_small_part_of_16_bits(channels):
    array = values(channels, 0, 996)
    if channels in (2, 4):
        array[:, :, -1] = 65535  # alpha does not count
    (note,) = open_picture(array).notes
    assert "16-bit values are 0..9" in note and "scale it up" in note
    assert len(open_picture(array + 30_000).notes) == 1
    array[3, 4, ...] = 60_000
    assert not open_picture(array).notes
    assert not open_picture((array >> 8).astype(np.uint8)).notes
    assert not open_picture(np.full_like(array, 500)).notes


def test_of_files(tmp_path, monkeypatch):
    Image.fromarray(values(1, 100, 1100)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(deep.png(values(3, 100, 1100)))
    with_alpha = np.dstack([values(3, 100, 1100), np.full((60, 80), 65535, np.uint16)])
    (tmp_path / "c.png").write_bytes(deep.png(with_alpha))
    for tile in (raster.TILE, 16):
        monkeypatch.setattr(raster, "TILE", tile)
        for name in "abc":
            (note,) = open_picture(tmp_path / f"{name}.png").notes
            assert "100..1100" in note


def test_a_wide_range_is_looked_at_no_further(monkeypatch):
    """Of a large picture the samples may be in a file."""
    seen = []
    whole = values(3, 0, 65535).reshape(60, 80, 3)
    monkeypatch.setattr(raster, "TILE", 16)
    monkeypatch.setattr("aecodec.picture_notes.STRIP", 10)
    get = deep.JoinedRaster.__getitem__
    monkeypatch.setattr(deep.JoinedRaster, "__getitem__", lambda self, w: seen.append(w) or get(self, w))
    assert not open_picture(deep.png(whole[::-1])).notes
    assert 1 <= len(seen) <= 4


def test_eight_bits_are_never_narrow():
    assert not open_picture(DATA / "city.jpg").notes
    assert not open_picture(np.linspace(0, 3, 4800).reshape(60, 80).astype(np.uint8)).notes
