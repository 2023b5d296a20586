"""What a picture has beside colours <-> the sections of a file: alpha, profile, EXIF, XMP, resolution.

    Picture --pack--> {tag: payload}          Parsed --unpack--> Extras

A coded alpha plane (section ALPC) is a file inside the file; datapath decodes it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aecodec import alpha, container, metadata, post_filter
from aecodec.alpha import Pixels
from aecodec.container import Parsed
from aecodec.damaged_sections import name_of
from aecodec.errors import CorruptError, FormatError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.pixels import Picture
from aecodec.post_filter import Filter

T = TypeVar("T")
DPI_UNIT = 10_000
"""Parts of a dot an inch that section rESo counts."""
METADATA = ("iCCP", "eXIF", "xMPd")
_RESOLUTION = struct.Struct("<II")


@dataclass(frozen=True, slots=True, eq=False)
class Extras:
    """What a file has beside its colours."""

    alpha: Pixels | None
    """[H, W] of section ALPH."""
    coded_alpha: Parsed | None
    """The file in section ALPC: a grey picture of the same size, depth and model."""
    icc: bytes
    exif: bytes
    xmp: bytes
    dpi: tuple[float, float] | None
    post_filter: Filter | None = None


def pack(picture: Picture) -> dict[str, bytes]:
    """Metadata, resolution, and alpha as a lossless section: {tag: payload}."""
    found = {"iCCP": picture.icc, "eXIF": picture.exif, "xMPd": picture.xmp}
    sections = {tag: metadata.pack(data) for tag, data in found.items() if data}
    if picture.dpi is not None:
        sections["rESo"] = _RESOLUTION.pack(*(round(value * DPI_UNIT) for value in picture.dpi))
    if picture.alpha is not None:
        sections["ALPH"] = alpha.pack(picture.alpha)
    return sections


def unpack(parsed: Parsed, limits: Limits, lost: list[str] | None = None) -> Extras:
    """CorruptError, LimitError and FormatError as in docs/format.md.

    lost: gets what is damaged, in words, instead of an error; it is left out."""
    header = parsed.header

    def whole(tag: str, read: Callable[[], T]) -> T | None:
        try:
            return read() if tag in parsed.sections else None
        except (CorruptError, FormatError):
            if lost is None:
                raise
            lost.append(name_of(tag))
            return None

    def plain_alpha() -> Pixels:
        return alpha.unpack(parsed.sections["ALPH"], header.width, header.height, header.bit_depth)

    plane = whole("ALPH", plain_alpha)
    coded = whole("ALPC", lambda: _coded_alpha(parsed, limits))
    icc, exif, xmp = (whole(tag, partial(_metadata, parsed, tag, limits)) or b"" for tag in METADATA)
    dpi = whole("rESo", lambda: resolution(parsed))
    return Extras(plane, coded, icc, exif, xmp, dpi, whole(post_filter.TAG, lambda: filter_of(parsed)))


def filter_of(parsed: Parsed) -> Filter | None:
    """CorruptError."""
    payload = parsed.sections.get(post_filter.TAG)
    return None if payload is None else Filter(post_filter.unpack(payload))


def metadata_of(parsed: Parsed, limits: Limits = DEFAULT_LIMITS) -> tuple[bytes, bytes, bytes]:
    """ICC profile, EXIF data, XMP; empty where there is none. CorruptError, LimitError."""
    icc, exif, xmp = (_metadata(parsed, tag, limits) for tag in METADATA)
    return icc, exif, xmp


def _metadata(parsed: Parsed, tag: str, limits: Limits) -> bytes:
    return metadata.unpack(tag, parsed.sections[tag], limits) if tag in parsed.sections else b""


def resolution(parsed: Parsed) -> tuple[float, float] | None:
    """Dots an inch across and down, of section rESo."""
    payload = parsed.sections.get("rESo")
    if payload is None:
        return None
    if len(payload) != _RESOLUTION.size:
        raise CorruptError(f"section rESo: {len(payload)} bytes; {_RESOLUTION.size} are needed")
    across, down = _RESOLUTION.unpack(payload)
    if not (across and down):
        raise CorruptError("section rESo: a resolution of 0")
    return across / DPI_UNIT, down / DPI_UNIT


def _coded_alpha(parsed: Parsed, limits: Limits) -> Parsed:
    outer = parsed.header
    inner = container.read_file(parsed.sections["ALPC"], limits)
    header = inner.header
    same = (header.width, header.height, header.bit_depth, header.model_id)
    if same != (outer.width, outer.height, outer.bit_depth, outer.model_id) or header.channels != 1:
        raise CorruptError("section ALPC: not a grey picture of the file's own size, depth and model")
    if header.has_alpha:
        raise CorruptError("section ALPC: alpha has no alpha")
    return inner
