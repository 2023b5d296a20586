"""Model bundles on disk: name, path or model id -> Bundle.

A bundle is a folder with manifest.json, tables.bin and five graphs. One with a base, another encoder for the
decoder of the bundle in a folder beside it, has its own analysis and takes the rest from there. Files are
verified against the manifest's hashes when they are read. model_folders.py finds the folders. No numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aecodec import model_folders
from aecodec.errors import ModelError, UsageError
from aecodec.model_folders import PATH_VARIABLE as PATH_VARIABLE

FORMAT = 1
SCALES = 64
WINDOWED = ("analysis", "context", "synthesis")
SCALE_NETWORKS = ("scales_first", "scales_second")
GRAPHS = ("analysis", "scales_first", "context", "scales_second", "synthesis")
PREVIEWS = (8, 16)
"""Scales of the graphs small_8.onnx and small_16.onnx, which a bundle may have."""
ENCODER_ONLY = "analysis"
"""The one graph that a bundle with a base has of its own, in each precision."""
TUNES = {"psnr": "", "perceptual": "-perceptual"}
"""What models are trained for, and how their names end: PSNR alone, or what people see, too."""
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
        return "context" in self.precisions.get("int8", {})

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


def id_of(hashes: dict[str, str]) -> bytes:
    """{file name: sha256 in hex} -> the model id.

    The manifest's `identity` has the hashes that the model got its id from. The float graphs may have been
    exported anew since (faster, in more precisions); tables and scale networks are those of the id."""
    lines = "".join(f"{name} {hashes[name]}\n" for name in sorted(hashes))
    return hashlib.sha256(lines.encode()).digest()[:8]


def load(path: str | os.PathLike[str]) -> Bundle:
    """The bundle in this folder; only its manifest is read. ModelError when that is not valid."""
    folder = Path(path)
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{folder} is no model bundle: manifest.json: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{folder / 'manifest.json'} is damaged: {error}") from None
    try:
        return _from_manifest(folder.absolute(), manifest)  # what else is in it is read later
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / 'manifest.json'} is not a valid manifest: {error!r}") from None


def _from_manifest(folder: Path, manifest: dict[str, Any]) -> Bundle:
    if manifest["format"] != FORMAT:
        raise ModelError(f"{folder}: bundle format {manifest['format']}; this release reads format {FORMAT}")
    hashes = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    if missing := [name for name in FILES if name not in hashes]:
        raise ModelError(f"{folder / 'manifest.json'} lacks {', '.join(missing)}")
    model_id = bytes.fromhex(manifest["model_id"])
    base = _base(folder, manifest)
    identity = {str(name): str(digest) for name, digest in manifest.get("identity", hashes).items()}
    precisions = _precisions(manifest, hashes)
    kept = (*EXACT, "context.onnx") if "context" in precisions.get("int8", {}) else EXACT
    if model_id != id_of(identity) or any(identity.get(name) != hashes[name] for name in kept):
        raise ModelError(f"{folder / 'manifest.json'}: the model id does not match the files' hashes")
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


def _base(folder: Path, manifest: dict[str, Any]) -> Path | None:
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


def installed() -> list[Bundle]:
    """All valid bundles; damaged ones are left out (`problems` lists them)."""
    return [bundle for bundle, _ in _scan() if bundle]


def problems() -> list[str]:
    """Why some folders could not be used as bundles."""
    return [message for bundle, message in _scan() if not bundle]


def _scan() -> Iterator[tuple[Bundle | None, str]]:
    for folder in model_folders.folders():
        try:
            yield load(folder), ""
        except ModelError as error:
            yield None, str(error)


def _names(bundles: list[Bundle]) -> str:
    return ", ".join(f"{b.name} ({b.model_id.hex()})" for b in bundles) or "none"


def default_name() -> str:
    """The model that encodes when none is asked for: bundles/default.txt."""
    try:
        name = Path(model_folders.PACKAGED, "default.txt").read_text("utf-8").strip()
    except OSError:
        name = ""
    if name:
        return name
    bundles = installed()
    return bundles[0].name if bundles else ""


def check(model: object) -> None:
    """UsageError for what is neither a name nor a folder; None is fine."""
    if model is not None and not isinstance(model, str | os.PathLike):
        raise UsageError(f"model {model!r}: give a name or a folder, not {type(model).__name__}")
    if model == "":  # an unset variable of a shell, say
        raise UsageError("model '': the name is empty; give a name or a folder, or none for the default")


def find(model: str | os.PathLike[str] | None = None) -> Bundle:
    """A bundle by name or folder; None is the default. ModelError names the installed ones; UsageError.

    A name without a separator is a folder only where no installed bundle has it: graphs are code, and the
    current folder may be anybody's."""
    check(model)
    if isinstance(model, os.PathLike) or (model and os.sep in model):
        return load(model)
    name = model or default_name()
    bundles = installed()
    for bundle in bundles:
        if bundle.name == name or bundle.path.name == name:
            return bundle
    if model and Path(model, model_folders.MANIFEST).is_file():
        return load(model)
    if not model:
        raise ModelError(f"no default model; installed: {_names(bundles)}. Install aecodec again")
    raise ModelError(
        f"no model {name!r}; installed: {_names(bundles)}. "
        f"Give a bundle's folder, or add its place to {PATH_VARIABLE}"
    )


def tuned(model: str | os.PathLike[str] | None, tune: str | None) -> str | os.PathLike[str] | None:
    """The model, or the one in the folder beside it that was trained for another distortion: NAME beside
    NAME-perceptual, a whole model or an encoder alone; its name where it is installed. ModelError without it.

    tune: one of TUNES, UsageError otherwise; None takes the model as it is."""
    if tune is None:
        return model
    if tune not in TUNES:
        raise UsageError(f"tune {tune!r} is unknown; use one of {', '.join(TUNES)}")
    bundle = find(model)
    wanted = bundle.name.removesuffix(TUNES["perceptual"]) + TUNES[tune]
    if wanted == bundle.name:
        return model
    beside = bundle.path.parent / wanted
    if (beside / model_folders.MANIFEST).is_file():
        return beside.name if any(other.path == beside for other in installed()) else beside
    raise ModelError(
        f"model {bundle.name!r} ({bundle.model_id.hex()}) has no {tune} form; installed: "
        f"{_names(installed())}. Do without, or add the place of {wanted} to {PATH_VARIABLE}"
    )


def find_id(model_id: bytes, encoder: str = "") -> Bundle:
    """The bundle that a file needs. ModelError names the id and the installed ones.

    encoder: Bundle.encoder, where a certain one is meant of those that share the decoder."""
    bundles = installed()
    for bundle in sorted(bundles, key=lambda b: b.base is not None):
        if bundle.model_id == model_id and (not encoder or bundle.name == encoder):
            return bundle
    wanted = f"{model_id.hex()} in the form {encoder!r}" if encoder else model_id.hex()
    raise ModelError(
        f"the file needs model {wanted}, which is not installed; installed: {_names(bundles)}. "
        f"Put its bundle into a folder named in {PATH_VARIABLE}"
    )
