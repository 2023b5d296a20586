"""Cut, changed and hostile files: one clean error of the right class each, never a picture."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aecodec import _core, container, metadata, pixels
from aecodec.codec import Codec
from aecodec.errors import AecodecError, CorruptError, FormatError, LimitError, ModelError
from aecodec.limits import Limits

HEADER = container.HEADER_SIZE


@pytest.fixture(scope="module")
def rich(codec, budgie):
    """A file with every kind of section."""
    alpha = np.tile(np.arange(240, dtype=np.uint8), (200, 1))
    picture = pixels.Picture(budgie, alpha, b"a profile" * 20, b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"<x/>" * 9, 1)
    data = codec.encode_picture(picture, 10)
    assert codec.decode(data).shape == (200, 240, 4)
    return data


def error_of(data):
    """The error of reading the container; a file that passes is decoded, which must then fail."""
    with pytest.raises(AecodecError) as caught:
        container.read_file(data)
        Codec(device="cpu", threads=1).decode(data)
    assert str(caught.value)
    return caught.value


def test_cut_anywhere(rich):
    rng = random.Random(1)
    places = [*range(300), *(rng.randrange(300, len(rich)) for _ in range(200))]
    for size in places:
        error = error_of(rich[:size])
        # Of an empty file nobody can say what it was.
        assert isinstance(error, CorruptError if size else FormatError), (size, error)


def test_not_an_aec_file():
    for data in (b"hello" * 100, b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000)):
        assert isinstance(error_of(data), FormatError)


def test_single_byte_changes(rich):
    rng = random.Random(2)
    for _ in range(2000):
        place = rng.randrange(len(rich))
        data = bytearray(rich)
        data[place] ^= rng.randrange(1, 256)
        error = error_of(bytes(data))
        # Magic and version say what the file is; a changed size may exceed the limits; the rest is damage.
        expected = (FormatError, CorruptError) if place < 9 else (CorruptError, LimitError)
        assert isinstance(error, expected), (place, error)


def test_every_header_byte(rich):
    for place in range(HEADER):
        for bit in range(8):
            data = bytearray(rich)
            data[place] ^= 1 << bit
            error_of(bytes(data))


def test_added_bytes(rich):
    assert isinstance(error_of(rich + b"\0"), CorruptError)
    assert isinstance(error_of(rich + rich), CorruptError)


def rebuilt(data, groups=None, sections=None):
    """The file with parts replaced and all container checksums right: only deeper checks can see it."""
    parsed = container.read_file(data)
    kept = {tag: bytes(payload) for tag, payload in parsed.sections.items()}
    return container.write_file(
        parsed.header,
        kept if sections is None else sections,
        groups if groups is not None else [bytes(g) for g in parsed.groups],
    )


def with_header(data, **change):
    """The file with header fields replaced and the header's checksum right."""
    return container._pack_header(container.read_header(data)._replace(**change)) + data[HEADER:]


def test_rebuilding_changes_nothing(rich):
    assert rebuilt(rich) == rich == with_header(rich)


def test_changed_payload_with_right_checksums(codec, rich):
    payload = bytes(container.read_file(rich).groups[0])
    rng = random.Random(3)
    for _ in range(60):
        place = rng.randrange(len(payload))
        changed = bytearray(payload)
        changed[place] ^= rng.randrange(1, 256)
        with pytest.raises(CorruptError):
            codec.decode(rebuilt(rich, groups=[bytes(changed)]))
    size = len(payload)
    for other in (b"", payload[:-1], payload[:20], payload + b"\0\0", bytes(size), b"\xff" * size):
        with pytest.raises(CorruptError):
            codec.decode(rebuilt(rich, groups=[other]))


def test_changed_header_with_right_checksums(codec, rich):
    header = container.read_header(rich)
    for change, expected in [
        ({"symbols_crc": header.symbols_crc ^ 1}, CorruptError),
        ({"quality": header.quality + 5 * 256}, CorruptError),
        ({"width": 320}, CorruptError),
        ({"width": 1000}, CorruptError),
        ({"has_alpha": False}, CorruptError),
        ({"has_icc": False}, CorruptError),
        ({"model_id": b"12345678"}, ModelError),
        ({"bit_depth": 16}, CorruptError),
        ({"group_edge": 8}, CorruptError),
        ({"group_edge": 36}, FormatError),
        ({"width": 300000}, LimitError),
        ({"width": 65536, "height": 65536}, LimitError),
        ({"width": 16385, "height": 16383, "group_edge": 4}, LimitError),
    ]:
        with pytest.raises(AecodecError) as caught:
            codec.decode(with_header(rich, **change))
        assert isinstance(caught.value, expected), (change, caught.value)


