"""Group payloads with a context of z, for whoever codes groups elsewhere: web/.

python tests/z_groups.py rewrites data/z_groups.json. Run it when the format changes, never for
anything else."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from coding import laplace_rows

from aecodec import _core, entropy, model_bundle
from aecodec.tables import CodingTables, ZContext, load_tables, make_tables, pack_tables

FILE = Path(__file__).parent / "data" / "z_groups.json"
TINY = Path(__file__).parent / "data" / "bundles" / "tiny"
SKIP = 3
Y_ROWS, Z_ROWS, CHANNELS = 20, 12, 5
SIZES = ((1, 1), (1, 2), (3, 5), (5, 3), (8, 8), (8, 3), (2, 7), (8, 7), (8, 8))
"""Height and width of z; in the first there are no neighbours, in the second one."""
ARRAYS = {"z": "<i2", "first": "<i2", "index_first": "u1", "second": "<i2", "index_second": "u1"}


def context(rows: int, channels: int, seed: int) -> ZContext:
    """No weight, size or step is like another one, and the steps lead beyond both ends of the rows."""
    rng = np.random.default_rng(seed)
    return ZContext(
        np.geomspace(60, 40000, rows).astype(np.uint16),
        rng.integers(-128, 128, (4, channels)).astype(np.int8),
        (channels * np.array([1, 2, 3, 4.5])).astype(np.uint16),
        rng.integers(-rows, rows + 1, (5, 7, 5)).clip(-128, 127).astype(np.int8),
    )


def tables() -> CodingTables:
    rows = np.concatenate([laplace_rows(Y_ROWS), laplace_rows(Z_ROWS, 0.3, 12)])
    shifts = np.arange(Y_ROWS + Z_ROWS).astype(np.uint8) % 4 // 3
    z_row = Y_ROWS + np.add.outer(np.arange(64) // 8, np.arange(CHANNELS)) % Z_ROWS
    return make_tables(rows, shifts, SKIP, z_row.astype(np.uint8), context(Z_ROWS, CHANNELS, 5))


def bundle_with_context(folder: Path) -> Path:
    """The bundle `tiny` with other tables, so with another id."""
    shutil.copytree(TINY, folder)
    plain = load_tables((TINY / "tables.bin").read_bytes())
    rows, lowest = len(plain.rows), int(plain.z_row.min())
    known = context(rows - lowest, plain.z_row.shape[1], 6)
    data = pack_tables(make_tables(plain.rows, plain.shifts, plain.skip, plain.z_row, known))
    (folder / "tables.bin").write_bytes(data)
    manifest = json.loads((TINY / "manifest.json").read_text())
    manifest["files"]["tables.bin"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    hashes = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    manifest |= {"name": "tiny-context", "model_id": model_bundle.id_of(hashes).hex()}
    manifest.pop("identity", None)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return folder


def arrays_of(height: int, width: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """z, and of each half a stretch of y, whose shape the coder does not know."""
    # Loud and silent channels, so that every class of size and of activity is met.
    loud = rng.choice([0.4, 2, 8, 40, 200], (CHANNELS, 1, 1))
    arrays = {"z": rng.normal(0, loud, (CHANNELS, height, width)).round().clip(-127, 127)}
    for half in ("first", "second"):
        index = rng.integers(0, Y_ROWS, height * width)
        arrays[half] = np.where(index >= SKIP, rng.integers(-20, 21, index.shape), 0)
        arrays[f"index_{half}"] = index
    return {name: array.astype(ARRAYS[name]) for name, array in arrays.items()}


def payload_of(known: CodingTables, level: int, arrays: dict[str, np.ndarray]) -> bytes:
    first, i_first, second, i_second = (arrays[name] for name in list(ARRAYS)[1:])
    return entropy.encode_group(known, arrays["z"], known.z_row[level], first, i_first, second, i_second)


def beyond(known: CodingTables, level: int, column: int, sign: int) -> bytes:
    """A payload of z alone, [Z, 3, 5], with one symbol, in row 0 of channel 1, that is 128 or -128."""
    z = np.full((CHANNELS, 3, 5), 127 * sign, np.int16)
    symbols, index = entropy.symbols_of_z(known, z, known.z_row[level])
    symbols[index[:, 1, 0, column] > 0, 1, 0, column] += sign
    return _core.encode_group(known.core, symbols.ravel(), index.ravel())


def made() -> dict[str, Any]:
    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    known, rng = tables(), np.random.default_rng(7)
    groups = []
    for number, (height, width) in enumerate(SIZES):
        level = 63 - 7 * number
        arrays = arrays_of(height, width, rng)
        group: dict[str, Any] = {"level": level, "height": height, "width": width}
        group |= {name: text(array.tobytes()) for name, array in arrays.items()}
        groups.append(group | {"payload": text(payload_of(known, level, arrays))})
    too_far = [  # by a symbol without neighbours, and by one that has some
        {"level": 20, "height": 3, "width": 5, "payload": text(beyond(known, 20, column, sign))}
        for column in (0, 3)
        for sign in (1, -1)
    ]
    return {"tables": text(pack_tables(known)), "groups": groups, "beyond": too_far}


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1) + "\n")
