"""Colours of JPEG 2000, AVIF and HEIC that Pillow does not read."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from synthetic import smooth

from aecodec.errors import AecodecError, InputError
from aecodec.limits import Limits
from aecodec.pixels import read_picture

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stored(form, array=None, **options):
    out = io.BytesIO()
    Image.fromarray(smooth(1, 24, 40) if array is None else array).save(out, form, **options)
    return out.getvalue()


def box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind + body


def jp2(*more, array=None, keep=True):
    """Pillow's, with boxes behind its own in the header, whose colr box may go."""
    data = stored("JPEG2000", array)
    at = data.find(b"jp2h") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    body = data[at + 8 : at + size]
    body = body if keep else body[: body.find(b"colr") - 4]
    return data[:at] + box(b"jp2h", body + b"".join(more)) + data[at + size :]


def profile_box(profile, method=2):
    return box(b"colr", bytes((method, 0, 0)) + profile)


@pytest.mark.parametrize("method", [2, 3])
@pytest.mark.parametrize("keep", [True, False])
def test_a_profile_of_jpeg_2000(method, keep, tmp_path):
    data = jp2(profile_box(PROFILE, method), keep=keep)
    (tmp_path / "a.jp2").write_bytes(data)
    plain = read_picture(jp2())
    for given in (data, tmp_path / "a.jp2", Image.open(io.BytesIO(data))):
        picture = read_picture(given)
        assert picture.icc == PROFILE and np.array_equal(picture.pixels, plain.pixels)
    assert plain.icc == b"" and not plain.notes


def test_a_profile_is_kept_with_16_bits_of_grey():
    grey = np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)
    picture = read_picture(jp2(profile_box(PROFILE), array=grey))
    assert picture.icc == PROFILE and np.array_equal(picture.array[:, :, 0], grey)


def test_no_more_than_the_limit_is_read():
    data = jp2(profile_box(PROFILE))
    assert len(read_picture(data, Limits(max_metadata=100)).icc) == 101  # which the encoder refuses
    assert read_picture(data, Limits(max_metadata=len(PROFILE))).icc == PROFILE


@pytest.mark.parametrize("damage", [b"", b"\2", b"\2\0\0", b"\1\0\0\0\0\0\x10"])
def test_boxes_without_a_profile(damage):
    try:
        assert read_picture(jp2(box(b"colr", damage))).icc == b""
    except InputError:  # Pillow's, where the box is too short for it
        assert len(damage) < 7


def test_cmyk_is_not_taken_for_transparency():
    cmyk = bytearray(PROFILE)
    cmyk[16:20] = b"CMYK"
    four = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)
    with pytest.raises(InputError, match="JPEG 2000 of CMYK"):
        read_picture(jp2(profile_box(bytes(cmyk), 3), array=four, keep=False))
    assert read_picture(jp2(profile_box(PROFILE, 3), array=four, keep=False)).alpha is not None


def with_codes(data, primaries, transfer):
    at = data.find(b"colrnclx") + 8
    assert at >= 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ((12, 13), True), ((9, 16), True), ((9, 18), True), ((9, 1), True), ((1, 8), True), ((1, 16), True),
        ((1, 13), False), ((1, 1), False), ((2, 2), False), ((1, 2), False), ((1, 6), False), ((1, 4), False),
    ],
)  # fmt: skip
def test_codes_of_avif(codes, told):
    data = with_codes(stored("AVIF"), *codes)
    for given in (data, Image.open(io.BytesIO(data))):
        notes = read_picture(given).notes
        assert len(notes) == told
        assert not told or (f"colours {codes[0]}/{codes[1]}/" in notes[0] and "AVIF not kept" in notes[0])


def test_a_profile_goes_before_codes():
    data = stored("AVIF", icc_profile=PROFILE)
    picture = read_picture(with_codes(data, 12, 13) if b"nclx" in data else data)
    assert picture.icc == PROFILE and not picture.notes


def test_primaries_of_grey_are_of_no_account():
    data = stored("AVIF", smooth(1, 24, 40)[:, :, 0])
    assert not read_picture(with_codes(data, 12, 13)).notes
    assert len(read_picture(with_codes(data, 12, 16)).notes) == 1


def test_codes_of_another_item_are_not_the_pictures():
    """The property stays, and the picture's item refers to it no more."""
    data = bytearray(with_codes(stored("AVIF"), 9, 16))
    at = data.find(b"ipma")
    last = at + 4 + 4 + 4 + 2 + 1 + data[at + 14] - 1
    assert data[last] & 0x7F == 4 and read_picture(bytes(data)).notes
    data[last] = 2  # what says how many bits a sample has, once more
    assert not read_picture(bytes(data)).notes


def test_boxes_that_are_damaged():
    """Read or refused; nothing else is raised, and nothing large is made of them."""
    for data in (with_codes(stored("AVIF"), 9, 16), jp2(profile_box(PROFILE))):
        rng = np.random.default_rng(1)
        for _ in range(300):
            changed = bytearray(data)
            changed[int(rng.integers(12, 300))] = int(rng.choice([0, 1, 127, 128, 255]))
            try:
                read_picture(bytes(changed))
            except AecodecError:
                pass


def test_heic():
    heif = pytest.importorskip("pillow_heif")
    saved = dict(Image.OPEN), list(Image.ID)
    heif.register_heif_opener()
    try:
        data = stored("HEIF")
        assert not read_picture(data).notes
        assert "12/13" in read_picture(with_codes(data, 12, 13)).notes[0]
    finally:
        Image.OPEN.clear()
        Image.OPEN.update(saved[0])
        Image.ID[:] = saved[1]
