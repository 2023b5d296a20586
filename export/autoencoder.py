"""A small autoencoder's weights -> encoder.onnx, decoder.onnx, manifest.json (docs/autoencoders.md)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto

from aecodec.latents.autoencoder import FORMAT, VERSION
from aecodec.latents.autoencoder import Autoencoder as Exported
from aecodec.training.family.config import FamilyConfig
from aecodec.training.family.networks import LOG_VARIANCE_MIN, Autoencoder
from aecodec.training.family.train import KIND, load_autoencoder

from .builder import OPSET, GraphBuilder, to_numpy
from .finished import finished

F32 = TensorProto.FLOAT
TOLERANCE = 1e-3
"""Largest difference to torch, as a share of the largest value or of 1, what is larger."""


def is_autoencoder(checkpoint: str) -> bool:
    """Whether a file is weights.pt of a small autoencoder; False for anything else, also for no file."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception:  # whatever it is, the codec's loader says it better
        return False
    return isinstance(state, dict) and state.get("kind") == KIND


def linear(g: GraphBuilder, x: str, layer: Any) -> str:
    """nn.Linear or TiedLinear: x [B, n] -> [B, m]."""
    return g.op("Gemm", x, g.const(to_numpy(layer.weight)), g.const(to_numpy(layer.bias)), transB=1)


def activate(g: GraphBuilder, x: str, kind: str) -> str:
    if kind == "linear":
        return x
    return g.op("Sigmoid", x) if kind == "sigmoid" else g.act(x, kind)


def encoder_graph(model: Autoencoder) -> onnx.ModelProto:
    """x [B, C, H, W] -> h [B, D] and, of a variational one, std [B, D]."""
    shape, net = model.shape, model.encoder
    g = GraphBuilder("encoder")
    h = g.input("x", F32, ["B", *shape.input])
    for conv in net.convs:
        h = g.conv(h, to_numpy(conv.weight), to_numpy(conv.bias), stride=2, pad=1)
        h = activate(g, h, shape.activation)
    h = g.op("Flatten", h, axis=1)
    for layer in net.layers:
        h = activate(g, linear(g, h, layer), shape.activation)
    mean = activate(g, linear(g, h, net.head), shape.latent_activation)
    outputs: dict[str, tuple[str, int, Any]] = {"h": (mean, F32, ["B", shape.latent])}
    if net.spread is not None:
        log_variance = g.op("Max", linear(g, h, net.spread), g.const(LOG_VARIANCE_MIN))
        std = g.op("Exp", g.op("Mul", log_variance, g.const(0.5)))
        outputs["std"] = (std, F32, ["B", shape.latent])
    return g.finish(outputs)


def decoder_graph(model: Autoencoder) -> onnx.ModelProto:
    """h [B, D] -> x_hat [B, C, H, W]."""
    shape, net = model.shape, model.decoder
    g = GraphBuilder("decoder")
    h = g.input("h", F32, ["B", shape.latent])
    for i, layer in enumerate(net.layers):
        h = linear(g, h, layer)
        if net.convs or i < len(net.layers) - 1:
            h = activate(g, h, shape.activation)
    if net.convs:
        h = g.op("Reshape", h, g.const([-1, *net.grid], np.int64))
        for i, conv in enumerate(net.convs):
            h = activate(g, h, shape.activation) if i else h
            h = g.shuffle(g.conv(h, to_numpy(conv.weight), to_numpy(conv.bias), pad=1), 2)
    else:
        h = g.op("Reshape", h, g.const([-1, *shape.input], np.int64))
    return g.finish({"x_hat": (activate(g, h, shape.output), F32, ["B", *shape.input])})


def write_autoencoder(model: Autoencoder, cfg: FamilyConfig, name: str, folder: Path) -> dict[str, Any]:
    """Write the bundle, compare it with torch, return its manifest. ValueError when they disagree."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for file, graph in (("encoder.onnx", encoder_graph(model)), ("decoder.onnx", decoder_graph(model))):
        data = graph.SerializeToString()
        (folder / file).write_bytes(data)
        files[file] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "objective": cfg.variant(),
        "variational": model.shape.variational,
        "input": list(model.shape.input),
        "latent": model.shape.latent,
        "opset": OPSET,
        "trained": {key: value for key, value in vars(cfg).items() if key not in ("out", "threads")},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    check(model, folder)
    return manifest


@torch.no_grad()
def check(model: Autoencoder, folder: Path) -> None:
    """ONNX Runtime against torch on random pictures. ValueError names the graph that disagrees."""
    model.eval()
    exported = Exported.load(folder)
    x = torch.rand(5, *model.shape.input, generator=torch.Generator().manual_seed(0))
    mean, log_variance = model.encoder(x)
    pairs = {
        "encoder.onnx, h": (mean.numpy(), exported.encode(x.numpy())),
        "decoder.onnx": (model.decoder(mean).clamp(0, 1).numpy(), exported.decode(mean.numpy())),
    }
    if log_variance is not None:
        std = (0.5 * log_variance).exp().numpy()
        pairs["encoder.onnx, std"] = (std, exported.encode_distribution(x.numpy())[1])
    for what, (wanted, found) in pairs.items():
        error = float(np.abs(wanted - found).max() / max(1.0, np.abs(wanted).max()))
        if not error <= TOLERANCE:
            raise ValueError(f"{folder}: {what} disagrees with torch by {error:.1e}")


def export_autoencoder(checkpoint: str, folder: Path, name: str | None = None) -> dict[str, Any]:
    """weights.pt of a small autoencoder's run -> its bundle in `folder`."""
    model, cfg = load_autoencoder(checkpoint)
    with finished(folder) as beside:
        return write_autoencoder(model, cfg, name or folder.name, beside)


def check_autoencoder(checkpoint: str, folder: Path) -> None:
    """weights.pt against a bundle that is there; nothing is written.  ValueError when they disagree."""
    check(load_autoencoder(checkpoint)[0], folder)
