"""Golden files below the pixels: the symbols that a file codes, and files from given symbols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aecodec import _core, container
from aecodec.codec import Codec
from aecodec.container import Header
from aecodec.groups import Group, Groups
from aecodec.tables import CodingTables

TINY = Path(__file__).parents[1] / "data" / "bundles" / "tiny"


@dataclass
class CodedGroup:
    """One group in coding order: z, first half, second half, flattened."""

    payload: bytes
    symbols: np.ndarray
    index: np.ndarray

    @property
    def lanes_log2(self) -> int:
        return self.payload[0] & 7


def tiny_codec(threads: int | None = 1) -> Codec:
    return Codec(TINY, device="cpu", threads=threads, pixel_blocks=False)


def _walk(
    codec: Codec,
    header: Header,
    read: Callable[[int, Group, int, np.ndarray], np.ndarray],
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Through the groups one by one; read(group number, group, pass 0..2, index) gives the symbols.

    -> for each group: symbols and indices in coding order, and the array the symbols CRC covers."""
    model = codec._loader.model_of(header)
    groups = Groups.of(header)
    level = np.array([header.level])
    found = []
    for number, group in enumerate(groups.all):
        z_index = np.broadcast_to(
            model.tables.z_row[header.level][:, None, None],
            (model.bundle.z, group.height // 4, group.width // 4),
        )
        z = read(number, group, 0, np.ascontiguousarray(z_index))
        index, features = model.networks.scales_first(z[None].astype(np.float32), level)
        first_index = index[0]
        first = read(number, group, 1, first_index)
        second_index = model.networks.scales_second(features, first[None], level)[0]
        second = read(number, group, 2, second_index)
        symbols = np.concatenate([a.ravel() for a in (z, first, second)]).astype(np.int16)
        indices = np.concatenate([a.ravel() for a in (z_index, first_index, second_index)]).astype(np.uint8)
        merged = np.concatenate([z.ravel(), (first + second).ravel()]).astype("<i2")
        found.append((symbols, indices, merged))
    return found


def read_groups(codec: Codec, data: bytes) -> list[CodedGroup]:
    """What a whole file codes; its symbols CRC is checked here, apart from the codec's own check."""
    parsed = container.read_file(data)
    model = codec._loader.model_of(parsed.header)
    decoders = [_core.GroupDecoder(model.tables.core, p) if p else None for p in parsed.groups]

    def read(number: int, group: Group, stage: int, index: np.ndarray) -> np.ndarray:
        out = np.zeros(index.shape, np.int16)
        if decoder := decoders[number]:
            decoder.decode(index, out)
        return out

    found = _walk(codec, parsed.header, read)
    for decoder in filter(None, decoders):
        decoder.finish()
    crc = _core.crc32c(b"".join(merged.tobytes() for _, _, merged in found))
    assert crc == parsed.header.symbols_crc
    members = zip(parsed.groups, found, strict=True)
    return [CodedGroup(bytes(payload), symbols, index) for payload, (symbols, index, _) in members]


def file_from_symbols(
    codec: Codec,
    header: Header,
    choose: Callable[[int, np.ndarray], np.ndarray],
    lanes_log2: int = -1,
) -> bytes:
    """A valid file with the symbols choose(pass, index) wherever its index is coded."""
    skip = codec._loader.model_of(header).tables.skip

    def read(number: int, group: Group, stage: int, index: np.ndarray) -> np.ndarray:
        return np.where(index >= skip, choose(stage, index), 0).astype(np.int16)

    found = _walk(codec, header, read)
    core = codec._loader.model_of(header).tables.core
    payloads = [_core.encode_group(core, symbols, index, lanes_log2) for symbols, index, _ in found]
    crc = _core.crc32c(b"".join(merged.tobytes() for _, _, merged in found))
    return container.write_file(header._replace(symbols_crc=crc), {}, payloads)


def reference_tables(codec: Codec, header: Header) -> tuple[list[list[int]], list[int], int]:
    """rows, shifts, skip as tests/reference_coder.py takes them."""
    tables: CodingTables = codec._loader.model_of(header).tables
    return tables.rows.astype(int).tolist(), tables.shifts.astype(int).tolist(), tables.skip
