"""How many bytes does each codec need for how good a picture?

    python -m benchmarks.rd FOLDER [FOLDER ...] [--codecs aecodec jpeg webp avif-s6 avif-s6-psnr]
        [--anchors CURVES.json] [--metrics psnr ms-ssim ssimulacra2] [--metric psnr] [--jobs N]

Encodes every picture of every folder at every quality with every codec, here and now, and decodes it again.
Rate is bytes on disk x 8 / (H x W). Each folder is a set of its own: photographs, text and screen pictures
make separate tables. Prints means by quality, for aecodec also its range, whether it is monotone and the
pictures on which it is worst, and BD-rates against the codec --against and, for the first set, against each
curve of --anchors. The result file holds every row; run again with the same --out and only what is missing
is measured. With --jobs > 1 every codec has one thread and times mean nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import codecs, environment, per_picture, perceptual, pictures, rows
from benchmarks.codecs import ImageCodec
from benchmarks.curves import METRICS, Curve, Row, curve_of, print_curve, print_table, read_curves, table
from benchmarks.progress import bar
from benchmarks.rows import RowKey, Task

FORMAT = rows.FORMATS[-1]
DEFAULT_CODECS = ("aecodec", "jpeg", "webp", "avif-s6", "avif-s6-psnr")
"""By PSNR the last one is AVIF; the one before it is tuned for eyes."""
DEFAULT_METRICS = ("psnr", "ms-ssim")
ENDS = (0.0, 100.0)
"""aecodec is also measured at the ends of its dial; they are in no BD-rate."""
SAVE_EVERY = 20.0
SHOWN_PROBLEMS = 10

Sets = dict[str, list[Path]]


def sets_of(places: list[Path]) -> Sets:
    """{folder's name: its pictures}. ValueError for an empty folder and for two of one name."""
    found: Sets = {}
    for place in places:
        name = place.resolve().name
        if name in found:
            raise ValueError(f"{place}: there is another set named {name!r}; rename one of the folders")
        found[name] = pictures.find(place)
    return found


def sweep(codec: ImageCodec, wanted: list[float] | None) -> list[float]:
    return sorted({float(q) for q in wanted or codec.qualities})


def with_ends(codec: ImageCodec, wanted: list[float] | None) -> list[float]:
    extra = ENDS if codecs.is_aecodec(codec.name) else ()
    return sorted({*sweep(codec, wanted), *extra})


def plan(
    sets: Sets, used: dict[str, ImageCodec], wanted: list[float] | None
) -> dict[str, dict[RowKey, Path]]:
    """{set: {key of every row that belongs to it: picture}}"""
    planned: dict[str, dict[RowKey, Path]] = {}
    for name, paths in sets.items():
        keys = planned.setdefault(name, {})
        for path in paths:
            digest = pictures.fingerprint(path)
            for codec in used.values():
                for quality in with_ends(codec, wanted):
                    keys[RowKey(codec.name, codec.version, path.name, digest, quality)] = path
    return planned


def summarise(
    used: dict[str, ImageCodec],
    found: list[Row],
    options: argparse.Namespace,
    anchors: dict[str, Curve],
    paths: list[Path],
) -> dict[str, Any]:
    """Curves, facts, BD-rates by every metric, and each picture's BD-rates, of one set."""
    curves: dict[str, Curve] = {}
    for name, codec in used.items():
        own = [row for row in found if row["codec"] == name]
        curves[name] = curve_of(name, codec.version, own, sweep(codec, options.qualities), len(paths))
        if codecs.is_aecodec(name):
            ends = with_ends(codec, options.qualities)
            curves[name]["dial"] = per_picture.dial_facts(own, ends, len(paths))
    against = options.against
    compared = {**({f"{against} (here)": curves[against]} if against in curves else {}), **anchors}
    sweeps = {name: sweep(codec, options.qualities) for name, codec in used.items()}
    return {
        "pictures": [path.name for path in paths],
        "codecs": curves,
        "bd_rate": {metric: table(compared, curves, metric) for metric in METRICS},
        "worst": {
            "against": options.worst_against,
            "metric": options.metric,
            "bd_rate": per_picture.bd_rates(found, sweeps, options.worst_against, options.metric),
        },
    }


def report(name: str, summary: dict[str, Any], options: argparse.Namespace) -> None:
    print(f"\n=== {name}: {len(summary['pictures'])} picture(s)")
    for curve in summary["codecs"].values():
        print_curve(curve)
        if dial := curve.get("dial"):
            per_picture.print_dial(dial)
    worst = summary["worst"]
    for codec in filter(codecs.is_aecodec, summary["codecs"]):
        per_picture.print_worst(worst["bd_rate"], codec, worst["against"], worst["metric"], options.worst)
    print()
    print_table(summary["bd_rate"][options.metric], list(summary["codecs"]), options.metric)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rd", description=first)
    parser.add_argument("places", type=Path, nargs="+", help="folders of pictures (or pictures), a set each")
    names = ", ".join(codecs.REGISTRY)
    parser.add_argument("--codecs", nargs="+", default=DEFAULT_CODECS, help=f"of {names}, aecodec:MODEL")
    parser.add_argument("--qualities", nargs="+", type=float, help="the same for all; default: each its own")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rd.json"))
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=DEFAULT_METRICS, help="to measure")
    parser.add_argument("--metric", choices=METRICS, default="psnr", help="of the printed BD-rates")
    parser.add_argument("--anchors", type=Path, nargs="+", default=[], help="curve files for the first set")
    parser.add_argument("--against", default="jpeg", help="codec of this run to compare with (%(default)s)")
    parser.add_argument("--worst", type=int, default=5, help="how many worst pictures (%(default)s)")
    parser.add_argument("--worst-against", help="codec that they are worst against; default: --against")
    parser.add_argument("--jobs", type=int, default=1, help="pictures at once; above 1 times mean nothing")
    parser.add_argument("--threads", type=int, help="threads of each codec with --jobs 1; default: all")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    options = parser.parse_args(arguments)
    options.worst_against = options.worst_against or options.against
    options.metrics = tuple(m for m in METRICS if m == "psnr" or m in {*options.metrics, options.metric})
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    jobs = max(1, options.jobs)
    threads = 1 if jobs > 1 else options.threads
    try:
        sets = sets_of(options.places)
        anchors = {k: c for file in options.anchors for k, c in read_curves(file).items()}
        made = {name: codecs.make(name, threads) for name in options.codecs}
        used = {codec.name: codec for codec in made.values()}
        asked = {codec.name: name for name, codec in made.items()}
        if len(asked) < len(made):
            raise ValueError("two codecs of --codecs have the same name; measure one of them at a time")
        if "ssimulacra2" in options.metrics:
            perceptual.check_installed()
        known = {} if options.fresh else rows.read(options.out)
    except ValueError as error:
        return environment.fail(str(error))

    planned = plan(sets, used, options.qualities)
    wanted = {key: path for keys in planned.values() for key, path in keys.items()}
    tasks = [
        Task(asked[key.codec], path, key.quality, threads, jobs, left, known.get(key))
        for key, path in wanted.items()
        if (left := rows.missing(known.get(key), options.metrics))
    ]
    named = [codecs.model_of(n) for n in options.codecs if codecs.is_aecodec(n)] or [None]
    facts = environment.describe(named[0], threads or environment.cpus(), named)

    def save(summaries: dict[str, Any]) -> None:
        content = {"format": FORMAT, "environment": facts, "jobs": jobs, "sets": summaries}
        environment.write_json(options.out, {**content, "rows": list(known.values())})

    saved = time.monotonic()
    problems = []
    with closing(bar(len(tasks), "rd")) as progress:
        try:
            for row, problem in rows.outcomes(tasks, jobs):
                progress.update()
                if row is None:
                    problems.append(problem)
                    continue
                known[rows.key_of(row)] = row
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
    summaries = {}
    for number, (name, keys) in enumerate(planned.items()):
        found = [known[key] for key in keys if key in known]
        summaries[name] = summarise(used, found, options, {} if number else anchors, sets[name])
    save(summaries)
    have = sum(key in known for key in wanted)
    done = len(tasks) - len(problems)
    print(f"{sum(map(len, sets.values()))} pictures, {done} rows measured, {have - done} from {options.out}")
    for name, summary in summaries.items():
        report(name, summary, options)
    if anchors:
        print("\n(a curve from a file means something only on the pictures that it was measured on)")
    if problems:
        more = f"\n... and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        shown = "\n".join(problems[:SHOWN_PROBLEMS])
        print(
            f"\n{len(problems)} rows failed; the same command tries them again:\n{shown}{more}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
