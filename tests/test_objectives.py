"""Objectives: each formula against another way to compute it, gradients, and how they are put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.family.networks import Autoencoder, Shape  # noqa: E402
from aecodec.training.objectives import (  # noqa: E402
    Forward,
    autoencoder_objective,
    codec_objective,
)
from aecodec.training.objectives.base import EVEN_FROM  # noqa: E402
from aecodec.training.objectives.contractive import JacobianNorm, exact_norm, hutchinson_norm  # noqa: E402
from aecodec.training.objectives.distortion import Distortion  # noqa: E402
from aecodec.training.objectives.sparse import L1, MeanActivationKL  # noqa: E402
from aecodec.training.objectives.variational import PriorKL, negative_elbo, reparameterise  # noqa: E402


def passed(h: torch.Tensor, **more: Any) -> Forward:
    x = torch.zeros(len(h), 1, 2, 2, dtype=h.dtype)
    return Forward(x, x, x, h, **more)


# -- formulas and gradients --------------------------------------------------------------------------


def test_distortions() -> None:
    x, x_hat = torch.rand(3, 2, 4, 5), torch.rand(3, 2, 4, 5)
    out = Forward(torch.zeros_like(x), x, x_hat, x)
    error = (x - x_hat).numpy()
    wanted = (error.astype(np.float64) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(Distortion("mse")(out), wanted, rtol=1e-5)
    np.testing.assert_allclose(Distortion("mse", 3.0, mean=True)(out), wanted * 9 / 40, rtol=1e-5)
    np.testing.assert_allclose(Distortion("mae", 3.0)(out), 3 * np.abs(error).sum((1, 2, 3)), rtol=1e-5)


def test_l1_is_the_sum_of_sizes_and_its_gradient_the_signs() -> None:
    h = torch.tensor([[0.5, -2.0, 0.25], [0.0, 1.0, -1.0]], requires_grad=True)
    value = L1()(passed(h))
    assert value.tolist() == [2.75, 2.0]
    value.sum().backward()
    assert torch.equal(h.grad, torch.tensor([[1.0, -1.0, 1.0], [0.0, 1.0, -1.0]]))


def test_kl_of_the_mean_activation_is_that_of_two_coins() -> None:
    torch.manual_seed(0)
    h = torch.rand(50, 7, dtype=torch.float64, requires_grad=True)
    value = MeanActivationKL(0.1)(passed(h))
    coins = torch.distributions.Bernoulli
    wanted = torch.distributions.kl_divergence(coins(torch.tensor(0.1).double()), coins(h.mean(0))).sum()
    torch.testing.assert_close(value, wanted.expand(50), rtol=1e-6, atol=1e-9)
    at_target = torch.full((4, 7), 0.1, dtype=torch.float64)
    assert MeanActivationKL(0.1)(passed(at_target)).abs().max() < 1e-12, "nothing to pay at rho"
    mixed = torch.tensor([[0.0], [0.2]], dtype=torch.float64)
    assert MeanActivationKL(0.1)(passed(mixed)).abs().max() < 1e-12, "the mean counts, not the samples"
    assert torch.autograd.gradcheck(lambda v: MeanActivationKL(0.1)(passed(v)), h)
    assert torch.isfinite(MeanActivationKL(0.1)(passed(torch.zeros(3, 2)))).all()


def test_kl_to_the_prior_is_that_of_two_gaussians() -> None:
    torch.manual_seed(0)
    mean = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    std = (torch.rand(5, 3, dtype=torch.float64) + 0.2).requires_grad_()
    value = PriorKL()(passed(mean, mean=mean, std=std))
    gauss = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(gauss(mean, std), gauss(0.0, 1.0)).sum(1)
    torch.testing.assert_close(value, wanted)
    assert torch.autograd.gradcheck(lambda m, s: PriorKL()(passed(m, mean=m, std=s)), (mean, std))


def test_reparameterised_draws_have_the_moments_and_carry_the_gradient() -> None:
    torch.manual_seed(0)
    mean, std = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([0.5, 2.0], requires_grad=True)
    h = reparameterise(mean.expand(40000, 2), std.expand(40000, 2))
    torch.testing.assert_close(h.mean(0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(h.std(0), std, atol=0.05, rtol=0)
    h.square().mean(0).sum().backward()  # E[h^2] = mean^2 + std^2
    torch.testing.assert_close(mean.grad, 2 * mean.detach(), atol=0.05, rtol=0)
    torch.testing.assert_close(std.grad, 2 * std.detach(), atol=0.2, rtol=0)


def test_negative_elbo_is_the_likelihood_and_the_divergence() -> None:
    torch.manual_seed(0)
    x, x_hat, kl = torch.rand(4, 30), torch.rand(4, 30), torch.rand(4)
    wanted = -torch.distributions.Normal(x_hat, 0.3).log_prob(x).sum(1) + kl
    found = negative_elbo((x - x_hat).square().sum(1), kl, 30, 0.3)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)


@pytest.fixture
def encoder() -> Autoencoder:
    torch.manual_seed(3)
    shape = Shape("fc", (1, 3, 4), 5, (9,), activation="gelu", latent_activation="sigmoid")
    return Autoencoder(shape).double()


def test_exact_jacobian_norm_is_autograds_and_that_of_differences(encoder: Autoencoder) -> None:
    x = torch.rand(4, 1, 3, 4, dtype=torch.float64)
    found = exact_norm(encoder.encode, x)
    each = [torch.autograd.functional.jacobian(lambda v: encoder.encode(v[None])[0], row) for row in x]
    torch.testing.assert_close(found, torch.stack([j.square().sum() for j in each]))
    step = 1e-5
    total = torch.zeros(4, dtype=torch.float64)
    for k in range(12):
        delta = torch.zeros(12, dtype=torch.float64)
        delta[k] = step
        delta = delta.reshape(1, 1, 3, 4)
        moved = (encoder.encode(x + delta) - encoder.encode(x - delta)) / (2 * step)
        total += moved.square().sum(1)
    torch.testing.assert_close(found, total, rtol=1e-6, atol=0)


def test_the_jacobian_norm_reaches_the_weights(encoder: Autoencoder) -> None:
    """Its gradient against differences: without the graph of the inner gradient it would be zero."""
    x = torch.rand(3, 1, 3, 4, dtype=torch.float64)
    weight = encoder.encoder.layers[0].weight

    def norm(probes: int) -> torch.Tensor:
        torch.manual_seed(5)
        return JacobianNorm(probes)(Forward(x, x, x, x, encoder.encode)).sum()

    for probes in (0, 4):
        (grad,) = torch.autograd.grad(norm(probes), weight)
        for place in ((0, 0), (4, 7)):
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight[place] += sign * 1e-5
                ends.append(norm(probes).item())
                with torch.no_grad():
                    weight[place] -= sign * 1e-5
            assert grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)
        assert grad.abs().max() > 1e-6


def test_hutchinson_is_unbiased(encoder: Autoencoder) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64)
    exact = exact_norm(encoder.encode, x)
    draws = torch.stack([hutchinson_norm(encoder.encode, x, 1) for _ in range(600)]).detach()
    error = (draws.mean(0) - exact).abs() / (draws.std(0) / 600**0.5)
    assert error.max() < 4, "within four standard errors"
    assert draws.std(0).min() > 0.01 * exact.min(), "an estimate, not the exact norm"
    many = torch.stack([hutchinson_norm(encoder.encode, x, 16) for _ in range(40)]).std(0)
    assert (many < 0.5 * draws.std(0)).all(), "more probes, less variance"
    single = Autoencoder(replace(encoder.shape, latent=1)).double()
    torch.testing.assert_close(hutchinson_norm(single.encode, x, 1), exact_norm(single.encode, x))


# -- composition -------------------------------------------------------------------------------------


def test_an_objective_is_the_weighted_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    h, x, x_hat = torch.rand(4, 6), torch.rand(4, 1, 5, 5), torch.rand(4, 1, 5, 5)
    cfg = FamilyConfig(sparse_l1=0.3, sparse_kl=2.0, sparse_rho=0.2, beta=0.5, pixel_std=0.2)
    mean, std = torch.rand(4, 6), torch.rand(4, 6) + 0.1
    out = Forward(x, x, x_hat, h, mean=mean, std=std)
    loss = autoencoder_objective(cfg)(out)
    error = (x - x_hat).square().sum((1, 2, 3))
    wanted = (
        error / (2 * 0.2**2) + 0.3 * L1()(out) + 2 * MeanActivationKL(0.2)(out) + 0.5 * PriorKL()(out)
    ).mean()
    torch.testing.assert_close(loss.total, wanted)
    assert set(loss.parts) == {"l1", "kl_rho", "kl_prior"}
    assert not autoencoder_objective(FamilyConfig())(out).parts, "no weight, no term"


def test_a_codec_with_regularisers_pays_them_by_the_pixel() -> None:
    torch.manual_seed(0)
    y, x, x_hat = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    bits = torch.rand(2)
    out = Forward(x, x, x_hat, y, lambda v: v[:, :, :4, :4] * 3, bits=bits)
    plain = codec_objective(FamilyConfig())(out, 0.01)
    more = codec_objective(FamilyConfig(sparse_l1=0.5, contractive=0.25))(out, 0.01)
    norm = 3**2 * 3 * 16  # 48 latents, each three times one pixel
    wanted = plain.total + (0.5 * y.abs().sum((1, 2, 3)) / 4096 + 0.25 * norm / 4096).mean()
    torch.testing.assert_close(more.total, wanted)


def test_evenness_counts_a_gradient_by_the_loss_it_is_of() -> None:
    """At evenness p a sample with a hundredth of the loss has 100^p of the weight, up to EVEN_FROM."""
    x = torch.zeros(2, 1, 8, 8)
    size = torch.tensor([100.0, 1.0])  # squared errors a sample, far above EVEN_FROM
    weights = {}
    for p in (0.0, 0.4, 0.9):
        x_hat = ((size / 64).sqrt()[:, None, None, None] * torch.ones_like(x)).requires_grad_()
        loss = autoencoder_objective(FamilyConfig(evenness=p))(Forward(x, x, x_hat, x)).total
        loss.backward()
        assert x_hat.grad is not None
        weights[p] = (x_hat.grad / (2 * x_hat.detach())).mean((1, 2, 3))
        wanted = (1 - p) * (size + EVEN_FROM) ** -p / 2
        torch.testing.assert_close(weights[p], wanted)
    assert weights[0.4][1] / weights[0.4][0] == pytest.approx(100**0.4, rel=0.01)
    bits = torch.tensor([4096.0, 0.0])
    out = Forward(x, torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 64), x, bits=bits)
    loss = codec_objective(FamilyConfig(evenness=0.5))(out).total
    torch.testing.assert_close(loss, ((1 + EVEN_FROM) ** 0.5 + torch.tensor(EVEN_FROM) ** 0.5) / 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evenness": 1.0}, "'evenness'"),
        ({"sparse_l1": -1.0}, "'sparse_l1'"),
        ({"sparse_kl": 1.0, "sparse_rho": 1.5}, "'sparse_rho'"),
        ({"contractive": 1.0, "contractive_probes": -1}, "'contractive_probes'"),
        ({"beta": 1.0, "distortion": "mae"}, "'beta'"),
        ({"beta": 1.0, "pixel_std": 0.0}, "pixel_std"),
        ({"distortion": "ssim"}, "'distortion'"),
        ({"structure": 0.5}, "'structure'"),
        ({"ssimulacra2": 0.5}, "'ssimulacra2'"),
    ],
)
def test_objectives_that_cannot_be_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        autoencoder_objective(FamilyConfig(**changes))


@pytest.mark.parametrize("key", ["beta", "sparse_kl", "structure", "ssimulacra2"])
def test_what_a_codec_cannot_be_told_is_named(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        codec_objective(FamilyConfig(**{key: 1.5}))
