"""The invalid golden files whose section ALPH holds no such PNG as docs/format.md asks for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from conformance.pieces import PNG, PNG_END, png_chunk

Png = tuple[str, bytes, str]
"""Name, ALPH, what it pins."""


def _head(bits: int = 8, colour: int = 0, methods: bytes = bytes(3)) -> bytes:
    """IHDR of one pixel."""
    return png_chunk("IHDR", struct.pack(">IIBB", 1, 1, bits, colour) + methods)


def pngs() -> Iterator[Png]:
    """Of one pixel; many readers take them for whole."""
    yield from _ends()
    yield from _chunks()


def _ends() -> Iterator[Png]:
    """What is compressed, and what is behind it; checksums are right."""
    row = zlib.compress(b"\0\x80")

    def png(stream: bytes, bits: int = 8, end: bytes = PNG_END) -> bytes:
        return PNG + _head(bits) + png_chunk("IDAT", stream) + end

    yield "alpha_bits_4", png(row, bits=4), "ALPH of 4 bits in a file of 8"
    yield "alpha_rows_missing", png(zlib.compress(b"\0")), "ALPH whose stream lacks the last byte of its rows"
    yield "alpha_rows_too_many", png(zlib.compress(b"\0\x80\0")), "ALPH whose stream has a byte more"
    yield "alpha_stream_cut", png(row[:-4]), "ALPH whose stream lacks its checksum"
    yield "alpha_stream_left", png(row + b"x"), "ALPH with a byte behind its stream"
    yield (
        "alpha_stream_left_sum",
        png(row + b"x" + row[-4:]),
        "ALPH with a byte and its checksum again behind its stream",
    )
    yield "alpha_filter_5", png(zlib.compress(b"\5\x80")), "ALPH with a row of filter 5"
    yield "alpha_no_end", png(row, end=b""), "ALPH without IEND"
    yield "alpha_end_full", png(row, end=png_chunk("IEND", b"x")), "ALPH with a byte in IEND"
    yield "alpha_end_left", png(row, end=PNG_END + b"x"), "ALPH with a byte behind IEND"


def _chunks() -> Iterator[Png]:
    row, text = zlib.compress(b"\0\x80"), png_chunk("tEXt", b"a\0b")
    head, pixels, empty = _head(), png_chunk("IDAT", row), png_chunk("IDAT", b"")
    first, second = png_chunk("IDAT", row[:4]), png_chunk("IDAT", row[4:])

    def wrong(chunk: bytes) -> bytes:
        return chunk[:-1] + bytes([chunk[-1] ^ 1])

    for name, chunks, what in (
        ("idat_apart", [head, first, text, second], "another chunk between its IDAT chunks"),
        ("idat_empty_first", [head, empty, text, pixels], "an empty IDAT before another chunk"),
        ("idat_empty_last", [head, pixels, text, empty], "an empty IDAT behind another chunk"),
        ("idat_none", [head, text], "no IDAT"),
        ("head_second", [text, head, pixels], "a chunk before IHDR"),
        ("head_twice", [head, head, pixels], "IHDR twice"),
        ("crc_pixels", [head, wrong(pixels)], "a wrong checksum of IDAT"),
        ("crc_text", [head, wrong(text), pixels], "a wrong checksum of a chunk that is left alone"),
    ):
        yield f"alpha_{name}", PNG + b"".join(chunks) + PNG_END, f"ALPH with {what}"
    yield "alpha_crc_end", PNG + head + pixels + wrong(PNG_END), "ALPH with a wrong checksum of IEND"
    for at, name, method in ((0, "compression", 1), (1, "filter", 1), (2, "interlace", 2)):
        methods = bytes(method * (at == k) for k in range(3))
        png = PNG + _head(methods=methods) + pixels + PNG_END
        yield f"alpha_{name}", png, f"ALPH with {name} method {method}"
    palette = png_chunk("PLTE", b"\x80" * 3 * 129)
    yield "alpha_palette", PNG + _head(colour=3) + palette + pixels + PNG_END, "ALPH with a palette"
