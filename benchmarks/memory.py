"""How do memory and time grow with a picture's size?

    python -m benchmarks.memory FOLDER|FILE [--megapixels 0.1 1 10 100] [--format png] [--out FILE.json]

A square picture of each size, made of mirrored tiles of the first one in the folder, through `aecodec encode`
and `aecodec decode`, each a process of its own: seconds from start to exit, and the largest resident set. The
tiles get a little grain, so that no two are equal. Input and output are of one format: PPM is read and
written row by row, PNG is written row by row, and Pillow holds the others. Time is linear where the
milliseconds a megapixel do not grow.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from aecodec import models
from benchmarks import environment, pictures, processes

FORMAT = 1
SIZES = (0.1, 0.4, 1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 50.0, 100.0)
GRAIN = 2
ROWS = 256


def make(picture: Image.Image, side: int, path: Path) -> None:
    """A square picture of mirrored tiles with grain."""
    image = pictures.tiled(picture, side, min(side, 2 * picture.height))
    tile, rng = np.asarray(image), np.random.default_rng(side)
    large = Image.new("RGB", (side, side))
    for top in range(0, side, ROWS):
        rows = np.take(tile, range(top, min(top + ROWS, side)), axis=0, mode="wrap").astype(np.int16)
        rows += rng.integers(-GRAIN, GRAIN + 1, rows.shape, np.int16)
        large.paste(Image.fromarray(rows.clip(0, 255).astype(np.uint8)), (0, top))
    large.save(path, **({"compress_level": 1} if path.suffix == ".png" else {}))


def measure(
    picture: Image.Image, megapixels: float, form: str, quality: float, threads: int, model: str | None
) -> dict[str, Any]:
    """{"megapixels", "bytes", "encode" and "decode": {"seconds", "peak_mb"}}"""
    side = round((megapixels * 1e6) ** 0.5)
    places = [str(models.find(model).path), os.environ.get(models.PATH_VARIABLE, "")]
    variables = {**os.environ, models.PATH_VARIABLE: os.pathsep.join(place for place in places if place)}
    chosen = ["--model", model] if model else []
    with tempfile.TemporaryDirectory() as folder:
        source, coded, back = (Path(folder, name) for name in (f"in.{form}", "out.aec", f"back.{form}"))
        make(picture, side, source)
        run, shared = [sys.executable, "-m", "aecodec"], ["--threads", str(threads)]
        commands = {
            "encode": [*run, "encode", str(source), str(coded), "-q", str(quality), *shared, *chosen],
            "decode": [*run, "decode", str(coded), str(back), *shared],
        }
        found: dict[str, Any] = {"megapixels": side * side / 1e6}
        for name, command in commands.items():
            usage = processes.run(command, variables)
            peak = None if usage.peak_bytes is None else usage.peak_bytes / 1e6
            found[name] = {"seconds": usage.seconds, "peak_mb": peak}
        return {**found, "bytes": coded.stat().st_size}


def show(row: dict[str, Any]) -> None:
    line = f"{row['megapixels']:8.1f} MP "
    for name in ("encode", "decode"):
        seconds, peak = row[name]["seconds"], row[name]["peak_mb"]
        memory = "     -" if peak is None else f"{peak:6.0f}"
        line += f" | {name} {seconds:8.2f} s {1e3 * seconds / row['megapixels']:8.0f} ms/MP {memory} MB"
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=first)
    parser.add_argument("place", type=Path, metavar="FOLDER|FILE")
    parser.add_argument("--megapixels", type=float, nargs="+", default=SIZES)
    parser.add_argument("--format", default="png", help="png (default), ppm, jpg, tif, ...")
    parser.add_argument("--quality", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help="name or folder of a bundle")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    rows = []
    try:
        picture = pictures.load(pictures.find(options.place)[0])
        for size in options.megapixels:
            shared = options.format, options.quality, options.threads, options.model
            rows.append(measure(picture, size, *shared))
            show(rows[-1])
    except (OSError, ValueError, RuntimeError) as error:
        return environment.fail(str(error))
    if options.out:
        about = environment.describe(options.model, options.threads)
        content = {"format": FORMAT, "environment": about, "input": options.format, "rows": rows}
        environment.write_json(options.out, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
