"""Measured numbers -> tables in Markdown, put between the marks of docs/autoencoders.md."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def fill(text: str, tables: Mapping[str, str]) -> str:
    """Replace what stands between <!-- NAME --> and <!-- end --> for each name.

    ValueError when a mark is missing."""
    for name, content in tables.items():
        mark = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not mark.search(text):
            raise ValueError(f"the page has no <!-- {name} --> ... <!-- end -->")
        text = mark.sub(lambda found, new=content: f"{found[1]}\n{new}\n\n{found[2]}", text)
    return text


FIGURES = {
    "figures reconstruction": {
        "reconstruction.svg": "Test error by the number of latents.",
        "reconstructions.png": "From above: digits of the test; 4 latents, PCA and fully connected; 32 "
        "latents, the same.",
    },
    "figures noise": {
        "noise.svg": "PSNR by the noise.",
        "denoised.png": "From above: noise of sigma 100, what the plain and the denoising autoencoder "
        "make of it; half of the pixels lost, the same.",
    },
    "figures samples": {
        "samples.png": "From above: three rows of samples of the prior; a row from the Gaussian of 16 "
        "principal components; two rows from one digit to another.",
    },
}
"""{mark of the page: {file: what it shows}}"""


def links(folder: Path, page: Path) -> dict[str, str]:
    """{mark: the figures that are in `folder`, with what they show}."""
    where = Path(os.path.relpath(folder, page.parent)).as_posix()
    return {
        mark: "\n\n".join(
            f"![]({where}/{file})\n\n{text}" for file, text in shown.items() if (folder / file).exists()
        )
        for mark, shown in FIGURES.items()
        if any((folder / file).exists() for file in shown)
    }


def write(page: Path, tables: Mapping[str, str]) -> None:
    page.write_text(fill(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


def reconstruction(rows: list[dict[str, Any]]) -> str:
    head = (
        "data",
        "latents",
        "PCA",
        "linear",
        "fully connected",
        "convolutional",
        "angles of the linear one",
    )
    body = []
    for r in rows:
        cells = [r["data"], str(r["latent"]), f"{r['pca']:.5f}"]
        for name in ("linear", "fc", "conv"):
            cells.append(f"{r[name]:.5f} ({r[name] / r['pca'] - 1:+.0%})" if name in r else "-")
        body.append([*cells, f"{r['angle_mean']:.1f}, at most {r['angle_max']:.1f} degrees"])
    return table(head, body)


def sparsity(rows: list[dict[str, Any]]) -> str:
    head = ("objective", "active latents", "mean activation", "its spread over latents", "PSNR")
    body = [
        [r["name"], f"{r['share']:.1%}", f"{r['mean']:.3f}", f"{r['spread']:.3f}", f"{r['psnr']:.2f} dB"]
        for r in rows
    ]
    return table(head, body)


def contraction(rows: list[dict[str, Any]]) -> str:
    head = ("data, objective", "norm of J, squared", "moved by noise", "moved by a shift", "PSNR")
    body = [
        [r["name"], f"{r['jacobian']:.3f}", f"{r['noise']:.1%}", f"{r['shift']:.1%}", f"{r['psnr']:.2f} dB"]
        for r in rows
    ]
    return table(head, body)


NAMES = {
    "noisy": "as given",
    "masked": "as given",
    "plain": "plain autoencoder",
    "denoising": "denoising autoencoder",
    "nlm": "non-local means",
    "bm3d": "BM3D",
    "biharmonic": "biharmonic inpainting",
}


def decibels(rows: list[dict[str, Any]], key: str) -> str:
    columns = [k for k in rows[0] if k != key]
    body = [[f"{r[key]:g}", *(f"{r[c]:.2f}" for c in columns)] for r in rows]
    return table([key, *(NAMES.get(c, c) for c in columns)], body)


def bound(rows: list[dict[str, Any]]) -> str:
    head = ("beta", "ELBO, nats a picture", "KL, nats", "latents in use", "mean squared error of the mean")
    body = [
        [
            f"{r['beta']:g}",
            f"{r['elbo']:.1f}",
            f"{r['kl']:.1f}",
            f"{r['used']} of {r['latent']}",
            f"{r['mse']:.5f}",
        ]
        for r in rows
    ]
    return table(head, body)


def sampling(rows: list[dict[str, Any]]) -> str:
    return table(
        ("pictures", "precision", "recall"),
        [[r["source"], f"{r['precision']:.1%}", f"{r['recall']:.1%}"] for r in rows],
    )


def accuracy(tables: Mapping[str, list[dict[str, Any]]]) -> str:
    body = [
        [data, r["features"], str(r["dimensions"]), f"{r['clean']:.1%}", f"{r['noisy']:.1%}"]
        for data, rows in tables.items()
        for r in rows
    ]
    return table(("data", "features", "dimensions", "accuracy", "with noise of sigma 50"), body)
