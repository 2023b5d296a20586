"""The invalid golden files whose damage is inside a group's payload: docs/format.md, section 6."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import reference_coder
from conformance.pieces import HEADER, Case, body
from conformance.symbols import file_from_symbols, read_groups, reference_tables

from aecodec import container
from aecodec.codec import Codec
from aecodec.errors import CorruptError


def _split(payload: bytes) -> tuple[int, bytes, bytes, bytes]:
    """Payload with raw bits -> lanes_log2, states, words, raw bits; sizes of two bytes at most."""
    lanes_log2, at = payload[0] & 7, 1
    size = 0
    if payload[0] & 8:
        size, at = payload[1] & 127, 2
        if payload[1] & 128:
            size, at = size | payload[2] << 7, 3
    words = at + (4 << lanes_log2)
    return lanes_log2, payload[at:words], payload[words : len(payload) - size], payload[len(payload) - size :]


def _join(lanes_log2: int, states: bytes, words: bytes, raw: bytes) -> bytes:
    head = bytes([lanes_log2 | 8]) + reference_coder.varint(len(raw)) if raw else bytes([lanes_log2])
    return head + states + words + raw


def _pack(bits: str, size: int = 0) -> bytes:
    raw = reference_coder.Bits()
    raw.bits = [int(b) for b in bits.replace(" ", "")]
    return raw.pack().ljust(size, b"\0")


def payload_files(codec: Codec, base: bytes, payload: bytes, escapes: bytes) -> Iterator[Case]:
    head, big = base[:HEADER], escapes[:HEADER]
    log2, states, words, raw = _split(bytes(container.read_file(escapes).groups[0]))
    assert log2 == 0 and len(raw) > 2

    def with_parts(states: bytes = states, words: bytes = words, raw: bytes = raw) -> bytes:
        return big + body(_join(0, states, words, raw))

    yield "crc_no_symbols", head + body(b""), CorruptError, "a payload without bytes where symbols are not 0"
    yield "payload_short", head + body(payload[:4]), CorruptError, "a payload that ends within its state"
    yield (
        "payload_reserved",
        head + body(bytes([payload[0] | 16]) + payload[1:]),
        CorruptError,
        "reserved bit 4",
    )
    yield (
        "payload_reserved_high",
        head + body(bytes([payload[0] | 128]) + payload[1:]),
        CorruptError,
        "reserved bit 7",
    )
    many = bytes([6]) + struct.pack("<I", 1 << 16) * 64
    yield "payload_lanes", head + body(many), CorruptError, "64 lanes"
    none, s, w, r = _split(payload)
    yield "raw_size_0", head + body(b"\x08\x00" + s + w), CorruptError, "raw bits announced, raw_size 0"
    loose = b"\x08" + bytes([len(raw) & 127 | 128, len(raw) >> 7 | 128, 0]) + states + words + raw
    yield "raw_size_loose", big + body(loose), CorruptError, "raw_size that is not the shortest varint"
    beyond = b"\x08" + reference_coder.varint(len(words + raw) + 1) + states + words + raw
    yield "raw_size_beyond", big + body(beyond), CorruptError, "raw_size larger than what is left"
    yield "state_low", with_parts(states=b"\xff\xff\0\0"), CorruptError, "a state of 2^16 - 1"
    yield "words_odd", with_parts(words=words + b"\0"), CorruptError, "an odd number of word bytes"
    yield "words_run_out", with_parts(words=words[:-2]), CorruptError, "one word too few"
    yield "words_left", with_parts(words=words + b"\0\0"), CorruptError, "one word too many"
    yield "raw_run_out", with_parts(raw=raw[:-1]), CorruptError, "one byte of raw bits too few"
    yield "raw_left", with_parts(raw=raw + b"\0"), CorruptError, "one byte of raw bits too many"

    header = container.read_header(base)
    rows, shifts, skip = reference_tables(codec, header)
    z_rows = codec._loader.model_of(header).tables.z_row[header.level]
    channel = int(np.argmin([shifts[r] for r in z_rows]))
    assert shifts[z_rows[channel]] == 0, "a channel of z whose symbols are not shifted is needed"

    def one_z(value: int) -> tuple[bytes, list[int], list[int]]:
        """A file whose only symbol that is not 0 is one of z; its group's symbols and indices."""

        def choose(stage: int, index: np.ndarray) -> np.ndarray:
            symbols = np.zeros(index.shape)
            if stage == 0:
                symbols[channel] = value
            return symbols

        data = file_from_symbols(codec, header, choose)
        [group] = read_groups(codec, data)
        return data, group.symbols.tolist(), group.index.tolist()

    escape, symbols, index = next(
        found
        for found in map(one_z, range(8, 60))
        if _bits(found[1], found[2], shifts, skip) % 8  # there are padding bits
    )
    _, s, w, r = _split(bytes(container.read_file(escape).groups[0]))
    before = "".join(
        "0" * (shifts[row] - 1) + "1" for row in index[:channel] if shifts[row]
    )  # low bits of zeros
    assert r[: len(before) // 8] == _pack(before)[: len(before) // 8]

    def raws(bits: str, size: int) -> bytes:
        return escape[:HEADER] + body(_join(0, s, w, _pack(before + bits, size)))

    yield "prefix", raws("0" * 16 + "1" + "0" * 17, 64), CorruptError, "an Exp-Golomb prefix of 16 zeros"
    for name, size, sign, text in (
        ("symbol_32768", 32768, "0", "an escape for the symbol 32768"),
        ("symbol_low", 32769, "1", "an escape for the symbol -32769"),
        ("symbol_far", 65542, "0", "the largest escape that can be written"),
    ):
        yield name, raws(_golomb(size - 7) + sign, 64), CorruptError, text
    padded = r[:-1] + bytes([r[-1] | 0x80])
    yield "padding", escape[:HEADER] + body(_join(0, s, w, padded)), CorruptError, "a padding bit that is 1"
    kept = reference_coder.LOW
    reference_coder.LOW = kept + 1  # type: ignore[misc]
    try:
        wrong = reference_coder.encode(rows, shifts, skip, symbols, index, 0)
    finally:
        reference_coder.LOW = kept  # type: ignore[misc]
    yield "state_end", escape[:HEADER] + body(wrong), CorruptError, "a state of 2^16 + 1 at the end"
    right = reference_coder.encode(rows, shifts, skip, symbols, index, 0)
    assert right == bytes(container.read_file(escape).groups[0])
    for name, value in (("z_128", 128), ("z_low", -128)):
        at = channel
        far = [*symbols[:at], value, *symbols[at + 1 :]]
        made = reference_coder.encode(rows, shifts, skip, far, index, 0)
        yield (
            name,
            head + body(made),
            CorruptError,
            f"the symbol {value} in z, beyond what the scale networks take",
        )


def _golomb(v: int) -> str:
    low = v.bit_length() - 1
    return "0" * low + "1" + "".join(str(v >> i & 1) for i in range(low))


def _bits(symbols: list[int], index: list[int], shifts: list[int], skip: int) -> int:
    raw = reference_coder.Bits()
    for symbol, row in zip(symbols, index, strict=True):
        if row >= skip:
            reference_coder.code_and_bits(symbol, shifts[row], raw)
    return len(raw.bits)