def test_huge_size_is_refused_before_allocation(codec, rich):
    """16384 x 16384 passes the limits; its latents alone would take a gigabyte and it has one group."""
    head = _core.header_write(0, 16384, 16384, 3, 8, 1, 0, 256, container.read_header(rich).model_id, 0, 32)
    index = _core.group_index_write([4], [_core.crc32c(b"abcd")])
    data = head + _core.section_write("GIDX", index) + _core.section_write("GDAT", b"abcd")
    with pytest.raises(LimitError, match="pixels a byte"):
        codec.decode(data)
    with pytest.raises(CorruptError, match="1024 groups"):
        Codec(device="cpu", limits=Limits(max_pixels_per_byte=1 << 24)).decode(data)


def png(mode, size):
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG")
    return out.getvalue()


GOOD_ALPHA = png("L", (240, 200))
BAD_ALPHA = [png("L", (241, 200)), png("RGB", (240, 200)), GOOD_ALPHA[:-30], b"", GOOD_ALPHA[:8]]


def png_of(rows, height=200, before=b"", idats=1):
    """A grey PNG of 240 pixels a row whose compressed stream holds `rows` of them."""

    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 240, height, 8, 0, 0, 0, 0))
    stream = zlib.compress(bytes(241 * rows))
    step = -(-len(stream) // idats)
    parts = [chunk(b"IDAT", stream[at : at + step]) for at in range(0, len(stream), step)]
    return b"\x89PNG\r\n\x1a\n" + before + head + b"".join([*parts, chunk(b"IDAT", b""), chunk(b"IEND", b"")])


WHOLE = png_of(200)
BAD_ALPHA += [png_of(100), png_of(201), WHOLE[:-4], WHOLE[:-1] + b"x", WHOLE.replace(b"IDAT", b"iDAT", 1)]


@pytest.mark.parametrize("alpha", BAD_ALPHA)
def test_bad_alpha(codec, rich, alpha):
    with pytest.raises(CorruptError, match="ALPH"):
        codec.decode(rebuilt(rich, sections={"ALPH": alpha}))


@pytest.mark.parametrize("idats", [1, 7, 1000])
def test_alpha_in_many_parts(codec, rich, idats):
    decoded = codec.decode(rebuilt(rich, sections={"ALPH": png_of(200, idats=idats)}))
    assert decoded.shape[2] == 4 and not decoded[:, :, 3].any()


def test_bad_metadata(codec, rich):
    whole = metadata.pack(b"x")
    for payload in (b"", b"no zlib", whole[:-1], whole + b"x"):
        sections = {"xMPd": payload, "ALPH": bytes(container.read_file(rich).sections["ALPH"])}
        with pytest.raises(CorruptError, match="xMPd"):
            codec.decode(rebuilt(rich, sections=sections))


def test_metadata_bomb(rich):
    sections = {
        "xMPd": metadata.pack(bytes(1 << 20)),
        "ALPH": bytes(container.read_file(rich).sections["ALPH"]),
    }
    with pytest.raises(LimitError, match="xMPd"):
        Codec(device="cpu", limits=Limits(max_metadata=1000)).decode(rebuilt(rich, sections=sections))


def test_exit_codes(cli, rich, tmp_path):
    middle = bytearray(rich)
    middle[len(rich) // 2] ^= 1
    for data, code in [
        (b"not an aec file", 4),
        (rich[:30], 5),
        (rich[:-1], 5),
        (bytes(middle), 5),
        (with_header(rich, width=300000), 6),
        (with_header(rich, model_id=b"12345678"), 7),
    ]:
        (tmp_path / "a.aec").write_bytes(data)
        result = cli("decode", tmp_path / "a.aec", tmp_path / "out.png")
        assert result.code == code and result.out == b""
        assert result.err.startswith("aecodec: ") and result.err.count("\n") == 1
        assert code == 7 or f"'{tmp_path / 'a.aec'}': " in result.err
        assert [p.name for p in tmp_path.iterdir()] == ["a.aec"]
