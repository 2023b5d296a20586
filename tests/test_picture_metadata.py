"""Metadata, orientation and resolution of pictures: from every kind of input, and back."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from aecodec import pixels
from aecodec.orientation import upright
from aecodec.pixels import read_picture


def stored(image, form="PNG", **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_no_resolution_is_none():
    """Pillow says 1 dot an inch where a TIFF says nothing, and 72 for some JPEGs."""
    for form in ("TIFF", "JPEG", "PNG"):
        assert read_picture(stored(Image.new("RGB", (4, 4)), form)).dpi is None
        assert read_picture(stored(Image.new("RGB", (4, 4)), form, dpi=(144, 144))).dpi == pytest.approx(
            (144, 144), 1e-3
        )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata(form):
    exif = Image.Exif()
    exif[0x0112] = 8
    exif[0x010F] = "maker"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    options = {} if form == "PNG" else {"xmp": xmp}
    if form == "TIFF":
        exif[700] = xmp
    picture = read_picture(stored(Image.new("RGB", (30, 20)), form, exif=exif, **options))
    image = pixels.to_pil(picture)
    if form == "TIFF":  # Pillow itself turns it upright
        assert picture.pixels.shape == (30, 20, 3) and picture.orientation == 1
    else:
        assert picture.pixels.shape == (20, 30, 3) and picture.orientation == 8
    assert image.getexif().get(0x0112, 1) == picture.orientation and image.getexif()[0x010F] == "maker"
    assert form == "PNG" or image.info["xmp"] == xmp


def test_exif_that_a_png_has_as_text():
    """As ImageMagick writes it."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Canon"
    raw = exif.tobytes()
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=True)
    picture = read_picture(stored(Image.new("RGB", (30, 20)), "PNG", pnginfo=info))
    assert picture.orientation == 6 and picture.exif == raw.removeprefix(b"Exif\0\0")
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n 4\nxyz\n")
    assert read_picture(stored(Image.new("RGB", (30, 20)), "PNG", pnginfo=info)).exif == b""


@pytest.mark.parametrize("kind", range(1, 9))
def test_the_resolution_turns_with_a_tiff(kind):
    image = Image.fromarray(np.arange(30 * 20 * 3, dtype=np.uint8).reshape(20, 30, 3))
    picture = read_picture(stored(image, "TIFF", dpi=(72, 150), tiffinfo={274: kind}))
    turned = kind > 4
    assert picture.pixels.shape[:2] == ((30, 20) if turned else (20, 30)) and picture.orientation == 1
    assert picture.dpi == pytest.approx((150, 72) if turned else (72, 150))
    loaded = Image.open(io.BytesIO(stored(image, "TIFF", dpi=(72, 150), tiffinfo={274: kind})))
    loaded.load()
    assert read_picture(loaded).dpi == picture.dpi
    square = stored(image.crop((0, 0, 20, 20)), "TIFF", dpi=(72, 150), tiffinfo={274: kind})
    assert read_picture(square).dpi == picture.dpi


def test_orientation_without_exif():
    image = pixels.to_pil(pixels.Picture(np.zeros((2, 2, 3), np.uint8), orientation=3))
    assert image.getexif()[0x0112] == 3


def test_bad_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 77
    picture = read_picture(stored(Image.new("L", (2, 2)), "JPEG", exif=exif))
    assert picture.orientation == 1
    # And comes back as it was: nothing has to be corrected.
    assert pixels.to_pil(picture).info["exif"].removeprefix(b"Exif\0\0") == picture.exif


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_resolution(form, codec):
    picture = read_picture(stored(Image.new("RGB", (30, 20)), form, dpi=(300, 72)))
    assert picture.dpi == pytest.approx((300, 72), abs=0.02)
    back = codec.decode_picture(codec.encode_picture(picture))
    assert back.dpi == pytest.approx(picture.dpi, abs=1e-4)
    assert read_picture(pixels.to_pil(back)).dpi == back.dpi
    again = stored(pixels.to_pil(back), form, dpi=back.dpi)
    assert read_picture(again).dpi == pytest.approx(picture.dpi, abs=1e-4)


def test_no_resolution():
    """Pillow says 72 dots an inch for a JPEG that says nothing."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = stored(Image.new("RGB", (8, 8)), "JPEG", exif=exif)
    assert b"JFIF" in data
    for given in (data, stored(Image.new("RGB", (8, 8))), Image.new("RGB", (8, 8))):
        assert read_picture(given).dpi is None
    for bad in (0, -3, float("nan"), 1e9):
        image = Image.new("RGB", (8, 8))
        image.info["dpi"] = (bad, 72)
        assert read_picture(image).dpi is None


@pytest.mark.parametrize("kind", range(1, 9))
@pytest.mark.parametrize("channels", [2, 3])
def test_upright(kind, channels):
    """As Pillow turns them."""
    rng = np.random.default_rng(kind)
    array = rng.integers(1, 256, (5, 7, channels), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = kind
    exif[0x010F] = "maker"
    xmp = f'<rdf:Description tiff:Orientation="{kind}"/>'.encode()
    info = {"exif": exif.tobytes().removeprefix(b"Exif\0\0"), "xmp": xmp, "orientation": kind}
    picture = replace(read_picture(array), dpi=(300, 72), **info)
    turned = upright(picture)
    expected = ImageOps.exif_transpose(pixels.to_pil(picture))
    assert np.array_equal(pixels.to_array(turned), np.asarray(expected))
    image = pixels.to_pil(turned)
    assert image.getexif()[0x0112] == 1 and image.getexif()[0x010F] == "maker"
    assert b'Orientation="1"' in image.info["xmp"]
    assert turned.dpi == ((72, 300) if kind > 4 else (300, 72))
