"""How many bytes does each codec need for how good a picture?

    python -m benchmarks.rd FOLDER [--codecs aecodec jpeg webp avif-s6] [--anchors CURVES.json] [--jobs N]

Encodes every picture of the folder at every quality with every codec, here and now, and decodes it again.
Rate is bytes on disk x 8 / (H x W). Prints means by quality, for aecodec also its range and whether it is
monotone, and BD-rates (PSNR) against each curve of --anchors and against the codec --against. The result
file holds every row; run again with the same --out and only what is missing is measured. With --jobs > 1
every codec has one thread and the times mean nothing: speed.py measures speed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import codecs, environment, metrics, pictures
from benchmarks.codecs import ImageCodec
from benchmarks.curves import Curve, Row, curve_of, increases, print_curve, print_table, read_curves, table
from benchmarks.progress import bar

FORMAT = 1
DEFAULT_CODECS = ("aecodec", "jpeg", "webp", "avif-s6")
ENDS = (0.0, 100.0)
"""aecodec is also measured at the ends of its dial; they are in no BD-rate."""
SAVE_EVERY = 20.0


class Task(NamedTuple):
    codec: str
    path: Path
    picture: str
    quality: float
    threads: int | None


class RowKey(NamedTuple):
    codec: str
    version: str
    picture: str
    sha256: str
    quality: float


def key_of(row: Row) -> RowKey:
    return RowKey(row["codec"], row["version"], row["picture"], row["sha256"], float(row["quality"]))


_codecs: dict[tuple[str, int | None], ImageCodec] = {}


def codec_of(name: str, threads: int | None) -> ImageCodec:
    """Made and warmed up once in each process."""
    if (name, threads) not in _codecs:
        codec = codecs.make(name, threads)
        codec.decode(codec.encode(pictures.blank(64, 64), codec.qualities[0]))
        _codecs[name, threads] = codec
    return _codecs[name, threads]


def measure(task: Task) -> Row:
    """One picture at one quality, there and back."""
    codec = codec_of(task.codec, task.threads)
    image = pictures.load(task.path)
    original = pictures.pixels(image)
    begin = time.perf_counter()
    data = codec.encode(image, task.quality)
    encoded = time.perf_counter()
    decoded = codec.decode(data)
    end = time.perf_counter()
    if decoded.shape != original.shape:
        raise ValueError(f"{codec.name}: {task.picture} came back as {decoded.shape}, not {original.shape}")
    large = min(original.shape[:2]) >= metrics.MS_SSIM_SIDE
    return {
        "codec": codec.name,
        "version": codec.version,
        "picture": task.picture,
        "sha256": pictures.fingerprint(task.path),
        "quality": task.quality,
        "bytes": len(data),
        "bpp": 8 * len(data) / (image.width * image.height),
        "psnr-rgb": min(metrics.psnr(original, decoded), 100.0),  # JSON has no infinity
        "ms-ssim-rgb": metrics.ms_ssim(original, decoded) if large else None,
        "encoding_time": encoded - begin,
        "decoding_time": end - encoded,
    }


def rows_of(tasks: list[Task], jobs: int) -> Iterator[Row]:
    """In any order."""
    if jobs == 1:
        yield from map(measure, tasks)
        return
    context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    with ProcessPoolExecutor(jobs, context) as pool:
        pending = [pool.submit(measure, task) for task in tasks]
        try:
            for done in as_completed(pending):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def old_rows(out: Path) -> dict[RowKey, Row]:
    """What an earlier run left. ValueError when the file is something else."""
    if not out.exists():
        return {}
    try:
        content = json.loads(out.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        return {key_of(row): row for row in content["rows"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out} is no result file of rd.py ({error!r}); move it or use --out") from None


def sweep(codec: ImageCodec, wanted: list[float] | None) -> list[float]:
    return sorted({float(q) for q in wanted or codec.qualities})


def aecodec_facts(rows: list[Row], qualities: list[float]) -> dict[str, Any]:
    """The dial's range, and whether more quality always means more bytes and a better picture."""
    curve = curve_of("", "", rows, {*qualities, *ENDS})["results"]
    names = sorted({row["picture"] for row in rows})
    each = [
        curve_of("", "", [r for r in rows if r["picture"] == name], {*qualities, *ENDS})["results"]
        for name in names
    ]
    return {
        "bpp_at_q0": curve["bpp"][0],
        "bpp_at_q100": curve["bpp"][-1],
        "bpp_monotone": increases(curve["bpp"]),
        "psnr_monotone": increases(curve["psnr-rgb"]),
        "pictures_not_monotone_bpp": [n for n, c in zip(names, each, strict=True) if not increases(c["bpp"])],
        "pictures_not_monotone_psnr": [
            n for n, c in zip(names, each, strict=True) if not increases(c["psnr-rgb"])
        ],
    }


