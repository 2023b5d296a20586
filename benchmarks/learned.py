"""Learned codecs beside aecodec in one run: CompressAI's own where it is installed, and their shapes.

Two kinds of rows, both with random weights, whose layers cost what trained ones cost:
  CompressAI NAME  the package's compress() and decompress(), entropy coder included
  shape of NAME    torch networks of the same layers (learned_shapes.py), without entropy coding: less work
                   than the codec itself has
aecodec is timed whole, from pixels to bytes and back.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from PIL import Image

from benchmarks import pictures
from benchmarks.codecs import ImageCodec, compressai_networks
from benchmarks.timing import alternate, spread


class Network(Protocol):
    def encode(self, x: Any) -> Any: ...

    def decode(self, coded: Any) -> Any: ...


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def check(names: list[str]) -> None:
    """ValueError without torch or for an unknown name, before anything is measured."""
    if not has_torch():
        raise ValueError("learned networks: pip install torch")
    if unknown := set(names) - set(compressai_networks.MODELS):
        known = ", ".join(compressai_networks.MODELS)
        raise ValueError(f"no learned network {', '.join(sorted(unknown))}; there are {known}")


def available(names: list[str]) -> tuple[dict[str, Network], list[str]]:
    """-> {label: network}, what is missing and why."""
    from benchmarks import learned_shapes

    check(names)
    found: dict[str, Network] = {}
    missing = []
    for name in names:
        try:
            found[f"CompressAI {name}"] = compressai_networks.Network(name)
        except ValueError as error:
            missing.append(str(error))
        found[f"shape of {name}"] = learned_shapes.make(name)
    return found, missing


def to_tensor(image: Image.Image) -> Any:
    """float [1, 3, H, W] in 0..1, padded at the right and below by copies of the edge."""
    import torch

    from benchmarks.learned_shapes import LARGEST_STEP

    height, width = image.height, image.width
    pad = [(0, -height % LARGEST_STEP), (0, -width % LARGEST_STEP), (0, 0)]
    padded = np.pad(pictures.pixels(image), pad, mode="edge").astype(np.float32) / 255
    return torch.from_numpy(padded.transpose(2, 0, 1)[None].copy())


def measure(
    ours: ImageCodec, quality: float, image: Image.Image, names: list[str], threads: int, rounds: int
) -> dict[str, Any]:
    """{"rows": {label: {"encode" / "decode": times, "parameters"}}, "ratios", "missing", "torch"}"""
    networks, missing = available(names)
    import torch

    torch.set_num_threads(threads)
    x = to_tensor(image)
    data = ours.encode(image, quality)
    jobs: dict[str, Callable[[], object]] = {
        f"{ours.name} encode": partial(ours.encode, image, quality),
        f"{ours.name} decode": partial(ours.decode, data),
    }
    for label, network in networks.items():
        coded = network.encode(x)  # warms up, too
        network.decode(coded)
        jobs[f"{label} encode"] = partial(network.encode, x)
        jobs[f"{label} decode"] = partial(network.decode, coded)
    times = alternate(jobs, rounds)
    rows: dict[str, Any] = {
        label: {
            what: spread(times[f"{label} {what}"], image.width * image.height)
            for what in ("encode", "decode")
        }
        for label in (ours.name, *networks)
    }
    for label, network in networks.items():
        module = getattr(network, "model", network)
        rows[label]["parameters"] = sum(p.numel() for p in module.parameters())
    own = rows[ours.name]
    ratios = {
        label: {what: rows[label][what]["ms"] / own[what]["ms"] for what in ("encode", "decode")}
        for label in networks
    }
    return {
        "rows": rows,
        "ratios": ratios,
        "missing": missing,
        "torch": torch.__version__,
        "weights": "random",
    }


def report(title: str, found: dict[str, Any]) -> None:
    print(
        f"\nlearned codecs, {title}, torch {found['torch']}: RANDOM weights, milliseconds (x aecodec's time)"
    )
    print("  'shape of': networks of the same layer shapes alone, without entropy coding")
    for label, row in found["rows"].items():
        cells = ""
        for what in ("encode", "decode"):
            ratio = found["ratios"].get(label)
            multiple = f"({ratio[what]:.1f} x)" if ratio else ""
            cells += f"  {what} {row[what]['ms']:9.1f} {multiple:10}"
        print(f"  {label:28}{cells}")
    for reason in found["missing"]:
        print(f"  not here: {reason}")
