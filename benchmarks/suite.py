"""Everything in one command: curves on photographs and on drawn pictures, speed, entropy coder, one page.

    python -m benchmarks.suite KODAK [FOLDER ...] [--anchors CURVES.json] [--codecs aecodec aecodec:NAME ...]

Writes rd.json, speed.json, entropy.json, drawn/ and report.html into --out. Stopped, it goes on where it was
when it is called again: rows of rd.json are kept, and so are the speed and entropy files of the same model,
source and packages. Run it on a machine that does nothing else, or with --jobs for curves alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import codecs, entropy, environment, rd, report, speed, synthetic
from benchmarks.codecs.aecodec_codec import source_hash
from benchmarks.curves import METRICS

PEERS = (
    *("avif-s3-psnr", "avif-s6", "avif-s6-psnr", "avif-s6-ssimulacra2", "heic", "heic-psnr"),
    *("jxl", "jpeg2000", "webp", "jpeg"),
)
STAMP = "made_with"


def available(names: list[str]) -> tuple[list[str], list[str]]:
    """-> codecs that work here, why the others do not"""
    found, missing = [], []
    for name in names:
        try:
            codecs.make(name, 1)
            found.append(name)
        except ValueError as error:
            missing.append(str(error))
    return found, missing


def stamp(model: str | None, threads: int) -> dict[str, Any]:
    """What a timing depends on: another one makes its file stale."""
    facts = environment.describe(model, threads)
    kept = ("model_id", "versions", "python", "cpu", "cpus", "threads")
    return {"source": source_hash(), **{key: facts[key] for key in kept}}


def is_current(file: Path, wanted: dict[str, Any]) -> bool:
    """A finished file of this model, source and machine."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get(STAMP) == wanted


def mark(file: Path, made_with: dict[str, Any]) -> None:
    environment.write_json(file, {**json.loads(file.read_text("utf-8")), STAMP: made_with})


def parse(arguments: list[str] | None) -> argparse.Namespace:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=first)
    parser.add_argument(
        "places", type=Path, nargs="+", help="folders of photographs; --anchors go with the first"
    )
    parser.add_argument("--anchors", type=Path, nargs="+", default=[], help="curve files of the first folder")
    parser.add_argument("--codecs", nargs="+", default=["aecodec"], help="models, and peers beside the usual")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--against", default="avif-s6-psnr", help="of the worst pictures (%(default)s)")
    parser.add_argument("--qualities", nargs="+", type=float, help="as in benchmarks.rd")
    parser.add_argument("--threads", type=int, default=min(2, environment.cpus()))
    parser.add_argument("--jobs", type=int, default=1, help="above 1: curves and page alone, no timing")
    parser.add_argument("--rounds", type=int, default=9, help="of speed and entropy (%(default)s)")
    parser.add_argument("--skip-drawn", action="store_true", help="no flat, text, screen ... pictures")
    parser.add_argument("--learned", nargs="*", help="as in benchmarks.speed")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args(arguments)


def curves(options: argparse.Namespace, places: list[Path], used: list[str], out: Path) -> int:
    threads = ["--jobs", str(options.jobs)] if options.jobs > 1 else ["--threads", str(options.threads)]
    more = ["--anchors", *map(str, options.anchors)] if options.anchors else []
    more += ["--qualities", *map(str, options.qualities)] if options.qualities else []
    more += ["--fresh"] if options.fresh else []
    metrics = [m for m in METRICS if m != "ssimulacra2" or importlib.util.find_spec("ssimulacra2")]
    chosen = ["--codecs", *used, "--metrics", *metrics, "--worst-against", options.against]
    return rd.main([*map(str, places), *chosen, *threads, *more, "--out", str(out)])


def timings(options: argparse.Namespace, model: str | None) -> int:
    """speed.json and entropy.json, where there are none that still hold."""
    wanted, status = stamp(model, options.threads), 0
    own = ["--model", model] if model else []
    place, rounds = str(options.places[0]), ["--rounds", str(options.rounds)]
    file = options.out / "speed.json"
    if options.fresh or not is_current(file, wanted):
        more = ["--learned", *options.learned] if options.learned is not None else []
        limits = ["--threads", str(options.threads)]
        status = speed.main([place, *limits, *rounds, *own, "--out", str(file), *more])
        if status == 0:
            mark(file, wanted)
    file = options.out / "entropy.json"
    if importlib.util.find_spec("constriction") is None:
        print("\nentropy coder: not compared, there is no constriction (pip install constriction)")
    elif options.fresh or not is_current(file, wanted):
        failed = entropy.main([place, *rounds, *own, "--out", str(file)])
        status = status or failed
        if not failed:
            mark(file, wanted)
    return status


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    used, missing = available([*options.codecs, *options.peers])
    models = [name for name in used if codecs.is_aecodec(name)]
    if not models or (unknown := [name for name in options.codecs if name not in used]):
        problem = "; ".join(missing) if missing else f"--codecs has no model of aecodec: {unknown}"
        return environment.fail(problem)
    for reason in missing:
        print(f"not here: {reason}", file=sys.stderr)
    try:
        drawn = [] if options.skip_drawn else synthetic.write(options.out / "drawn")
        rd.sets_of([*options.places, *drawn])
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    places, curves_file = [*options.places, *drawn], options.out / "rd.json"
    status = curves(options, places, used, curves_file)
    if status > 1:  # 1: some rows failed; the rest holds
        return status
    model = codecs.model_of(models[0])
    if options.jobs == 1:
        status = timings(options, model) or status
    page = [str(curves_file), "--pictures", *map(str, places), "--codec", models[0]]
    page += ["--peers", *(name for name in report.PEERS if name in used)]
    page += ["--anchors", *map(str, options.anchors)] if options.anchors else []
    times = options.out / "speed.json"
    page += ["--speed", str(times)] if is_current(times, stamp(model, options.threads)) else []
    return report.main([*page, "--out", str(options.out / "report.html")]) or status


if __name__ == "__main__":
    raise SystemExit(main())
