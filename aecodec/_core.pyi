from collections.abc import Sequence
from typing import Any, TypeAlias, final

from numpy.typing import NDArray

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[Any]

class CoreError(Exception):
    status: int
    name: str
    offset: int

@final
class Tables:
    def __new__(cls, rows: Buffer, shifts: Buffer, skip: int) -> Tables: ...

@final
class ZContext:
    def __new__(
        cls, channels: int, lowest: int, size: Buffer, weight: Buffer, activity: Buffer, step: Buffer
    ) -> ZContext: ...
    def symbols(self, z_row: Buffer, z: Buffer, symbols: Buffer, index: Buffer, /) -> None: ...

@final
class GroupDecoder:
    def __new__(cls, tables: Tables, payload: Buffer, simd: int = -1) -> GroupDecoder: ...
    def decode(self, index: Buffer, out: Buffer, /) -> None: ...
    def decode_z(self, context: ZContext, z_row: Buffer, out: Buffer, /) -> None: ...
    def finish(self) -> None: ...

def crc32c(data: Buffer, crc: int = 0, /) -> int: ...
def header_write(
    flags: int,
    width: int,
    height: int,
    channels: int,
    bit_depth: int,
    orientation: int,
    colour: int,
    quality: int,
    model_id: Buffer,
    symbols_crc: int,
    group_edge: int,
    /,
) -> bytes: ...
def header_read(
    data: Buffer, max_pixels: int = ..., max_side: int = ..., max_groups: int = ..., /
) -> tuple[int, int, int, int, int, int, int, int, int, bytes, int, int, int, int]: ...
def sections_read(
    data: Buffer,
    offset: int,
    max_sections: int = ...,
    max_section_size: int = ...,
    unread_gdat: bool = False,
) -> list[tuple[str, int, int]]: ...
def section_write(tag: str, payload: Buffer, /) -> bytes: ...
def group_index_write(sizes: Sequence[int], crcs: Sequence[int], /) -> bytes: ...
def group_index_read(payload: Buffer, n_groups: int, /) -> list[tuple[int, int]]: ...
def encode_group(tables: Tables, symbols: Buffer, index: Buffer, lanes_log2: int = -1) -> bytes: ...
def simd_available() -> int: ...
def dot_product() -> int: ...
def version() -> str: ...
