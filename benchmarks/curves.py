"""Rate-distortion curves: means of rows, curve files, the BD-rate table.

A curve is what CompressAI writes: {"name": ..., "results": {"bpp": [...], "psnr-rgb": [...], ...}}, one
entry a quality. A curve file is one such object, a dict of them by name, or a result file of rd.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.metrics import bd_rate

Curve = dict[str, Any]
Row = dict[str, Any]


class Metric(NamedTuple):
    """A measure of quality: more is better."""

    key: str
    """In rows and curves."""
    title: str
    """With its unit, on the scale of `on_scale`."""


METRICS = {
    "psnr": Metric("psnr-rgb", "PSNR, RGB (dB)"),
    "ms-ssim": Metric("ms-ssim-rgb", "MS-SSIM, RGB (dB)"),
    "ssimulacra2": Metric("ssimulacra2", "SSIMULACRA2"),
}
KEYS = tuple(metric.key for metric in METRICS.values())
MEANS = ("bpp", *KEYS, "encoding_time", "decoding_time")


def decibels(similarity: float) -> float:
    """MS-SSIM on the scale on which curves are drawn: -10 log10(1 - value)."""
    return math.inf if similarity >= 1 else -10 * math.log10(1 - similarity)


def on_scale(metric: str, value: float) -> float:
    """A metric's value on the scale on which curves are drawn and BD-rates computed."""
    return decibels(value) if metric == "ms-ssim" else value


def points(curve: Curve, metric: str) -> tuple[list[float], list[float]]:
    """-> bpp, quality on the metric's scale: the points at which the metric is known and finite, by bpp."""
    results = curve["results"]
    pairs = zip(results["bpp"], results.get(METRICS[metric].key) or [], strict=False)
    known = [(bpp, on_scale(metric, value)) for bpp, value in pairs if value is not None]
    finite = sorted((bpp, value) for bpp, value in known if math.isfinite(value))
    return [bpp for bpp, _ in finite], [value for _, value in finite]


def mean_of(values: Iterable[float | None]) -> float | None:
    """None when any is missing: a mean over other pictures than its neighbours' would mislead."""
    found = list(values)
    known = [v for v in found if v is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def throughput(rows: list[Row], time: str) -> float | None:
    """Megapixels a second over all rows; None when pictures were measured several at once."""
    seconds = sum(row[time] for row in rows)
    if not seconds or any(row.get("jobs") != 1 for row in rows):
        return None
    return sum(8 * row["bytes"] / row["bpp"] for row in rows) / seconds / 1e6


def curve_of(name: str, version: str, rows: list[Row], qualities: Iterable[float], pictures: int) -> Curve:
    """Means over the pictures at each quality: PSNR is the mean of the pictures' PSNR, as in papers.

    A quality at which not all `pictures` have a row is left out."""
    results: dict[str, list[float | None]] = {"quality": [], **{key: [] for key in MEANS}}
    speeds: dict[str, list[float | None]] = {"encoding_mps": [], "decoding_mps": []}
    for quality in sorted(qualities):
        here = [row for row in rows if row["quality"] == quality]
        if here and len(here) == pictures:
            results["quality"].append(quality)
            for key in MEANS:
                results[key].append(mean_of(row.get(key) for row in here))
            for key, values in speeds.items():
                values.append(throughput(here, key.replace("_mps", "_time")))
    return {"name": name, "version": version, "results": results | speeds}


def read_curves(path: Path) -> dict[str, Curve]:
    """Every curve in a file that has bpp and psnr-rgb; of a result file those of its first set of pictures.

    ValueError when there is none, or when a curve's lists are not of one length."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable curve file: {error}") from None
    if isinstance(content, dict) and "results" in content:
        content = {str(content.get("name", path.stem)): content}
    elif isinstance(content, dict) and isinstance(content.get("sets"), dict):
        content = next(iter(content["sets"].values()), {}).get("codecs", {})
    found = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        results = entry.get("results", {}) if isinstance(entry, dict) else {}
        if "bpp" not in results or "psnr-rgb" not in results:
            continue
        for key in KEYS:
            if results.get(key) and len(results[key]) != len(results["bpp"]):
                lengths = f"{len(results[key])} values of {key} but {len(results['bpp'])} of bpp"
                raise ValueError(f"{path}: the curve {name!r} has {lengths}")
        found[name] = entry
    if not found:
        raise ValueError(f"{path}: no curve with results.bpp and results.psnr-rgb")
    return found


def compare(anchor: Curve, curve: Curve, metric: str = "psnr") -> float | None:
    """BD-rate of curve against anchor in percent of bytes; None where they share no range of the metric."""
    return bd_rate(*points(anchor, metric), *points(curve, metric))


def table(
    anchors: Mapping[str, Curve], curves: Mapping[str, Curve], metric: str = "psnr"
) -> dict[str, dict[str, float | None]]:
    """{anchor: {codec: BD-rate}}"""
    return {
        name: {codec: compare(anchor, curve, metric) for codec, curve in curves.items()}
        for name, anchor in anchors.items()
    }


def print_table(values: Mapping[str, Mapping[str, float | None]], names: list[str], metric: str) -> None:
    """One line an anchor, one column a codec. '-' where the curves share no range of the metric."""
    corner = f"BD-rate ({metric}) against"
    left = max([len(a) for a in values] + [len(corner)])
    columns = [max(8, len(name)) for name in names]
    print(corner.ljust(left), *(n.rjust(c) for n, c in zip(names, columns, strict=True)), sep="  ")
    for anchor, row in values.items():
        cells = ("-" if row[n] is None else f"{row[n]:+.1f} %" for n in names)
        print(anchor.ljust(left), *(t.rjust(c) for t, c in zip(cells, columns, strict=True)), sep="  ")


def print_curve(curve: Curve) -> None:
    """Means at each quality; speeds are there only where pictures were measured one at a time."""
    results = curve["results"]
    print(f"\n{curve['name']}  ({curve['version']})")
    print("  quality      bpp   PSNR dB  MS-SSIM   dB     SSIMU2   enc MP/s   dec MP/s")

    def cell(key: str, i: int, width: int, digits: int) -> str:
        value = results[key][i]
        return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"

    for i, quality in enumerate(results["quality"]):
        similarity = results["ms-ssim-rgb"][i]
        ms = "      -      -" if similarity is None else f"{similarity:.5f} {decibels(similarity):6.2f}"
        speeds = f"{cell('encoding_mps', i, 10, 2)} {cell('decoding_mps', i, 10, 2)}"
        quality_cells = f"{cell('bpp', i, 8, 4)} {cell('psnr-rgb', i, 9, 3)}  {ms}"
        print(f"  {quality:7g} {quality_cells} {cell('ssimulacra2', i, 9, 2)} {speeds}")


def increases(values: list[float]) -> bool:
    return all(b > a for a, b in zip(values, values[1:], strict=False))
