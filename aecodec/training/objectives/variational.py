"""Variational autoencoders: q(h | x) = N(mean, std^2) held near the prior N(0, 1).

-ELBO = E_q[-log p(x | h)] + beta KL(q(h | x) || p(h)); with p(x | h) = N(x_hat, pixel_std^2) the first
part is ||x - x_hat||^2 / (2 pixel_std^2) + n log(pixel_std sqrt(2 pi)), n values a sample.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014; beta: Higgins et al., beta-VAE, ICLR 2017.
The codec's objective (rate.py) is the same with q uniform on a quantiser step and a learned prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Forward


def reparameterise(mean: Tensor, std: Tensor) -> Tensor:
    """h = mean + std * eps, eps ~ N(0, 1): a draw from q through which gradients reach both."""
    return mean + std * torch.randn_like(std)


class PriorKL:
    """KL(N(mean, std^2) || N(0, 1)) = 1/2 sum_j (mean_j^2 + std_j^2 - 1 - log std_j^2): [B] nats."""

    name = "kl_prior"

    def __call__(self, out: Forward) -> Tensor:
        assert out.mean is not None and out.std is not None
        variance = out.std.square()
        return 0.5 * (out.mean.square() + variance - 1 - variance.log()).sum(1)


def negative_elbo(squared_error: Tensor, kl: Tensor, values: int, pixel_std: float) -> Tensor:
    """-ELBO in nats [B] from ||x - x_hat||^2 [B], KL [B] and the number of values of a sample."""
    likelihood = squared_error / (2 * pixel_std**2) + values * math.log(pixel_std * math.sqrt(2 * math.pi))
    return likelihood + kl
