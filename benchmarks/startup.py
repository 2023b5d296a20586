"""How long does the aecodec command take from start to exit, beside avifenc, and where does the time go?

    python -m benchmarks.startup PICTURE [--threads 2] [--quality 60] [--rounds 9]

processes.py has the table of whole processes; this adds the parts of one `aecodec encode`: Python, imports,
reading the picture, sessions, networks, coder, writing. Imports are done one by one before the command, so
that each has its own time; sessions are made in a thread beside the reading. Use it on a machine that does
nothing else, or look at the processor time alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import environment, pictures, processes

ONE = Path(__file__).with_name("startup_one.py")


def parts(
    image: Image.Image, quality: float, model: str | None, threads: int, rounds: int
) -> dict[str, dict[str, float]]:
    """{"parts" and "beside": {what: median milliseconds}}; the parts end with "exit" and "total"."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        image.save(Path(folder, "in.png"), compress_level=1)
        arguments = ["encode", str(Path(folder, "in.png")), str(Path(folder, "out.aec")), "--force"]
        arguments += ["-q", str(quality), "--threads", str(threads), *(["--model", model] if model else [])]
        for _ in range(rounds):
            begin = time.monotonic()
            command = [sys.executable, str(ONE), repr(begin), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
            end = time.monotonic()
            if done.returncode:
                raise RuntimeError(f"{ONE.name}: exit status {done.returncode}: {done.stderr.strip()[-500:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            total = sum(found["parts"].values()) + end - found["end"]
            found["parts"] |= {"exit": end - found["end"], "total": total}
            runs.append(found)
    return {kind: _medians([run[kind] for run in runs]) for kind in ("parts", "beside")}


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: 1e3 * statistics.median(run.get(name, 0.0) for run in runs) for name in names}


def report(title: str, found: dict[str, dict[str, float]]) -> None:
    print(f"\naecodec encode, {title}, from start to exit: milliseconds, medians")
    total = found["parts"]["total"]
    for name, ms in found["parts"].items():
        print(f"  {name:28} {ms:8.1f}  {100 * ms / total:5.1f} %")
    print("  meanwhile, in the thread that makes sessions:")
    for name, ms in found["beside"].items():
        print(f"  {name:28} {ms:8.1f}")


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=first)
    parser.add_argument("place", type=Path, help="a picture, or a folder (its first picture)")
    parser.add_argument("--threads", type=int, default=min(2, environment.cpus()))
    parser.add_argument("--quality", type=float, default=60)
    parser.add_argument("--model", help="bundle's name or folder; default: the default model")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    try:
        picture = pictures.load(pictures.find(options.place)[0])
    except ValueError as error:
        return environment.fail(str(error))
    shared = picture, options.quality, options.model
    title = f"{picture.width} x {picture.height}"
    whole = processes.measure(*shared, {}, options.threads, options.rounds)
    processes.report(title, whole)
    found = parts(*shared, options.threads, options.rounds)
    report(title, found)
    if options.out:
        facts = environment.describe(options.model, options.threads)
        environment.write_json(options.out, {"environment": facts, "processes": whole, "startup": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
