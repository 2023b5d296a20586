"""One HTML page from result files: curves, BD-rates, speed, and pictures side by side at equal bytes.

    python -m benchmarks.report benchmarks/results/rd.json [--speed SPEED.json] [--anchors CURVES.json]
        [--pictures FOLDER] [--out benchmarks/results/report.html]

The page needs no other file and no network. With --svg the PSNR plot is written on its own, too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks import codecs, curves, environment, pictures, plots, side_by_side
from benchmarks.side_by_side import View

PAGE = Path(__file__).with_name("report.html")
DRAWN = ("VTM 9.1 intra", "BPG 4:4:4", "mbt2018-mean")
"""Published curves that the plot shows; the table has all."""
PEERS = ("avif-s6", "jxl", "webp", "heic")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are escaped here; all but the first column are numbers and stand to the right."""
    cells = "".join(f"<th>{escape(c)}</th>" for c in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"


def bd_table(values: Mapping[str, Mapping[str, float | None]], names: list[str]) -> str:
    rows = [
        [anchor, *("–" if row.get(n) is None else f"{row[n]:+.1f} %" for n in names)]
        for anchor, row in values.items()
    ]
    return table(["against", *names], rows)


def curve_tables(measured: Mapping[str, curves.Curve]) -> str:
    parts = []
    for name, curve in measured.items():
        r = curve["results"]
        rows = [
            [
                f"{r['quality'][i]:g}",
                f"{r['bpp'][i]:.4f}",
                f"{r['psnr-rgb'][i]:.2f}",
                "–" if r["ms-ssim-rgb"][i] is None else f"{r['ms-ssim-rgb'][i]:.4f}",
            ]
            for i in range(len(r["quality"]))
        ]
        head = f"<summary>{escape(name)} <small>{escape(curve.get('version', ''))}</small></summary>"
        parts.append(f"<details>{head}{table(['quality', 'bpp', 'PSNR dB', 'MS-SSIM'], rows)}</details>")
    return "".join(parts)


def speed_tables(result: dict[str, Any]) -> str:
    parts = []
    for title, found in result["pictures"].items():
        rows = []
        for name, entry in found["codecs"].items():
            times = [f"{entry[what]['ms']:.1f}" for what in ("encode", "decode")]
            rates = [f"{entry[what]['megapixels_per_second']:.1f}" for what in ("encode", "decode")]
            rows.append([name, f"{entry['bpp']:.3f}", f"{entry['psnr-rgb']:.2f}", *times, *rates])
        head = ["codec", "bpp", "PSNR dB", "encode ms", "decode ms", "encode MP/s", "decode MP/s"]
        parts.append(f"<h3>{escape(title)}, warm</h3>" + table(head, rows))
    if cold := result.get("cold_ms"):
        rows = [
            [name, f"{s['ms']:.0f}", f"{s['ms_min']:.0f} .. {s['ms_max']:.0f}"] for name, s in cold.items()
        ]
        parts.append("<h3>Whole processes</h3>" + table(["command", "median ms", "range"], rows))
    return "".join(parts)


def comparisons(folder: Path, peers: list[str], quality: float, count: int) -> list[tuple[str, list[View]]]:
    """Pictures spread over the folder, each through all codecs."""
    paths = pictures.find(folder)
    chosen = paths[:: max(1, len(paths) // count)][:count]
    ours = codecs.make("aecodec")
    made = [codecs.make(name) for name in peers]
    return [(path.name, side_by_side.compare(path, ours, made, quality)) for path in chosen]


def viewer(number: int, name: str, views: list[View]) -> str:
    """Two pictures over each other with a slider; the script in report.html moves it."""

    def label(view: View) -> str:
        return (
            view.codec
            if view.codec == "original"
            else f"{view.codec}: {view.bytes} bytes, {view.psnr:.2f} dB"
        )

    options = [f'<option value="{i}">{escape(label(v))}</option>' for i, v in enumerate(views)]
    images = "".join(f'<img alt="{escape(v.codec)}" src="{v.png}" hidden>' for v in views)
    selects = "".join(
        f'<select aria-label="{side} picture" data-start="{start}">{"".join(options)}</select>'
        for side, start in (("left", 1), ("right", min(2, len(views) - 1)))
    )
    slider = '<input type=range min=0 max=100 value=50 aria-label="where the pictures meet">'
    return (
        f'<figure class=viewer id="viewer-{number}"><figcaption>{escape(name)}</figcaption>'
        f"{selects}<div class=stage>{images}</div>{slider}</figure>"
    )


def facts(content: dict[str, Any]) -> str:
    known = content["environment"]
    rows = [[k, json.dumps(v) if isinstance(v, (dict, list)) else str(v)] for k, v in known.items()]
    return table(["measured with", ""], rows)


def build(
    rd: dict[str, Any],
    speed: dict[str, Any] | None,
    anchors: dict[str, curves.Curve],
    compared: list[tuple[str, list[View]]],
) -> str:
    """The page's text."""
    measured = rd["codecs"]
    drawn = {name: anchors[name] for name in DRAWN if name in anchors}
    values = dict(rd["bd_rate"]) if not anchors else {**rd["bd_rate"], **curves.table(anchors, measured)}
    plot = plots.rate_distortion(measured, drawn)
    if any(v is not None for c in measured.values() for v in c["results"]["ms-ssim-rgb"]):
        plot += plots.rate_distortion(measured, {}, "ms-ssim-rgb")
    parts = {
        "pictures": f"{len(rd['pictures'])} pictures of {escape(rd['folder'])}",
        "plot": plot,
        "bd": bd_table(values, list(measured)),
        "curves": curve_tables(measured),
        "speed": speed_tables(speed) if speed else "<p>Not measured.</p>",
        "viewers": "".join(viewer(i, n, v) for i, (n, v) in enumerate(compared))
        or "<p>No pictures given.</p>",
        "facts": facts(rd) + (facts(speed) if speed else ""),
    }
    text = PAGE.read_text("utf-8")
    for name, part in parts.items():
        text = text.replace(f"<!-- {name} -->", part)
    return text


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
    parser.add_argument("--svg", type=Path, help="write the PSNR plot here, too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        rd = json.loads(options.rd.read_text("utf-8"))
        if not rd.get("codecs"):
            raise ValueError(f"{options.rd}: no curves; let benchmarks.rd finish first")
        speed = json.loads(options.speed.read_text("utf-8")) if options.speed else None
        anchors = {k: c for file in options.anchors for k, c in curves.read_curves(file).items()}
        compared = []
        if options.pictures:
            compared = comparisons(options.pictures, list(options.peers), options.quality, options.count)
        page = build(rd, speed, anchors, compared)
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page, "utf-8")
    print(f"wrote {options.out}: {len(page.encode()) / 1e6:.1f} MB")
    if options.svg:
        drawn = {name: anchors[name] for name in DRAWN if name in anchors}
        options.svg.write_text(plots.rate_distortion(rd["codecs"], drawn), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
