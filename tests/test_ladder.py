"""Who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aecodec

PACKAGE = Path(aecodec.__file__).parent
BASE = {"errors", "limits"}
PARTS = {
    *("_core", "container", "describe", "entropy", "models", "networks", "pixels", "precision", "session"),
    *("groups", "planes", "source", "tables"),
}
CODEC = BASE | PARTS

LADDER: dict[str, set[str]] = {
    "__init__": BASE | {"api", "codec", "describe", "latents", "pillow_plugin"},
    "__main__": {"cli"},
    "version": {"_core"},
    "errors": set(),
    "limits": {"errors"},
    "notes": set(),
    "remote": BASE,
    "source": BASE | {"remote"},
    "group_data": BASE | {"_core"},
    "damaged_sections": {"_core"},
    "container": BASE | {"_core", "damaged_sections", "group_data"},
    "tables": BASE | {"_core"},
    "entropy": BASE | {"_core", "tables"},
    "model_folders": set(),
    "model_bundle": BASE | {"model_folders"},
    "models": BASE | {"model_bundle", "model_folders"},
    "describe": BASE | {"_core", "container", "model_folders", "source"},
    "directories": set(),
    "exif": {"directories"},
    "modes": BASE | {"exif", "raster"},
    "parallel": set(),
    "png": {"parallel"},
    "jpeg": set(),
    "tiff": {"directories"},
    "deep": BASE | {"png", "raster"},
    "png_rows": set(),
    "jpeg_scans": set(),
    "cut_short": BASE | {"jpeg_scans", "png_rows", "raster"},
    "planes": set(),
    "raster": {"conceal"},
    "alpha": BASE | {"raster", "conceal", "png_rows"},
    "boxes": BASE,
    "fits": BASE,
    "reasons": BASE,
    "picture_notes": {"raster"},
    "pixels": BASE
    | {"alpha", "boxes", "cut_short", "deep", "exif", "fits", "modes", "opening", "picture_notes", "raster"}
    | {"source"},
    "opening": BASE | {"container", "deep", "png_metadata", "reasons"},
    "png_metadata": BASE | {"modes", "picture_notes"},
    "metadata": BASE,
    "sections": BASE | {"alpha", "container", "damaged_sections", "metadata", "pixels", "post_filter"},
    "orientation": {"exif", "pixels"},
    "forks": set(),
    "session": BASE | {"forks"},
    "precision": BASE | {"_core", "model_bundle", "session"},
    "runtime": BASE | {"precision", "session"},
    "windows": set(),
    "groups": {"container"},
    "scale_networks": BASE | {"_core", "model_bundle", "session"},
    "onnx_file": BASE,
    "cutting": BASE | {"onnx_file"},
    "half": BASE | {"onnx_file"},
    "post_filter": BASE | {"onnx_file"},
    "filter_choice": {"blocks", "container", "decoding", "groups", "loaded", "mode_decision", "networks"}
    | {"post_filter", "raster", "region"},
    "networks": BASE
    | {"cutting", "forks", "half", "model_bundle", "parallel", "post_filter", "precision", "scale_networks"}
    | {"session", "windows"},
    "rolling": {"groups"},
    "loaded": {"container", "errors", "groups", "model_bundle", "networks", "tables"},
    "quality_search": set(),
    "kept_blocks": {"quality_search"},
    "rate_control": BASE | {"kept_blocks", "quality_search"},
    "options": BASE | {"describe", "rate_control"},
    "conceal": set(),
    "colours": set(),
    "block_sheet": BASE,
    "blocks": BASE | {"block_sheet", "colours", "conceal", "groups", "parallel", "raster"},
    "block_choice": {"block_sheet", "blocks", "colours", "networks", "parallel", "raster"},
    "metrics": BASE,
    "region": BASE | {"container", "windows"},
    "encoding": CODEC | {"blocks", "loaded", "parallel", "raster", "rolling", "scale_networks", "windows"},
    "decoding": CODEC | {"loaded", "parallel", "post_filter", "region", "rolling", "windows"},
    "mode_decision": {"block_choice", "blocks", "container", "decoding", "encoding"}
    | {"groups", "loaded", "raster"},
    "datapath": CODEC
    | {"blocks", "conceal", "decoding", "filter_choice", "loaded", "mode_decision", "post_filter", "region"}
    | {"sections"},
    "preview": CODEC | {"blocks", "datapath", "decoding", "loaded", "sections"},
    "thumbnail": BASE | {"container", "pixels", "raster", "sections"},
    "model_loader": BASE
    | {
        "container",
        "forks",
        "loaded",
        "model_bundle",
        "models",
        "networks",
        "parallel",
        "precision",
        "session",
    }
    | {"session", "tables"},
    "file_encoder": BASE
    | {"container", "datapath", "loaded", "mode_decision", "options", "pixels", "quality_search", "raster"}
    | {"rate_control", "sections", "thumbnail"},
    "codec": CODEC
    | {
        "datapath",
        "file_encoder",
        "loaded",
        "model_bundle",
        "model_loader",
        "notes",
        "options",
        "orientation",
        "preview",
    }
    | {"quality_search", "rate_control", "region", "runtime", "thumbnail"},
    "api": BASE
    | {
        "codec",
        "groups",
        "model_folders",
        "models",
        "notes",
        "orientation",
        "pixels",
        "precision",
        "runtime",
        "session",
        "source",
    },
    "pillow_plugin": BASE
    | {
        "api",
        "container",
        "decoding",
        "exif",
        "metadata",
        "models",
        "modes",
        "notes",
        "options",
        "pixels",
        "preview",
        "rate_control",
        "sections",
    },
    "integrations": BASE
    | {
        "api",
        "codec",
        "container",
        "models",
        "options",
        "pixels",
        "precision",
        "rate_control",
        "runtime",
        "session",
    },
    "latents": CODEC
    | {
        "api",
        "codec",
        "conceal",
        "cutting",
        "datapath",
        "decoding",
        "encoding",
        "loaded",
        "model_bundle",
        "notes",
        "options",
        "orientation",
        "windows",
    },
    "cli": CODEC
    | {
        "cli",
        "codec",
        "deep",
        "exif",
        "jpeg",
        "latents",
        "metrics",
        "opening",
        "options",
        "orientation",
        "parallel",
        "picture_notes",
        "png",
        "preview",
        "raster",
        "rate_control",
        "region",
        "remote",
        "thumbnail",
        "tiff",
        "version",
    },
}
HEAVY = {
    "onnxruntime": {"session"},
    "numpy": {
        *("cli", "integrations", "metrics", "entropy", "modes", "deep", "alpha", "pixels", "orientation"),
        *("windows", "networks", "blocks", "conceal", "datapath", "preview", "codec", "png", "raster"),
        *("rolling", "loaded", "encoding", "decoding", "block_choice", "colours", "latents", "thumbnail"),
        *("groups", "jpeg", "tiff", "scale_networks", "tables", "planes", "cut_short"),
        *("block_sheet", "filter_choice", "half", "mode_decision", "post_filter"),
    },
    "PIL": {
        *("modes", "deep", "alpha", "pixels", "png", "raster", "blocks", "codec", "api", "pillow_plugin"),
        *("cli", "opening", "block_choice", "exif", "latents", "thumbnail", "jpeg", "tiff"),
        *("png_metadata", "integrations", "cut_short", "jpeg_scans", "block_sheet"),
        *("boxes", "fits", "picture_notes", "reasons"),
    },
    "torch": set(),
    "onnx": set(),
}


def runtime_files():
    files = sorted(PACKAGE.rglob("*.py"))
    return [p for p in files if p.relative_to(PACKAGE).parts[0] not in ("training", "core")]


def unit(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """(top-level package, first part below aecodec or None) of every import, however deep in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield parts[0], parts[1] if parts[0] == "aecodec" and len(parts) > 1 else None


@pytest.mark.parametrize("path", runtime_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_ladder(path):
    allowed = LADDER[unit(path)]  # a new module has to be given its place
    for package, below in imports(path):
        assert package not in ("export", "benchmarks", "tests"), path
        if package == "aecodec":
            assert below in allowed | {unit(path)}, f"{path.name} must not import aecodec.{below}"
        if package in HEAVY:
            assert unit(path) in HEAVY[package], f"{path.name} must not import {package}"


def test_ladder_sees_the_package():
    assert {unit(p) for p in runtime_files()} == set(LADDER)
    assert ("onnxruntime", None) in set(imports(PACKAGE / "session.py"))
