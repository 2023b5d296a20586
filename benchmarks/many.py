"""`aecodec batch` over a collection: what is lost when a worker is killed, pictures a second, and the cost.

python -m benchmarks.many OUT [SOURCE] [--count N] [--size N] [--workers 1 2] [--price NAME=DOLLARS/CPUS]

Cuts --count crops out of the pictures of SOURCE (a folder, or a .tar of pictures; drawn ones without it), and
spoils one of them. Then encodes all of them by the local engine and by a Ray cluster that is started for each
run, with every number of workers, and once more by Ray with a worker that gets SIGKILL when a third is done.
Every result must be equal, byte by byte, to that of the local engine. OUT keeps everything.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import descendants, environment, pictures, synthetic

SPOILED = 777
"""The number of the input that is no picture, or the last one of a smaller collection."""
PICTURES = 200
"""Of SOURCE, at most."""
Found = dict[str, Any]


def sources(place: Path | None) -> Iterator[Image.Image]:
    """RGB pictures to cut from."""
    if place is None:
        yield from (draw().convert("RGB") for kind in synthetic.SETS.values() for draw in kind.values())
    elif place.suffix == ".tar":
        with tarfile.open(place) as tar:
            for info in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
                stream = tar.extractfile(info)
                if stream and Path(info.name).suffix.lower() in pictures.SUFFIXES | {".avif"}:
                    yield Image.open(io.BytesIO(stream.read())).convert("RGB")
    else:
        yield from map(pictures.load, pictures.find(place))


def make(folder: Path, place: Path | None, count: int, size: int) -> None:
    """JPEG crops, in folders of 500. The same arguments give the same files, which are made once."""
    done, wanted = folder.with_suffix(".json"), json.dumps([str(place), count, size])
    if done.is_file() and done.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    rng = np.random.default_rng(1)
    large = list(islice((image for image in sources(place) if min(image.size) >= size), PICTURES))
    if not large:
        raise ValueError(f"{place}: no picture with sides of {size} or more")
    for number in range(count):
        image = large[number % len(large)]
        left, top = (int(rng.integers(side - size + 1)) for side in image.size)
        target = folder / f"{number // 500:02}" / f"{number:05}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        image.crop((left, top, left + size, top + size)).save(target, quality=95, subsampling=0)
        if number == min(SPOILED, count - 1):
            target.write_bytes(target.read_bytes()[:100])
    done.write_text(wanted)


def encode(source: Path, target: Path, options: list[str], kill_at: int | None = None) -> Found:
    """One run of the command: seconds, CPU seconds of all its processes, when results came.

    kill_at: a worker of Ray is killed as soon as there are so many results."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "aecodec", "batch", "encode", str(source), str(target), *options]
    began, killed = time.perf_counter(), None
    cpu: dict[int, float] = {}
    start, start_cpu = math.nan, math.nan  # until the first result: of Python, Ray, the model
    with open(target.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        running = True
        while running:
            time.sleep(0.2)
            alive = descendants.below(process.pid)  # before poll(), after which nobody knows its CPU time
            cpu |= {pid: one.seconds for pid, one in alive.items()}
            running = process.poll() is None
            if math.isnan(start) and results(target):
                start, start_cpu = time.perf_counter() - began, sum(cpu.values())
            workers = [pid for pid, one in alive.items() if one.title.startswith(descendants.RAY_WORKER)]
            wanted = running and kill_at is not None and killed is None and workers
            if wanted and len(results(target)) >= kill_at:
                killed = workers[0]
                os.kill(killed, signal.SIGKILL)
    seconds = time.perf_counter() - began
    times = sorted(path.stat().st_mtime for path in results(target).values())
    found: Found = {"options": options, "exit_code": process.returncode, "killed": killed}
    found |= {"results": len(times), "seconds": seconds, "start_seconds": start}
    found |= {"per_second": (len(times) - 1) / (times[-1] - times[0])}
    found |= {
        "start_cpu_seconds": start_cpu,
        "cpu_seconds_each": (sum(cpu.values()) - start_cpu) / len(times),
    }
    found |= {"rows": len(rows(target, "manifest")), "failures": rows(target, "failures")}
    return found


def results(target: Path) -> dict[str, Path]:
    return {path.relative_to(target).as_posix(): path for path in target.rglob("*.aec")}


def rows(target: Path, name: str) -> list[Found]:
    return [json.loads(line) for line in (target / "_aecodec" / f"{name}.jsonl").read_text().splitlines()]


def contents(target: Path) -> dict[str, str]:
    """{name: SHA-256} of the results."""
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in sorted(results(target).items())}


