"""One model bundle on disk: a folder with manifest.json, tables.bin and five graphs -> Bundle.

A bundle with a base, another encoder for the decoder of the bundle in a folder beside it, has its own
analysis and takes the rest from there. Files are verified against the manifest's hashes when they are read.
models.py finds bundles; model_loader.py loads what is in them. No numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aecodec.errors import ModelError
from aecodec.model_folders import MANIFEST

FORMAT = 1
SCALES = 64
"""Rows of the coding tables for y: scale indices."""
WINDOWED = ("analysis", "context", "synthesis")
SCALE_NETWORKS = ("scales_first", "scales_second")
GRAPHS = ("analysis", "scales_first", "context", "scales_second", "synthesis")
PREVIEWS = (8, 16)
"""Divisors of the graphs small_8.onnx and small_16.onnx, which a bundle may have."""
ENCODER_ONLY = "analysis"
"""The one graph that a bundle with a base has of its own, in each precision."""
EXACT = ("tables.bin", "scales_first.onnx", "scales_second.onnx")
"""The files that decide which symbols a file has."""
FILES = ("tables.bin", *(f"{graph}.onnx" for graph in GRAPHS))


@dataclass(frozen=True, slots=True)
class ExactForm:
    """A scale network in bytes instead of float32."""

    file: str
    answer: int
    """What scale_networks.known_answer() finds in the form in float32."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model's manifest and where its files are."""

    name: str
    path: Path
    model_id: bytes
    """8 bytes: what files that need this model carry in their header."""
    n: int
    """Channels of y."""
    z: int
    """Channels of z."""
    group: int
    """Side of a group in positions of y."""
    skip: int
    """Symbols whose scale index is below this are 0 and are not coded."""
    dead_zone: tuple[float, ...]
    """How much the encoder rounds towards zero at each of the 64 scale indices: 0 .. 0.5."""
    halo: dict[str, int]
    """How far each float network sees, in blocks of 64 pixels: analysis, context, synthesis."""
    lambdas: tuple[float, float]
    """What a squared error cost at level 0 and at level 63, in bits, when the model was trained."""
    previews: tuple[int, ...]
    """Divisors of the pictures that the bundle has a small graph for."""
    s: int
    """Channels of the scale networks' features; 0 where `exact` has none."""
    exact: dict[str, ExactForm]
    """The scale networks that the bundle has in bytes, too."""
    precisions: dict[str, dict[str, str]]
    """{"int8": {graph: file}}: the graphs that the bundle has in another precision than float32, too."""
    fits_16_bits: bool
    """Are its int8 graphs exact where two products of bytes are summed in 16 bits (x86 without VNNI)?"""
    manifest: dict[str, Any] = field(repr=False, compare=False)
    base: Path | None = None
    """The folder of the bundle whose decoder, tables and model id this encoder shares."""

    def file_of(self, graph: str, precision: str = "fp32") -> str:
        """The file of a graph in this precision; graphs that have no other are float32 (or exact) in all."""
        return self.precisions.get(precision, {}).get(graph, f"{graph}.onnx")

    @property
    def encoder(self) -> str:
        """The name that tells it from bundles of the same id; empty for the complete one."""
        return "" if self.base is None else self.name

    @property
    def rounds_means(self) -> bool:
        """Do its graphs round the means in the same places in every precision (docs/design.md)?"""
        return _rounds_means(self.precisions)

    def lmbda(self, level: float) -> float:
        """Bits that one unit of squared error on the 0..255 scale is worth at a (fractional) level."""
        low, high = self.lambdas
        return low * math.exp(math.log(high / low) * level / 63)

    def read(self, name: str) -> bytes:
        """One file of the bundle, verified. ModelError when it is missing or damaged."""
        expected = self.manifest["files"][name]["sha256"]
        own = {self.file_of(ENCODER_ONLY, precision) for precision in ("fp32", *self.precisions)}
        path = (self.path if self.base is None or name in own else self.base) / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"model {self.name!r}: cannot read {path}: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != expected:
            raise ModelError(f"model {self.name!r}: {path} is damaged (sha256); install it again")
        return data


def _rounds_means(precisions: dict[str, dict[str, str]]) -> bool:
    """Only then is `context` exported in 8 bits."""
    return "context" in precisions.get("int8", {})


def id_of(hashes: dict[str, str]) -> bytes:
    """{file name: sha256 in hex} -> the model id, 8 bytes (docs/format.md).

    The manifest's `identity` has the hashes that the model got its id from. The float graphs may have been
    exported anew since (faster, in more precisions); tables and scale networks are those of the id."""
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).digest()[:8]


