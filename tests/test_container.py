"""The container: round trips, cuts, damage, unknown and misplaced sections, limits."""

from __future__ import annotations

import math
import subprocess
import sys
import zlib

import pytest

from aecodec import _core, metadata
from aecodec.container import Header, Section, read_file, read_header, read_sections, write_file
from aecodec.errors import CorruptError, FormatError, LimitError, UsageError
from aecodec.limits import Limits

HEADER = Header(
    width=1100,
    height=600,
    channels=3,
    bit_depth=8,
    quality=8064,
    model_id=b"model-id",
    symbols_crc=0xDEADBEEF,
)
GROUPS = [bytes([k]) * (5 + 40 * k) for k in range(6)]
METADATA = {"iCCP": b"profile", "eXIF": b"", "ALPH": b"alpha", "note": b"unknown but optional"}


@pytest.fixture(scope="module")
def file() -> bytes:
    return write_file(HEADER, METADATA, GROUPS)


def assemble(*sections: tuple[str, bytes], header: Header = HEADER) -> bytes:
    """A file with these sections, right or wrong."""
    plain = write_file(header, {}, GROUPS)[:41]
    return plain + b"".join(_core.section_write(tag, payload) for tag, payload in sections)


GIDX = ("GIDX", _core.group_index_write([len(g) for g in GROUPS], [_core.crc32c(g) for g in GROUPS]))
GDAT = ("GDAT", b"".join(GROUPS))


def test_round_trip(file: bytes) -> None:
    parsed = read_file(file)
    assert parsed.header == HEADER._replace(has_alpha=True, has_icc=True)
    assert {tag: bytes(payload) for tag, payload in parsed.sections.items()} == METADATA
    assert [bytes(g) for g in parsed.groups] == GROUPS
    assert parsed.damaged == ()
    assert write_file(parsed.header, METADATA, [bytes(g) for g in parsed.groups]) == file


def test_header_bytes() -> None:
    header = Header(
        width=1,
        height=1,
        channels=3,
        bit_depth=8,
        quality=8064,
        model_id=bytes(range(1, 9)),
        symbols_crc=0x11223344,
    )
    expected = "894145430d0a1a0a0100010000000100000003080100801f010203040506070844332211203b42062f"
    assert write_file(header, {}, [b""])[:41].hex() == expected


def test_header_properties() -> None:
    assert HEADER.latent_size == (40, 72)
    assert HEADER.group_grid == (2, 3)
    assert HEADER.n_groups == 6
    assert [HEADER._replace(quality=q).level for q in (0, 127, 128, 16128)] == [0, 0, 1, 63]


def test_read_header_needs_41_bytes_only(file: bytes) -> None:
    assert read_header(file[:41]).width == 1100
    with pytest.raises(CorruptError, match="cut short"):
        read_header(file[:40])


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"GIF89a", b"AEC"])
def test_other_files_are_not_aec(data: bytes) -> None:
    with pytest.raises(FormatError, match="not an aec file"):
        read_file(data)


def test_other_version(file: bytes) -> None:
    with pytest.raises(FormatError, match="version"):
        read_file(file[:8] + b"\x02" + file[9:])


def test_cut_at_every_byte(file: bytes) -> None:
    for cut in range(1, len(file)):
        with pytest.raises(CorruptError):
            read_file(file[:cut])


def test_every_flipped_bit_is_seen(file: bytes) -> None:
    for bit in range(8 * len(file)):
        damaged = bytearray(file)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptError, FormatError, LimitError)):
            read_file(bytes(damaged))


def sections_of(data: bytes) -> dict[str, Section]:
    return {s.tag: s for s in read_sections(data)}


def test_crc_of_every_section(file: bytes) -> None:
    for tag, section in sections_of(file).items():
        damaged = bytearray(file)
        damaged[section.offset + section.size] ^= 1  # first byte of its CRC
        with pytest.raises(CorruptError, match="checksum"):
            read_file(bytes(damaged))
        if tag == "GIDX":
            with pytest.raises(CorruptError, match="group index"):
                read_file(bytes(damaged), salvage=True)
        elif tag != "GDAT":
            found = read_file(bytes(damaged), salvage=True)
            assert tag not in found.sections and len(found.lost) == 1


