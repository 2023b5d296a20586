"""Contractive autoencoders: latents that move little when the input does.

Omega(x) = ||J(x)||_F^2 = sum_ij (d h_i / d x_j)^2 at every sample: [B].

Rifai et al., Contractive Auto-Encoders: Explicit Invariance During Feature Extraction, ICML 2011.  With
untied weights the norm can fall by scaling alone, h down and the decoder up; the paper ties them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Forward


def exact_norm(encode: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """[B]: ||J||_F^2 by one backward pass a latent; graph kept.  For encoders of tens of latents.

    Samples must not influence each other's latents (no batch normalisation)."""
    x, h = _latents(encode, x)
    norm = torch.zeros(len(x), dtype=h.dtype, device=h.device)
    for j in range(h.shape[1]):
        (row,) = torch.autograd.grad(h[:, j].sum(), x, create_graph=True)
        norm = norm + row.flatten(1).square().sum(1)
    return norm


def hutchinson_norm(encode: Callable[[Tensor], Tensor], x: Tensor, probes: int) -> Tensor:
    """[B]: an unbiased estimate of ||J||_F^2 = tr(J J^T), the mean of ||J^T v||^2 over `probes` vectors v of
    random signs; graph kept.  One backward pass a probe, however many latents there are.

    Hutchinson, A stochastic estimator of the trace of the influence matrix, Communications in Statistics
    19(2), 1990.  Signs have the least variance of all v with independent entries."""
    x, h = _latents(encode, x)
    norm = torch.zeros(len(x), dtype=h.dtype, device=h.device)
    for _ in range(probes):
        v = torch.randint(0, 2, h.shape, device=h.device).to(h.dtype) * 2 - 1
        (row,) = torch.autograd.grad(h, x, v, create_graph=True)
        norm = norm + row.flatten(1).square().sum(1)
    return norm / probes


def _latents(encode: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    return x, encode(x).flatten(1)


class JacobianNorm:
    """||J||_F^2 of the encoder at what it was given; probes 0: exact, otherwise Hutchinson's estimate."""

    name = "jacobian"

    def __init__(self, probes: int = 0):
        if probes < 0:
            raise ValueError(f"setting 'contractive_probes' wants 0 (exact) or more, got {probes}")
        self.probes = probes

    def __call__(self, out: Forward) -> Tensor:
        assert out.encode is not None
        if self.probes:
            return hutchinson_norm(out.encode, out.x, self.probes)
        return exact_norm(out.encode, out.x)
