"""How long do encoding and decoding take, warm and cold, beside AVIF, WebP and JPEG, and where does it go?

    python -m benchmarks.speed FOLDER|FILE [--threads 2] [--quality 60] [--out FILE.json]

One picture (the first of the folder) and a 2-megapixel one made of its mirrored tiles. Warm: all codecs in
one run and in alternating rounds, each from a PIL image to bytes and from bytes to an array. AVIF (speed 6,
4:4:4) has as many threads as aecodec; WebP (method 6) and JPEG have one in Pillow. Each peer works at the
quality at which its file is nearest to aecodec's in bytes. Cold: `aecodec encode`, `decode` and `info` as
whole processes, beside a Python that does nothing. Ratios are peer's time / aecodec's time: above 1,
aecodec is faster. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from aecodec import container, entropy, models, pixels
from aecodec.networks import Networks
from benchmarks import codecs, environment, metrics, pictures
from benchmarks.codecs import ImageCodec
from benchmarks.tracing import Label, Stopwatch, rotations, wrapped

PEERS = ("avif-s6", "webp", "jpeg-baseline")
LARGE = (1920, 1088)
COLD_REPEATS = 5

Spread = dict[str, float]


def spread(seconds: list[float], pixels_coded: int) -> Spread:
    """Milliseconds (median, fastest, slowest) and the median's megapixels a second."""
    median = statistics.median(seconds)
    return {
        "ms": 1e3 * median,
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
        "megapixels_per_second": pixels_coded / median / 1e6,
    }


def matching_quality(codec: ImageCodec, image: Image.Image, size: int) -> int:
    """The whole quality 1..100 whose file is nearest to size bytes."""
    low, high = 1, 100
    sizes: dict[int, int] = {}

    def bytes_at(quality: int) -> int:
        if quality not in sizes:
            sizes[quality] = len(codec.encode(image, quality))
        return sizes[quality]

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_at(middle) < size else (low, middle)
    return min((low, high), key=lambda quality: abs(bytes_at(quality) - size))


def warm(
    used: dict[str, ImageCodec], qualities: dict[str, float], image: Image.Image, rounds: int
) -> dict[str, Any]:
    """Encode and decode times of one picture."""
    original = pictures.pixels(image)
    data: dict[str, bytes] = {}
    found: dict[str, Any] = {}
    for name, codec in used.items():  # warms up, too
        data[name] = codec.encode(image, qualities[name])
        found[name] = {
            "quality": qualities[name],
            "bpp": 8 * len(data[name]) / (image.width * image.height),
            "psnr-rgb": metrics.psnr(original, codec.decode(data[name])),
        }
    jobs: dict[str, Callable[[], object]] = {}
    for name, codec in used.items():
        jobs[f"{name} encode"] = partial(codec.encode, image, qualities[name])
        jobs[f"{name} decode"] = partial(codec.decode, data[name])
    times: dict[str, list[float]] = {job: [] for job in jobs}
    for job in rotations(jobs, rounds):
        begin = time.perf_counter()
        jobs[job]()
        times[job].append(time.perf_counter() - begin)
    for name in used:
        for what in ("encode", "decode"):
            found[name][what] = spread(times[f"{name} {what}"], image.width * image.height)
    return found


def breakdown(codec: ImageCodec, image: Image.Image, quality: float, rounds: int) -> dict[str, Any]:
    """{"encode" / "decode": {part: mean milliseconds}}, in rounds of their own: watching costs a little."""
    data = codec.encode(image, quality)
    result = {}
    jobs: dict[str, Callable[[], object]] = {
        "encode": partial(codec.encode, image, quality),
        "decode": partial(codec.decode, data),
    }
    for what, job in jobs.items():
        watch = Stopwatch()
        parts: list[tuple[Any, str, Label]] = [(Networks, "_run", lambda networks, graph: f"graph {graph}")]
        parts += [(entropy, "encode_group", "entropy coder")]
        parts += [(entropy.GroupReader, name, "entropy coder") for name in ("__init__", "_read", "finish")]
        parts += [(entropy, "symbols_crc", "symbol checksum")]
        parts += [(container, name, "container") for name in ("write_file", "read_file")]
        names = ("read_picture", "to_network", "from_network", "to_array")
        parts += [(pixels, name, "pixels") for name in names]
        with ExitStack() as stack:
            for owner, name, label in parts:
                stack.enter_context(wrapped(owner, name, watch.watch(label)))
            begin = time.perf_counter()
            for _ in range(rounds):
                job()
            total = time.perf_counter() - begin
        rest = total - sum(watch.seconds.values())
        seconds = {**watch.seconds, "rest (groups, rounding, merging)": rest, "total": total}
        result[what] = {part: 1e3 * s / rounds for part, s in seconds.items()}
    return result


