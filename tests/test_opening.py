"""Picture files that Pillow by itself does not open, and what is said of those that nobody can."""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from synthetic import smooth

from aecodec import deep
from aecodec.errors import InputError, LimitError
from aecodec.limits import Limits
from aecodec.pixels import open_picture, read_picture
from aecodec.raster import is_large

NOISE = np.random.default_rng(1).bytes(3_000_000)
SMALL = Limits(max_metadata=2_000_000)
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0" + bytes(700_000)
XMP = b"<x:xmpmeta>" + b"<!-- packing -->" * 100_000 + b"</x:xmpmeta>"


def chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png(*chunks, behind=()):
    """A small PNG with these chunks before, and others behind its pixels."""
    out = io.BytesIO()
    Image.fromarray(smooth(1, 24, 40)).save(out, "PNG")
    data, (begin, end) = out.getvalue(), (33, -12)  # behind the header, before the end
    return data[:begin] + b"".join(chunks) + data[begin:end] + b"".join(behind) + data[end:]


def text(keyword, contents, kind=b"zTXt"):
    head = {b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0", b"tEXt": b"\0"}[kind]
    return chunk(kind, keyword + head + (contents if kind == b"tEXt" else zlib.compress(contents)))


def digits(data):
    return f"\nexif\n{len(data):8}\n{data.hex()}\n".encode()


PROFILE = chunk(b"iCCP", b"ICC\0\0" + zlib.compress(NOISE))
RAW = text(b"Raw profile type exif", digits(EXIF))
PACKET = text(b"XML:com.adobe.xmp", XMP, b"iTXt")


def test_metadata_of_a_png_beyond_pillows_limit():
    """It is that of max_metadata, of this call alone."""
    data = png(PROFILE, RAW, PACKET)
    picture = read_picture(data)
    assert np.array_equal(picture.pixels, smooth(1, 24, 40))
    assert (picture.icc, picture.exif, picture.xmp, picture.orientation) == (NOISE, EXIF, XMP, 6)
    with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"):
        Image.open(io.BytesIO(data))
    assert read_picture(png(behind=(PACKET, RAW))).xmp == XMP
    assert read_picture(png(PROFILE, PROFILE)).icc == NOISE


def test_limits_of_several_threads():
    def code(number):
        limits = SMALL if number % 2 else Limits()
        try:
            return len(read_picture(png(PROFILE), limits).icc)
        except LimitError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(code, range(12))) == [len(NOISE), 0] * 6


@pytest.mark.parametrize(
    ("metadata", "what", "most"),
    [(PROFILE, "colour profile", 2_999_999), (PACKET, "XMP", 400_000), (RAW, "EXIF", 400_000)],
)
def test_metadata_of_a_png_beyond_our_limit(metadata, what, most):
    for data in (png(metadata), png(behind=(metadata,))):
        with pytest.raises(LimitError, match=f"{what}.*{most}.*max_metadata"):
            read_picture(data, Limits(max_metadata=most))


def test_texts_that_are_no_metadata_are_not_inflated(monkeypatch):
    """However large; Pillow would refuse the file."""
    bomb = [text(b"Comment", bytes(20_000_000), kind) for kind in (b"zTXt", b"iTXt", b"tEXt")]
    monkeypatch.setattr(PngImagePlugin, "_safe_zlib_decompress", lambda _: pytest.fail("inflated"))
    for data in (png(*bomb), png(behind=bomb)):
        assert np.array_equal(read_picture(data, Limits(max_metadata=1000)).pixels, smooth(1, 24, 40))


def test_damage_is_still_seen():
    profile = bytearray(PROFILE)
    profile[-10] ^= 1
    with pytest.raises(InputError, match="PNG of .* checksum"):
        read_picture(png(bytes(profile)))
    half = zlib.compress(NOISE)[:2_000_000] + bytes(1000)  # no zlib stream: Pillow takes none for it
    assert read_picture(png(chunk(b"iCCP", b"ICC\0\0" + half))).icc in (b"", NOISE[:2_000_000])


def test_sixteen_bits_with_a_large_profile(tmp_path):
    """Such a file is opened more than once."""
    samples = np.random.default_rng(1).integers(0, 65536, (20, 30, 3), np.uint16)
    (tmp_path / "a.png").write_bytes(deep.png(samples, icc_profile=NOISE))
    for given in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
        picture = read_picture(given)
        assert np.array_equal(picture.pixels, samples) and picture.icc == NOISE
        with pytest.raises(LimitError):
            read_picture(given, SMALL)


