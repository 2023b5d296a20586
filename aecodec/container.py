"""Bytes of an .aec file <-> header, metadata sections and group payloads.

    Header + sections + payloads --write_file--> bytes --read_file--> Parsed

Works on bytes alone: no numpy, no model, no pixels. The parsing itself is in the C core; this module
gives it names, limits and messages. See docs/format.md, sections 2 to 4.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from aecodec import _core, group_data
from aecodec.errors import CorruptError, FormatError, LimitError, UsageError, from_core
from aecodec.group_data import Section
from aecodec.limits import DEFAULT_LIMITS, FREE_PIXELS, Limits
from aecodec.limits import check as check_limits

MAGIC = b"\x89AEC\r\n\x1a\n"
HEADER_SIZE = 41
GROUP_EDGE = 32
METADATA_TAGS = ("iCCP", "eXIF", "xMPd", "rESo", "ALPH", "ALPC")
ALPHA_TAGS = ("ALPH", "ALPC")
OWN_TAGS = ("BLOK", "GIDX", "GDAT")
"""Sections that write_file makes itself."""
FLAG_ALPHA = 1
_U32 = (1 << 32) - 1


class Header(NamedTuple):
    """The fixed header. Sizes are the stored picture's, before its orientation is applied."""

    width: int
    height: int
    channels: int
    """1 grey, 3 RGB."""
    bit_depth: int
    """8 or 16."""
    quality: int
    """level * 256, level 0..63."""
    model_id: bytes
    """The first 8 bytes of the bundle's hash."""
    symbols_crc: int = 0
    orientation: int = 1
    """1..8 as in EXIF."""
    has_alpha: bool = False
    """A section ALPH or ALPC is there. write_file sets it from the sections."""
    has_icc: bool = False
    """A section iCCP is there. write_file sets it from the sections."""
    group_edge: int = GROUP_EDGE
    """Side of a group in latent positions of y (16 pixels each)."""
    version: int = 1

    @property
    def level(self) -> int:
        """Integer quality level 0..63 that selects tables: round half up."""
        return (self.quality + 128) // 256

    @property
    def latent_size(self) -> tuple[int, int]:
        """(height, width) of y: the picture padded to multiples of 64, over 16."""
        return -(-self.height // 64) * 4, -(-self.width // 64) * 4

    @property
    def group_grid(self) -> tuple[int, int]:
        """(rows, columns) of groups; groups are numbered in raster order."""
        rows, columns = self.latent_size
        return -(-rows // self.group_edge), -(-columns // self.group_edge)

    @property
    def n_groups(self) -> int:
        rows, columns = self.group_grid
        return rows * columns


class Parsed(NamedTuple):
    """A file taken apart. Views point into the caller's data; nothing is copied."""

    header: Header
    sections: dict[str, memoryview]
    """Payloads by tag, those of OWN_TAGS left out; unknown optional sections included."""
    groups: list[memoryview]
    """Payloads of the coded symbols in raster order; empty for a damaged group (only when salvaging)."""
    blocks: list[memoryview]
    """Payloads of the pixel blocks, the same way; empty for a group without such blocks, too."""
    damaged: tuple[int, ...] = ()
    """Groups that are cut off or fail their checksum (only when salvaging)."""
    lost: tuple[str, ...] = ()
    """What the sections held that were damaged and are left out, in words (only when salvaging)."""
    behind: int = 0
    """Bytes behind the file's end, which are left out (only when salvaging)."""


def _core_error(error: _core.CoreError) -> Exception:
    return from_core(error.name, str(error))


def read_header(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> Header:
    """The header alone; the first 41 bytes suffice. FormatError, CorruptError, LimitError, UsageError."""
    check_limits(limits)
    try:
        fields = _core.header_read(
            data,
            min(limits.max_pixels, (1 << 64) - 1),
            min(limits.max_side, _U32),
            min(limits.max_groups, _U32),
        )
    except _core.CoreError as error:
        if error.name == "LIMIT":
            raise LimitError(_limit_message(bytes(data[:18]), limits)) from None
        raise _core_error(error) from None
    version, flags, width, height, channels, depth, orientation, colour, quality = fields[:9]
    model_id, crc, edge = fields[9:12]
    return Header(
        width=width,
        height=height,
        channels=channels,
        bit_depth=depth,
        quality=quality,
        model_id=model_id,
        symbols_crc=crc,
        orientation=orientation,
        has_alpha=bool(flags & FLAG_ALPHA),
        has_icc=colour == 1,
        group_edge=edge,
        version=version,
    )


def _limit_message(head: bytes, limits: Limits) -> str:
    width, height = int.from_bytes(head[10:14], "little"), int.from_bytes(head[14:18], "little")
    return (
        f"the picture has {width} x {height} pixels; the limits are {limits.max_pixels} pixels, "
        f"sides of {limits.max_side} and {limits.max_groups} groups (pass larger limits to accept it)"
    )


def read_sections(
    data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS, unread_gdat: bool = False
) -> list[Section]:
    """All sections in file order, their checksums verified. FormatError, CorruptError, LimitError.

    unread_gdat: GDAT is not looked at, so that it may be damaged or cut short; its groups have checksums."""
    try:
        found = _core.sections_read(
            data, HEADER_SIZE, min(limits.max_sections, _U32), min(limits.max_section_size, _U32), unread_gdat
        )
    except _core.CoreError as error:
        raise _core_error(error) from None
    return [Section(*item) for item in found]


def read_file(
    data: bytes | memoryview,
    limits: Limits = DEFAULT_LIMITS,
    salvage: bool = False,
    only: Collection[int] | None = None,
) -> Parsed:
    """Takes a file apart and verifies every checksum. Pixels and symbols are not touched.

    salvage: groups that are cut off or damaged are listed in Parsed.damaged instead of raising, and damaged
    sections that no pixel needs in Parsed.lost; bytes behind the end are counted. All else must be whole.
    only: groups to be verified and given; the others are left empty and not looked at.
    """
    view = memoryview(data).cast("B")
    header = read_header(view, limits)
    try:
        sections = read_sections(view, limits, unread_gdat=salvage or only is not None)
    except (CorruptError, LimitError) as error:
        if salvage and (rest := _without_damage(view, header, limits, only)):
            return rest
        if isinstance(error, LimitError):
            raise
        raise CorruptError(_explain(view, header, limits) or str(error)) from None
    _check_work(header, len(view), limits)
    where = {section.tag: section for section in sections}
    _check_flags(header, where)
    parts = group_data.find(view, where, header.n_groups)
    chosen = range(len(parts)) if only is None else only
    damaged = tuple(g for g in chosen if parts[g].damage(g, len(view)))
    if damaged and not salvage:
        raise CorruptError(parts[damaged[0]].damage(damaged[0], len(view)))
    whole = set(chosen) - set(damaged)
    groups, blocks = [], []
    for g, (part, own) in enumerate(zip(parts, group_data.block_sizes(view, where, parts), strict=True)):
        held, end = (part.held, part.size - own) if g in whole else (view[:0], 0)
        groups.append(held[:end])
        blocks.append(held[end:])
    others = {s.tag: view[s.offset : s.offset + s.size] for s in sections if s.tag not in OWN_TAGS}
    return Parsed(header, others, groups, blocks, damaged)


def _without_damage(
    view: memoryview, header: Header, limits: Limits, only: Collection[int] | None
) -> Parsed | None:
    """read_file() without what is damaged or behind the end; None where that does not help."""
    from aecodec import damaged_sections

    rest, lost, behind = damaged_sections.cut_out(view, HEADER_SIZE, limits.max_sections)
    if not lost and not behind:
        return None
    if lost:
        there = {section.tag for section in read_sections(rest, limits, unread_gdat=True)}
        header = header._replace(
            has_alpha=header.has_alpha and not there.isdisjoint(ALPHA_TAGS),
            has_icc=header.has_icc and "iCCP" in there,
        )
        rest = _pack_header(header) + rest[HEADER_SIZE:]
    parsed = read_file(rest, limits, True, only)
    return parsed._replace(lost=tuple(dict.fromkeys(lost)), behind=behind)


def _check_work(header: Header, size: int, limits: Limits) -> None:
    """Decoding takes time for each pixel: a file that asks for much of it must be long, too."""
    height, width = header.latent_size
    pixels = 256 * height * width  # padded, as they are coded
    if pixels > FREE_PIXELS and pixels > limits.max_pixels_per_byte * size:
        raise LimitError(
            f"{size} bytes stand for {header.width} x {header.height} pixels; the limit is "
            f"{limits.max_pixels_per_byte} pixels a byte (pass a larger limit to accept it)"
        )


def _check_flags(header: Header, where: Mapping[str, Section]) -> None:
    if "BLOK" in where and header.bit_depth != 8:
        raise CorruptError(
            f"section BLOK is there, but the picture has {header.bit_depth} bits; pixel blocks need 8 bits"
        )
    if all(tag in where for tag in ALPHA_TAGS):
        raise CorruptError("sections ALPH and ALPC are both there; a picture has one alpha")
    alpha = "ALPC" if "ALPC" in where else "ALPH"
    for tag, announced, field in ((alpha, header.has_alpha, "flags"), ("iCCP", header.has_icc, "colour")):
        if announced and tag not in where:
            raise CorruptError(f"header: {field} announces a section {tag}, but the file has none")
        if not announced and tag in where:
            raise CorruptError(f"section {tag} is there, but the header's {field} does not announce it")


def _explain(view: memoryview, header: Header, limits: Limits) -> str:
    """A better message: which group, or which other section, the damage hits. Empty when neither is found."""
    from aecodec import damaged_sections  # whole files need none of it

    try:
        where = {section.tag: section for section in read_sections(view, limits, unread_gdat=True)}
        parts = group_data.find(view, where, header.n_groups)
    except (CorruptError, FormatError, LimitError):
        return damaged_sections.explain(view, HEADER_SIZE)
    for group, part in enumerate(parts):
        if message := part.damage(group, len(view)):
            return message
    return ""


def write_file(
    header: Header, sections: Mapping[str, bytes], groups: Sequence[bytes], blocks: Sequence[bytes] = ()
) -> bytes:
    """The whole file. sections are payloads by tag, in the order given, already packed; blocks: for each
    group its pixel blocks, if there are any.

    has_alpha and has_icc of the header are set from the sections. UsageError when something does not
    fit the format.
    """
    header = header._replace(has_alpha=any(t in sections for t in ALPHA_TAGS), has_icc="iCCP" in sections)
    if len(groups) != header.n_groups:
        raise UsageError(f"{header.n_groups} groups are needed, {len(groups)} were given")
    if any(blocks) and len(blocks) != len(groups):
        raise UsageError(f"{len(groups)} groups, but pixel blocks for {len(blocks)}")
    for tag in sections:
        if tag in OWN_TAGS or (tag not in METADATA_TAGS and not tag[:1].islower()):
            raise UsageError(f"section {tag!r}: only metadata and optional sections can be added")
    try:
        parts = [_pack_header(header)]
        parts += [_core.section_write(tag, payload) for tag, payload in sections.items()]
        if any(blocks):
            parts.append(_core.section_write("BLOK", group_data.pack_sizes([len(b) for b in blocks])))
            groups = [group + block for group, block in zip(groups, blocks, strict=True)]
        index = _core.group_index_write([len(g) for g in groups], [_core.crc32c(g) for g in groups])
        parts.append(_core.section_write("GIDX", index))
        parts.append(_core.section_write("GDAT", b"".join(groups)))
    except (_core.CoreError, OverflowError) as error:
        raise UsageError(str(error)) from None
    return b"".join(parts)


def _pack_header(header: Header) -> bytes:
    return _core.header_write(
        FLAG_ALPHA if header.has_alpha else 0,
        header.width,
        header.height,
        header.channels,
        header.bit_depth,
        header.orientation,
        1 if header.has_icc else 0,
        header.quality,
        header.model_id,
        header.symbols_crc,
        header.group_edge,
    )
