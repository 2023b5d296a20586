"""Writes a bundle folder: graphs, tables, manifest with hashes.  SPEC of the files: docs/format.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch

from aecodec.model_bundle import EXACT, SCALE_NETWORKS, id_of, load
from aecodec.scale_networks import known_answer
from aecodec.scale_networks import load as load_scale_network
from aecodec.session import Session, open_session
from aecodec.tables import CodingTables, pack_tables
from aecodec.training.checkpoint import load_model
from aecodec.training.entropy_model import INDEX_COUNT, dead_zone
from aecodec.training.model import SKIP, CodecModel

from .builder import OPSET
from .compact import compact
from .cost import kmac_per_pixel
from .graphs import GROUP, all_graphs, halo
from .int8 import int8_graphs
from .means import float_graphs
from .previews import preview_graphs
from .trunk import Samples


def load_checkpoint(path: str) -> tuple[CodecModel, dict[str, Any]]:
    """`training.checkpoint.load_model`, of a model that can be exported. ValueError otherwise."""
    model, cfg = load_model(path)
    if cfg["float_scales"]:
        raise ValueError(f"{path} was trained with float_scales; only integer scale networks can be exported")
    return model, cfg


DECIDING = (*EXACT, "context.onnx")
"""What a bundle that keeps another one's id has in common with it, to the byte."""

Identity = dict[str, str]
"""{file name: sha256}: what a model's id is the hash of."""


def identity_of(bundle: Path) -> Identity:
    """Of a bundle that is there already."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    found: Identity = manifest.get("identity") or {
        name: entry["sha256"] for name, entry in manifest["files"].items()
    }
    return found


def write_bundle(
    model: CodecModel,
    cfg: dict[str, Any],
    tables: CodingTables | bytes,
    name: str,
    folder: Path,
    samples: Samples | None = None,
    same_as: Path | None = None,
    exact: Mapping[str, onnx.ModelProto] | None = None,
) -> dict[str, Any]:
    """Write all files of the bundle; returns the manifest.  ValueError when the 2^24 bound can be broken.

    samples: int8.calibrated(); without them the means are float, and no graph is in 8 bits.
    exact: scale networks in bytes, by name.  They and graphs in 8 bits are no part of the model's id.
    same_as: a bundle of the same weights, whose id this one keeps: the files that were made with it stay
    readable. ValueError when its tables or scale networks are others, or where means round otherwise."""
    plain = all_graphs(model, cfg["activation"]) | preview_graphs(model)
    graphs = plain | (float_graphs(model, samples) if samples else {})
    int8 = int8_graphs(model, samples) if samples else {}
    offsets = dead_zone(torch.arange(INDEX_COUNT), model.dead_zone_strength)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        file: (graph if file in DECIDING else compact(graph)).SerializeToString()
        for file, graph in graphs.items()
    }
    contents["tables.bin"] = tables if isinstance(tables, bytes) else pack_tables(tables)
    fresh = {file: hashlib.sha256(data).hexdigest() for file, data in contents.items()}
    identity = identity_of(same_as) if same_as else fresh
    rounding = samples is not None or (same_as is not None and load(same_as).rounds_means)
    kept = DECIDING if rounding else EXACT
    if other := [file for file in kept if identity.get(file) != fresh[file]]:
        raise ValueError(f"{', '.join(other)}: not those of the bundle whose id is to be kept")
    precisions = {"int8": {graph: f"{graph}.int8.onnx" for graph in int8}} if int8 else {}
    more = {**int8, **(exact or {})}
    contents |= {f"{graph}.int8.onnx": compact(made).SerializeToString() for graph, made in more.items()}
    files = {}
    for file, data in contents.items():
        (folder / file).write_bytes(data)
        files[file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {
        "format": 1,
        "name": name,
        "size": cfg["size"],
        "model_id": id_of(identity).hex(),
        "N": model.size.n,
        "Z": model.size.z,
        "levels": 64,
        "group": GROUP,
        "skip": SKIP,
        "halo": halo(model.size),
        "dead_zone": [round(v, 5) for v in offsets.tolist()],
        "kmac_per_pixel": kmac_per_pixel(plain),
        "S": model.size.scale_width,
        "exact": {},
        "precisions": precisions,
        "fits_16_bits": bool(int8),
        "opset": OPSET,
        "onnx": onnx.__version__,
        "trained": {
            k: cfg[k]
            for k in ("steps", "step", "minutes", "batch", "crop", "lambda_low", "lambda_high", "seed")
        },
        "identity": dict(sorted(identity.items())),
        "files": files,
    }
    _write(manifest, folder)
    if exact:
        manifest["exact"] = {
            graph: {"file": f"{graph}.int8.onnx", "answer": f"{answer:08x}"}
            for graph, answer in known_answers(folder).items()
        }
        _write(manifest, folder)
    return manifest


def _write(manifest: dict[str, Any], folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def known_answers(folder: Path) -> dict[str, int]:
    """What the scale networks of a bundle give for known groups, in the form in float32."""
    bundle = replace(load(folder), exact={})

    def open_graph(data: bytes) -> Session:
        return open_session(data, "cpu")

    return {
        graph: known_answer(bundle, graph, load_scale_network(bundle, graph, open_graph))
        for graph in SCALE_NETWORKS
    }
