"""Whole processes, from start to exit: how long, and how much memory at their peak.

aecodec by its own command, peers by benchmarks.one: both are Python, read a PNG to encode and write one when
they decode. libavif's own programs are there, too, where they are installed: avifenc -s 6, at the quality
that it takes by itself, and avifdec. A Python that does nothing stands beside them.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from aecodec import model_folders, models
from benchmarks.timing import spread

LAUNCHER, ONE = (Path(__file__).with_name(name) for name in ("launcher.py", "one.py"))


class Usage(NamedTuple):
    seconds: float
    peak_bytes: int | None
    """Largest resident set; None where the system does not tell."""
    cpu_seconds: float | None
    """Of all threads, in the program and in the system."""


def run(
    command: list[str], variables: dict[str, str] | None = None, accepted: Collection[int] = (0,)
) -> Usage:
    """RuntimeError with its last words when the command fails: when its exit status is none of these."""
    launched = [sys.executable, "-S", "-E", str(LAUNCHER), *command]
    done = subprocess.run(launched, capture_output=True, text=True, env=variables)
    found = json.loads(done.stdout) if done.returncode == 0 else {"status": done.returncode}
    if found["status"] not in accepted:
        raise RuntimeError(
            f"{' '.join(command)}: exit status {found['status']}: {done.stderr.strip()[-500:]}"
        )
    return Usage(found["seconds"], found["peak_bytes"], found["cpu_seconds"])


def commands(
    folder: Path, quality: float, model: str | None, peers: dict[str, float], threads: int
) -> dict[str, list[str]]:
    """{name: command}, in an order in which files are there before they are read. peers: {codec: quality}."""
    source, coded, back = (str(folder / name) for name in ("in.png", "out.aec", "back.png"))
    run_aecodec, common = [sys.executable, "-m", "aecodec"], ["--threads", str(threads), "--force"]
    chosen = ["--model", model] if model else []
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "aecodec encode": [*run_aecodec, "encode", source, coded, "-q", str(quality), *common, *chosen],
        "aecodec decode": [*run_aecodec, "decode", coded, back, *common],
        "aecodec info": [*run_aecodec, "info", coded],
    }
    for what in ("encode", "decode"):
        found[f"aecodec {what} fp32"] = [*found[f"aecodec {what}"], "--precision", "fp32"]
    if shutil.which("avifenc") and shutil.which("avifdec"):
        file, jobs = str(folder / "out.avif"), ["-j", str(threads)]
        found["avifenc -s 6"] = ["avifenc", "-s", "6", *jobs, source, file]
        found["avifdec"] = ["avifdec", *jobs, file, back]
    for name, peer_quality in peers.items():
        one, file = [sys.executable, str(ONE)], str(folder / f"out.{name}")
        limits = ["--threads", str(threads)]
        found[f"{name} encode"] = [
            *one,
            "encode",
            name,
            source,
            file,
            "--quality",
            str(peer_quality),
            *limits,
        ]
        found[f"{name} decode"] = [*one, "decode", name, file, back, *limits]
    return found


def measure(
    image: Image.Image,
    quality: float,
    model: str | None,
    peers: dict[str, float],
    threads: int,
    rounds: int,
) -> dict[str, Any]:
    """{command: {"ms", "ms_min", "ms_max", "cpu_ms", "peak_mb"}}: median times, largest memory."""
    # decode finds the model by the file's id, in the folders named here
    places = [str(models.find(model).path), os.environ.get(model_folders.PATH_VARIABLE, "")]
    variables = {
        **os.environ,
        model_folders.PATH_VARIABLE: os.pathsep.join(place for place in places if place),
    }
    with tempfile.TemporaryDirectory() as folder:
        image.save(Path(folder, "in.png"), compress_level=1)
        todo = commands(Path(folder), quality, model, peers, threads)
        usage: dict[str, list[Usage]] = {name: [] for name in todo}
        for _ in range(rounds):
            for name, command in todo.items():
                usage[name].append(run(command, variables))
    results: dict[str, Any] = {}
    for name, found in usage.items():
        times = spread([u.seconds for u in found], 0)
        peaks = [u.peak_bytes for u in found if u.peak_bytes is not None]
        results[name] = {key: times[key] for key in ("ms", "ms_min", "ms_max")}
        processor = [u.cpu_seconds for u in found if u.cpu_seconds is not None]
        results[name]["cpu_ms"] = 1e3 * statistics.median(processor) if processor else None
        results[name]["peak_mb"] = max(peaks) / 1e6 if peaks else None
    return results


def report(title: str, found: dict[str, Any]) -> None:
    print(
        f"\nwhole processes, {title}: milliseconds, of all threads together, megabytes of memory at the peak"
    )
    for name, s in found.items():
        span = f"({s['ms_min']:.1f} .. {s['ms_max']:.1f})"
        processor, memory = (
            "       -" if s[key] is None else f"{s[key]:8.1f}" for key in ("cpu_ms", "peak_mb")
        )
        print(f"  {name:20} {s['ms']:8.1f} {span:22} {processor} {memory}")
    if "avifenc -s 6" in found:
        ours, theirs = found["aecodec encode"], found["avifenc -s 6"]
        print(f"  aecodec encode's time / avifenc's: {ours['ms'] / theirs['ms']:.2f}", end="")
        both = ours["cpu_ms"], theirs["cpu_ms"]
        print(f"; processor time: {both[0] / both[1]:.2f}" if all(both) else "")
