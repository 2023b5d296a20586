"""Which model: a name, a folder, a tune or the id in a file -> Bundle.

model_folders.py says where bundles lie, model_bundle.py reads and verifies one. No numpy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from aecodec import model_folders
from aecodec.errors import ModelError, UsageError
from aecodec.model_bundle import Bundle, load
from aecodec.model_folders import PATH_VARIABLE

TUNES = {"psnr": "", "perceptual": "-perceptual"}
"""What models are trained for, and how their names end: PSNR alone, or what people see, too."""


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


def called(model_id: bytes) -> str:
    """How messages call a model: by its name, where it is installed, and its id."""
    names = (bundle.name for bundle in installed() if bundle.model_id == model_id and bundle.base is None)
    name = next(names, None)
    return model_id.hex() if name is None else f"{name} ({model_id.hex()})"


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