def test_message_names_the_group(file: bytes) -> None:
    start = sections_of(file)["GDAT"].offset
    end = start + sum(map(len, GROUPS[:4]))
    where = f"group 3 ends at byte {end}, but the file has {end - 1} bytes"
    with pytest.raises(CorruptError, match=f"{where}; the file is cut short"):
        read_file(file[: end - 1])
    damaged = bytearray(file)
    damaged[end - 1] ^= 8
    with pytest.raises(CorruptError, match=f"group 3, which ends at byte {end} of {len(file)}, is damaged"):
        read_file(bytes(damaged))


def test_salvage(file: bytes) -> None:
    start = sections_of(file)["GDAT"].offset
    damaged = bytearray(file)
    damaged[start + 5] ^= 1  # group 1
    cut = bytes(damaged[: start + sum(map(len, GROUPS[:5])) + 3])  # into group 5
    parsed = read_file(cut, salvage=True)
    assert parsed.damaged == (1, 5)
    assert [bytes(g) for g in parsed.groups] == [b"" if k in (1, 5) else g for k, g in enumerate(GROUPS)]
    assert read_file(file, salvage=True).damaged == ()


def test_swapped_groups_are_seen() -> None:
    """GDAT's own CRC is right; only the group checksums can tell."""
    same = [bytes([k]) * 10 for k in range(6)]
    index = ("GIDX", _core.group_index_write([10] * 6, [_core.crc32c(g) for g in same]))
    same[2], same[3] = same[3], same[2]
    with pytest.raises(CorruptError, match="group 2"):
        read_file(assemble(index, ("GDAT", b"".join(same))))


def test_unknown_sections() -> None:
    assert "zzzz" in read_file(assemble(("zzzz", b"1"), GIDX, GDAT)).sections
    with pytest.raises(FormatError):
        read_file(assemble(("Zzzz", b"1"), GIDX, GDAT))


@pytest.mark.parametrize(
    "sections",
    [
        [("note", b"1"), ("note", b"2"), GIDX, GDAT],
        [GIDX, GIDX, GDAT],
        [GDAT, GIDX],
        [GDAT],
        [GIDX],
        [],
        [GIDX, ("note", b""), GDAT],
        [GIDX, GDAT, ("note", b"")],
        [GIDX, GDAT, GDAT],
        [("ALPH", b"not announced"), GIDX, GDAT],
        [("iCCP", b"not announced"), GIDX, GDAT],
        [GIDX, ("GDAT", GDAT[1] + b"\0")],
        [GIDX, ("GDAT", GDAT[1][:-1])],
        [("GIDX", GIDX[1] + b"\0"), GDAT],
        [("GIDX", GIDX[1][:-1]), GDAT],
    ],
)
def test_wrong_sections(sections: list[tuple[str, bytes]]) -> None:
    with pytest.raises(CorruptError):
        read_file(assemble(*sections))


def test_announced_sections_must_be_there(file: bytes) -> None:
    with_alpha = write_file(HEADER, {"ALPH": b"x"}, GROUPS)[:41]
    with pytest.raises(CorruptError, match="ALPH"):
        read_file(with_alpha + assemble(GIDX, GDAT)[41:])


def test_trailing_bytes(file: bytes) -> None:
    with pytest.raises(CorruptError, match="after the end"):
        read_file(file + b"\0")


def test_limits(file: bytes) -> None:
    assert read_file(file, Limits(max_pixels=1100 * 600, max_side=1100, max_sections=6, max_groups=6))
    huge = 1 << 80
    assert read_file(file, Limits(*[huge] * len(Limits._fields)))
    for limits in [
        Limits(max_pixels=1100 * 600 - 1),
        Limits(max_side=1099),
        Limits(max_sections=5),
        Limits(max_section_size=len(GDAT[1]) - 1),
        Limits(max_groups=5),
    ]:
        with pytest.raises(LimitError):
            read_file(file, limits)


