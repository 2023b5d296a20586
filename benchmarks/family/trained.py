"""Runs -> bundles, each trained once: a run whose settings and data have not changed is not repeated."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from aecodec.latents.autoencoder import Autoencoder
from aecodec.training.family.data import Pictures, load
from benchmarks.family.plan import Run

SIDE = 32
GREY = ("tiles",)


def load_sets(sources: dict[str, str]) -> dict[str, Pictures]:
    """{"digits": "digits", "mnist": FILE, ...} -> the pictures of each."""
    return {name: load(source, SIDE, name in GREY) for name, source in sources.items()}


def key(run: Run, scale: float, pictures: Pictures) -> str:
    """Changes with the settings, the number of steps and the training pictures."""
    cfg = run.config(scale)
    settings = {k: v for k, v in sorted(vars(cfg).items()) if k not in ("out", "threads")}
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(np.ascontiguousarray(pictures.train))
    return digest.hexdigest()[:16]


def train_one(run: Run, scale: float, pictures: Pictures, folder: Path) -> float:
    """Trains and exports one autoencoder into `folder`; seconds of a core that training took."""
    import torch

    from aecodec.training.family.train import FamilyTrainer
    from export.autoencoder import write_autoencoder

    torch.set_num_threads(1)
    cfg = run.config(scale)
    cfg.out = str(folder)
    trainer = FamilyTrainer(cfg, pictures)
    began = time.process_time()
    trainer.run(say=lambda _: None)
    seconds = time.process_time() - began
    write_autoencoder(trainer.model, cfg, run.name, folder)
    (folder / "key.json").write_text(json.dumps({"key": key(run, scale, pictures), "seconds": seconds}))
    return seconds


def train_all(
    runs: list[Run], sets: dict[str, Pictures], folder: Path, scale: float = 1.0, jobs: int = 2
) -> dict[str, Autoencoder]:
    """{run's name: its autoencoder in ONNX Runtime}; `jobs` processes of one thread; 0: in this one."""
    from tqdm import tqdm

    waiting = [r for r in runs if _kept_key(folder / r.name) != key(r, scale, sets[r.data])]
    with tqdm(total=len(waiting), desc="training", unit="run") as bar:
        for run, seconds in _trained(waiting, sets, folder, scale, jobs):
            bar.set_postfix_str(f"{run.name} {seconds:.0f} s")
            bar.update()
    return {run.name: Autoencoder.load(folder / run.name, threads=1) for run in runs}


def _trained(
    runs: list[Run], sets: dict[str, Pictures], folder: Path, scale: float, jobs: int
) -> Iterator[tuple[Run, float]]:
    """Runs as they end, and their seconds."""
    if not jobs:
        for run in runs:
            yield run, train_one(run, scale, sets[run.data], folder / run.name)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        futures = {pool.submit(train_one, r, scale, sets[r.data], folder / r.name): r for r in runs}
        for future in as_completed(futures):
            yield futures[future], future.result()


def training_seconds(runs: list[Run], folder: Path) -> float:
    """Seconds of a core, of all runs together, as measured when each was trained."""
    return sum(json.loads((folder / r.name / "key.json").read_text())["seconds"] for r in runs)


def _kept_key(folder: Path) -> str:
    try:
        return str(json.loads((folder / "key.json").read_text())["key"])
    except (OSError, ValueError, KeyError):
        return ""
