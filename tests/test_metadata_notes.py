"""IPTC and extended XMP: not kept, and said so, once and in one line."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image
from synthetic import smooth

from aecodec import picture_notes
from aecodec.pixels import read_picture

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
CAPTION = b"\x1c\x02\x78\x00\x05hello"


def stored(form, **options):
    out = io.BytesIO()
    Image.fromarray(smooth(1, 24, 40)).save(out, form, **options)
    return out.getvalue()


def segment(marker, body):
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(body)) + body


def resource(code, data):
    return b"8BIM" + struct.pack(">H2xI", code, len(data)) + data + bytes(len(data) % 2)


def jpeg(*segments, **options):
    data = stored("JPEG", **options)
    return data[:2] + b"".join(segments) + data[2:]


IPTC = segment(0xED, b"Photoshop 3.0\0" + resource(0x0404, CAPTION))
OTHER = segment(0xED, b"Photoshop 3.0\0" + resource(0x03ED, bytes(16)) + resource(0x0404, b""))
COMMENT = segment(0xFE, b"by me")
EXTENDED = segment(0xE1, picture_notes.EXTENDED_XMP + b"0" * 32 + struct.pack(">II", 5, 0) + b"<x/> ")


@pytest.mark.parametrize(("segments", "said"), [
    ((IPTC,), "IPTC not kept"),
    ((COMMENT,), ""),
    ((EXTENDED, EXTENDED), "extended XMP not kept"),
    ((EXTENDED, COMMENT, IPTC), "IPTC and extended XMP not kept"),
    ((OTHER,), ""),
    ((segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4"),), ""),
    ((), ""),
])  # fmt: skip
def test_of_a_jpeg(segments, said):
    picture = read_picture(jpeg(*segments, xmp=XMP))
    assert picture.notes == ((said,) if said else ()) and picture.xmp == XMP


def test_of_other_formats():
    assert read_picture(stored("TIFF", tiffinfo={33723: CAPTION})).notes == ("IPTC not kept",)
    for data in (stored("TIFF"), stored("JPEG2000"), stored("PNG"), stored("WEBP")):
        assert not read_picture(data).notes


def test_of_an_open_image():
    with Image.open(io.BytesIO(jpeg(IPTC, EXTENDED))) as image:
        assert read_picture(image).notes == ("IPTC and extended XMP not kept",)


def test_it_is_told_once(cli, codec, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(IPTC, EXTENDED))
    done = cli("encode", tmp_path / "a.jpg", tmp_path / "a.aec", "-q", "20")
    assert done.code == 0 and done.err.count("\n") == 1
    assert done.err.endswith("IPTC and extended XMP not kept\n")
    with pytest.warns(UserWarning, match="IPTC and extended XMP not kept") as told:
        codec.encode(tmp_path / "a.jpg", 20)
    assert len(told) == 1


def test_who_wants_no_metadata_need_not_hear_of_it(cli, tmp_path):
    notes = (*read_picture(jpeg(IPTC)).notes, "first of 2 frames taken")
    assert picture_notes.without_metadata(notes) == ("first of 2 frames taken",)
    (tmp_path / "a.jpg").write_bytes(jpeg(IPTC))
    done = cli("encode", tmp_path / "a.jpg", tmp_path / "a.aec", "-q", "20", "--metadata", "none")
    assert (done.code, done.err) == (0, "")
