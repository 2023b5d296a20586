"""Models of the family that are not trained: bundles with RANDOM weights, for their speed alone.

Layers take the time of trained ones. What they make is noise, and how many symbols there are to code is an
accident: so the float networks are timed alone, too. All units of a random network act, so nothing is pruned
(export/prune.py). Needs torch and onnx.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import graphs, pictures
from benchmarks.codecs import aecodec_codec, make
from benchmarks.timing import alternate, spread

SIZES = ("nano", "fast", "std", "hq")
SEED = 1
CROPS = 4
"""Crops of the picture itself that ranges and tables are fitted to: enough for speed."""


def check(sizes: list[str]) -> None:
    """ValueError for what cannot be built, before anything is measured."""
    if unknown := set(sizes) - set(SIZES):
        raise ValueError(f"no size {', '.join(sorted(unknown))}; there are {', '.join(SIZES)}")
    missing = [name for name in ("torch", "onnx") if importlib.util.find_spec(name) is None]
    if sizes and missing:
        raise ValueError(f"--sizes: pip install {' '.join(missing)}")


def write(size: str, image: Image.Image, folder: Path) -> None:
    """A bundle of this size with random weights, whose ranges and tables fit the picture."""
    import torch

    from aecodec.training.config import Config
    from aecodec.training.model import SIZES as MODELS
    from aecodec.training.model import CodecModel
    from export.bundle import write_bundle
    from export.exact_int8 import exact_graphs
    from export.int8 import calibrated
    from export.tables import fit_tables

    torch.manual_seed(SEED)
    model = CodecModel(MODELS[size]).eval()
    crop = torch.from_numpy(pictures.pixels(image)[:256, :256].copy()).permute(2, 0, 1)
    cfg: dict[str, Any] = {**vars(Config(size=size)), "step": 0}
    samples = calibrated(model, "relu", [crop], CROPS)
    tables = fit_tables(model, [crop], crop=256)
    write_bundle(model, cfg, tables, f"{size}-random", folder, samples, exact=exact_graphs(model))


def measure(
    sizes: list[str], images: list[Image.Image], quality: float, threads: int, rounds: int
) -> dict[str, Any]:
    """{size: {"graphs", title: {precision: {"encode", "decode": times}}}}, printed as it comes."""
    found: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, f"{size}-random")
            write(size, images[0], folder)
            found[size] = _times(size, folder, images, quality, threads, rounds)
    return found


def _times(
    size: str, folder: Path, images: list[Image.Image], quality: float, threads: int, rounds: int
) -> dict[str, Any]:
    used = {p: make(f"aecodec:{folder}@{p}", threads) for p in ("int8", "fp32")}
    own = used["fp32"]
    assert isinstance(own, aecodec_codec.Aecodec)
    result: dict[str, Any] = {}
    print(f"\n{size} with RANDOM weights (speed only): milliseconds, median (megapixels a second)")
    for image in images:
        title = f"{image.width} x {image.height}"
        jobs: dict[str, Callable[[], object]] = {}
        for precision, codec in used.items():
            data = codec.encode(image, quality)
            _networks(codec, image)()
            jobs[f"{precision} encode"] = partial(codec.encode, image, quality)
            jobs[f"{precision} decode"] = _decoder(codec, data)
            jobs[f"{precision} float networks"] = _networks(codec, image)
        times = alternate(jobs, max(3, rounds // 2))
        rows = {name: spread(seconds, image.width * image.height) for name, seconds in times.items()}
        result[title] = rows
        for name, row in rows.items():
            print(f"  {title:12} {name:20} {row['ms']:9.1f}  ({row['megapixels_per_second']:.2f})")
    result["graphs"] = graphs.beside_peak(own.codec.bundle, images[0].size, threads, rounds)
    return result


def _decoder(codec: Any, data: bytes) -> Callable[[], object]:
    """decode() of a file whose model is not among the installed ones."""
    return lambda: codec.codec.decode_picture(data)


def _networks(codec: Any, image: Image.Image) -> Callable[[], object]:
    """analysis, context and synthesis alone, on numbers like a picture's."""
    networks = codec.codec._loader.load(codec.codec.bundle).networks
    width, height = (-(-side // 64) * 64 for side in image.size)
    feed = graphs.feeds(codec.codec.bundle, width, height)
    quality = np.array([37.8], np.float32)

    def run() -> None:
        networks.analysis(feed["analysis"]["x"], quality)
        context = feed["context"]
        networks.context(context["y"], context["z_hat"], quality, context["index_first"])
        networks.synthesis(feed["synthesis"]["symbols"], feed["synthesis"]["z_hat"], quality)

    return run
