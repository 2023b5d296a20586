"""One HTML page from result files: curves, BD-rates, speed, and pictures side by side at equal bytes.

    python -m benchmarks.report benchmarks/results/rd.json [--speed SPEED.json] [--anchors CURVES.json]
        [--pictures FOLDER ...] [--out benchmarks/results/report.html]

Every set of pictures in the result file has a part of its own; --anchors go with the first one. Of each
folder of --pictures some are shown side by side, first those on which the model is worst. The page needs no
other file and no network. With --svg a plot of the first set is written on its own, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import codecs, curves, environment, page, per_picture, pictures, plots, side_by_side
from benchmarks.side_by_side import View

TEMPLATE = Path(__file__).with_name("report.html")
PEERS = ("avif-s6", "jxl", "webp", "heic")


def choose(paths: list[Path], worst: list[str], count: int) -> list[Path]:
    """Half of count from `worst` (file names, worst first), the rest spread over the others."""
    by_name = {path.name: path for path in paths}
    first = [by_name[name] for name in worst if name in by_name][: count // 2]
    others = [path for path in paths if path not in first]
    left = count - len(first)
    return first + others[:: max(1, len(others) // left)][:left] if left > 0 else first


def comparisons(
    folder: Path, ours: str, peers: list[str], quality: float, count: int, worst: list[str] | None = None
) -> list[tuple[str, list[View]]]:
    """Pictures of a folder, each through all codecs. ours: "aecodec" or "aecodec:MODEL"."""
    chosen = choose(pictures.find(folder), worst or [], count)
    own = codecs.make(ours)
    made = [codecs.make(name) for name in peers]
    return [(path.name, side_by_side.compare(path, own, made, quality)) for path in chosen]


def worst_names(rd: dict[str, Any], folder: Path, codec: str) -> list[str]:
    """Names of a set's pictures, the worst for the codec first; empty for a folder that is no set."""
    found = rd["sets"].get(folder.resolve().name)
    if not found:
        return []
    rates = found["worst"]["bd_rate"]
    return [name for name, _ in per_picture.worst(rates, codec, len(rates))]


def build(
    rd: dict[str, Any],
    speed: dict[str, Any] | None,
    anchors: dict[str, curves.Curve],
    compared: list[tuple[str, list[View]]],
) -> str:
    """The page's text."""
    sections = []
    for number, (name, found) in enumerate(rd["sets"].items()):
        published = {} if number else anchors
        rates = {
            metric: {**values, **curves.table(published, found["codecs"], metric)}
            for metric, values in found["bd_rate"].items()
        }
        sections.append(page.set_part(name, found, published, rates))
    parts = {
        "sets": "".join(sections),
        "speed": page.speed_tables(speed) if speed else "<p>Not measured.</p>",
        "viewers": "".join(page.viewer(i, n, v) for i, (n, v) in enumerate(compared))
        or "<p>No pictures given.</p>",
        "facts": page.facts(rd) + (page.facts(speed) if speed else ""),
    }
    text = TEMPLATE.read_text("utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


def read_results(path: Path) -> dict[str, Any]:
    """A finished result file of rd.py. ValueError for others."""
    content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict) or not content.get("sets"):
        command = f"run benchmarks.rd with --out {path} to its end"
        raise ValueError(f"{path}: no curves; {command} (rows that are there are not measured again)")
    return content


def parse(arguments: list[str] | None) -> argparse.Namespace:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=first)
    parser.add_argument("rd", type=Path, help="result file of benchmarks.rd")
    parser.add_argument("--speed", type=Path, help="result file of benchmarks.speed")
    parser.add_argument("--anchors", type=Path, nargs="+", default=[], help="published curves")
    parser.add_argument(
        "--pictures", type=Path, nargs="+", default=[], help="folders whose pictures are shown side by side"
    )
    parser.add_argument("--count", type=int, default=4, help="how many of each folder (%(default)s)")
    parser.add_argument(
        "--codec", default="aecodec", help="the model shown: aecodec (default) or aecodec:MODEL"
    )
    parser.add_argument("--quality", type=float, default=25, help="aecodec's for them (%(default)s)")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/report.html"))
    parser.add_argument("--svg", type=Path, help="write a plot of the first set here, too")
    parser.add_argument(
        "--svg-metric", choices=tuple(curves.METRICS), default="psnr", help="its metric (%(default)s)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        rd = read_results(options.rd)
        speed = json.loads(options.speed.read_text("utf-8")) if options.speed else None
        anchors = {k: c for file in options.anchors for k, c in curves.read_curves(file).items()}
        peers, compared = list(options.peers), []
        shown = codecs.make(options.codec).name if options.pictures else ""
        for folder in options.pictures:
            worst = worst_names(rd, folder, shown)
            compared += comparisons(folder, options.codec, peers, options.quality, options.count, worst)
        text = build(rd, speed, anchors, compared)
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, "utf-8")
    print(f"wrote {options.out}: {len(text.encode()) / 1e6:.1f} MB")
    if options.svg:
        drawn = {name: anchors[name] for name in page.DRAWN if name in anchors}
        first = next(iter(rd["sets"].values()))["codecs"]
        options.svg.write_text(plots.rate_distortion(first, drawn, options.svg_metric), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
