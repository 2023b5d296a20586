"""An encoder for a decoder that exists: analysis.onnx and a manifest that takes the rest from that bundle.

The files such an encoder makes carry the model id of the other bundle, and any decoder that has it reads
them.  That holds because every other graph comes out byte for byte as in the other bundle, which is
checked.  docs/format.md, "Bundles"."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from aecodec.models import ENCODER_ONLY, load
from aecodec.session import open_session
from aecodec.training.model import CodecModel

from .graphs import all_graphs
from .previews import preview_graphs
from .verify import LATENT_TOLERANCE

TRAINED = ("noise", "noise_low", "noise_high", "noise_clean")


def write_encoder(
    model: CodecModel, cfg: dict[str, Any], base: Path, name: str, folder: Path
) -> dict[str, Any]:
    """Write the bundle of an encoder that was trained alone, beside `base`; returns the manifest.

    ValueError when the two folders are not beside each other, or when a graph that a decoder runs differs
    from that of `base`."""
    if base.resolve().parent != folder.resolve().parent or base.resolve() == folder.resolve():
        raise ValueError(f"{folder} must lie beside {base}, whose files it shares")
    manifest: dict[str, Any] = json.loads(json.dumps(load(base).manifest))
    graphs = all_graphs(model, cfg["activation"]) | preview_graphs(model, cfg["activation"])
    hashes = {file: hashlib.sha256(graph.SerializeToString()).hexdigest() for file, graph in graphs.items()}
    files = manifest["files"]
    changed = [f for f, h in hashes.items() if f in files and f != ENCODER_ONLY and h != files[f]["sha256"]]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} would differ from {base}, so its decoder could not read the files; train "
            f"with train_only = 'encoder' from the weights of that bundle, and export with its onnx version "
            f"{manifest['onnx']} (here: {onnx.__version__})"
        )
    folder.mkdir(parents=True, exist_ok=True)
    data = graphs[ENCODER_ONLY].SerializeToString()
    (folder / ENCODER_ONLY).write_bytes(data)
    manifest["name"] = name
    manifest["base"] = {"folder": base.name, "sha256": files[ENCODER_ONLY]["sha256"]}
    files[ENCODER_ONLY] = {"sha256": hashes[ENCODER_ONLY], "bytes": len(data)}
    manifest["trained"] |= {k: cfg[k] for k in (*manifest["trained"], *TRAINED) if k in cfg}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


@torch.no_grad()
def check_encoder(model: CodecModel, folder: Path, picture: np.ndarray) -> float:
    """Largest difference of analysis.onnx to torch on x [1, 3, H, W], as a share of the largest latent.

    ValueError when it is above the tolerance of a whole bundle."""
    session = open_session(load(folder).read(ENCODER_ONLY), "cpu")
    worst = 0.0
    for level in (0.0, 20.4, 63.0):
        y = session.run(["y"], {"x": picture, "quality": np.array([level], np.float32)})[0]
        given = torch.tensor([level])
        wanted = (model.g_a(torch.from_numpy(picture), given) * model.gain(given)).numpy()
        worst = max(worst, float(np.abs(y - wanted).max() / max(1.0, np.abs(wanted).max())))
    if worst > LATENT_TOLERANCE:
        raise ValueError(f"{folder / ENCODER_ONLY} disagrees with torch by {worst:.1e} of the largest latent")
    return worst
