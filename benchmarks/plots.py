"""Rate-distortion plots as SVG, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from benchmarks.curves import Curve, decibels

COLOURS = {
    "aecodec": "#d62728",
    "avif-s3": "#1f77b4",
    "avif-s6": "#6baed6",
    "jxl": "#2ca02c",
    "heic": "#9467bd",
    "webp": "#8c564b",
    "jpeg2000": "#e377c2",
    "jpeg": "#7f7f7f",
}
GREYS = ("#000000", "#555555", "#999999")
STYLES = ("--", ":", "-.")
AXES = {"psnr-rgb": "PSNR, RGB (dB)", "ms-ssim-rgb": "MS-SSIM, RGB (dB)"}


def _points(curve: Curve, metric: str) -> tuple[list[float], list[float]]:
    results = curve["results"]
    pairs = zip(results["bpp"], results.get(metric) or [], strict=False)
    known = [(bpp, decibels(v) if metric == "ms-ssim-rgb" else v) for bpp, v in pairs if v is not None]
    return [b for b, _ in known], [v for _, v in known]


def rate_distortion(
    measured: Mapping[str, Curve],
    published: Mapping[str, Curve],
    metric: str = "psnr-rgb",
    highest: float = 2.0,
) -> str:
    """SVG text. Measured curves are solid, published ones (on the same pictures) broken grey lines.

    metric: "psnr-rgb" or "ms-ssim-rgb"; highest: right end of the axis in bits a pixel."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.add_subplot()
    tallest = 0.0
    for number, (name, curve) in enumerate(published.items()):
        bpp, value = _points(curve, metric)
        style = STYLES[number // len(GREYS) % len(STYLES)]
        axes.plot(
            bpp, value, style, color=GREYS[number % len(GREYS)], linewidth=1, label=f"{name}, published"
        )
        tallest = max([tallest, *(v for b, v in zip(bpp, value, strict=True) if b <= highest)])
    for name, curve in measured.items():
        bpp, value = _points(curve, metric)
        family = name.partition(":")[0]
        wide = 2.4 if family == "aecodec" else 1.3
        colour = COLOURS.get(name, COLOURS.get(family))
        axes.plot(bpp, value, "o-", markersize=3, linewidth=wide, color=colour, label=name)
        tallest = max([tallest, *(v for b, v in zip(bpp, value, strict=True) if b <= highest)])
    axes.set_xlim(0, highest)
    axes.set_ylim(top=tallest + 0.5)
    axes.set_xlabel("bits per pixel, files on disk")
    axes.set_ylabel(AXES[metric])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": metric}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    _, tag, rest = text.getvalue().partition("<svg")
    return tag + rest
