"""Every kind of input -> the picture that is coded, and back."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from conftest import DATA
from PIL import Image, ImageCms

import aecodec
from aecodec import pixels, planes
from aecodec.errors import InputError, LimitError
from aecodec.limits import Limits
from aecodec.pixels import read_picture

CITY = DATA / "city.jpg"


def stored(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_every_way_in(city):
    data = CITY.read_bytes()
    with Image.open(CITY) as image, open(CITY, "rb") as stream:
        packed = [data, bytearray(data), memoryview(data), io.BytesIO(data), stream]
        for given in [CITY, str(CITY), *packed, image, city]:
            picture = read_picture(given)
            assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
            assert np.array_equal(picture.pixels, city), type(given)


@pytest.mark.parametrize("shape, channels, alpha", [
    ((5, 4), 1, False), ((5, 4, 1), 1, False), ((5, 4, 2), 1, True), ((5, 4, 3), 3, False),
    ((5, 4, 4), 3, True),
])  # fmt: skip
def test_arrays(shape, channels, alpha):
    array = np.random.default_rng(0).integers(1, 255, shape, np.uint8)
    picture = read_picture(array)
    assert picture.pixels.shape == (5, 4, channels) and (picture.alpha is not None) == alpha
    assert np.array_equal(pixels.to_array(picture), array.squeeze())
    # Views of any layout are taken as they are.
    assert np.array_equal(pixels.to_array(read_picture(array[::-1, ::-1])), array[::-1, ::-1].squeeze())


@pytest.mark.parametrize("bad", [
    np.zeros((4, 4, 3)), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8), np.zeros((0, 4, 3), np.uint8),
    np.zeros((4, 0), np.uint8), np.zeros((4, 4), bool), np.zeros((4, 4), np.int16),
])  # fmt: skip
def test_bad_arrays(bad):
    with pytest.raises(InputError):
        read_picture(bad)


def test_bad_inputs(tmp_path):
    cut = CITY.read_bytes()[:5000]
    for bad in (b"", b"text", cut, 5, None, io.StringIO("text"), tmp_path, tmp_path / "no"):
        with pytest.raises(InputError) as caught:
            read_picture(bad)
        assert len(str(caught.value)) > 20
    with pytest.raises(InputError):
        read_picture("\0")


def test_postscript_is_refused():
    with pytest.raises(InputError):
        read_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


@pytest.mark.parametrize("mode, result", [
    ("1", "L"), ("L", "L"), ("LA", "LA"), ("La", "LA"), ("P", "RGB"), ("PA", "RGBA"), ("RGB", "RGB"),
    ("RGBA", "RGBA"), ("RGBa", "RGBA"), ("RGBX", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"),
    ("I;16", "I;16"), ("I", "I;16"),
])  # fmt: skip
def test_modes(mode, result):
    image = Image.new(mode, (6, 5))
    before = image.tobytes()
    picture = read_picture(image)
    assert pixels.to_pil(picture).mode == result and pixels.to_pil(picture).size == (6, 5)
    assert image.mode == mode and image.tobytes() == before


def test_unsupported_modes():
    for image in (Image.new("F", (4, 4)), Image.new("LAB", (4, 4)), Image.new("I", (4, 4), 70000)):
        with pytest.raises(InputError, match="mode"):
            read_picture(image)


def test_values_of_converted_modes():
    red = Image.new("RGB", (4, 4), (200, 30, 40))
    for mode, tolerance in (("P", 30), ("YCbCr", 3), ("HSV", 4), ("CMYK", 2)):
        pixel = read_picture(red.convert(mode)).pixels[0, 0].astype(int)
        assert np.abs(pixel - (200, 30, 40)).max() <= tolerance, (mode, pixel)


def test_palette_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    data = stored(image, transparency=1)
    assert read_picture(data).alpha.tolist() == [[255, 0]]
    assert read_picture(stored(image)).alpha is None
    assert read_picture(stored(Image.new("RGB", (2, 1), (1, 2, 3)), transparency=(1, 2, 3))).alpha.max() == 0
    grey = read_picture(stored(Image.new("L", (2, 1), 7), transparency=7))
    assert grey.pixels.shape == (1, 2, 1) and grey.alpha.max() == 0


def test_palettes_with_alpha():
    """What quantize() makes of RGBA, and TGA with a colour map of 32 bits."""
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 255, 40, 50, 60, 99], "RGBA")
    image.putpixel((1, 0), 1)
    head = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 2, 32, 0, 0, 2, 1, 8, 0x20)
    tga = head + bytes([30, 20, 10, 255, 60, 50, 40, 99]) + bytes([0, 1])  # BGRA
    for given in (image, tga):
        found = read_picture(given)
        assert found.alpha.tolist() == [[255, 99]] and found.pixels[0].tolist() == [
            [10, 20, 30],
            [40, 50, 60],
        ]


def test_a_closed_image(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.save(tmp_path / "a.png")
    image.close()
    with open(tmp_path / "a.png", "rb") as stream:
        unloaded = Image.open(stream)
    for given in (image, unloaded):
        with pytest.raises(InputError, match="is closed"):
            read_picture(given)


def test_arrays_of_either_byte_order():
    values = np.arange(0, 48000, 1000, dtype=np.uint16).reshape(4, 4, 3)
    for order in "<>":
        picture = read_picture(values.astype(f"{order}u2"))
        assert picture.pixels.dtype == np.uint16 and np.array_equal(picture.pixels, values)


def test_a_file_of_our_own_is_no_input(codec, city):
    data = codec.encode(city, 20)
    aecodec.register()  # whose plugin would give 8 bits
    with pytest.raises(InputError, match="an .aec file; decode it first"):
        read_picture(data)


def png_of(width, height, depth, rows, kind=0, extra=b"", interlaced=0):
    def chunk(tag, body):
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced))
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + extra + end


@pytest.mark.parametrize(
    ("depth", "row"), [(1, b"\x60"), (2, b"\x1b"), (4, b"\x01\x5f"), (8, bytes([0, 1, 5, 15]))]
)
@pytest.mark.parametrize("key", [0, 1, 5])
def test_a_grey_of_few_bits_is_transparent(depth, row, key):
    """PNG, section 11.3.1: the key counts in steps of the file's own depth, and has its low bits only."""
    values = [int.from_bytes(row) >> (8 * len(row) - depth * (i + 1)) & (1 << depth) - 1 for i in range(4)]
    body = struct.pack(">H", key)
    extra = struct.pack(">I", 2) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))
    picture = read_picture(png_of(4, 1, depth, b"\0" + row, extra=extra))
    assert picture.alpha.tolist() == [[0 if value == key & (1 << depth) - 1 else 255 for value in values]]


