"""Rate-distortion curves: means of rows, curve files, the BD-rate table.

A curve is what CompressAI writes: {"name": ..., "results": {"bpp": [...], "psnr-rgb": [...], ...}}, one
entry a quality. A curve file is one such object, a dict of them by name, or a result file of rd.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.metrics import bd_rate

Curve = dict[str, Any]
Row = dict[str, Any]
MEANS = ("bpp", "psnr-rgb", "ms-ssim-rgb", "encoding_time", "decoding_time")


def mean_of(values: Iterable[float | None]) -> float | None:
    """None when any is missing: a mean over other pictures than its neighbours' would mislead."""
    found = list(values)
    known = [v for v in found if v is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def curve_of(name: str, version: str, rows: list[Row], qualities: Iterable[float]) -> Curve:
    """Means over the pictures at each quality: PSNR is the mean of the pictures' PSNR, as in papers."""
    results: dict[str, list[float | None]] = {"quality": [], **{key: [] for key in MEANS}}
    for quality in sorted(qualities):
        here = [row for row in rows if row["quality"] == quality]
        if here:
            results["quality"].append(quality)
            for key in MEANS:
                results[key].append(mean_of(row[key] for row in here))
    return {"name": name, "version": version, "results": results}


def read_curves(path: Path) -> dict[str, Curve]:
    """Every curve in a file that has bpp and psnr-rgb. ValueError when there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not a readable curve file: {error}") from None
    if isinstance(content, dict) and "results" in content:
        content = {str(content.get("name", path.stem)): content}
    elif isinstance(content, dict) and isinstance(content.get("codecs"), dict):
        content = content["codecs"]
    found = {}
    for name, entry in content.items() if isinstance(content, dict) else ():
        results = entry.get("results", {}) if isinstance(entry, dict) else {}
        if "bpp" in results and "psnr-rgb" in results:
            found[name] = entry
    if not found:
        raise ValueError(f"{path}: no curve with results.bpp and results.psnr-rgb")
    return found


def compare(anchor: Curve, curve: Curve) -> float | None:
    """BD-rate of curve against anchor in percent of bytes, by PSNR."""
    a, b = anchor["results"], curve["results"]
    return bd_rate(a["bpp"], a["psnr-rgb"], b["bpp"], b["psnr-rgb"])


def table(anchors: Mapping[str, Curve], curves: Mapping[str, Curve]) -> dict[str, dict[str, float | None]]:
    """{anchor: {codec: BD-rate}}"""
    return {
        name: {codec: compare(anchor, curve) for codec, curve in curves.items()}
        for name, anchor in anchors.items()
    }


def print_table(values: Mapping[str, Mapping[str, float | None]], names: list[str]) -> None:
    """One line an anchor, one column a codec. '-' where the curves share no PSNR."""
    left = max([len(a) for a in values] + [len("BD-rate against")])
    columns = [max(8, len(name)) for name in names]
    print("BD-rate against".ljust(left), *(n.rjust(c) for n, c in zip(names, columns, strict=True)), sep="  ")
    for anchor, row in values.items():
        cells = ("-" if row[n] is None else f"{row[n]:+.1f} %" for n in names)
        print(anchor.ljust(left), *(t.rjust(c) for t, c in zip(cells, columns, strict=True)), sep="  ")


def print_curve(curve: Curve) -> None:
    results = curve["results"]
    print(f"\n{curve['name']}  ({curve['version']})")
    print("  quality      bpp   PSNR dB  MS-SSIM   dB    enc s    dec s")
    for i, quality in enumerate(results["quality"]):
        similarity = results["ms-ssim-rgb"][i]
        ms = "      -      -" if similarity is None else f"{similarity:.5f} {decibels(similarity):6.2f}"
        times = f"{results['encoding_time'][i]:8.3f} {results['decoding_time'][i]:8.3f}"
        print(f"  {quality:7g} {results['bpp'][i]:8.4f} {results['psnr-rgb'][i]:9.3f}  {ms} {times}")


def decibels(similarity: float) -> float:
    """MS-SSIM on the scale on which curves are drawn: -10 log10(1 - value)."""
    return math.inf if similarity >= 1 else -10 * math.log10(1 - similarity)


def increases(values: list[float]) -> bool:
    return all(b > a for a, b in zip(values, values[1:], strict=False))
