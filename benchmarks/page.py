"""Parts of the report page as HTML: tables, plots, pictures over each other. Text is escaped here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from benchmarks import codecs, per_picture, plots
from benchmarks.curves import METRICS, Curve, points
from benchmarks.side_by_side import View

DRAWN = ("VTM 9.1 intra", "BPG 4:4:4", "mbt2018-mean", "ELIC")
"""Published curves that the plots show; the tables have all."""
WORST = 8

Rates = Mapping[str, Mapping[str, float | None]]


def table(head: list[str], rows: list[list[str]]) -> str:
    """Cells are escaped here; all but the first column are numbers and stand to the right."""
    cells = "".join(f"<th>{escape(c)}</th>" for c in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"


def details(summary: str, inner: str, small: str = "") -> str:
    return f"<details><summary>{escape(summary)} <small>{escape(small)}</small></summary>{inner}</details>"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f} %"


def bd_table(values: Rates, names: list[str]) -> str:
    rows = [[anchor, *(percent(row.get(n)) for n in names)] for anchor, row in values.items()]
    return table(["against", *names], rows)


def bd_tables(rates: Mapping[str, Rates], names: list[str]) -> str:
    """The table by PSNR, those by the other metrics folded up; a metric that no curve has is left out."""
    parts = []
    for metric, values in rates.items():
        known = {a: row for a, row in values.items() if any(row.get(n) is not None for n in names)}
        if not known:
            continue
        made = bd_table(known, names)
        title = f"BD-rate by {METRICS[metric].title}"
        parts.append(f"<h4>{escape(title)}</h4>{made}" if metric == "psnr" else details(title, made))
    return "".join(parts)


def rate_plots(measured: Mapping[str, Curve], published: Mapping[str, Curve]) -> str:
    """A plot for each metric that was measured."""
    known = [m for m in METRICS if any(points(curve, m)[0] for curve in measured.values())]
    return "".join(plots.rate_distortion(measured, published, metric) for metric in known)


def cell(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


COLUMNS = {
    "bpp": ("bpp", 4),
    "psnr-rgb": ("PSNR dB", 2),
    "ms-ssim-rgb": ("MS-SSIM", 4),
    "ssimulacra2": ("SSIMULACRA2", 1),
    "encoding_mps": ("encode MP/s", 2),
    "decoding_mps": ("decode MP/s", 2),
}


def curve_tables(measured: Mapping[str, Curve]) -> str:
    parts = []
    for name, curve in measured.items():
        results = curve["results"]
        shown = [k for k in COLUMNS if any(v is not None for v in results.get(k) or [])]
        rows = [
            [f"{quality:g}", *(cell(results[key][i], COLUMNS[key][1]) for key in shown)]
            for i, quality in enumerate(results["quality"])
        ]
        made = table(["quality", *(COLUMNS[key][0] for key in shown)], rows)
        parts.append(details(name, made, curve.get("version", "")))
    return "".join(parts)


def worst_tables(found: dict[str, Any], names: list[str]) -> str:
    """For each model of aecodec the pictures where it is worst, with the other codecs' BD-rates on them."""
    parts = []
    against, rates = found["against"], found["bd_rate"]
    for name in filter(codecs.is_aecodec, names):
        worst = per_picture.worst(rates, name, WORST)
        if not worst or name == against:
            continue
        order = [name, *(n for n in names if n not in (name, against))]
        rows = [[picture, *(percent(rates[picture].get(n)) for n in order)] for picture, _ in worst]
        title = f"Where {name} is worst against {against}: BD-rate by {METRICS[found['metric']].title}"
        parts.append(f"<h4>{escape(title)}</h4>{table(['picture', *order], rows)}")
    return "".join(parts)


def set_part(
    name: str, found: dict[str, Any], anchors: Mapping[str, Curve], rates: Mapping[str, Rates]
) -> str:
    """Everything about one set of pictures. rates: {metric: BD-rate table}."""
    measured = found["codecs"]
    count = f"{len(found['pictures'])} pictures" if len(found["pictures"]) != 1 else "1 picture"
    drawn = {n: anchors[n] for n in DRAWN if n in anchors}
    return (
        f"<section><h3>{escape(name)} <small>{count}</small></h3>{rate_plots(measured, drawn)}"
        f"{bd_tables(rates, list(measured))}{worst_tables(found['worst'], list(measured))}"
        f"{curve_tables(measured)}</section>"
    )


def speed_tables(result: dict[str, Any]) -> str:
    """Warm times, the entropy coder alone, whole processes with their memory, learned codecs."""
    parts = []
    for title, found in result["pictures"].items():
        rows = []
        for name, entry in found["codecs"].items():
            times = [f"{entry[what]['ms']:.1f}" for what in ("encode", "decode")]
            rates = [f"{entry[what]['megapixels_per_second']:.1f}" for what in ("encode", "decode")]
            rows.append([name, f"{entry['bpp']:.3f}", f"{entry['psnr-rgb']:.2f}", *times, *rates])
        head = ["codec", "bpp", "PSNR dB", "encode ms", "decode ms", "encode MP/s", "decode MP/s"]
        parts.append(f"<h3>{escape(title)}, warm</h3>" + table(head, rows))
        if coder := found.get("entropy"):
            encode, decode = (coder[what]["ms"] for what in ("encode", "decode"))
            size = f"{coder['symbols']} symbols, {coder['bytes']} bytes"
            parts.append(
                f"<p>aecodec's entropy coder alone, one thread: {encode:.2f} ms to encode, "
                f"{decode:.2f} ms to decode ({size}).</p>"
            )
    for title, found in result.get("processes", {}).items():
        rows = [
            [name, f"{s['ms']:.0f}", f"{s['ms_min']:.0f} .. {s['ms_max']:.0f}", cell(s["peak_mb"], 0)]
            for name, s in found.items()
        ]
        head = ["command", "median ms", "range", "peak memory MB"]
        parts.append(f"<h3>{escape(title)}, whole processes</h3>" + table(head, rows))
    for title, found in result.get("learned", {}).items():
        parts.append(f"<h3>{escape(title)}, learned codecs</h3>" + learned_table(found))
    return "".join(parts)


def learned_table(found: dict[str, Any]) -> str:
    rows = []
    for label, row in found["rows"].items():
        ratio = found["ratios"].get(label)
        cells = []
        for what in ("encode", "decode"):
            cells += [f"{row[what]['ms']:.0f}", f"{ratio[what]:.1f} x" if ratio else "1 x"]
        million = "–" if "parameters" not in row else f"{row['parameters'] / 1e6:.1f}"
        rows.append([label, *cells, million])
    head = ["codec", "encode ms", "times aecodec's", "decode ms", "times aecodec's", "million weights"]
    return (
        f"<p>Random weights, torch {escape(found['torch'])}. &ldquo;shape of&rdquo;: networks of the same "
        "layer shapes alone, without entropy coding; &ldquo;CompressAI&rdquo;: the package itself, entropy "
        f"coder included.</p>{table(head, rows)}"
    )


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
