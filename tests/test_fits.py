"""FITS: numbers as the header means them, which Pillow does not look at."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
import pytest
from PIL import Image

from aecodec import pixels
from aecodec.errors import InputError
from aecodec.pixels import read_picture

UNSIGNED = {"BZERO": 32768, "BSCALE": 1}


def header(first, cards):
    lines = [first, *(f"{name:8}= {value!s:>20}" for name, value in cards.items()), "END"]
    text = "".join(line.ljust(80) for line in lines).encode()
    return text + b" " * (-len(text) % 2880)


def fits(samples, bits=16, **cards):
    """As it is stored: the first row is the lowest one, planes behind each other."""
    axes = {f"NAXIS{n}": size for n, size in enumerate(reversed(samples.shape), 1)}
    head = header("SIMPLE  =                    T", {"BITPIX": bits, "NAXIS": samples.ndim} | axes | cards)
    body = samples.astype({8: "u1", 16: ">i2", 32: ">i4", -32: ">f4"}[bits]).tobytes()
    return head + body + bytes(-len(body) % 2880)


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)


@pytest.mark.parametrize("zero", ["32768", "32768.0", "3.2768E4", "3.2768D+04 / offset"])
def test_numbers_without_sign(samples, zero, tmp_path):
    data = fits(samples.astype(int) - 32768, BZERO=zero, BSCALE="1.0")
    (tmp_path / "a.fits").write_bytes(data)
    for given in (data, tmp_path / "a.fits", Image.open(io.BytesIO(data))):
        picture = read_picture(given)
        assert np.array_equal(picture.array[::-1, :, 0], samples) and not picture.notes


def test_numbers_with_sign(samples):
    assert np.array_equal(read_picture(fits(samples // 2)).array[::-1, :, 0], samples // 2)
    below = (samples // 2).astype(int)
    below[3, 4] = -1
    with pytest.raises(InputError, match="sign, some below 0"):
        read_picture(fits(below))


def test_bytes_and_32_bits(samples):
    assert np.array_equal(read_picture(fits(samples >> 8, 8)).array[::-1, :, 0], samples >> 8)
    assert np.array_equal(read_picture(fits(samples, 32)).array[::-1, :, 0], samples)


@pytest.mark.parametrize(
    ("bits", "cards"),
    [
        (16, {"BZERO": 100}), (16, {"BSCALE": 0.5}), (16, {"BZERO": 32768, "BSCALE": 2}),
        (8, {"BZERO": -128}), (32, {"BZERO": 2147483648}), (16, {"BZERO": "many"}),
    ],
)  # fmt: skip
def test_other_scales_are_refused(bits, cards):
    with pytest.raises(InputError, match="BZERO"):
        read_picture(fits(np.ones((4, 5), int), bits, **cards))


def test_planes_are_told(samples):
    cube = np.stack([samples, samples[::-1], samples ^ 0x1234]).astype(int) - 32768
    picture = read_picture(fits(cube, **UNSIGNED))
    assert np.array_equal(picture.array[::-1, :, 0], samples)
    assert picture.notes == ("first of 3 planes taken",)
    assert not read_picture(fits(cube[:1], **UNSIGNED)).notes


@pytest.mark.parametrize("planes", [1, 3])
def test_data_that_is_cut_short(samples, planes):
    data = fits(np.stack([samples] * planes).astype(int) - 32768, **UNSIGNED)
    whole = 2880 + planes * samples.nbytes
    assert read_picture(data[:whole]).depth == 16  # what fills the last block may lack
    for size in (whole - 1, 2880 + planes * samples.nbytes * 6 // 10):
        with pytest.raises(InputError, match="cut short"):
            read_picture(data[:size])


def test_a_picture_behind_an_empty_header(samples):
    data = fits(samples.astype(int) - 32768, **UNSIGNED)[2880:]
    axes = {"BITPIX": 16, "NAXIS": 2, "NAXIS1": 30, "NAXIS2": 20}
    head = header("SIMPLE  =                    T", {"BITPIX": 8, "NAXIS": 0, "BZERO": 7})
    head += header("XTENSION= 'IMAGE   '", axes | {"PCOUNT": 0, "GCOUNT": 1} | UNSIGNED)
    assert np.array_equal(read_picture(head + data).array[::-1, :, 0], samples)


def test_a_packed_picture(samples):
    """A table of gzip streams, a row in each."""
    stored = samples.astype(int) - 32768
    rows = [gzip.compress(row.astype(">i4").tobytes(), mtime=0) for row in stored]
    heap = b"".join(rows)
    cards = {
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": 8,
        "NAXIS2": 20,
        "PCOUNT": len(heap),
        "GCOUNT": 1,
        "ZIMAGE": "T",
    }
    cards |= {"ZCMPTYPE": "'GZIP_1  '", "ZBITPIX": 16, "ZNAXIS": 2, "ZNAXIS1": 30, "ZNAXIS2": 20} | UNSIGNED
    places = b"".join(struct.pack(">ii", len(row), 0) for row in rows)
    head = header("SIMPLE  =                    T", {"BITPIX": 8, "NAXIS": 0})
    data = head + header("XTENSION= 'BINTABLE'", cards) + places + heap
    assert np.array_equal(read_picture(data).array[::-1, :, 0], samples)


def test_an_image_that_is_loaded_has_lost_its_scale(samples):
    image = Image.open(io.BytesIO(fits(samples.astype(int) - 32768, **UNSIGNED)))
    image.load()
    with pytest.raises(InputError, match="give the file"):
        pixels.from_pil(image)


def test_it_is_told(cli, samples, tmp_path):
    (tmp_path / "a.fits").write_bytes(fits(np.full((2, 20, 30), -5)))
    done = cli("encode", tmp_path / "a.fits", tmp_path / "a.aec")
    assert done.code == 3 and done.err.count("\n") == 1 and "a.fits" in done.err and "below 0" in done.err
