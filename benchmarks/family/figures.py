"""The figures of docs/autoencoders.md: curves as SVG, pictures as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec.latents.autoencoder import Autoencoder
from aecodec.training.family.data import Pictures
from benchmarks.family.denoising import masked, noisy
from benchmarks.family.principal import Principal

Array = NDArray[np.float32]
SCALE = 2
"""Pixels of a figure for one of a picture."""
COLUMNS = 12
Line = tuple[list[float], list[float]]


def curves(path: Path, panels: Mapping[str, Mapping[str, Line]], x_label: str, y_label: str) -> None:
    """One panel for each title: lines {label: (x, y)}."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    for i, (title, lines) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), i + 1)
        for label, (x, y) in lines.items():
            axes.plot(x, y, "o-", markersize=3, label=label)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    _, tag, rest = text.getvalue().partition("<svg")
    path.write_text(tag + rest, encoding="utf-8")


def sheet(path: Path, rows: list[Array]) -> None:
    """Rows of pictures [N, C, H, W] in 0..1, one below the other, as PNG."""
    lines = [np.concatenate(list(np.pad(r, ((0, 0), (0, 0), (1, 1), (1, 1)))), 2) for r in rows]
    whole = np.concatenate(lines, 1).transpose(1, 2, 0)
    whole = (np.clip(whole, 0, 1) * 255).round().astype(np.uint8).repeat(SCALE, 0).repeat(SCALE, 1)
    Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole).save(path, optimize=True)


def reconstruction_curves(path: Path, rows: list[dict[str, Any]]) -> None:
    """Test error by latents, of the sets that were measured at more than one number of them."""
    panels: dict[str, dict[str, Line]] = {}
    for row in rows:
        panel = panels.setdefault(row["data"], {})
        for name in ("pca", "linear", "fc", "conv"):
            if name in row:
                x, y = panel.setdefault(name, ([], []))
                x.append(row["latent"])
                y.append(row[name])
    several = {data: lines for data, lines in panels.items() if len(lines["pca"][0]) > 1}
    curves(path, several, "latents", "mean squared error, test")


def noise_curves(path: Path, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    panels = {}
    for title, rows in tables.items():
        columns = [k for k in rows[0] if k != "sigma"]
        panels[title] = {c: ([r["sigma"] for r in rows], [r[c] for r in rows]) for c in columns}
    curves(path, panels, "sigma of the noise, 0..255", "PSNR to the clean pictures")


def digit_sheets(folder: Path, models: Mapping[str, Autoencoder], pictures: Pictures) -> None:
    """Reconstructions, denoised and unmasked digits, samples and interpolations."""
    x = pictures.test[:: len(pictures.test) // COLUMNS][:COLUMNS]
    principal = Principal.of(pictures.train)
    rows = [x]
    for latent in (4, 32):
        rows += [principal.reconstruct(x, latent), models[f"mnist/fc-{latent}"].reconstruct(x)]
    sheet(folder / "reconstructions.png", rows)
    given, holes = noisy(x, 100), masked(x, 0.5)[0]
    rows = [given, models["mnist/wide"].reconstruct(given), models["mnist/denoising"].reconstruct(given)]
    rows += [holes, models["mnist/wide"].reconstruct(holes), models["mnist/unmasking"].reconstruct(holes)]
    sheet(folder / "denoised.png", rows)
    model = models["mnist/variational-1"]
    rng = np.random.default_rng(0)
    rows = [model.sample(COLUMNS, rng) for _ in range(3)]
    rows.append(principal.sample(COLUMNS, model.latent, rng))
    rows += [model.interpolate(x[i], x[-1 - i], COLUMNS) for i in (1, 3)]
    sheet(folder / "samples.png", rows)
