"""aecodec itself. `aecodec` is the default model, `aecodec:NAME` or `aecodec:FOLDER` another bundle;
`aecodec@fp32` and `aecodec:NAME@int8` compute in this precision, without it in that of `auto`;
`aecodec+1` and `aecodec:NAME+1@int8` encode with this effort."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

import aecodec
from aecodec import _core, model_bundle, models, precision
from aecodec.errors import AecodecError
from aecodec.options import Options
from aecodec.precision import Precision
from aecodec.session import wheels
from benchmarks.codecs.base import ImageCodec, Pixels

FORM = re.compile(r"aecodec(:(?P<model>.+?))?(\+(?P<effort>\d+))?(@(?P<precision>\w+))?")
QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90)


def source_hash() -> str:
    """8 hex digits of the package's Python files and C core: a changed codec must not inherit old rows."""
    digest = hashlib.sha256()
    folder = Path(aecodec.__file__).parent
    for path in (*sorted(folder.glob("*.py")), Path(_core.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def bundle_hash(bundle: model_bundle.Bundle) -> str:
    """8 hex digits of all graphs: a model exported anew keeps its id, and may compute otherwise."""
    files = {name: entry["sha256"] for name, entry in bundle.manifest["files"].items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:8]


class Aecodec:
    def __init__(
        self,
        name: str,
        model: str | None,
        threads: int | None,
        wanted: Precision = "auto",
        effort: int = 0,
    ) -> None:
        self.codec = aecodec.Codec(model=model, device="cpu", threads=threads, precision=wanted)
        bundle = self.codec.bundle
        self.precision = precision.choose(wanted, bundle, "cpu")
        self.name, self.model_id, self.effort = name, bundle.model_id.hex(), effort
        self.qualities: Sequence[float] = QUALITIES
        runtime = " ".join(f"{wheel} {version}" for wheel, version in wheels().items())
        graphs = f"model {bundle.name} {self.model_id} {self.precision}, graphs {bundle_hash(bundle)}"
        self.version = f"{graphs}, source {source_hash()}, {runtime}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        return self.codec.encode(image, quality, effort=self.effort)

    def decode(self, data: bytes) -> Pixels:
        return np.asarray(self.codec.decode(data))


def parts_of(name: str) -> tuple[str | None, str, str]:
    """Model, effort and precision of `aecodec:MODEL+EFFORT@PRECISION`, as far as they are there."""
    parts = FORM.fullmatch(name)
    return (parts["model"], parts["effort"] or "", parts["precision"] or "") if parts else (None, "", "")


def make(name: str, threads: int | None) -> ImageCodec:
    model, effort, wanted = parts_of(name)
    try:
        short = f"aecodec:{models.find(model).name}" if model else "aecodec"
        short += (effort and f"+{effort}") + (wanted and f"@{wanted}")
        known = Options(effort=int(effort or 0)).effort
        return Aecodec(short, model, threads, cast(Precision, wanted or "auto"), known)
    except AecodecError as error:
        raise ValueError(f"codec {name}: {error}") from None
