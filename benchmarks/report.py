"""One HTML page from result files: curves, BD-rates, speed, and pictures side by side at equal bytes.

    python -m benchmarks.report benchmarks/results/rd.json [--speed SPEED.json] [--anchors CURVES.json]
        [--pictures FOLDER] [--out benchmarks/results/report.html]

Every set of pictures in the result file has a part of its own; --anchors go with the first one. The page
needs no other file and no network. With --svg the first set's PSNR plot is written on its own, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import codecs, curves, environment, page, pictures, plots, side_by_side
from benchmarks.side_by_side import View

TEMPLATE = Path(__file__).with_name("report.html")
PEERS = ("avif-s6", "jxl", "webp", "heic")


def comparisons(folder: Path, peers: list[str], quality: float, count: int) -> list[tuple[str, list[View]]]:
    """Pictures spread over the folder, each through all codecs."""
    paths = pictures.find(folder)
    chosen = paths[:: max(1, len(paths) // count)][:count]
    ours = codecs.make("aecodec")
    made = [codecs.make(name) for name in peers]
    return [(path.name, side_by_side.compare(path, ours, made, quality)) for path in chosen]


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
    parser.add_argument("--pictures", type=Path, help="folder whose pictures are shown side by side")
    parser.add_argument("--count", type=int, default=4, help="how many of them (%(default)s)")
    parser.add_argument("--quality", type=float, default=25, help="aecodec's for them (%(default)s)")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/report.html"))
    parser.add_argument("--svg", type=Path, help="write the first set's PSNR plot here, too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        rd = read_results(options.rd)
        speed = json.loads(options.speed.read_text("utf-8")) if options.speed else None
        anchors = {k: c for file in options.anchors for k, c in curves.read_curves(file).items()}
        compared = []
        if options.pictures:
            compared = comparisons(options.pictures, list(options.peers), options.quality, options.count)
        text = build(rd, speed, anchors, compared)
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text, "utf-8")
    print(f"wrote {options.out}: {len(text.encode()) / 1e6:.1f} MB")
    if options.svg:
        drawn = {name: anchors[name] for name in page.DRAWN if name in anchors}
        first = next(iter(rd["sets"].values()))["codecs"]
        options.svg.write_text(plots.rate_distortion(first, drawn), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