def test_limits_come_before_allocation() -> None:
    """Tiny files that announce giant things."""
    with pytest.raises(LimitError, match="2147483647 x 2147483647"):
        read_file(write_file_header(width=2**31 - 1, height=2**31 - 1))
    head = write_file(HEADER, {}, GROUPS)[:41]
    with pytest.raises(LimitError):
        read_file(head + b"note\xff\xff\xff\xff\x07")
    with pytest.raises(CorruptError):
        read_file(head + b"note\xff\xff\xff\xff\x03" + bytes(100))
    giant = write_file_header(width=262140, height=1024)  # as many groups as allowed, and no index of them
    giant += _core.section_write("GIDX", b"") + _core.section_write("GDAT", b"")
    with pytest.raises(LimitError, match="pixels a byte"):
        read_file(giant)
    with pytest.raises(CorruptError, match="GIDX"):
        read_file(giant, Limits(max_pixels_per_byte=1 << 30))


def test_pixels_per_byte() -> None:
    """The smallest group that can be written stands for 2^18 pixels: 18,000 a byte with its index."""
    head = write_file_header(width=2048, height=1024)
    groups = [b"\0\0\0\1\0"] * 8
    data = write_file(read_header(head)._replace(symbols_crc=0), {}, groups)
    most = 2048 * 1024 / len(data)
    assert read_file(data, Limits(max_pixels_per_byte=math.ceil(most))).groups == groups
    for options in ({}, {"salvage": True}, {"only": [1]}):
        with pytest.raises(LimitError, match=f"^{len(data)} bytes stand for 2048 x 1024 pixels"):
            read_file(data, Limits(max_pixels_per_byte=math.floor(most)), **options)
    with pytest.raises(LimitError):
        read_file(data)
    small = write_file(read_header(head)._replace(width=1024), {}, groups[:4])
    assert read_file(small, Limits(max_pixels_per_byte=1))  # 2^20 pixels are free
    padded = write_file(read_header(head)._replace(width=1025), {}, groups[:6])
    with pytest.raises(LimitError):
        read_file(padded, Limits(max_pixels_per_byte=1))
    with pytest.raises(CorruptError, match="cut short"):
        read_file(data[:-20])  # what is wrong with a cut file is the cut


def write_file_header(width: int, height: int) -> bytes:
    return _core.header_write(0, width, height, 3, 8, 1, 0, 0, b"model-id", 0, 32)


def test_writer_refuses() -> None:
    for header, sections, groups in [
        (HEADER, {}, GROUPS[:-1]),
        (HEADER, {"NOTE": b""}, GROUPS),
        (HEADER, {"GIDX": b""}, GROUPS),
        (HEADER, {"toolong": b""}, GROUPS),
        (HEADER, {"n te": b""}, GROUPS),
        (HEADER._replace(channels=2), {}, GROUPS),
        (HEADER._replace(quality=16129), {}, GROUPS),
        (HEADER._replace(model_id=b"short"), {}, GROUPS),
        (HEADER._replace(orientation=0), {}, GROUPS),
        (HEADER._replace(bit_depth=8 + 256), {}, GROUPS),
        (HEADER._replace(symbols_crc=1 << 32), {}, GROUPS),
        (HEADER._replace(orientation=-1), {}, GROUPS),
        (HEADER._replace(group_edge=30), {}, [b""] * HEADER._replace(group_edge=30).n_groups),
    ]:
        with pytest.raises(UsageError):
            write_file(header, sections, groups)


def test_metadata() -> None:
    data = b"metadata " * 1000
    packed = metadata.pack(data)
    assert metadata.unpack("eXIF", packed) == data
    assert metadata.unpack("eXIF", packed, Limits(max_metadata=9000)) == data
    with pytest.raises(LimitError):
        metadata.unpack("eXIF", packed, Limits(max_metadata=8999))
    for bad in (packed[:-1], packed + b"x", b"junk", b""):
        with pytest.raises(CorruptError):
            metadata.unpack("eXIF", bad)
    bomb = zlib.compress(bytes(100 << 20))
    with pytest.raises(LimitError):
        metadata.unpack("xMPd", bomb)


def test_the_container_loads_nothing_heavy() -> None:
    code = (
        "import sys, aecodec.container; "
        "print([m for m in ('numpy', 'PIL', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
