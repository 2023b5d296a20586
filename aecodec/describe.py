"""What an .aec file says about itself: bytes -> dict. No model, no numpy, no onnxruntime.

Every checksum of the container is verified on the way; the pictures' symbols are not decoded.
"""

from __future__ import annotations

import os
from typing import Any

from aecodec import _core, container, model_folders
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.source import Source, read_bytes

LEVELS_PER_QUALITY = 0.63
"""Quality 0..100 of the public interface -> level 0..63 of the file."""


def info(source: Source, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Header, sections and checksums of a file (path, bytes or file object), ready for JSON.

    Keys: file (None where the source has no name), format_version, width, height, channels, depth, alpha,
    orientation, quality (0..100), level, model_id, model_name (None when it is not installed), group_edge,
    group_grid, groups [{size, pixel_blocks, crc32c}] (bytes; how many of them are blocks coded as pixels),
    sections [{tag, size}], symbols_crc32c, header_crc32c (8 hex digits), bytes, bpp.
    Raises FormatError, CorruptError, LimitError; InputError when the source cannot be read, UsageError for
    limits that are none.
    """
    data = read_bytes(source, container.MAGIC)
    parsed = container.read_file(data, limits)
    header = parsed.header
    return {
        "file": os.fspath(source) if isinstance(source, str | os.PathLike) else None,
        "format_version": header.version,
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "depth": header.bit_depth,
        "alpha": header.has_alpha,
        "orientation": header.orientation,
        "quality": round(header.quality / 256 / LEVELS_PER_QUALITY, 2),
        "level": header.quality / 256,
        "model_id": header.model_id.hex(),
        "model_name": model_folders.name_of(header.model_id),
        "group_edge": header.group_edge,
        "group_grid": list(header.group_grid),
        "groups": [
            {
                "size": len(group) + len(blocks),
                "pixel_blocks": len(blocks),
                "crc32c": f"{_core.crc32c(bytes(group) + bytes(blocks)):08x}",
            }
            for group, blocks in zip(parsed.groups, parsed.blocks, strict=True)
        ],
        "sections": [{"tag": s.tag, "size": s.size} for s in container.read_sections(data, limits)],
        "symbols_crc32c": f"{header.symbols_crc:08x}",
        "header_crc32c": f"{int.from_bytes(data[37:41], 'little'):08x}",
        "bytes": len(data),
        "bpp": 8 * len(data) / (header.width * header.height),
    }
