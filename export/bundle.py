"""Writes a bundle folder: graphs, tables, manifest with hashes.  SPEC of the files: docs/format.md."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import torch

from aecodec.training.checkpoint import load_model
from aecodec.training.entropy_model import INDEX_COUNT, dead_zone
from aecodec.training.model import SKIP, CodecModel

from .builder import OPSET
from .cost import kmac_per_pixel
from .graphs import GROUP, all_graphs, halo
from .previews import preview_graphs
from .tables import Tables


def load_checkpoint(path: str) -> tuple[CodecModel, dict[str, Any]]:
    """`training.checkpoint.load_model`, of a model that can be exported. ValueError otherwise."""
    model, cfg = load_model(path)
    if cfg["float_scales"]:
        raise ValueError(f"{path} was trained with float_scales; only integer scale networks can be exported")
    return model, cfg


def model_id(files: dict[str, str]) -> str:
    """First 64 bits, in hex, of SHA-256 over "NAME HASH" lines sorted by name."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def write_bundle(
    model: CodecModel, cfg: dict[str, Any], tables: Tables, name: str, folder: Path
) -> dict[str, Any]:
    """Write all files of the bundle; returns the manifest.  ValueError when the 2^24 bound can be broken."""
    graphs = all_graphs(model, cfg["activation"]) | preview_graphs(model, cfg["activation"])
    offsets = dead_zone(torch.arange(INDEX_COUNT), model.dead_zone_strength)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {file: graph.SerializeToString() for file, graph in graphs.items()}
    contents["tables.bin"] = tables.to_bytes()
    files = {}
    for file, data in contents.items():
        (folder / file).write_bytes(data)
        files[file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {
        "format": 1,
        "name": name,
        "size": cfg["size"],
        "model_id": model_id({file: entry["sha256"] for file, entry in files.items()}),
        "N": model.size.n,
        "Z": model.size.z,
        "levels": 64,
        "group": GROUP,
        "skip": SKIP,
        "halo": halo(model.size),
        "dead_zone": [round(v, 5) for v in offsets.tolist()],
        "kmac_per_pixel": kmac_per_pixel(graphs),
        "precision": "fp32",
        "opset": OPSET,
        "onnx": onnx.__version__,
        "trained": {
            k: cfg[k]
            for k in ("steps", "step", "minutes", "batch", "crop", "lambda_low", "lambda_high", "seed")
        },
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest
