"""Objectives: what training with each one moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.family.data import Pictures  # noqa: E402
from aecodec.training.family.train import FamilyTrainer  # noqa: E402
from aecodec.training.objectives import Forward, Objective  # noqa: E402
from aecodec.training.objectives.contractive import exact_norm  # noqa: E402
from aecodec.training.objectives.variational import PriorKL  # noqa: E402


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Blobs at random places: two numbers make each, and a linear map finds them badly."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:8, :8]
    centre = rng.uniform(1, 6, (600, 2, 1, 1))
    blobs = np.exp(-((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2) / 3).astype(np.float32)[:, None]
    nothing = np.zeros(0, np.int64)
    return Pictures(blobs[:500], blobs[500:], nothing, nothing)


def trained(pictures: Pictures, **changes: Any) -> FamilyTrainer:
    settings = {"hidden": [24], "latent": 12, "steps": 250, "batch": 100, "lr": 5e-3, "threads": 1}
    trainer = FamilyTrainer(FamilyConfig(**{**settings, **changes}), pictures)
    for _ in range(trainer.cfg.steps):
        trainer.train_step()
    return trainer


def latents(trainer: FamilyTrainer) -> torch.Tensor:
    with torch.no_grad():
        return trainer.model.encode(torch.from_numpy(trainer.pictures.test))


def error(trainer: FamilyTrainer, given: torch.Tensor | None = None) -> float:
    x = torch.from_numpy(trainer.pictures.test)
    with torch.no_grad():
        return float(
            (trainer.model.decoder(trainer.model.encode(x if given is None else given)) - x).square().mean()
        )


def test_l1_makes_latents_sparse(pictures: Pictures) -> None:
    common = {"hidden": [], "latent_activation": "relu", "tied": True}
    plain, sparse = (trained(pictures, sparse_l1=w, **common) for w in (0.0, 0.3))
    share = [float((latents(t) > 1e-3).float().mean()) for t in (plain, sparse)]
    assert share[1] < 0.6 * share[0]
    assert error(sparse) < 0.05, "and the pictures are still there"


def test_the_mean_activation_goes_to_rho(pictures: Pictures) -> None:
    common = {"latent_activation": "sigmoid", "sparse_rho": 0.1}
    plain, sparse = (trained(pictures, sparse_kl=w, **common) for w in (0.0, 3.0))
    distance = [float((latents(t).mean(0) - 0.1).abs().mean()) for t in (plain, sparse)]
    assert distance[1] < 0.03 < 0.15 < distance[0]


@pytest.mark.parametrize("probes", [0, 1])
def test_the_contractive_norm_falls(pictures: Pictures, probes: int) -> None:
    common = {"hidden": [], "latent_activation": "sigmoid", "tied": True, "contractive_probes": probes}
    x = torch.from_numpy(pictures.test)
    found = []
    for weight in (0.0, 1.0):
        trainer = trained(pictures, contractive=weight, **common)
        moved = (trainer.model.encode(x + 0.05) - trainer.model.encode(x)).norm(dim=1).mean()
        found.append((exact_norm(trainer.model.encode, x).mean().item(), moved.item()))
    assert found[1][0] < 0.5 * found[0][0]
    assert found[1][1] < found[0][1], "latents move less when the input does"


def test_denoising_recovers_what_plain_training_does_not(pictures: Pictures) -> None:
    torch.manual_seed(1)
    x = torch.from_numpy(pictures.test)
    noisy = (x + 60 / 255 * torch.randn_like(x)).clamp(0, 1)
    plain, denoising = (trained(pictures, noise=n, noise_high=80.0) for n in ([], ["gaussian"]))
    assert error(denoising, noisy) < 0.7 * error(plain, noisy)
    assert error(denoising, noisy) < 0.3 * float((noisy - x).square().mean())


def test_beta_draws_the_posterior_to_the_prior(pictures: Pictures) -> None:
    x = torch.from_numpy(pictures.test)
    kl = []
    for beta in (0.1, 4.0):
        trainer = trained(pictures, beta=beta, latent=4)
        with torch.no_grad():
            mean, log_variance = trainer.model.encoder(x)
            kl.append(
                float(PriorKL()(Forward(x, x, x, mean, mean=mean, std=(0.5 * log_variance).exp())).mean())
            )
    assert kl[1] < 0.6 * kl[0]


def test_parts_are_composed(pictures: Pictures) -> None:
    common = {"hidden": [], "latent_activation": "relu", "tied": True, "noise": ["mask"], "mask_share": 0.5}
    plain, sparse = (trained(pictures, sparse_l1=w, **common) for w in (0.0, 0.3))
    assert sparse.cfg.variant() == "denoising+sparse-l1" and plain.cfg.variant() == "denoising"
    assert float((latents(sparse) > 1e-3).float().mean()) < 0.7 * float(
        (latents(plain) > 1e-3).float().mean()
    )
    assert isinstance(sparse.objective, Objective)
