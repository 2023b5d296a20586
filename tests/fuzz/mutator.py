"""Mutations of .aec files that keep what they do not mean to break.

Random bytes stop at the first checksum.  So a file is taken apart, one of its parts is changed, and it is put
together with checksums that fit: those of header, sections and groups, of PNG chunks inside ALPH, and mostly
that of the symbols, too.  Some files are made of symbols that no encoder would write.

    file -> Parts -one change-> Parts -> file
"""

from __future__ import annotations

import random
import re
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.pieces import HEADER, patch, section  # noqa: E402
from conformance.symbols import file_from_symbols  # noqa: E402
from fuzz.targets import LIMITS, OPERATIONS, TESTS, codec  # noqa: E402
from reference_coder import varint  # noqa: E402

from aecodec import _core, container, decoding  # noqa: E402
from aecodec.container import Header  # noqa: E402
from aecodec.errors import AecodecError, CorruptError  # noqa: E402

Bytes = Callable[[bytes, int], bytes]
"""Changes bytes to others, at most so many: atheris.Mutate, or anything like it."""

MOST = 1 << 15
WHOLE = [path.read_bytes() for path in sorted((TESTS / "conformance" / "valid").glob("*.aec"))]
INFLATED = ("iCCP", "eXIF", "xMPd")
TAGS = (*INFLATED, "rESo", "ALPH", "ALPC", "BLOK", "tHMB", "note", "NOTE")
FIELDS = {"width": (10, 4), "height": (14, 4), "channels": (18, 1), "depth": (19, 1), "orientation": (20, 1),
          "colour": (21, 1), "quality": (22, 2), "edge": (36, 1), "flags": (9, 1)}  # fmt: skip
VALUES = {"width": (1, 15, 64, 65, 200, 512, 1024), "height": (1, 16, 63, 64, 130, 700), "channels": (1, 3),
          "depth": (8, 16), "orientation": range(1, 9), "colour": (0, 1), "flags": (0, 1),
          "quality": (0, 127, 128, 8064, 16128), "edge": (4, 8, 24, 32, 36, 64)}  # fmt: skip


@dataclass
class Parts:
    """A file whose lengths and checksums are made when it is packed."""

    head: bytes
    sections: list[tuple[str, bytes]]
    groups: list[bytes]
    blocks: list[bytes] = field(default_factory=list)

    def pack(self) -> bytes:
        others = b"".join(section(tag, payload) for tag, payload in self.sections)
        whole = self.groups
        if any(self.blocks):
            others += section("BLOK", b"".join(varint(len(b)) for b in self.blocks))
            whole = [group + block for group, block in zip(self.groups, self.blocks, strict=True)]
        index = b"".join(varint(len(g)) + struct.pack("<I", _core.crc32c(g)) for g in whole)
        return patch(self.head, 0, b"") + others + section("GIDX", index) + section("GDAT", b"".join(whole))


def take_apart(file: bytes) -> Parts | None:
    try:
        parsed = container.read_file(file, LIMITS, salvage=True)
    except AecodecError:
        return None
    sections = [(tag, bytes(payload)) for tag, payload in parsed.sections.items()]
    return Parts(
        file[:HEADER], sections, [bytes(g) for g in parsed.groups], [bytes(b) for b in parsed.blocks]
    )


def mutate(data: bytes, most: int, seed: int, change: Bytes) -> bytes:
    """An input of targets.decode -> another, at most `most` bytes."""
    rng = random.Random(seed)
    operation = data[:1] if data and rng.random() < 0.7 else bytes([rng.randrange(len(OPERATIONS))])
    # libFuzzer likes short inputs best, and those are refused early: many begin with a whole file instead.
    file = mutate_file(rng.choice(WHOLE) if rng.random() < 0.3 else data[1:], rng, change)
    return (operation + file)[:most]


def mutate_file(file: bytes, rng: random.Random, change: Bytes, depth: int = 0) -> bytes:
    if rng.random() < 0.03 and not depth:
        made = from_symbols(file, rng)
    else:
        parts = take_apart(file)
        if parts is None or rng.random() < 0.1:
            return change(file, MOST)
        rng.choice(CHANGES)(parts, rng, change)
        made = parts.pack()
    return with_symbols_crc(made) if rng.random() < 0.8 else made


def _header(parts: Parts, rng: random.Random, change: Bytes) -> None:
    name = rng.choice(list(FIELDS))
    at, size = FIELDS[name]
    value = rng.choice(VALUES[name]) if rng.random() < 0.8 else rng.randrange(1 << 8 * size)
    parts.head = patch(parts.head, at, value.to_bytes(size, "little"))


def _groups(parts: Parts, rng: random.Random, change: Bytes) -> None:
    number = rng.randrange(len(parts.groups))
    parts.groups[number] = change(parts.groups[number], MOST) if rng.random() < 0.8 else b""


