"""EXIF data that Pillow cannot read, coming in and going out: the picture is as good as without it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from conformance.symbols import TINY
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from synthetic import smooth

import aecodec
from aecodec import deep, exif, pixels, thumbnail
from aecodec.codec import Codec
from aecodec.orientation import upright
from aecodec.pixels import Picture, read_picture

DAMAGED = [b"no TIFF header", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\xff" + bytes(5)]
TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


@pytest.fixture(scope="module")
def tiny():
    return Codec(TINY, device="cpu", threads=1)


@pytest.fixture(scope="module")
def small():
    return smooth(1, 24, 40)


def test_orientation():
    assert exif.orientation_in(exif.load(TURNED)) == 6 == exif.orientation_in(exif.load(b"Exif\0\0" + TURNED))
    assert exif.with_orientation(TURNED, 6) == TURNED
    assert exif.orientation_in(exif.load(exif.with_orientation(TURNED, 3))) == 3
    assert exif.with_orientation(b"", 1) == b"" and exif.orientation_in(exif.load(b"")) == 1
    for value in (0, 9, 200):
        odd = TURNED.replace(b"\x06\0\0\0\0\0\0\0", bytes([value]) + bytes(7))
        assert exif.orientation_in(exif.load(odd)) == 1 and exif.with_orientation(odd, 1) == odd


@pytest.mark.parametrize("own", [b"", TURNED.replace(b"\x06\0\0\0\0\0\0\0", b"\x01" + bytes(7))])
@pytest.mark.parametrize("stated", [1, 3])
def test_the_headers_orientation_goes_before_that_of_xmp(small, own, stated):
    """Readers take that of XMP where EXIF has none, as a tool that turns pixels may leave it behind."""
    xmp = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    given = Picture(small, exif=own, xmp=xmp, orientation=stated)
    shown = pixels.to_pil(given)
    assert shown.getexif()[0x0112] == stated and shown.info["xmp"] == xmp
    assert pixels.from_pil(shown).orientation == stated
    assert thumbnail.fit(given, 20).orientation == stated
    assert pixels.pil_info(b"", own, xmp.replace(b"6", b"1"), 1).get("exif", b"")[6:] == own


def xmp_of(stated):
    """stated: an attribute, or elements between `>` and a tag that is open."""
    end = "</rdf:Description>" if stated.startswith(">") else "/>"
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {stated}{end}</rdf:RDF>'
        "</x:xmpmeta>"
    ).encode()


SPELLINGS = [
    'tiff:Orientation="6"', "tiff:Orientation='6'", 'tiff:Orientation = "6"', 'tiff:Orientation=\n"6"',
    'tiff:Orientation=" 6 "', "><tiff:Orientation>6</tiff:Orientation>",
    "><tiff:Orientation> 6\n</tiff:Orientation>", "><tiff:Orientation >6</tiff:Orientation >",
]  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_spelling_of_xmp_is_read_and_corrected(small, spelling, form):
    """Pillow reads two of them."""
    xmp, out = xmp_of(spelling), io.BytesIO()
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    Image.fromarray(small).save(out, form, **({"pnginfo": text} if form == "PNG" else {"xmp": xmp}))
    picture = read_picture(out.getvalue())
    assert picture.orientation == 6 and picture.xmp == xmp
    turned = upright(picture)
    assert turned.xmp == xmp.replace(b"6", b"1") and exif.orientation_in_xmp(turned.xmp) == 1
    stated = pixels.pil_info(b"", b"", xmp, 1)["exif"]  # a picture that is upright, behind XMP that is not
    assert exif.load(stated)[exif.ORIENTATION] == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_exif_goes_before_any_spelling_of_xmp(small, spelling):
    for form in ("JPEG", "TIFF"):
        out, xmp = io.BytesIO(), xmp_of(spelling)
        options = {"tiffinfo": {700: xmp, 274: 3}} if form == "TIFF" else {"xmp": xmp}
        own = b"Exif\0\0" + TURNED.replace(b"\x06\0\0\0\0\0\0\0", b"\x03" + bytes(7))
        Image.fromarray(small).save(out, form, **options, **({} if form == "TIFF" else {"exif": own}))
        picture = read_picture(out.getvalue())
        assert picture.orientation == (1 if form == "TIFF" else 3)  # Pillow has turned a TIFF
        with Image.open(out) as image:
            assert read_picture(ImageOps.exif_transpose(image)).orientation == 1


def test_sixteen_bits_and_an_orientation_in_xmp():
    samples = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), np.uint16)
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp_of('tiff:Orientation = "6"').decode())
    bare = deep.png(samples, pnginfo=text)
    other = deep.png(samples, pnginfo=text, exif=TURNED.replace(b"\x12\x01", b"\x13\x01"))  # another tag
    for data in (bare, other):
        picture = read_picture(data)
        assert picture.depth == 16 and picture.orientation == 6


@pytest.mark.parametrize("data", DAMAGED)
def test_damaged(data):
    assert exif.load(data) is None or exif.orientation_in(exif.load(data)) == 1
    assert exif.with_orientation(data, 1) == data
    assert exif.orientation_in(exif.load(exif.with_orientation(data, 5))) == 5


@pytest.mark.parametrize("data", DAMAGED)
def test_there_and_back(tiny, small, data):
    """A PNG with such a chunk is coded, the chunk kept; the file can be opened."""
    out = io.BytesIO()
    Image.fromarray(small).save(out, "PNG", exif=b"Exif\0\0" + data)
    picture = read_picture(out.getvalue())
    assert picture.exif == data and picture.orientation == 1 and np.array_equal(picture.pixels, small)
    back = tiny.decode_picture(tiny.encode_picture(picture, 30))
    assert back.exif == data
    assert pixels.to_pil(back).info["exif"] == b"Exif\0\0" + data
    turned = pixels.to_pil(Picture(back.pixels, exif=data, orientation=8))
    assert turned.getexif()[0x0112] == 8


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("xmp", [b"", b"<x:xmpmeta/>"])
def test_command_line(cli, tiny, small, tmp_path, monkeypatch, suffix, xmp):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(TINY))
    picture = Picture(small, exif=DAMAGED[0], xmp=xmp)
    (tmp_path / "a.aec").write_bytes(tiny.encode_picture(picture, 30))
    result = cli("decode", tmp_path / "a.aec", tmp_path / f"b.{suffix}", "--device", "cpu")
    assert result.code == 0 and ("damaged EXIF" in result.err) == (suffix == "tif")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        assert image.size == (40, 24)
        assert suffix == "tif" or image.info["exif"].removeprefix(b"Exif\0\0") == DAMAGED[0]


def test_no_word_from_pillow(small, tmp_path):
    """What it says about damage it can read past would be lines of another kind on stderr."""
    Image.fromarray(small).save(tmp_path / "a.png", exif=b"Exif\0\0" + DAMAGED[3])
    command = [sys.executable, "-m", "aecodec", "encode", tmp_path / "a.png", tmp_path / "a.aec"]
    run = subprocess.run([*command, "--model", TINY], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_plugin(small, tmp_path):
    aecodec.register()
    Image.fromarray(small).save(
        tmp_path / "a.aec", exif=b"Exif\0\0" + DAMAGED[0], model=str(TINY), device="cpu"
    )
    with Image.open(tmp_path / "a.aec") as image:
        assert image.size == (40, 24) and image.info["exif"] == b"Exif\0\0" + DAMAGED[0]


def test_frames_that_cannot_be_counted(small):
    """A TIFF whose second directory is damaged: its first picture is whole."""
    out = io.BytesIO()
    image = Image.fromarray(small)
    image.save(out, "TIFF", save_all=True, append_images=[image])
    data = bytearray(out.getvalue())
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first : first + 2], "little")
    at = first + 2 + 12 * count  # where the second directory is
    second = int.from_bytes(data[at : at + 4], "little")
    data[second + 2 : second + 4] = b"\xff\xff"  # its width becomes a tag that nobody knows
    with Image.open(io.BytesIO(data)) as opened, pytest.raises(TypeError):
        assert opened.n_frames
    assert np.array_equal(read_picture(bytes(data)).pixels, small)


def test_a_full_directory_gets_an_orientation():
    """It has as many entries as one can have, so that there is no room for another."""
    entries = struct.pack("<HHII", 0x9999, 3, 1, 0) * 65535
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + entries + bytes(4)
    assert exif.orientation_in(exif.load(exif.with_orientation(data, 6))) == 6
