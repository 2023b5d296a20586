"""Files whose groups are whole and whose other sections are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import aecodec
from aecodec import _core, container, damaged_sections
from aecodec.errors import AecodecError, CorruptError, LimitError, UsageError
from aecodec.options import NO_TARGET, Options
from aecodec.pixels import Picture

WORDS = {
    "tHMB": "thumbnail",
    "iCCP": "colour profile",
    "eXIF": "EXIF data",
    "xMPd": "XMP",
    "rESo": "resolution",
    "ALPH": "alpha",
    "ALPC": "alpha",
}


def rich(codec, city, alpha_quality=None):
    """A file that has everything."""
    alpha = np.full((90, 120), 200, np.uint8)
    alpha[:40] = np.arange(120)
    noise = np.random.default_rng(1).bytes(60)
    picture = Picture(
        city[:90, :120], alpha, b"I" + noise, b"II*\0\x08\0\0\0" + noise, b"<x/>", 6, (300, 200)
    )
    return codec.encode_to(picture, Options(30, NO_TARGET, alpha_quality, True, 0)).data


@pytest.fixture(scope="module")
def file(codec, city):
    return rich(codec, city)


def sections_of(data):
    """{tag: where its bytes begin, where its payload does, where it ends}"""
    found, begin = {}, container.HEADER_SIZE
    for section in container.read_sections(data):
        found[section.tag] = begin, section.offset, section.offset + section.size + 4
        begin = section.offset + section.size + 4
    return found


def flipped(data, *places, bit=3):
    out = bytearray(data)
    for place in places:
        out[place] ^= 1 << bit
    return bytes(out)


@pytest.mark.parametrize("tag", [tag for tag in WORDS if tag != "ALPC"])
def test_one_section(codec, file, tag):
    whole = codec.decode_picture(file)
    _, begin, end = sections_of(file)[tag]
    bad = flipped(file, (begin + end) // 2)
    with pytest.raises(CorruptError, match=rf"section '{tag}' \({WORDS[tag]}\).* ends at byte {end} of "):
        codec.decode(bad)
    with pytest.raises(CorruptError, match=WORDS[tag]):
        codec.decode(bad, region=(0, 0, 8, 8))
    picture, groups = codec.salvage(bad)
    assert groups == [] and picture.lost == (WORDS[tag],)
    assert len(picture.notes) == 1 and WORDS[tag] in picture.notes[0]
    assert np.array_equal(picture.pixels, whole.pixels) and picture.orientation == 6
    assert (picture.alpha is None) == (tag == "ALPH") == ("opaque" in picture.notes[0])
    fields = {"iCCP": "icc", "eXIF": "exif", "xMPd": "xmp", "rESo": "dpi"}
    for own, field in fields.items():
        assert getattr(picture, field) == (
            (None if own == "rESo" else b"") if own == tag else getattr(whole, field)
        )


def test_nothing_is_lost_of_a_whole_file(codec, file):
    picture, groups = codec.salvage(file)
    assert groups == [] and picture.lost == () == picture.notes and picture.alpha is not None


def test_command(cli, file, tmp_path):
    where = sections_of(file)
    (tmp_path / "bad.aec").write_bytes(flipped(file, where["eXIF"][1], where["ALPH"][1]))
    done = cli("decode", tmp_path / "bad.aec", tmp_path / "a.png")
    assert done.code == 5 and "EXIF data" in done.err and done.err.count("\n") == 1
    done = cli("decode", tmp_path / "bad.aec", tmp_path / "a.png", "--salvage", "--json")
    assert done.code == 10 and b'"salvaged"' in done.out and (tmp_path / "a.png").is_file()
    assert b"EXIF data, alpha (the picture is opaque)" in done.out


@pytest.mark.parametrize("behind", [b"\0", bytes(4096), None], ids=["a byte", "padding", "the file again"])
def test_bytes_behind_the_end(cli, codec, file, tmp_path, behind):
    """As a card or a tool for lost files pads them: the picture is whole, and the note no loss."""
    behind = file if behind is None else behind
    bad, where = file + behind, sections_of(file)
    with pytest.raises(CorruptError, match="after the end"):
        codec.verify(bad)
    for region in (None, (0, 0, 8, 8)):
        with pytest.raises(CorruptError, match="after the end"):
            codec.decode(bad, region)
    picture, groups = codec.salvage(bad)
    whole = codec.decode_picture(file)
    count = "a byte" if len(behind) == 1 else f"{len(behind)} bytes"
    assert groups == [] and picture.lost == ()
    assert picture.notes == (f"left out: {count} behind the end of the file",)
    assert np.array_equal(picture.pixels, whole.pixels) and np.array_equal(picture.alpha, whole.alpha)
    assert (picture.icc, picture.exif, picture.dpi) == (whole.icc, whole.exif, whole.dpi)
    with pytest.warns(UserWarning) as caught:
        assert "lost" not in aecodec.open(bad, salvage=True).info
    assert any(count in str(warning.message) for warning in caught)
    (tmp_path / "bad.aec").write_bytes(bad)
    done = cli("decode", tmp_path / "bad.aec", tmp_path / "a.png", "--salvage")
    assert done.code == 0 and done.err.count("\n") == 1 and count in done.err
    assert cli("verify", tmp_path / "bad.aec").code == 5
    picture, groups = codec.salvage(flipped(bad, where["eXIF"][1]))  # and damage before it
    assert picture.lost == ("EXIF data",) and groups == [] and len(picture.notes) == 2
    assert np.array_equal(picture.alpha, whole.alpha)


def test_a_large_file_is_no_excuse_for_many_pixels(file):
    """What is behind the end does not count where pixels are held against bytes."""
    header = container.read_header(file)._replace(width=16000, height=16000, has_icc=False, has_alpha=False)
    data = container.write_file(header, {}, [b""] * header.n_groups)
    for behind in (b"", bytes(1 << 20)):
        with pytest.raises(LimitError):
            container.read_file(data + behind, salvage=True)


def test_open(codec, file, city, tmp_path):
    """As a Pillow image: what is lost is in its info, and a warning."""
    where = sections_of(file)
    (tmp_path / "bad.aec").write_bytes(flipped(file, where["eXIF"][1], where["ALPH"][1]))
    with pytest.raises(CorruptError):
        aecodec.open(tmp_path / "bad.aec")
    with pytest.warns(UserWarning, match="left out: EXIF data, alpha") as caught:
        image = aecodec.open(tmp_path / "bad.aec", salvage=True)
    assert image.info["lost"] == ("EXIF data", "alpha") and image.mode == "RGB" and len(caught) == 1
    assert caught[0].filename == __file__
    assert np.array_equal(np.asarray(image), codec.decode(file)[:, :, :3])
    with pytest.warns(UserWarning):
        turned = aecodec.open(tmp_path / "bad.aec", salvage=True, apply_orientation=True)
    assert turned.size == image.size[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "lost" not in aecodec.open(file, salvage=True).info
    for options in ({"region": (0, 0, 8, 8)}, {"scale": 1 / 2}):
        with pytest.raises(UsageError, match="salvage"):
            aecodec.open(file, salvage=True, **options)
    large = codec.encode(np.tile(city, (3, 3, 1)), 10)
    with pytest.warns(UserWarning, match="groups 0 are lost"):
        image = aecodec.open(flipped(large, sections_of(large)["GDAT"][1] + 5), salvage=True)
    assert image.info["lost"] == ("group 0",)


def test_several_sections_and_a_group(codec, file):
    where = sections_of(file)
    bad = flipped(file, *(where[tag][1] for tag in WORDS if tag in where))
    picture, groups = codec.salvage(bad)
    assert sorted(picture.lost) == sorted({*WORDS.values()}) and groups == []
    assert np.array_equal(picture.pixels, codec.decode(file)[:, :, :3])
    with pytest.raises(CorruptError, match="no group"):
        codec.salvage(flipped(bad, where["GDAT"][1] + 20))


def test_coded_alpha(codec, city):
    data = rich(codec, city, alpha_quality=50)
    _, begin, end = sections_of(data)["ALPC"]
    for place in (begin + 20, begin + 60, end - 20, end - 2):
        picture, groups = codec.salvage(flipped(data, place))
        assert picture.lost == ("alpha",) and picture.alpha is None and groups == []
        assert np.array_equal(picture.pixels, codec.decode(data)[:, :, :3])


@pytest.mark.parametrize("alpha_quality", [None, 50])
def test_every_bit_of_every_section(codec, city, alpha_quality):
    """Its tag and its size, too: the groups are found, and no section but the damaged one is lost."""
    file = rich(codec, city, alpha_quality)
    parsed, where = container.read_file(file), sections_of(file)
    for tag, (begin, payload, end) in where.items():
        if tag not in WORDS:
            continue
        places = [*range(begin, payload), (payload + end) // 2, *range(end - 4, end)]
        for place, bit in ((p, b) for p in places for b in range(8)):
            found = container.read_file(flipped(file, place, bit=bit), salvage=True)
            assert found.lost == (WORDS[tag],), (tag, place - begin, bit)
            assert found.groups == parsed.groups and not found.damaged
            assert {*found.sections} == {*parsed.sections} - {tag}


def test_the_size_of_coded_alpha(codec, city):
    """The sections of the file inside are those of alpha, not of the picture."""
    data = rich(codec, city, alpha_quality=50)
    begin, payload, end = sections_of(data)["ALPC"]
    for place, bit in ((p, b) for p in range(begin + 4, payload) for b in range(8)):
        picture, groups = codec.salvage(flipped(data, place, bit=bit))
        assert picture.lost == ("alpha",) and picture.alpha is None and groups == []
        assert np.array_equal(picture.pixels, codec.decode(data)[:, :, :3])
    inside = payload + sections_of(data[payload : end - 4])["GIDX"][1]
    with pytest.raises(CorruptError):  # where alpha ends, nothing says any more
        codec.salvage(flipped(data, begin + 4, inside))


@pytest.mark.parametrize("tag", ["BLOK", "GIDX"])
def test_what_pixels_need_has_to_be_whole(tag, file):
    parsed = container.read_file(file)
    groups, blocks = [bytes(g) for g in parsed.groups], [b"block"] * len(parsed.groups)
    sections = {tag: bytes(data) for tag, data in parsed.sections.items()}
    data = container.write_file(parsed.header, sections, groups, blocks)
    begin, payload, end = sections_of(data)[tag]
    for place, bit in ((p, b) for p in range(begin, end) for b in range(8)):
        bad = flipped(data, place, bit=bit)
        with pytest.raises(AecodecError) as caught:
            container.read_file(bad, salvage=True)
        if payload <= place:
            assert damaged_sections.NAMES[tag] in str(caught.value)


def test_unknown_sections(codec, file):
    parsed = container.read_file(file)
    sections = {"noTe": b"hello", **{tag: bytes(data) for tag, data in parsed.sections.items()}}
    data = container.write_file(parsed.header, sections, [bytes(g) for g in parsed.groups])
    bad = flipped(data, sections_of(data)["noTe"][1])
    with pytest.raises(CorruptError, match="section 'noTe', which"):
        codec.decode(bad)
    assert codec.salvage(bad)[0].lost == ("section 'noTe'",)


def test_contents_that_no_encoder_writes(codec, city):
    """Checksums that match."""
    parsed = container.read_file(rich(codec, city, alpha_quality=50))
    groups = [bytes(g) for g in parsed.groups]
    sections = {tag: bytes(data) for tag, data in parsed.sections.items()}
    inner = container.read_file(sections["ALPC"])
    wrong = inner.header._replace(symbols_crc=inner.header.symbols_crc ^ 1)
    broken = {
        "eXIF": b"no zlib",
        "rESo": bytes(8),
        "ALPC": container.write_file(wrong, {}, [bytes(g) for g in inner.groups], inner.blocks),
    }
    for tag, payload in (*broken.items(), ("ALPC", b"no file")):
        data = container.write_file(parsed.header, sections | {tag: payload}, groups, parsed.blocks)
        with pytest.raises(AecodecError):
            codec.decode(data)
        picture, lost = codec.salvage(data)
        assert picture.lost == (damaged_sections.NAMES[tag],) and lost == []


def test_places_that_look_like_sections_take_bounded_time(file, monkeypatch):
    """A search that begins anew at each of them would read the rest of the file as often."""
    begin = sections_of(file)["tHMB"][0]
    like = b"GIDX" + b"\xff\xff\x7f"
    bad = file[:begin] + b"tHMB\xff\xff\xff\xff\x07" + like * 300_000 + file[begin:]
    calls = []
    crc = _core.crc32c
    monkeypatch.setattr(_core, "crc32c", lambda data: calls.append(len(data)) or crc(data))
    with pytest.raises(AecodecError):
        container.read_file(bad, salvage=True)
    assert len(calls) <= damaged_sections.TRIES + 10


def test_random_damage_gives_a_picture_or_an_error(file):
    rng = np.random.default_rng(2)
    for _ in range(300):
        bad = bytearray(file)
        for place in rng.integers(8, len(file), rng.integers(1, 9)):
            bad[place] ^= 1 << rng.integers(0, 8)
        try:
            container.read_file(bytes(bad[: rng.integers(50, len(bad) + 1)]), salvage=True)
        except AecodecError:
            pass