def _blocks(parts: Parts, rng: random.Random, change: Bytes) -> None:
    """The mask, or the WebP behind it, or all blocks handed on to the next group."""
    full = [number for number, block in enumerate(parts.blocks) if block]
    if not full:
        parts.blocks[rng.randrange(len(parts.blocks))] = b"\x80" + change(
            b"RIFF\x20\0\0\0WEBPVP8L\x14\0\0\0\x2f", 200
        )
        return
    number = rng.choice(full)
    block, kind = parts.blocks[number], rng.randrange(4)
    if kind == 0:
        block = bytes([rng.randrange(256)]) + block[1:]
    elif kind == 1:
        block = block[:1] + change(block[1:], MOST)
    elif kind == 2:
        at = rng.randrange(min(20, len(block) - 1), len(block))  # past the head of the WebP
        block = block[:at] + change(block[at:] or b"\0", MOST)[: len(block) - at].ljust(
            len(block) - at, b"\0"
        )
    parts.blocks[number] = block
    if kind == 3:
        parts.blocks = parts.blocks[1:] + parts.blocks[:1]


def _section(parts: Parts, rng: random.Random, change: Bytes) -> None:
    """What is in a section."""
    if not parts.sections:
        _sections(parts, rng, change)
        return
    number = rng.randrange(len(parts.sections))
    tag, payload = parts.sections[number]
    if tag in INFLATED and rng.random() < 0.8:
        try:
            payload = zlib.compress(change(zlib.decompress(payload), MOST))
        except zlib.error:
            payload = change(payload, MOST)
    elif tag == "ALPH" and rng.random() < 0.8:
        payload = _png(payload, rng, change)
    elif tag == "ALPC" and rng.random() < 0.8:
        payload = mutate_file(payload, rng, change, 1)
    else:
        payload = change(payload, MOST)
    parts.sections[number] = tag, payload


def _png(data: bytes, rng: random.Random, change: Bytes) -> bytes:
    """One chunk changed; lengths and checksums fit."""
    at, chunks = 8, []
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + size]])
        at += 12 + size
    if not chunks:
        return change(data, MOST)
    chosen = rng.choice(chunks)
    if chosen[0] == b"IDAT" and rng.random() < 0.5:
        try:
            chosen[1] = zlib.compress(change(zlib.decompress(chosen[1]), MOST))
        except zlib.error:
            chosen[1] = change(chosen[1], MOST)
    else:
        chosen[1] = change(chosen[1], MOST)
    packed = [
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in chunks
    ]
    return data[:8] + b"".join(packed)


def _sections(parts: Parts, rng: random.Random, change: Bytes) -> None:
    """Which sections there are; the header announces them mostly."""
    kind = rng.randrange(5) if parts.sections else 0
    if kind == 0:
        body = change(rng.choice((b"II*\0\x08\0\0\0\0\0\0\0\0\0", b"<x:xmpmeta/>", bytes(128))), 4000)
        tag = rng.choice(TAGS)
        payload = struct.pack("<II", *rng.choices((0, 1, 720000, 2**32 - 1), k=2)) if tag == "rESo" else body
        parts.sections.append((tag, zlib.compress(payload) if tag in INFLATED else payload))
    elif kind == 1:
        parts.sections.append(rng.choice(parts.sections))
    elif kind == 2:
        del parts.sections[rng.randrange(len(parts.sections))]
    elif kind == 3:
        rng.shuffle(parts.sections)
    else:
        number = rng.randrange(len(parts.sections))
        parts.sections[number] = rng.choice(TAGS), parts.sections[number][1]
    if rng.random() < 0.9:
        tags = {tag for tag, _ in parts.sections}
        parts.head = patch(parts.head, 9, bytes([bool(tags & {"ALPH", "ALPC"})]))
        parts.head = patch(parts.head, 21, bytes(["iCCP" in tags]))


CHANGES = (_header, _groups, _groups, _blocks, _section, _section, _section, _sections)


def from_symbols(file: bytes, rng: random.Random) -> bytes:
    """A file whose groups are coded rightly, with symbols that no picture has."""
    size, numbers = rng.choice((1, 40, 64, 100)), np.random.default_rng(rng.randrange(1 << 30))
    largest = rng.choice((1, 8, 300, 32767))
    header = Header(
        width=size,
        height=rng.choice((1, 64, 72)),
        channels=rng.choice((1, 3)),
        bit_depth=rng.choice((8, 8, 16)),
        quality=rng.choice((0, 5000, 16128)),
        model_id=codec.bundle.model_id,
        group_edge=rng.choice((4, 8, 32)),
    )

    def draw(stage: int, index: np.ndarray) -> np.ndarray:
        top = min(largest, 127) if stage == 0 else largest
        return np.rint(numbers.laplace(0, top / 3, index.shape)).clip(-top, top)

    made = file_from_symbols(codec, header, draw, rng.randrange(-1, 6))
    kept = take_apart(file)
    parts = take_apart(made)
    if kept and parts:
        parts.sections = [(tag, body) for tag, body in kept.sections if tag in (*INFLATED, "rESo")]
        parts.head = patch(parts.head, 21, bytes(["iCCP" in dict(parts.sections)]))
        return parts.pack()
    return made


def with_symbols_crc(file: bytes) -> bytes:
    """The header's checksum of the symbols made right, where they can be decoded."""
    try:
        parsed = container.read_file(file, LIMITS)
        decoding.decode_symbols(codec._loader.model_of(parsed.header), parsed.header, parsed.groups)
    except CorruptError as error:
        if found := re.match(r"the decoded symbols have checksum ([0-9a-f]{8})", str(error)):
            return patch(file, 32, struct.pack("<I", int(found[1], 16)))
    except AecodecError:
        pass
    return file