def load(path: str | os.PathLike[str]) -> Bundle:
    """The bundle in this folder; only its manifest is read. ModelError when that is not valid."""
    folder = Path(path)
    file = folder / MANIFEST
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{folder} is no model bundle: {MANIFEST}: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{file} is damaged: {error}") from None
    try:
        return _from_manifest(folder.absolute(), manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{file} is not a valid manifest: {error!r}") from None


def _from_manifest(folder: Path, manifest: dict[str, Any]) -> Bundle:
    if manifest["format"] != FORMAT:
        raise ModelError(f"{folder}: bundle format {manifest['format']}; this release reads format {FORMAT}")
    hashes = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    if missing := [name for name in FILES if name not in hashes]:
        raise ModelError(f"{folder / MANIFEST} lacks {', '.join(missing)}")
    base = _base(folder, manifest)
    precisions = _precisions(manifest, hashes)
    model_id = _model_id(folder, manifest, hashes, precisions)
    return Bundle(
        name=str(manifest["name"]),
        path=folder,
        model_id=model_id,
        n=int(manifest["N"]),
        z=int(manifest["Z"]),
        group=int(manifest["group"]),
        skip=int(manifest["skip"]),
        dead_zone=_dead_zone(manifest),
        halo={name: int(manifest["halo"][name]) for name in WINDOWED},
        lambdas=_lambdas(manifest),
        previews=tuple(divisor for divisor in PREVIEWS if f"small_{divisor}.onnx" in hashes),
        s=int(manifest.get("S", 0)),
        exact=_exact(manifest, hashes),
        precisions=precisions,
        fits_16_bits=manifest.get("fits_16_bits", False) is True,
        manifest=manifest,
        base=base,
    )


def _model_id(
    folder: Path, manifest: dict[str, Any], hashes: dict[str, str], precisions: dict[str, dict[str, str]]
) -> bytes:
    """8 bytes, compared with the hashes of the files that must be those of the id."""
    model_id = bytes.fromhex(manifest["model_id"])
    identity = {str(name): str(digest) for name, digest in manifest.get("identity", hashes).items()}
    kept = (*EXACT, "context.onnx") if _rounds_means(precisions) else EXACT
    if model_id != id_of(identity) or any(identity.get(name) != hashes[name] for name in kept):
        raise ModelError(f"{folder / MANIFEST}: the model id does not match the files' hashes")
    return model_id


def _base(folder: Path, manifest: dict[str, Any]) -> Path | None:
    """A folder beside this one: a manifest cannot make the codec read files elsewhere."""
    if "base" not in manifest:
        return None
    name = manifest["base"]["folder"]
    if name in ("", ".", "..") or Path(name).name != name:
        raise ValueError(f"base {name!r}: the name of a folder beside this one expected")
    return folder.parent / str(name)


def _exact(manifest: dict[str, Any], hashes: dict[str, str]) -> dict[str, ExactForm]:
    found = {
        str(graph): ExactForm(str(form["file"]), int(form["answer"], 16))
        for graph, form in manifest.get("exact", {}).items()
    }
    files = {form.file for form in found.values()}
    if unknown := sorted(({*found} - {*SCALE_NETWORKS}) | (files - {*hashes})):
        raise ValueError(f"exact: {', '.join(unknown)}")
    if found and int(manifest["S"]) < 1:
        raise ValueError("S: the channels of the scale networks' features expected")
    return found


def _precisions(manifest: dict[str, Any], hashes: dict[str, str]) -> dict[str, dict[str, str]]:
    found = {
        str(precision): {str(graph): str(file) for graph, file in graphs.items()}
        for precision, graphs in manifest.get("precisions", {}).items()
    }
    # Older bundles have previews in two precisions, of which nothing is read any more.
    known = {*WINDOWED, *(f"preview_{divisor}" for divisor in PREVIEWS)}
    for graphs in found.values():
        if unknown := sorted(({*graphs} - known) | ({*graphs.values()} - {*hashes})):
            raise ValueError(f"precisions: {', '.join(unknown)}")
    return found


def _dead_zone(manifest: dict[str, Any]) -> tuple[float, ...]:
    offsets = tuple(float(v) for v in manifest["dead_zone"])
    if len(offsets) != SCALES or not all(0 <= v <= 0.5 for v in offsets):
        raise ValueError(f"dead_zone: {SCALES} numbers of 0..0.5 expected")
    return offsets


def _lambdas(manifest: dict[str, Any]) -> tuple[float, float]:
    low, high = (float(manifest["trained"][key]) for key in ("lambda_low", "lambda_high"))
    if not 0 < low <= high:
        raise ValueError(f"lambda_low {low} and lambda_high {high}: growing and above 0 expected")
    return low, high
