"""Rate-distortion plots as SVG, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from benchmarks.codecs import is_aecodec
from benchmarks.curves import METRICS, Curve, points

COLOURS = {
    "avif-s3": "#1f77b4",
    "avif-s3-psnr": "#08519c",
    "avif-s6": "#6baed6",
    "avif-s6-psnr": "#17becf",
    "avif-s6-ssimulacra2": "#3182bd",
    "jxl": "#2ca02c",
    "heic": "#9467bd",
    "heic-psnr": "#c5b0d5",
    "webp": "#8c564b",
    "jpeg2000": "#e377c2",
    "jpeg": "#7f7f7f",
}
OURS = ("#d62728", "#ff7f0e", "#8c1515", "#bcbd22")
"""One for each model of aecodec."""
GREYS = ("#000000", "#555555", "#999999")
STYLES = ("--", ":", "-.")


def rate_distortion(
    measured: Mapping[str, Curve],
    published: Mapping[str, Curve],
    metric: str = "psnr",
    highest: float = 2.0,
) -> str:
    """SVG text. Measured curves are solid, published ones (on the same pictures) broken grey lines.

    metric: one of METRICS; highest: right end of the axis in bits a pixel."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2), layout="constrained")
    axes = figure.add_subplot()
    tallest = 0.0
    for number, (name, curve) in enumerate(published.items()):
        bpp, value = points(curve, metric)
        if not bpp:  # many have PSNR alone
            continue
        style = STYLES[number // len(GREYS) % len(STYLES)]
        axes.plot(
            bpp, value, style, color=GREYS[number % len(GREYS)], linewidth=1, label=f"{name}, published"
        )
        tallest = max([tallest, *(v for b, v in zip(bpp, value, strict=True) if b <= highest)])
    models = [name for name in measured if is_aecodec(name)]
    for name, curve in measured.items():
        bpp, value = points(curve, metric)
        wide = 2.4 if name in models else 1.3
        colour = OURS[models.index(name) % len(OURS)] if name in models else COLOURS.get(name)
        axes.plot(bpp, value, "o-", markersize=3, linewidth=wide, color=colour, label=name)
        tallest = max([tallest, *(v for b, v in zip(bpp, value, strict=True) if b <= highest)])
    axes.set_xlim(0, highest)
    axes.set_ylim(top=tallest + 0.5)
    axes.set_xlabel("bits per pixel, files on disk")
    axes.set_ylabel(METRICS[metric].title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": metric}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    _, tag, rest = text.getvalue().partition("<svg")
    return tag + rest
