"""EXIF data with all that cameras put into it, through every way out: nothing but the orientation changes."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from conformance.symbols import TINY
from PIL import Image
from synthetic import smooth

from aecodec import directories, exif, pixels
from aecodec.cli import written
from aecodec.codec import Codec
from aecodec.orientation import upright
from aecodec.pixels import Picture, read_picture

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL = 1, 2, 3, 4, 5, 7, 10
THUMBNAIL = b"\xff\xd8 a small picture \xff\xd9"
NOTES = b"MAKER\0" + bytes(range(60))
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def camera(order="<", orientation=6, extra=()):
    """Sub-directories, notes of the maker, an own thumbnail. extra: entries of the first directory, as they
    are."""
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def put(tags, more=()):
        """-> where the directory lies; values are before it."""
        entries = list(more)
        for tag, kind, count, value in tags:
            if isinstance(value, int):
                value = struct.pack(order + ("H" if kind == SHORT else "I"), value)
            if len(value) > 4:
                data.extend(bytes(len(data) % 2))
                value, place = struct.pack(order + "I", len(data)), value
                data.extend(place)
            entries.append(struct.pack(order + "HHI", tag, kind, count) + value.ljust(4, b"\0"))
        data.extend(bytes(len(data) % 2))
        at = len(data)
        entries.sort(key=lambda raw: struct.unpack(order + "H", raw[:2]))
        data.extend(struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
        return at

    interop = put([(1, ASCII, 4, b"R98\0"), (2, UNDEFINED, 4, b"0100")])
    ratio = struct.pack(order + "2i", 1, 3)
    own = put([
        (33434, RATIONAL, 1, struct.pack(order + "2I", 1, 60)), (36864, UNDEFINED, 4, b"0231"),
        (37121, UNDEFINED, 4, bytes((1, 2, 3, 0))), (37380, SRATIONAL, 1, ratio),
        (37500, UNDEFINED, len(NOTES), NOTES), (37510, UNDEFINED, 13, b"ASCII\0\0\0hello"),
        (40962, LONG, 1, 40), (40965, LONG, 1, interop), (41728, UNDEFINED, 1, b"\3"),
    ])  # fmt: skip
    place = put([(1, ASCII, 2, b"N\0"), (2, RATIONAL, 3, struct.pack(order + "6I", 47, 1, 30, 1, 0, 1))])
    tags = [(271, ASCII, 6, b"maker\0"), (34665, LONG, 1, own), (34853, LONG, 1, place)]
    first = put(tags + ([(274, SHORT, 1, orientation)] if orientation else []), extra)
    fields = 3 + bool(orientation) + len(extra)
    second = put([(259, SHORT, 1, 6), (513, LONG, 1, 0), (514, LONG, 1, len(THUMBNAIL))])
    struct.pack_into(order + "I", data, second + 2 + 12 + 8, len(data))
    struct.pack_into(order + "I", data, first + 2 + 12 * fields, second)
    struct.pack_into(order + "I", data, 4, first)
    return bytes(data) + THUMBNAIL


def tags_of(data, at=None, name=""):
    """All tags: type, count, bytes of the values, through sub-directories."""
    order, found = directories.order_of(data), {}
    here = directories.first(data) if at is None else directories.read(data, at)
    for tag, raw in here.entries:
        _, kind, count, place = struct.unpack(order + "HHII", raw)
        size = directories.SIZES[kind] * count
        if tag in (34665, 34853, 40965):
            found |= tags_of(data, place, f"{name}{tag}/")
        else:
            found[f"{name}{tag}"] = kind, raw[8 : 8 + size] if size <= 4 else data[place : place + size]
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_two_bytes_say_the_orientation(order):
    data = camera(order)
    changed = exif.with_orientation(data, 1)
    differing = [n for n, (a, b) in enumerate(zip(data, changed, strict=True)) if a != b]
    assert len(differing) == 1 and exif.orientation_in(exif.load(changed)) == 1
    assert exif.with_orientation(changed, 6) == data and exif.with_orientation(data, 6) is data


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_is_added(order):
    data = camera(order, 0)
    changed = exif.with_orientation(data, 3)
    assert changed[8 : len(data)] == data[8:] and len(changed) <= len(data) + 1 + 2 + 12 * 4 + 4
    assert tags_of(changed) == tags_of(data) | {"274": (SHORT, struct.pack(order + "H", 3))}
    assert [entry.tag for entry in directories.first(changed).entries] == [271, 274, 34665, 34853]
    second = directories.read(changed, directories.first(changed).next)
    assert changed[second.number(513, changed) :].startswith(THUMBNAIL)


@pytest.mark.parametrize("kind", [LONG, BYTE])
def test_an_orientation_of_another_type(kind):
    raw = struct.pack("<HHII", 274, kind, 1, 6)
    changed = exif.with_orientation(camera("<", 0, [raw]), 8)
    assert tags_of(changed)["274"] == (SHORT, b"\x08\0")
    assert exif.orientation_in(exif.load(changed)) == 8


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("applied", [False, True])
def test_every_way_out_keeps_the_tags(order, form, applied):
    data = camera(order)
    picture = Picture(smooth(1, 24, 40), exif=data, orientation=6, xmp=XMP, dpi=(300, 200))
    given = upright(picture) if applied else picture
    for contents in both(given, form):
        found = exif_in(contents, form)
        own = {name: value for name, value in tags_of(found).items() if "/" in name or name in ("271", "274")}
        wanted = tags_of(data)
        if applied:
            wanted["274"] = SHORT, struct.pack(order + "H", 1)
        assert own == wanted
        assert found.count(NOTES) == 1 and found.index(NOTES) == data.index(
            NOTES
        )  # their places mean the same
        if form != "TIFF":
            assert len(found) == len(data) and THUMBNAIL in found


def both(picture, form):
    yield written.at_once(picture, form)[0]
    write, _ = written.by_rows(picture, written.rows_of(picture), form, 1)
    out = io.BytesIO()
    write(out)
    yield out.getvalue()


def exif_in(contents, form):
    if form == "TIFF":
        return contents
    with Image.open(io.BytesIO(contents)) as image:
        return image.info["exif"].removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (3, 8), (4, 8), (1, 16), (2, 8)])
def test_pixels_of_a_tiff_with_exif(order, channels, depth):
    """Its numbers are in the order of the EXIF data."""
    kind = np.uint8 if depth == 8 else np.uint16
    samples = np.random.default_rng(1).integers(1, 256 << (depth - 8), (31, 45, channels), kind)
    picture = replace(read_picture(samples), exif=camera(order, 1), icc=b"a profile", xmp=XMP, dpi=(300, 72))
    for contents in both(picture, "TIFF"):
        back = read_picture(contents)
        assert np.array_equal(pixels.to_array(back), samples.squeeze())
        assert (back.icc, back.xmp, back.dpi) == (b"a profile", XMP, (300, 72))
        with Image.open(io.BytesIO(contents)) as image:
            tags = image.getexif()
            assert image.n_frames == 1 and tags[271] == "maker"
            assert tags.get_ifd(34665)[37510] == b"ASCII\0\0\0hello" and tags.get_ifd(34853)[1] == "N"
            assert tags.get_ifd(40965)[1] == "R98"


def test_a_tiff_tells_of_the_thumbnail():
    contents, notes = written.at_once(Picture(smooth(1, 24, 40), exif=camera("<", 1)), "TIFF")
    assert [note for note in notes if "thumbnail" in note] == list(notes) and THUMBNAIL not in contents


def test_a_tiff_has_no_places_outside_the_exif_data():
    """They would point at samples. What is whole stays."""
    for raw in (struct.pack("<HHII", 305, ASCII, 9, 60_000), struct.pack("<HHII", 700, 99, 1, 0)):
        data = camera("<", 1, [raw])
        contents, notes = written.at_once(Picture(smooth(1, 24, 40), exif=data), "TIFF")
        assert any("damaged tags" in note for note in notes)
        assert tags_of(contents).items() >= tags_of(camera("<", 1)).items()
        assert not {"305", "700"} & tags_of(contents).keys()
    data = bytearray(camera("<", 1))
    at = data.index(struct.pack("<HHI", 40965, LONG, 1))
    data[at + 8 : at + 12] = struct.pack("<I", 1 << 20)
    contents, notes = written.at_once(Picture(smooth(1, 24, 40), exif=bytes(data)), "TIFF")
    kept = tags_of(contents)
    assert any("damaged tags" in note for note in notes) and "34665/41728" in kept
    assert not any("40965" in name for name in kept)


def test_many_directories_of_one_name_take_no_time():
    raws = [struct.pack("<HHII", 34665, LONG, 1, 8)] * 20_000
    body = struct.pack("<H", len(raws)) + b"".join(raws) + bytes(4)
    data = b"II*\0" + struct.pack("<I", 8 + len(body)) + body + body
    cleaned, lost = directories.without_dangling(data)
    assert lost and len(cleaned) == len(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damage():
    """No byte of it makes more than a note."""
    rng, whole = np.random.default_rng(1), camera()
    for _ in range(400):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
        data = bytes(data[: int(rng.integers(1, len(data) + 1))]) if rng.random() < 0.3 else bytes(data)
        assert exif.orientation_in(exif.load(exif.with_orientation(data, 5))) == 5
        contents, _ = written.at_once(Picture(smooth(1, 8, 8), exif=data), "TIFF")
        assert read_picture(contents).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("suffix", ["avif", "tif"])
def test_damaged_data_is_told(cli, tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(TINY))
    tiny = Codec(TINY, device="cpu", threads=1)
    (tmp_path / "a.aec").write_bytes(tiny.encode_picture(Picture(smooth(1, 24, 40), exif=b"no header"), 30))
    done = cli("decode", tmp_path / "a.aec", tmp_path / f"b.{suffix}", "--device", "cpu")
    assert done.code == 0 and done.err.count("\n") == 1 and "damaged EXIF" in done.err
