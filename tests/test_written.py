"""`decode` to other formats: what they hold of the metadata, and what is told of the rest."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageCms

from aecodec import pixels
from aecodec.cli import written
from aecodec.cli.decode import format_of
from aecodec.cli.files import UnfitError
from aecodec.errors import UsageError
from aecodec.pixels import Picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_of(tags):
    found = Image.Exif()
    for tag, value in tags.items():
        found[tag] = value
    return found.tobytes().removeprefix(b"Exif\0\0")


def files(picture, form):
    """Of both writers: the file and the notes."""
    data, notes = written.at_once(picture, form)
    yield data, notes
    write, notes = written.by_rows(picture, written.rows_of(picture), form, 1)
    out = io.BytesIO()
    write(out)
    yield out.getvalue(), notes


def picture_of(channels, depth=8, **more):
    kind = np.uint8 if depth == 8 else np.uint16
    samples = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (31, 45, channels), kind)
    return Picture(samples, **more)


@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (3, 8), (1, 16)])
@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (256, 7), (257, 7), (258, (8, 8, 8)), (259, 6), (262, 0), (262, 6), (266, 2), (273, 4), (277, 3),
        (278, 2), (279, 9), (284, 2), (317, 2), (320, (1, 2, 3)), (322, 16), (324, 8), (330, 8), (338, 1),
        (339, 3), (513, 4), (530, (2, 2)), (532, (0, 1)),
    ],
)  # fmt: skip
def test_tags_of_another_file_do_not_say_how_a_tiff_is_stored(channels, depth, tag, value):
    exif = exif_of({tag: value, 271: "maker", 274: 6, 36867: "2020:01:02 03:04:05"})
    picture = picture_of(channels, depth, exif=exif, orientation=6)
    for data, _ in files(picture, "TIFF"):
        with Image.open(io.BytesIO(data)) as image:
            assert image.getexif()[271] == "maker" and image.getexif()[274] == 6
            upright = np.asarray(image).reshape(45, 31, channels)
        assert np.array_equal(upright, np.rot90(picture.array, -1))  # Pillow turns TIFFs as it loads them


@pytest.mark.parametrize("form", ["BMP", "GIF", "JPEG2000", "PPM", "TGA"])
def test_what_is_lost_is_told(form):
    exif, xmp = exif_of({271: "maker"}), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    told = written.at_once(picture_of(3, exif=exif, xmp=xmp, dpi=(300, 300)), form)[1]
    assert {note.partition(" left out")[0] for note in told} >= {"EXIF", "XMP"}
    data, told = written.at_once(picture_of(3, dpi=(300, 300)), form)
    with Image.open(io.BytesIO(data)) as image:
        held = image.info.get("dpi", (0, 0)) == pytest.approx((300, 300), rel=1e-3)
    assert held != any("resolution" in note for note in told) and held == (form == "BMP")
    assert any("colours reduced" in note for note in told) == (form == "GIF")
    assert not written.at_once(picture_of(1), form)[1]
    few = Picture(picture_of(3).pixels // 64 * 64)  # 64 colours
    assert not written.at_once(few, form)[1]


@pytest.mark.parametrize(("channels", "lost"), [(1, False), (3, True)])
def test_gif_tells_of_colours_that_are_still_to_come(channels, lost):
    """by_rows() gets a picture without them first."""
    picture = picture_of(channels)
    blank = replace(picture, pixels=np.zeros_like(picture.array))
    notes = written.by_rows(blank, written.rows_of(picture), "GIF", 1)[1]
    assert any("colours reduced" in note for note in notes) == lost


@pytest.mark.parametrize("form", ["AVIF", "WEBP"])
def test_a_resolution_that_the_writer_ignores_is_told(form):
    data, told = written.at_once(picture_of(3, dpi=(300, 300)), form)
    with Image.open(io.BytesIO(data)) as image:
        assert "dpi" not in image.info and any("resolution" in note for note in told)


@pytest.mark.parametrize("form", ["AVIF", "JPEG", "MPO"])
def test_formats_with_loss_keep_colours_as_fine_as_light(form):
    y, x = np.mgrid[:31, :45]
    red = np.where((x + y) % 8 < 4, 200, 40)[:, :, None] * np.array([1, 0, 0])
    picture = Picture((red + np.array([20, 90, 90])).astype(np.uint8))
    with Image.open(io.BytesIO(written.at_once(picture, form)[0])) as image:
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - picture.array).mean() < 4


def test_gif_holds_alpha_that_is_whole_in_eight_bits():
    alpha = np.random.default_rng(2).choice(np.array([0, 65500], np.uint16), (31, 45))
    for data, notes in files(picture_of(3, 16, alpha=alpha), "GIF"):
        assert not any("transparency" in note for note in notes)
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(np.asarray(image.convert("RGBA"))[:, :, 3] > 0, alpha > 0)


@pytest.mark.parametrize("form", ["BMP", "GIF", "PPM", "TGA", "PCX"])
def test_a_profile_that_is_lost_is_told(form):
    picture = picture_of(3, icc=SRGB)
    for _, notes in files(picture, form):
        assert any("colour profile left out" in note for note in notes)
    for _, notes in files(picture_of(3), form):
        assert not notes or (form == "GIF" and "colours reduced" in notes[0] and len(notes) == 1)


def test_xmp_that_png_cannot_hold_is_told():
    xmp = "<x:xmpmeta/>".encode("utf-16")
    for data, notes in files(picture_of(3, xmp=xmp), "PNG"):
        assert any("XMP left out" in note for note in notes) and b"xmpmeta" not in data
    for data, notes in files(picture_of(3, xmp=b"<x:xmpmeta/>"), "PNG"):
        assert not notes and b"xmpmeta" in data
    for form in ("TIFF", "JPEG"):
        for data, notes in files(picture_of(3, xmp=xmp), form):
            assert not notes and xmp in data


@pytest.mark.parametrize(("dpi", "held"), [(0.4, False), (1, True), (300, True), (65535, True), (7e4, False)])
def test_resolution_that_jpeg_cannot_hold_is_told(dpi, held):
    for data, notes in files(picture_of(3, dpi=(dpi, dpi)), "JPEG"):
        found = pixels.read_picture(data).dpi
        assert (found == (dpi, dpi)) == held and any("resolution" in note for note in notes) != held
        assert held or found is None


@pytest.mark.parametrize("form", ["PPM", "BMP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_that_a_format_does_not_know(form, channels):
    picture = picture_of(channels, alpha=np.full((31, 45), 9, np.uint8))
    for data, notes in files(picture, form):
        assert any("transparency left out" in note for note in notes)
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == pixels.to_pil(Picture(picture.pixels)).mode
            assert np.array_equal(np.asarray(image).reshape(picture.pixels.shape), picture.pixels)


@pytest.mark.parametrize(("kind", "why"), [("pfm", "floating-point"), ("pbm", "black and white")])
def test_what_pillow_would_write_under_a_wrong_name_is_refused(kind, why):
    """It makes a PPM or PGM of both."""
    assert format_of("a.ppm", None) == format_of("a.pnm", None) == "PPM"
    for output, name in ((f"a.{kind}", None), ("a.png", kind)):
        with pytest.raises(UsageError, match=f"{why}.*; use .ppm"):
            format_of(output, name)


def test_pgm_is_grey():
    form = format_of("a.pgm", None)
    picture = picture_of(1, alpha=np.full((31, 45), 9, np.uint8))
    for data, notes in files(picture, form):
        assert data.startswith(b"P5\n45 31\n255\n") and data.endswith(picture.pixels.tobytes())
        assert any("transparency left out" in note for note in notes)
    with pytest.raises(UnfitError, match="use .ppm or .png"):
        written.at_once(picture_of(3), form)
    with pytest.raises(UnfitError, match="use .ppm or .png"):
        written.by_rows(picture_of(3), iter(()), form, 1)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PCX", "EPS"])
def test_transparency_that_pillow_refuses_is_named(form):
    """Where it is left out they are written."""
    with pytest.raises(UnfitError, match=f"{form} cannot hold transparency.*--no-alpha"):
        written.at_once(picture_of(3, alpha=np.full((31, 45), 9, np.uint8)), form)
    assert written.at_once(picture_of(3), form)[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("form", ["AVIF", "BMP", "GIF", "JPEG2000", "PNG", "TGA", "WEBP"])
def test_a_full_disk_is_not_a_picture_that_does_not_fit(form):
    picture = picture_of(3)
    write, _ = written.by_rows(picture, written.rows_of(picture), form, 1)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as told:
        write(full)
    assert told.value.errno == errno.ENOSPC