def faults(runs: dict[str, Found], count: int) -> list[str]:
    """What is not as it must be."""
    first = next(iter(runs.values()))["contents"]
    told = []
    for name, run in runs.items():
        if run["contents"] != first:
            told.append(f"{name}: not the bytes of the first run")
        if (run["results"], run["rows"], len(run["failures"])) != (count - 1, count - 1, 1):
            told.append(
                f"{name}: {run['results']} results, {run['rows']} rows, {len(run['failures'])} failures"
            )
        if name.endswith("killed") and run["killed"] is None:
            told.append(f"{name}: the run ended before a worker could be killed")
    return told


def price(text: str) -> tuple[str, float]:
    """NAME=DOLLARS/CPUS, an hour of a machine with so many -> its name, dollars an hour of one CPU."""
    name, _, rest = text.rpartition("=")
    dollars, _, cpus = rest.partition("/")
    try:
        return f"{name}, {dollars} $ an hour for {cpus or 1} CPUs", float(dollars) / float(cpus or 1)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DOLLARS/CPUS") from None


def table(runs: dict[str, Found], prices: list[tuple[str, float]]) -> str:
    """Markdown. Costs are those of the CPU time of all processes, without what it takes to start them."""
    head = [
        "run",
        "results",
        "failures",
        "pictures/s",
        "to the first, s",
        "whole command, s",
        "CPU ms a picture",
    ]
    head += [f"a million: {name}" for name, _ in prices]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, run in runs.items():
        each = run["cpu_seconds_each"]
        cells = [name, str(run["results"]), str(len(run["failures"])), f"{run['per_second']:.1f}"]
        cells += [f"{run['start_seconds']:.1f}", f"{run['seconds']:.1f}", f"{1e3 * each:.1f}"]
        cells += [f"{each * 1e6 / 3600 * dollars:.2f} $" for _, dollars in prices]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.many", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the collection and the results")
    parser.add_argument("source", type=Path, nargs="?", metavar="SOURCE", help="folder or .tar of pictures")
    parser.add_argument("--count", type=int, default=2000, help="pictures (default 2000)")
    parser.add_argument("--size", type=int, default=256, help="their sides (default 256)")
    parser.add_argument("--quality", default="60")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--price", type=price, action="append", default=[], metavar="NAME=DOLLARS/CPUS")
    args = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        return environment.fail("this benchmark reads /proc; it needs Linux")
    collection = args.out / "in"
    try:
        make(collection, args.source, args.count, args.size)
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    common = ["-q", args.quality, "--device", "cpu", "--threads", "1"]
    runs: dict[str, Found] = {}
    plan = [(engine, workers, None) for workers in args.workers for engine in ("local", "ray")]
    plan.append(("ray", max(args.workers), args.count // 3))
    for engine, workers, kill_at in plan:
        name = f"{engine}, {workers} worker{'s' * (workers > 1)}{', one killed' if kill_at else ''}"
        target = args.out / name.replace(", ", "-").replace(" ", "-")
        options = [*common, "--engine", engine, "--workers", str(workers)]
        runs[name] = encode(collection, target, options, kill_at)
        runs[name]["contents"] = contents(target)
        print(f"{name}: {runs[name]['per_second']:.1f} pictures/s", flush=True)
    told = faults(runs, args.count)
    print("\n" + table(runs, args.price))
    print("\nload", environment.describe(None, 1)["load_average"], "on", environment.cpus(), "CPUs")
    print("\n".join(told) or "every run: the same bytes, one row for each input")
    kept = {
        name: {key: value for key, value in run.items() if key != "contents"} for name, run in runs.items()
    }
    content = {"environment": environment.describe(None, 1), "count": args.count, "size": args.size}
    environment.write_json(args.out / "many.json", content | {"runs": kept, "faults": told})
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
