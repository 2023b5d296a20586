"""Which autoencoders are trained, on which data: about six minutes on two quiet cores for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aecodec.training.family.config import FamilyConfig

LINEAR = {
    "hidden": [],
    "activation": "linear",
    "latent_activation": "linear",
    "output": "linear",
    "optimiser": "muon",
    "lr": 0.02,
    "constant": 0.3,
    "batch": 2000,
    "steps": 600,
}
ONE_LAYER = {"hidden": [], "tied": True, "latent": 128, "lr": 2e-3, "steps": 1000}
WIDE = {"hidden": [512], "latent": 256, "lr": 1e-3, "steps": 1200}
LATENTS = {"digits": (2, 4, 8, 16), "mnist": (4, 8, 16, 32), "cifar": (32,), "tiles": (16,)}
"""Dimensions at which reconstructions are compared with principal components."""
LEARNT = {
    "digits": {"hidden": [128, 64], "lr": 2e-3, "steps": 1200},
    "mnist": {"hidden": [128, 64], "lr": 2e-3, "steps": 3000},
    "cifar": {"hidden": [512], "output": "linear", "activation": "gelu", "steps": 800},
    "tiles": {"hidden": [256], "output": "linear", "activation": "gelu", "steps": 800},
}
L1_WEIGHTS = (0.0, 0.03, 0.1)
RHOS = (0.2, 0.05)
KL_WEIGHT = 10.0
CONTRACTIVE_WEIGHTS = (0.1, 1.0)
BETAS = (0.25, 1.0, 4.0)


@dataclass(frozen=True)
class Run:
    """name: DATA/VARIANT; data: a key of LATENTS; settings of FamilyConfig but data, out and threads."""

    name: str
    data: str
    settings: dict[str, Any]

    def config(self, scale: float = 1.0) -> FamilyConfig:
        """scale: of the number of steps, for a quick look."""
        cfg = FamilyConfig(**{**self.settings, "data": self.data, "threads": 1})
        cfg.steps = max(2, round(cfg.steps * scale))
        return cfg


def runs(data: set[str]) -> list[Run]:
    """All runs on the sets that are there, the slowest last."""
    found = []
    for name in ("digits", "mnist", "cifar", "tiles"):
        for latent in LATENTS[name]:
            linear = {**LINEAR, "latent": latent, "steps": 1500 if name == "digits" else 600}
            found.append(Run(f"{name}/linear-{latent}", name, linear))
            found.append(Run(f"{name}/fc-{latent}", name, {**LEARNT[name], "latent": latent}))
    for weight in L1_WEIGHTS:
        settings = {**ONE_LAYER, "latent_activation": "relu", "sparse_l1": weight}
        found.append(Run(f"mnist/l1-{weight:g}", "mnist", settings))
    sigmoid = {**ONE_LAYER, "latent_activation": "sigmoid"}
    found.append(Run("mnist/sigmoid", "mnist", sigmoid))
    for rho in RHOS:
        found.append(
            Run(f"mnist/kl-{rho:g}", "mnist", {**sigmoid, "sparse_kl": KL_WEIGHT, "sparse_rho": rho})
        )
    for weight in CONTRACTIVE_WEIGHTS:
        settings = {**sigmoid, "contractive": weight, "contractive_probes": 1}
        found.append(Run(f"mnist/contractive-{weight:g}", "mnist", settings))
    small = {**sigmoid, "latent": 16}
    found.append(Run("digits/sigmoid", "digits", small))
    found.append(Run("digits/contractive-0.1", "digits", {**small, "contractive": 0.1}))
    for beta in BETAS:
        settings = {**LEARNT["mnist"], "steps": 1500, "latent": 16, "beta": beta, "pixel_std": 0.15}
        found.append(Run(f"mnist/variational-{beta:g}", "mnist", settings))
    found.append(Run("mnist/wide", "mnist", WIDE))
    noise = {"noise": ["gaussian"], "noise_high": 128.0, "noise_clean": 0.1}
    found.append(Run("mnist/denoising", "mnist", {**WIDE, **noise}))
    mask = {"noise": ["mask"], "mask_share": 0.8, "noise_clean": 0.1}
    found.append(Run("mnist/unmasking", "mnist", {**WIDE, **mask}))
    natural = {**WIDE, "output": "linear", "activation": "gelu", "steps": 700}
    found.append(Run("tiles/denoising", "tiles", {**natural, **noise}))
    conv = {"network": "conv", "latent": 32, "batch": 64, "lr": 2e-3, "steps": 500}
    found.append(Run("mnist/conv-32", "mnist", conv))
    found.append(Run("cifar/conv-32", "cifar", {**conv, "output": "linear", "activation": "gelu"}))
    return [run for run in found if run.data in data]