def summarise(
    used: dict[str, ImageCodec],
    rows: list[Row],
    wanted: list[float] | None,
    anchors: dict[str, Curve],
    against: str,
) -> dict[str, Any]:
    """Curves, facts and BD-rates of the rows."""
    curves: dict[str, Curve] = {}
    for name, codec in used.items():
        own = [row for row in rows if row["codec"] == name]
        curves[name] = curve_of(name, codec.version, own, sweep(codec, wanted))
        if codecs.is_aecodec(name):
            curves[name]["dial"] = aecodec_facts(own, sweep(codec, wanted))
    compared = {**({f"{against} (here)": curves[against]} if against in curves else {}), **anchors}
    return {"codecs": curves, "bd_rate": table(compared, curves)}


def report(summary: dict[str, Any], timed: bool) -> None:
    for curve in summary["codecs"].values():
        print_curve(curve)
        if dial := curve.get("dial"):
            print(f"  range {dial['bpp_at_q0']:.4f} bpp at q 0 .. {dial['bpp_at_q100']:.4f} bpp at q 100")
            for what in ("bpp", "psnr"):
                verdict = "monotone" if dial[f"{what}_monotone"] else "NOT monotone"
                broken = ", ".join(dial[f"pictures_not_monotone_{what}"]) or "none"
                print(f"  mean {what} is {verdict} in q; pictures where it is not: {broken}")
    if not timed:
        print("\n(times: several jobs at once, one thread each: not a measurement of speed)")
    print("\n(a curve from a file means something only on the pictures that it was measured on)")
    print_table(summary["bd_rate"], list(summary["codecs"]))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rd", description=first)
    parser.add_argument("folder", type=Path, help="folder of pictures, or one picture")
    names = ", ".join(codecs.REGISTRY)
    parser.add_argument("--codecs", nargs="+", default=DEFAULT_CODECS, help=f"of {names}, aecodec:MODEL")
    parser.add_argument("--qualities", nargs="+", type=float, help="the same for all; default: each its own")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rd.json"))
    parser.add_argument("--anchors", type=Path, nargs="+", default=[], help="curve files to compare with")
    parser.add_argument("--against", default="jpeg", help="codec of this run to compare with (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="pictures at once; above 1 times mean nothing")
    parser.add_argument("--threads", type=int, help="threads of each codec with --jobs 1; default: all")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    jobs = max(1, options.jobs)
    threads = 1 if jobs > 1 else options.threads
    try:
        paths = pictures.find(options.folder)
        anchors = {k: c for file in options.anchors for k, c in read_curves(file).items()}
        made = {name: codecs.make(name, threads) for name in options.codecs}
        used = {codec.name: codec for codec in made.values()}
        asked = {codec.name: name for name, codec in made.items()}
        if len(asked) < len(made):
            raise ValueError("two codecs of --codecs have the same name; measure one of them at a time")
        known = {} if options.fresh else old_rows(options.out)
    except ValueError as error:
        return environment.fail(str(error))

    tasks, wanted_keys = [], set()
    for path in paths:
        digest = pictures.fingerprint(path)
        for name, codec in used.items():
            extra = ENDS if codecs.is_aecodec(name) else ()
            for quality in sorted({*sweep(codec, options.qualities), *extra}):
                key = RowKey(name, codec.version, path.name, digest, quality)
                wanted_keys.add(key)
                if key not in known:
                    tasks.append(Task(asked[name], path, path.name, quality, threads))

    model = next((n.partition(":")[2] for n in options.codecs if codecs.is_aecodec(n)), "") or None
    facts = environment.describe(model, threads or environment.cpus())

    def save(summary: dict[str, Any]) -> None:
        content = {"format": FORMAT, "environment": facts, "folder": options.folder.resolve().name}
        content |= {"jobs": jobs, "pictures": [p.name for p in paths], **summary}
        environment.write_json(options.out, {**content, "rows": list(known.values())})

    saved = time.monotonic()
    with closing(bar(len(tasks), "rd")) as progress:
        try:
            for row in rows_of(tasks, jobs):
                known[key_of(row)] = row
                progress.update()
                if time.monotonic() - saved > SAVE_EVERY:
                    save({})
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save({})
            print(f"\nstopped; the same command goes on from {options.out}", file=sys.stderr)
            return 130
        except BaseException:
            save({})
            raise
    rows = [row for key, row in known.items() if key in wanted_keys]
    summary = summarise(used, rows, options.qualities, anchors, options.against)
    save(summary)
    print(f"{len(paths)} pictures, {len(tasks)} rows measured, {len(rows) - len(tasks)} from {options.out}")
    report(summary, jobs == 1)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
