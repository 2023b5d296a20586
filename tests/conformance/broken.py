"""The invalid golden files: each breaks one rule of docs/format.md, section 12, and keeps all others."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import reference_coder
from conformance import broken_alpha, broken_groups
from conformance.pieces import HEADER, Case, body, patch, raw_section, section
from PIL import Image

from aecodec import _core, container
from aecodec.codec import Codec
from aecodec.container import Header
from aecodec.errors import CorruptError, FormatError, LimitError, ModelError


def invalid_files(codec: Codec, files: dict[str, bytes]) -> Iterator[Case]:
    """(name, file, error, what it pins)."""
    base = files["rgb_1x1"]
    payload = bytes(container.read_file(base).groups[0])
    yield from _headers(base)
    yield from _cuts(base)
    yield from _sections(base, payload)
    yield from _metadata(base, files)
    yield from _indices(base, payload, files["rgb_520x40"])
    yield from _pixel_blocks(files["pixel_blocks"], files["grey16_40x32"])
    yield from _filters(base, bytes(container.read_file(files["filter"]).sections["fILT"]), payload)
    yield from broken_groups.payload_files(codec, base, payload, files["escapes"])
    yield from _limits(base, payload)


def _pixel_blocks(base: bytes, deep: bytes) -> Iterator[Case]:
    """BLOK, and what it says is in the groups: two groups, the first with blocks."""
    parsed = container.read_file(base)
    groups, [blocks, _] = [bytes(g) for g in parsed.groups], [bytes(b) for b in parsed.blocks]

    def file(blok: bytes, first: bytes = blocks) -> bytes:
        return base[:HEADER] + section("BLOK", blok) + body(groups[0] + first, groups[1])

    size = reference_coder.varint(len(blocks))
    assert file(size + b"\0") == base
    whole = reference_coder.varint(len(groups[0] + blocks) + 1)
    yield "blok_none", file(b"\0\0", b""), CorruptError, "BLOK, although no group has pixel blocks"
    yield "blok_one_entry", file(size), CorruptError, "one size in BLOK for two groups"
    yield "blok_left_over", file(size + b"\0\0"), CorruptError, "a byte left over in BLOK"
    yield "blok_loose", file(size + b"\x80\0"), CorruptError, "a size in BLOK that is not the shortest varint"
    yield "blok_beyond", file(whole + b"\0"), CorruptError, "more bytes of blocks than the group has"
    yield "blok_cut", file(size[:1]), CorruptError, "BLOK ends within a varint"
    split = bytes([size[0] - 1]) + size[1:]
    yield "blok_split", file(split + b"\0"), CorruptError, "the blocks begin one byte too late"
    mask, webp = blocks[:1], blocks[1:]

    def with_blocks(new: bytes) -> bytes:
        return file(reference_coder.varint(len(new)) + b"\0", new)

    yield "blocks_none", with_blocks(b"\0" + webp), CorruptError, "a mask without blocks"
    yield "blocks_more", with_blocks(b"\xe0" + webp), CorruptError, "one block more than the WebP"
    yield "blocks_no_webp", with_blocks(mask + b"\x89PNG" + webp), CorruptError, "no WebP"
    yield "blocks_cut", with_blocks(mask + webp[:-9]), CorruptError, "a WebP that is cut short"
    yield "blocks_left", with_blocks(mask + webp + b"\0\0"), CorruptError, "two bytes behind the WebP"
    second = b"EXIF" + struct.pack("<I", 6) + bytes(6)
    longer = webp[:4] + struct.pack("<I", len(webp) - 8 + len(second)) + webp[8:] + second
    yield "blocks_two_chunks", with_blocks(mask + longer), CorruptError, "a WebP with a second chunk"
    out, [group] = BytesIO(), container.read_file(deep).groups
    Image.new("RGB", (64, 64)).save(out, "WEBP", lossless=True)
    one = b"\x80" + out.getvalue()
    sixteen = deep[:HEADER] + section("BLOK", reference_coder.varint(len(one))) + body(bytes(group) + one)
    yield "blok_16_bits", sixteen, CorruptError, "BLOK in a picture of 16 bits"
    with Image.open(BytesIO(webp)) as image:
        for name, options, text in (
            ("lossy", {"quality": 50}, "a WebP that is not lossless"),
            ("alpha", {"lossless": True, "exact": True}, "a WebP with alpha"),
        ):
            out, picture = BytesIO(), image.convert("RGBA" if name == "alpha" else "RGB")
            if name == "alpha":
                picture.putpixel((0, 0), (1, 2, 3, 4))
            picture.save(out, "WEBP", **options)
            yield f"blocks_{name}", with_blocks(mask + out.getvalue()), CorruptError, text


def _filters(base: bytes, good: bytes, payload: bytes) -> Iterator[Case]:
    """fILT of a picture that has one group."""
    kind, second = good[:2]
    large = (0).to_bytes(2, "little") + b"\1"  # sixteen zeros, and then a coefficient of 16 bits
    for name, data, text in (
        ("empty", b"", "fILT without a byte"),
        ("kind", bytes([4]) + good[1:], "a kind of post-filter that does not exist"),
        ("shift", bytes([kind, second & 0x70 | 13]) + good[2:], "a step of 2^-13"),
        ("reserved", bytes([kind, second | 0x80]) + good[2:], "a reserved bit of fILT"),
        ("cut", good[:-1], "fILT ends within a coefficient"),
        ("left_over", good + b"\0", "a byte left over in fILT"),
        ("padding", good[:-1] + bytes([good[-1] | 0x80]), "a padding bit of fILT that is not 0"),
        ("large", bytes([kind, 9]) + large + bytes(80), "a coefficient of 17 bits"),
    ):
        yield f"filter_{name}", base[:HEADER] + section("fILT", data) + body(payload), CorruptError, text


def _headers(base: bytes) -> Iterator[Case]:
    yield "magic", b"\x88" + base[1:], FormatError, "another magic; compared before anything else"
    yield "magic_newline", base.replace(b"\r\n", b"\n", 1), FormatError, "magic after a transfer in text mode"
    yield "not_aec", b"GIF89a" + bytes(60), FormatError, "another kind of file"
    yield (
        "version",
        patch(base, 8, b"\x02", crc=False),
        FormatError,
        "version 2; compared before the header CRC",
    )
    yield "header_crc", patch(base, 22, b"\x01", crc=False), CorruptError, "a header byte changed"
    fields = {
        "flags": (9, b"\x02", FormatError, "reserved flag bit 1"),
        "flags_high": (9, b"\x80", FormatError, "reserved flag bit 7"),
        "width_0": (10, bytes(4), CorruptError, "width 0"),
        "height_0": (14, bytes(4), CorruptError, "height 0"),
        "width_2_31": (10, struct.pack("<I", 1 << 31), CorruptError, "width 2^31"),
        "channels": (18, b"\x02", FormatError, "2 channels"),
        "depth": (19, b"\x0c", FormatError, "12 bits"),
        "orientation_0": (20, b"\x00", CorruptError, "orientation 0"),
        "orientation_9": (20, b"\x09", CorruptError, "orientation 9"),
        "colour": (21, b"\x02", FormatError, "colour 2"),
        "quality": (22, struct.pack("<H", 16129), CorruptError, "quality 16129"),
        "edge_0": (36, b"\x00", CorruptError, "group edge 0"),
        "edge_30": (36, b"\x1e", CorruptError, "group edge 30, no multiple of 4"),
        "edge_68": (36, b"\x44", CorruptError, "group edge 68"),
        "edge_36": (
            36,
            b"\x24",
            FormatError,
            "group edge 36: legal in the format, but more than the bundle's networks see",
        ),
        "model": (24, b"no-model", ModelError, "a model id without a bundle"),
        "symbols_crc": (32, b"\x00\x00\x00\x00", CorruptError, "a wrong symbols CRC in a file that is whole"),
    }
    for name, (at, new, error, text) in fields.items():
        yield name, patch(base, at, new), error, text


def _cuts(base: bytes) -> Iterator[Case]:
    gdat = base.index(b"GDAT")
    cuts = {
        "cut_empty": (0, FormatError, "no bytes at all"),
        "cut_in_magic": (5, CorruptError, "ends within the magic"),
        "cut_in_header": (40, CorruptError, "ends one byte before the header does"),
        "cut_after_header": (41, CorruptError, "ends after the header"),
        "cut_in_tag": (44, CorruptError, "ends within a tag"),
        "cut_in_section_size": (45, CorruptError, "ends before a section's size"),
        "cut_in_section": (48, CorruptError, "ends within GIDX"),
        "cut_before_gdat": (gdat, CorruptError, "ends before GDAT"),
        "cut_in_gdat": (len(base) - 9, CorruptError, "ends within GDAT's payload"),
        "cut_last_byte": (len(base) - 1, CorruptError, "the last byte is not there"),
    }
    for name, (size, error, text) in cuts.items():
        yield name, base[:size], error, text


def _sections(base: bytes, payload: bytes) -> Iterator[Case]:
    head, rest = base[:HEADER], base[HEADER:]
    gidx, gdat = rest[: rest.index(b"GDAT")], rest[rest.index(b"GDAT") :]
    note = section("note", b"x")
    yield "tag_digit", head + section("not3", b"x") + rest, CorruptError, "a digit in a tag"
    loose = raw_section(b"note", b"\x81\x00", b"x")
    yield "varint_loose", head + loose + rest, CorruptError, "size 1 as a varint of two bytes"
    long = raw_section(b"note", b"\x81\x80\x80\x80\x80\x00", b"x")
    yield "varint_long", head + long + rest, CorruptError, "a varint of six bytes"
    huge = raw_section(b"note", b"\xff\xff\xff\xff\x0f", b"x")
    yield "varint_2_32", head + huge + rest, CorruptError, "a varint beyond 2^31 - 1"
    bad = note[:-1] + bytes([note[-1] ^ 1])
    yield "section_crc", head + bad + rest, CorruptError, "a wrong CRC of an optional section nobody knows"
    broken_gidx = gidx[:-1] + bytes([gidx[-1] ^ 1])
    yield "gidx_crc", head + broken_gidx + gdat, CorruptError, "a wrong CRC of GIDX"
    yield "gdat_crc", head + gidx + gdat[:-1] + bytes([gdat[-1] ^ 1]), CorruptError, "a wrong CRC of GDAT"
    yield "twice", head + note + note + rest, CorruptError, "an optional section twice"
    yield "gidx_twice", head + gidx + gidx + gdat, CorruptError, "GIDX twice"
    yield "gdat_twice", head + gidx + gdat + gdat, CorruptError, "GDAT twice"
    yield "required", head + section("Note", b"x") + rest, FormatError, "a required section that is unknown"
    yield "no_gidx", head + gdat, CorruptError, "no GIDX"
    yield "no_gdat", head + gidx + note, CorruptError, "no GDAT"
    yield "order", head + gdat + gidx, CorruptError, "GDAT before GIDX"
    yield "order_between", head + gidx + note + gdat, CorruptError, "a section between GIDX and GDAT"
    yield "after_gdat_section", base + note, CorruptError, "a section after GDAT"
    yield "after_gdat_byte", base + b"\0", CorruptError, "one byte after GDAT"


def _png(height: int, width: int, mode: str = "L") -> bytes:
    out = BytesIO()
    Image.new(mode, (width, height)).save(out, "PNG")
    return out.getvalue()


def _metadata(base: bytes, files: dict[str, bytes]) -> Iterator[Case]:
    def with_section(tag: str, payload: bytes, flags: bool = True) -> bytes:
        head = patch(base, *((9, b"\x01") if tag in ("ALPH", "ALPC") else (21, b"\x01"))) if flags else base
        return head[:HEADER] + section(tag, payload) + base[HEADER:]

    alpha, icc = _png(1, 1), zlib.compress(b"profile")
    yield "alpha_not_announced", with_section("ALPH", alpha, False), CorruptError, "ALPH without its flag"
    yield "alpha_missing", patch(base, 9, b"\x01"), CorruptError, "the flag of ALPH without ALPH"
    yield "icc_not_announced", with_section("iCCP", icc, False), CorruptError, "iCCP while colour is 0"
    yield "icc_missing", patch(base, 21, b"\x01"), CorruptError, "colour 1 without iCCP"
    yield (
        "alpha_size",
        with_section("ALPH", _png(1, 2)),
        CorruptError,
        "ALPH of another size than the picture",
    )
    yield "alpha_mode", with_section("ALPH", _png(1, 1, "RGB")), CorruptError, "ALPH with three channels"
    yield "alpha_no_png", with_section("ALPH", b"no picture"), CorruptError, "ALPH that is no PNG"
    yield "alpha_cut", with_section("ALPH", alpha[:40]), CorruptError, "ALPH with half a PNG"
    for name, payload, text in broken_alpha.pngs():
        yield name, with_section("ALPH", payload), CorruptError, text
    grey = files["grey_1x1"]
    yield (
        "coded_alpha_not_announced",
        with_section("ALPC", grey, False),
        CorruptError,
        "ALPC without the flag",
    )
    both = with_section("ALPH", alpha)
    both = both[:HEADER] + section("ALPC", grey) + both[HEADER:]
    yield "alpha_twice", both, CorruptError, "ALPH and ALPC"
    yield "coded_alpha_colour", with_section("ALPC", base), CorruptError, "ALPC with three channels"
    large = patch(grey, 10, b"\x02")
    yield "coded_alpha_size", with_section("ALPC", large), CorruptError, "ALPC of another size"
    deep = patch(grey, 19, b"\x10")
    yield "coded_alpha_depth", with_section("ALPC", deep), CorruptError, "ALPC of another depth"
    model = patch(grey, 24, b"no-model")
    yield "coded_alpha_model", with_section("ALPC", model), CorruptError, "ALPC of another model"
    edge = with_section("ALPC", patch(grey, 36, b"\x24"))
    yield "coded_alpha_edge_36", edge, FormatError, "ALPC with larger groups than the bundle's networks see"
    nested = patch(grey, 9, b"\x01")
    nested = nested[:HEADER] + section("ALPH", alpha) + nested[HEADER:]
    yield "coded_alpha_alpha", with_section("ALPC", nested), CorruptError, "ALPC with an alpha of its own"
    yield "coded_alpha_no_file", with_section("ALPC", b"no file"), FormatError, "ALPC that is no file"
    yield "coded_alpha_cut", with_section("ALPC", grey[:-5]), CorruptError, "ALPC that ends early"
    for name, payload in (("short", bytes(7)), ("zero", b"\1" + bytes(7)), ("long", b"\1" * 9)):
        data = base[:HEADER] + section("rESo", payload) + base[HEADER:]
        yield f"resolution_{name}", data, CorruptError, f"rESo: {name}"
    yield "zlib_garbage", with_section("iCCP", b"profile"), CorruptError, "iCCP that is no zlib stream"
    yield "zlib_cut", with_section("iCCP", icc[:-2]), CorruptError, "a zlib stream that does not end"
    yield "zlib_trailing", with_section("iCCP", icc + b"\0"), CorruptError, "bytes after a zlib stream"
    other = zlib.compressobj(zdict=b"another dictionary")
    asking = other.compress(b"another dictionary") + other.flush()
    yield (
        "zlib_dictionary",
        with_section("iCCP", asking),
        CorruptError,
        "a dictionary of its own",
    )
    yield "zlib_method", with_section("iCCP", b"\x79\x94" + icc[2:]), CorruptError, "compression method 9"
    bomb = zlib.compress(bytes((64 << 20) + 1), 9)
    yield "zlib_bomb", with_section("iCCP", bomb), LimitError, "one byte more than 2^26 after inflation"


def _indices(base: bytes, payload: bytes, two: bytes) -> Iterator[Case]:
    head = base[:HEADER]
    entry = reference_coder.varint(len(payload)) + struct.pack("<I", _core.crc32c(payload))
    gdat = section("GDAT", payload)

    def indexed(index: bytes, data: bytes = gdat) -> bytes:
        return head + section("GIDX", index) + data

    empty = b"\0" + struct.pack("<I", _core.crc32c(b""))
    yield "gidx_empty", indexed(b""), CorruptError, "GIDX without entries"
    yield "gidx_two_entries", indexed(entry + empty), CorruptError, "two entries for one group"
    first = bytes(container.read_file(two).groups[0])
    yield "gidx_one_entry", two[:HEADER] + body(first), CorruptError, "one entry for two groups"
    yield "gidx_left_over", indexed(entry + b"\0"), CorruptError, "one byte left over in GIDX"
    yield "gidx_cut", indexed(entry[:-1]), CorruptError, "GIDX ends within a checksum"
    loose = bytes([entry[0] | 128, 0]) + entry[1:]
    yield "gidx_varint_loose", indexed(loose), CorruptError, "a size in GIDX that is not the shortest varint"
    yield (
        "gdat_longer",
        indexed(entry, section("GDAT", payload + b"\0")),
        CorruptError,
        "GDAT one byte longer than GIDX says",
    )
    yield (
        "gdat_shorter",
        indexed(entry, section("GDAT", payload[:-1])),
        CorruptError,
        "GDAT one byte shorter than GIDX says",
    )
    changed = payload[:-1] + bytes([payload[-1] ^ 1])
    yield (
        "group_crc",
        indexed(entry, section("GDAT", changed)),
        CorruptError,
        "a wrong group CRC, all others right",
    )
    halves = [bytes(g) for g in container.read_file(two).groups]
    swapped = two[:HEADER] + body(*reversed(halves))
    yield "groups_swapped", swapped, CorruptError, "two groups in each other's place, all CRCs right"


def _limits(base: bytes, payload: bytes) -> Iterator[Case]:
    def sized(width: int, height: int, edge: int = 32) -> bytes:
        header: Header = container.read_header(base)._replace(width=width, height=height, group_edge=edge)
        return container._pack_header(header) + base[HEADER:]

    yield "limit_pixels", sized(16385, 16384), LimitError, "2^28 + 2^14 pixels"
    yield "limit_width", sized(262141, 1), LimitError, "a side of 262141"
    yield "limit_height", sized(1, 262141), LimitError, "a height of 262141"
    yield (
        "limit_largest",
        sized((1 << 31) - 1, (1 << 31) - 1),
        LimitError,
        "the largest size that can be written",
    )
    smallest = b"\0\0\0\1\0"  # a group in which every symbol is skipped
    dense = sized(2048, 2048)[:HEADER] + body(*[smallest] * 16)
    yield "limit_pixels_per_byte", dense, LimitError, f"2^22 pixels in {len(dense)} bytes"
    yield "limit_groups", sized(16385, 16383, 4), LimitError, "257 x 256 groups of edge 4"
    names = [f"n{a}{b}x" for a in "abcdefgh" for b in "abcdefgh"][:63]
    many = b"".join(section(name, b"") for name in names)
    yield "limit_sections", base[:HEADER] + many + base[HEADER:], LimitError, "65 sections"
    large = raw_section(b"note", reference_coder.varint((1 << 30) + 1), b"x")
    yield (
        "limit_section_size",
        base[:HEADER] + large + base[HEADER:],
        LimitError,
        "a section of 2^30 + 1 bytes announced",
    )
