"""An encoder for a decoder that exists: its analysis, and a manifest that takes the rest from that bundle.

The files such an encoder makes carry the model id of the other bundle, and any decoder that has it reads
them.  That holds because tables and scale networks are those of the other bundle, and its float graphs
compute what this model's decoder does; both are checked.  docs/format.md, "Coding tables"."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aecodec.model_bundle import ENCODER_ONLY, EXACT, Bundle, load
from aecodec.session import open_session
from aecodec.training.model import CodecModel

from .bundle import identity_of
from .compact import compact
from .graphs import all_graphs
from .int8 import calibrated
from .int8_encoder import analysis
from .prune import prune
from .verify import INT8_LATENTS, LATENT_TOLERANCE, too_far

TRAINED = ("noise", "noise_low", "noise_high", "noise_clean")
LEVELS = (0.0, 20.4, 63.0)


def write_encoder(
    model: CodecModel,
    cfg: dict[str, Any],
    base: Path,
    name: str,
    folder: Path,
    pictures: list[Tensor],
    int8: bool = True,
) -> dict[str, Any]:
    """Write the bundle of an encoder that was trained alone, beside `base`; returns the manifest.

    pictures: uint8 [3, H, W], on which ranges and hidden units that never act are looked for.  ValueError
    when the two folders are not beside each other, or when the decoder of `base` is not this model's."""
    if base.resolve().parent != folder.resolve().parent or base.resolve() == folder.resolve():
        raise ValueError(f"{folder} must lie beside {base}, whose files it shares")
    bundle = load(base)
    _check_decoder(model, cfg, bundle, pictures[0])
    if cfg["activation"] == "relu":
        prune(model, pictures)
    made = {f"{ENCODER_ONLY}.onnx": all_graphs(model, cfg["activation"])[f"{ENCODER_ONLY}.onnx"]}
    manifest: dict[str, Any] = json.loads(json.dumps(bundle.manifest))
    files, precisions = manifest["files"], manifest.get("precisions", {})
    for graphs in precisions.values():
        files.pop(graphs.pop(ENCODER_ONLY, ""), None)
    if int8 and "int8" in precisions and (samples := calibrated(model, cfg["activation"], pictures)):
        made[f"{ENCODER_ONLY}.int8.onnx"] = analysis(model, samples)
        precisions["int8"][ENCODER_ONLY] = f"{ENCODER_ONLY}.int8.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    for file, graph in made.items():
        data = compact(graph).SerializeToString()
        (folder / file).write_bytes(data)
        files[file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest["name"] = name
    manifest["base"] = {"folder": base.name}
    manifest["identity"] = identity_of(base)
    manifest["trained"] |= {k: cfg[k] for k in (*manifest["trained"], *TRAINED) if k in cfg}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


@torch.no_grad()
def _check_decoder(model: CodecModel, cfg: dict[str, Any], bundle: Bundle, picture: Tensor) -> None:
    graphs = all_graphs(model, cfg["activation"])
    hashes = {name: hashlib.sha256(graphs[name].SerializeToString()).hexdigest() for name in EXACT[1:]}
    other = [name for name, found in hashes.items() if found != bundle.manifest["files"][name]["sha256"]]
    height, width = (min(256, side // 64 * 64) for side in picture.shape[1:])
    x = picture[None, :, :height, :width].float() / 255
    session = open_session(bundle.read("synthesis.onnx"), "cpu")
    for level in LEVELS:
        out = model(x, torch.tensor([level]), exact=True, hard=True)
        feed = {"symbols": out.symbols.numpy(), "z_hat": out.z_hat.numpy()}
        (x_hat,) = session.run(["x_hat"], feed | {"quality": np.array([level], np.float32)})
        if too_far(bundle, x_hat, out.x_hat.clamp(0, 1).numpy()):
            other.append(f"synthesis.onnx at level {level}")
    if other:
        raise ValueError(
            f"{bundle.path}: {', '.join(other)} is not what this model's decoder does, so it would not read "
            "files of its encoder as they are meant; train with train_only = 'encoder' from its weights"
        )


@torch.no_grad()
def check_encoder(model: CodecModel, folder: Path, picture: np.ndarray) -> float:
    """Largest difference of analysis.onnx to torch on x [1, 3, H, W], as a share of the largest latent.

    ValueError when it is above the tolerance of a whole bundle."""
    bundle = load(folder)
    forms = [open_session(bundle.read(bundle.file_of(ENCODER_ONLY, p)), "cpu") for p in ("fp32", "int8")]
    worst = 0.0
    for level in LEVELS:
        feed = {"x": picture, "quality": np.array([level], np.float32)}
        y, in_int8 = (form.run(["y"], feed)[0] for form in forms)
        if not np.sqrt(np.square(in_int8 - y).mean()) <= INT8_LATENTS:
            raise ValueError(f"{folder}: at level {level} analysis in int8 is too far from the float one")
        given = torch.tensor([level])
        wanted = (model.g_a(torch.from_numpy(picture), given) * model.gain(given)).numpy()
        error = float(np.abs(y - wanted).max() / max(1.0, np.abs(wanted).max()))
        if not error <= LATENT_TOLERANCE:
            raise ValueError(
                f"{folder / ENCODER_ONLY}.onnx disagrees with torch by {error:.1e} of the largest latent"
            )
        worst = max(worst, error)
    return worst
