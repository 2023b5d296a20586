"""Where model bundles lie: the folders in AECODEC_MODEL_PATH, and then those of this package.

Enough to tell the name of a file's model (`aecodec info`). model_bundle.py reads what is in them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

PATH_VARIABLE = "AECODEC_MODEL_PATH"
"""Each of its folders is a bundle or holds bundles."""
PACKAGED = os.path.join(os.path.dirname(__file__), "bundles")
MANIFEST = "manifest.json"


def folders() -> Iterator[str]:
    """Every folder that may be a bundle, in the order in which they are looked at; hidden ones are not."""
    places = [place for place in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if place]
    for place in [*places, PACKAGED]:
        if _has_manifest(place):
            yield place
        elif os.path.isdir(place):
            names = (name for name in sorted(os.listdir(place)) if not name.startswith("."))
            inside = (os.path.join(place, name) for name in names)
            yield from (folder for folder in inside if _has_manifest(folder))


def _has_manifest(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, MANIFEST))


def name_of(model_id: bytes) -> str | None:
    """The name of the bundle with this id, as its manifest states it; None where there is no such bundle.

    Nothing is verified: that is for models.find_id, when the model is needed. As there, one that is complete
    goes before encoders that share its decoder."""
    shared = None
    for folder in folders():
        try:
            with open(os.path.join(folder, MANIFEST), encoding="utf-8") as stream:
                manifest = json.load(stream)
            if manifest["model_id"] != model_id.hex():
                continue
            name = str(manifest["name"])
            if "base" not in manifest:
                return name
        except (OSError, ValueError, KeyError, TypeError):  # no bundle; `aecodec doctor` says why
            continue
        shared = shared or name
    return shared