def cold(image: Image.Image, quality: float, model: str | None, threads: int) -> dict[str, Any]:
    """Milliseconds of whole processes, from start to exit."""
    results: dict[str, Any] = {}
    # decode finds the model by the file's id, in the folders named here
    places = [str(models.find(model).path), os.environ.get(models.PATH_VARIABLE, "")]
    variables = {**os.environ, models.PATH_VARIABLE: os.pathsep.join(place for place in places if place)}
    with tempfile.TemporaryDirectory() as folder:
        source, coded, back = (str(Path(folder, name)) for name in ("in.png", "out.aec", "back.png"))
        image.save(source, compress_level=1)
        run = [sys.executable, "-m", "aecodec"]
        common = ["--threads", str(threads), "--force"]
        chosen = ["--model", model] if model else []
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "aecodec encode": [*run, "encode", source, coded, "-q", str(quality), *common, *chosen],
            "aecodec decode": [*run, "decode", coded, back, *common],
            "aecodec info": [*run, "info", coded],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(COLD_REPEATS):  # in this order: decode and info need what encode wrote
            for name, command in commands.items():
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, env=variables)
                times[name].append(time.perf_counter() - begin)
                if done.returncode:
                    raise RuntimeError(f"{name}: exit status {done.returncode}: {done.stderr.strip()}")
        for name, seconds in times.items():
            results[name] = {k: v for k, v in spread(seconds, 0).items() if k.startswith("ms")}
    return results


def ratios(found: dict[str, Any], ours: str) -> dict[str, Spread]:
    """{peer: {"encode" / "decode": peer's median / aecodec's}}"""
    return {
        name: {what: entry[what]["ms"] / found[ours][what]["ms"] for what in ("encode", "decode")}
        for name, entry in found.items()
        if name != ours
    }


def report_warm(title: str, found: dict[str, Any], ratio: dict[str, Spread]) -> None:
    print(f"\n{title}: milliseconds, median (fastest .. slowest)")
    print("  codec           q    bpp   PSNR", *(f"  {what:26} MP/s" for what in ("encode", "decode")))
    for name, entry in found.items():
        cells = ""
        for what in ("encode", "decode"):
            s = entry[what]
            span = f"({s['ms_min']:.1f} .. {s['ms_max']:.1f})"
            cells += f"  {s['ms']:7.1f} {span:18} {s['megapixels_per_second']:6.1f}"
        print(f"  {name:13} {entry['quality']:3g} {entry['bpp']:6.3f} {entry['psnr-rgb']:6.2f}{cells}")
    for name, r in ratio.items():
        print(f"  {name}'s time / aecodec's: encode {r['encode']:.2f}, decode {r['decode']:.2f}")


def report_breakdown(found: dict[str, Any]) -> None:
    for what, parts in found.items():
        total = parts["total"]
        print(f"  {what}, where the milliseconds go:")
        for part, ms in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"    {part:34} {ms:8.2f}  {100 * ms / total:5.1f} %")


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=first)
    parser.add_argument("place", type=Path, help="a picture, or a folder (its first picture)")
    parser.add_argument("--threads", type=int, default=min(2, environment.cpus()))
    parser.add_argument("--quality", type=float, default=60, help="aecodec's (default %(default)s)")
    parser.add_argument("--model", help="bundle's name or folder; default: the default model")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-large", action="store_true", help="the picture itself only")
    parser.add_argument("--skip-cold", action="store_true", help="no whole processes")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    ours = f"aecodec:{options.model}" if options.model else "aecodec"
    try:
        path = pictures.find(options.place)[0]
        made = [codecs.make(name, options.threads) for name in (ours, *options.peers)]
    except ValueError as error:
        return environment.fail(str(error))
    used = {codec.name: codec for codec in made}
    ours = made[0].name
    picture = pictures.load(path)
    facts = environment.describe(options.model, options.threads)
    result: dict[str, Any] = {"format": 1, "environment": facts, "picture": path.name, "pictures": {}}

    size = len(made[0].encode(picture, options.quality))
    qualities = {codec.name: float(matching_quality(codec, picture, size)) for codec in made[1:]}
    qualities[ours] = options.quality
    print(f"{facts['cpu']}, {options.threads} threads, {made[0].version}")
    todo = [picture] if options.skip_large else [picture, pictures.tiled(picture, *LARGE)]
    for image in todo:
        title = f"{image.width} x {image.height}"
        found = warm(used, qualities, image, options.rounds)
        ratio = ratios(found, ours)
        parts = breakdown(made[0], image, options.quality, max(3, options.rounds // 2))
        report_warm(title, found, ratio)
        report_breakdown(parts)
        result["pictures"][title] = {"codecs": found, "ratios": ratio, "breakdown_ms": parts}
    if not options.skip_cold:
        result["cold_ms"] = cold(picture, options.quality, options.model, options.threads)
        print(f"\nwhole processes, {picture.width} x {picture.height}: milliseconds")
        for name, s in result["cold_ms"].items():
            print(f"  {name:16} {s['ms']:8.1f} ({s['ms_min']:.1f} .. {s['ms_max']:.1f})")
    if options.out:
        environment.write_json(options.out, result)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
