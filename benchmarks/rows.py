"""The rows of rd.py: one picture through one codec at one quality, there and back, measured or remembered."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from benchmarks import codecs, metrics, perceptual, pictures
from benchmarks.codecs import ImageCodec
from benchmarks.curves import METRICS, Row

FORMATS = (1, 2)
"""Of result files. Both have the same rows; 1 had one set of pictures and no "jobs" in its rows."""
BEST_PSNR = 100.0
"""Stands for equal pictures: JSON has no infinity."""


class Task(NamedTuple):
    codec: str
    path: Path
    quality: float
    threads: int | None
    jobs: int
    metrics: tuple[str, ...]
    """Those still to be measured."""
    known: Row | None
    """A row that has the rest."""


class RowKey(NamedTuple):
    codec: str
    version: str
    picture: str
    sha256: str
    quality: float


class Outcome(NamedTuple):
    """A row, or why there is none."""

    row: Row | None
    problem: str


def key_of(row: Row) -> RowKey:
    return RowKey(row["codec"], row["version"], row["picture"], row["sha256"], float(row["quality"]))


def missing(row: Row | None, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics of wanted that a row does not have; a picture too small for one has None there."""
    return tuple(name for name in wanted if row is None or METRICS[name].key not in row)


_codecs: dict[tuple[str, int | None], ImageCodec] = {}


def codec_of(name: str, threads: int | None) -> ImageCodec:
    """Made and warmed up once in each process."""
    if (name, threads) not in _codecs:
        codec = codecs.make(name, threads)
        codec.decode(codec.encode(pictures.blank(64, 64), codec.qualities[0]))
        _codecs[name, threads] = codec
    return _codecs[name, threads]


def distance(metric: str, original: metrics.Pixels, decoded: metrics.Pixels) -> float | None:
    """None where the picture is too small for the metric."""
    smallest: dict[str, tuple[int, Callable[[metrics.Pixels, metrics.Pixels], float]]] = {
        "psnr": (1, metrics.psnr),
        "ms-ssim": (metrics.SHORTEST_SIDE, metrics.ms_ssim),
        "ssimulacra2": (perceptual.SIDE, perceptual.ssimulacra2),
    }
    side, measure_it = smallest[metric]
    if min(original.shape[:2]) < side:
        return None
    value = measure_it(original, decoded)
    return min(value, BEST_PSNR) if metric == "psnr" else value


def measure(task: Task) -> Row:
    """One picture at one quality, there and back.

    A known row of the same bytes is kept and gets what it lacks."""
    codec = codec_of(task.codec, task.threads)
    image = pictures.load(task.path)
    original = pictures.pixels(image)
    begin = time.perf_counter()
    data = codec.encode(image, task.quality)
    encoded = time.perf_counter()
    decoded = codec.decode(data)
    end = time.perf_counter()
    if decoded.shape != original.shape:
        raise ValueError(f"the picture came back as {decoded.shape}, not {original.shape}")
    wanted = set(task.metrics)
    row = task.known
    if row is None or row["bytes"] != len(data):
        wanted |= {name for name, metric in METRICS.items() if row and metric.key in row}
        row = {
            "codec": codec.name,
            "version": codec.version,
            "picture": task.path.name,
            "sha256": pictures.fingerprint(task.path),
            "quality": task.quality,
            "bytes": len(data),
            "bpp": 8 * len(data) / (image.width * image.height),
            "encoding_time": encoded - begin,
            "decoding_time": end - encoded,
            "jobs": task.jobs,
        }
    return {
        **row,
        **{METRICS[name].key: distance(name, original, decoded) for name in METRICS if name in wanted},
    }


def attempt(task: Task) -> Outcome:
    """A codec that fails on one picture must not take the other rows with it."""
    try:
        return Outcome(measure(task), "")
    except Exception as error:
        kind = type(error).__name__
        return Outcome(None, f"{task.codec} at {task.quality:g}, {task.path.name}: {kind}: {error}")


def outcomes(tasks: list[Task], jobs: int) -> Iterator[Outcome]:
    """In any order."""
    if jobs == 1:
        yield from map(attempt, tasks)
        return
    context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    with ProcessPoolExecutor(jobs, context) as pool:
        pending = [pool.submit(attempt, task) for task in tasks]
        try:
            for done in as_completed(pending):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read(out: Path) -> dict[RowKey, Row]:
    """What an earlier run left. ValueError when the file is something else."""
    if not out.exists():
        return {}
    try:
        content = json.loads(out.read_text("utf-8"))
        if content["format"] not in FORMATS:
            raise ValueError(f"format {content['format']}")
        return {key_of(row): {"jobs": content["jobs"], **row} for row in content["rows"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out} is no result file of rd.py ({error!r}); move it or use --out") from None