@pytest.mark.parametrize("depth", [1, 2, 8, 16])
@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_a_png_that_ends_early(depth, kind):
    """Its compressed data is whole, but lacks rows: Pillow would show the rest in one colour."""
    if depth < 8 and kind:
        return
    step = 1 + -(-9 * depth * {0: 1, 2: 3, 4: 2, 6: 4}[kind] // 8)
    rows = b"".join(b"\0" + bytes((7 * i + j) % 250 for j in range(1, step)) for i in range(20))
    assert read_picture(png_of(9, 20, depth, rows, kind)).pixels.shape[:2] == (20, 9)
    for left in (0, step, 10 * step, 19 * step, 20 * step - 1):
        with pytest.raises(InputError, match="cut short"):
            read_picture(png_of(9, 20, depth, rows[:left], kind))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (8, 8), (9, 21)])
def test_an_interlaced_png_that_ends_early(width, height):
    from aecodec.png_rows import ADAM7

    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in ADAM7]
    rows = b"".join(b"\0" + b"\x50" * w for w, h in sizes if w > 0 for _ in range(max(h, 0)))
    assert (read_picture(png_of(width, height, 8, rows, interlaced=1)).pixels == 0x50).all()
    with pytest.raises(InputError, match="cut short"):
        read_picture(png_of(width, height, 8, rows[:-1], interlaced=1))


def test_cmyk_and_profiles():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read_picture(stored(Image.new("RGB", (4, 4)), icc_profile=srgb))
    assert picture.icc == srgb and pixels.to_pil(picture).info["icc_profile"] == srgb
    # A profile that does not fit CMYK falls back to the plain formula, and is not carried on.
    cmyk = Image.new("CMYK", (4, 4), (0, 255, 0, 0))
    for profile in (srgb, b"broken"):
        cmyk.info["icc_profile"] = profile
        picture = read_picture(cmyk)
        assert picture.icc == b"" and picture.notes == ("CMYK converted to sRGB",)
        assert picture.pixels[0, 0].tolist() == [255, 0, 255]
    assert read_picture(stored(cmyk, "JPEG", icc_profile=b"")).pixels.shape == (4, 4, 3)


def test_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    data = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = read_picture(data)
    assert picture.pixels[0, 0].tolist() == [255, 0, 0] and picture.notes == ("first of 2 frames taken",)


def test_limits_before_loading(city):
    data = CITY.read_bytes()
    for given in (data, city, Image.open(io.BytesIO(data))):
        with pytest.raises(LimitError, match="410 x 300"):
            read_picture(given, Limits(max_pixels=410 * 300 - 1))
        with pytest.raises(LimitError):
            read_picture(given, Limits(max_side=409))
        assert read_picture(given, Limits(max_pixels=410 * 300, max_side=410)).pixels.shape == city.shape


def test_pillows_own_limit_is_not_used(monkeypatch):
    data = CITY.read_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(data).pixels.shape == (300, 410, 3)


@pytest.mark.parametrize("height, width", [(1, 1), (64, 64), (65, 130), (3, 500)])
@pytest.mark.parametrize("channels", [1, 3])
def test_network_arrays(height, width, channels):
    array = np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)
    x = planes.to_network(array)
    assert x.dtype == np.float32 and x.shape[:2] == (1, 3)
    for side, given in zip(x.shape[2:], (height, width), strict=True):
        assert side % 64 == 0 and given <= side < given + 64
    corner = array[-1, -1].repeat(3 // channels).astype(np.float32) * np.float32(1 / 255)
    assert np.array_equal(x[0, :, -1, -1], corner)
    assert np.array_equal(planes.from_network(x, height, width, channels), array)


def test_from_network_rounds_and_clips():
    x = np.full((1, 3, 64, 64), 0.5, np.float32)
    x[0, 0], x[0, 1] = -3, 7
    assert planes.from_network(x, 1, 1, 3).tolist() == [[[0, 255, 128]]]
