"""How do memory and time grow with a picture's size?

    python -m benchmarks.memory FOLDER|FILE [--megapixels 0.1 1 10 100] [--kinds png jpg] [--out FILE.json]

A square picture of each size, made of mirrored tiles of the first one in the folder, through `aecodec encode`
and `aecodec decode`, each a process of its own: seconds from start to exit, and the largest resident set. The
tiles get a little grain, so that no two are equal. Time is linear where the milliseconds a megapixel do not
grow. A kind is the suffix of a format that Pillow reads and writes, input and output alike, or one of

    png16, rgba   PNG of 16 bits a channel, or with alpha
    cmyk          CMYK as JPEG; what is decoded is an RGB one
    array         aecodec.encode() of a numpy array and aecodec.decode() into one
    salvage       PNG; `decode --salvage` of a file whose middle is damaged
    preview       PNG; `decode --scale 1/8`
    region        PNG; `decode --region` of all but the border
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

from aecodec import model_folders, models, png
from aecodec.errors import SALVAGED
from benchmarks import environment, pictures, processes

FORMAT = 2
SIZES = (0.1, 0.4, 1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 50.0, 100.0)
GRAIN = 2
ROWS = 256
SUFFIXES = {"png16": "png", "rgba": "png", "cmyk": "jpg", "array": "npy"}
SUFFIXES |= {"salvage": "png", "preview": "png", "region": "png"}
ENCODE = (
    "import sys, numpy, aecodec; q, n = float(sys.argv[3]), int(sys.argv[4]); a = numpy.load(sys.argv[1]); "
    "open(sys.argv[2], 'wb').write(aecodec.encode(a, q, sys.argv[5] or None, threads=n))"
)
DECODE = "import sys, aecodec; aecodec.decode(sys.argv[1], threads=int(sys.argv[2]))"


def make(picture: Image.Image, side: int, path: Path, kind: str) -> None:
    """A square picture of mirrored tiles with grain."""
    image = pictures.tiled(picture, side, min(side, 2 * picture.height))
    tile, rng = np.asarray(image), np.random.default_rng(side)
    large = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, ROWS):
        rows = np.take(tile, range(top, min(top + ROWS, side)), axis=0, mode="wrap").astype(np.int16)
        rows += rng.integers(-GRAIN, GRAIN + 1, rows.shape, np.int16)
        large[top : top + ROWS] = rows.clip(0, 255)
    if kind == "array":
        np.save(path, large)
    elif kind == "png16":
        parts = (large[top : top + ROWS].astype(np.uint16) for top in range(0, side, ROWS))
        bands = (part << 8 | rng.integers(0, 256, part.shape, np.uint16) for part in parts)
        with path.open("wb") as out:
            png.write(out, (side, side), 3, 16, bands)
    else:
        finished = Image.fromarray(large)
        if kind == "rgba":
            finished.putalpha(Image.linear_gradient("L").resize(finished.size))
        finished = finished.convert("CMYK") if kind == "cmyk" else finished
        finished.save(path, **({"compress_level": 1} if path.suffix == ".png" else {}))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def measure(
    picture: Image.Image, megapixels: float, kind: str, quality: float, threads: int, model: str | None
) -> dict[str, Any]:
    """{"kind", "megapixels", "bytes", "encode" and "decode": {"seconds", "peak_mb"}}"""
    side = round((megapixels * 1e6) ** 0.5)
    places = [str(models.find(model).path), os.environ.get(model_folders.PATH_VARIABLE, "")]
    variables = {
        **os.environ,
        model_folders.PATH_VARIABLE: os.pathsep.join(place for place in places if place),
    }
    chosen = ["--model", model] if model else []
    with tempfile.TemporaryDirectory() as folder:
        suffix = SUFFIXES.get(kind, kind)
        source, coded, back = (Path(folder, name) for name in (f"in.{suffix}", "out.aec", f"back.{suffix}"))
        make(picture, side, source, kind)
        run, shared = [sys.executable, "-m", "aecodec"], ["--threads", str(threads)]
        commands = {
            "encode": [*run, "encode", str(source), str(coded), "-q", str(quality), *shared, *chosen],
            "decode": [*run, "decode", str(coded), str(back), *shared],
        }
        if kind == "array":
            whole = [sys.executable, "-c"]
            given = [str(source), str(coded), str(quality), str(threads), model or ""]
            commands = {
                "encode": [*whole, ENCODE, *given],
                "decode": [*whole, DECODE, str(coded), str(threads)],
            }
        inner = f"1,1,{side - 2},{side - 2}"
        more = {"salvage": ["--salvage"], "preview": ["--scale", "1/8"], "region": ["--region", inner]}
        commands["decode"] += more.get(kind, [])
        found: dict[str, Any] = {"kind": kind, "megapixels": side * side / 1e6}
        for name, command in commands.items():
            if kind == "salvage" and name == "decode":
                damage(coded)
            usage = processes.run(command, variables, accepted=(0, SALVAGED))
            peak = None if usage.peak_bytes is None else usage.peak_bytes / 1e6
            found[name] = {"seconds": usage.seconds, "peak_mb": peak}
        return {**found, "bytes": coded.stat().st_size}


def show(row: dict[str, Any]) -> None:
    line = f"{row['kind']:8} {row['megapixels']:8.1f} MP "
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
    parser.add_argument(
        "--kinds",
        nargs="+",
        default=["png"],
        help=f"png (default), ppm, jpg, tif, ...; {', '.join(SUFFIXES)}",
    )
    parser.add_argument("--quality", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", help="name or folder of a bundle")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    options = parser.parse_args(arguments)
    rows = []
    try:
        picture = pictures.load(pictures.find(options.place)[0])
        for kind in options.kinds:
            for size in options.megapixels:
                shared = options.quality, options.threads, options.model
                rows.append(measure(picture, size, kind, *shared))
                show(rows[-1])
    except (OSError, ValueError, RuntimeError) as error:
        return environment.fail(str(error))
    if options.out:
        about = environment.describe(options.model, options.threads)
        content = {"format": FORMAT, "environment": about, "rows": rows}
        environment.write_json(options.out, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