def test_what_decode_writes_is_read_again(cli, tmp_path):
    Image.fromarray(smooth(1, 24, 40)).save(tmp_path / "a.jpg", icc_profile=NOISE)
    for step in (("encode", "a.jpg", "a.aec"), ("decode", "a.aec", "a.png"), ("encode", "a.png", "b.aec")):
        command, *names = step
        assert cli(command, *(tmp_path / name for name in names)) == (0, b"", ""), step
    assert cli("decode", tmp_path / "b.aec", tmp_path / "b.png").code == 0
    assert read_picture(tmp_path / "b.png").icc == NOISE
    result = cli("encode", tmp_path / "a.png", tmp_path / "c.aec", "--max-metadata", "2M")
    assert result.code == LimitError.exit_code and "colour profile" in result.err and "a.png" in result.err


def tiff(kind, *bits):
    """An uncompressed TIFF of one pixel, whose samples are of this kind."""
    wide = len(bits) > 1
    places = [(256, 1), (257, 1), (258, bits), (262, 2 if wide else 1), (273, 8), (277, len(bits))]
    places += [(278, 1), (279, 32), (339, (kind,) * len(bits))]
    out, extra = struct.pack("<H", len(places)), b""
    at = 8 + 32 + 2 + 12 * len(places) + 4
    for tag, value in places:
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            packed, extra = struct.pack("<I", at + len(extra)), extra + packed
        out += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 40) + bytes(32) + out + bytes(4) + extra


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(3, 16), "1 sample of 16 bits a pixel .floating point"),
        (tiff(3, 64), "1 sample of 64 bits a pixel .floating point"),
        (tiff(3, 32, 32, 32), "3 samples of 32 bits a pixel .floating point"),
    ],
)
def test_samples_of_a_tiff_that_are_not_supported_are_named(data, words):
    with pytest.raises(InputError, match=f"TIFF of .* cannot be read: .*{words}.*8 or 16 bits"):
        read_picture(data)


@pytest.mark.parametrize("value", [0, 127, 128, 255])
def test_signed_bytes_of_a_tiff(value):
    """Pillow takes them for bytes without a sign: -1 would be white."""
    data = tiff(2, 8)[:8] + bytes([value]) + tiff(2, 8)[9:]
    if value < 128:
        assert read_picture(data).pixels[0:1, 0:1].tolist() == [[[value]]]
        return
    with Image.open(io.BytesIO(data)) as image:
        for given in (data, image):
            with pytest.raises(InputError, match="signed bytes, some below 0"):
                read_picture(given)


def test_signed_bytes_of_a_large_tiff(tmp_path):
    """Whose rows would be read from the file, unseen."""
    path = tmp_path / "a.tif"
    pixels = np.full((2200, 2200), 9, np.uint8)
    assert is_large(*pixels.shape)
    for value in (127, 255):
        pixels[5, 5] = value
        Image.fromarray(pixels).save(path, tiffinfo={339: 2})
        if value == 127:
            assert open_picture(path).pixels[5:6, 5:6].tolist() == [[[127]]]
        else:
            with pytest.raises(InputError, match="signed bytes, some below 0"):
                open_picture(path)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "JPEG2000"])
def test_a_format_that_is_recognised_is_named(form, tmp_path):
    out = io.BytesIO()
    Image.fromarray(smooth(1, 24, 40)).save(out, form)
    (tmp_path / "a").write_bytes(out.getvalue()[:40])
    with pytest.raises(InputError, match=f"/a': {form} of 40 bytes that cannot be read: .") as caught:
        read_picture(tmp_path / "a")
    assert "try PNG" not in str(caught.value)
    for other in (b"", b"some text", b"%PDF-1.4\n", bytes(100)):
        with pytest.raises(InputError, match=f"no picture that Pillow can read .{len(other)} bytes"):
            read_picture(other)


def test_postscript_is_named():
    with pytest.raises(InputError, match="EPS .* a program"):
        read_picture(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


def test_a_format_that_this_pillow_lacks_is_named(monkeypatch):
    """Pillow says so itself."""
    monkeypatch.setitem(
        Image.OPEN, "GIF", (Image.OPEN["GIF"][0], lambda prefix: prefix.startswith(b"GIF8") and "no GIF here")
    )
    with pytest.raises(InputError, match="GIF of 6 bytes that cannot be read: no GIF here"):
        read_picture(b"GIF89a")
