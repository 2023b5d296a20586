"""Sparse autoencoders: few latents active at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Forward

LEAST_ACTIVATION = 1e-6
"""Mean activations are kept this far from 0 and 1, where the divergence is infinite."""


class L1:
    """Omega(h) = sum_j |h_j|: [B].  The Lagrangian of a Laplace prior on h.

    Ranzato et al., Efficient Learning of Sparse Representations, NIPS 2006; Goodfellow et al., Deep
    Learning, section 14.2.1.  With ReLU latents the minimum has exact zeros.  The term wants tied weights
    or a decoder of fixed norm: otherwise h shrinks and the decoder grows, and nothing becomes sparse."""

    name = "l1"

    def __call__(self, out: Forward) -> Tensor:
        return out.h.flatten(1).abs().sum(1)


class MeanActivationKL:
    """Omega = sum_j KL(rho || rho_j), rho_j = mean of h_j over the batch: one value, repeated [B].

    KL(rho || r) = rho log(rho / r) + (1 - rho) log((1 - rho) / (1 - r)) in nats; h in 0..1, as a sigmoid
    gives.  Lee et al., Sparse deep belief net model for visual area V2, NIPS 2007; Ng, Sparse autoencoder,
    CS294A lecture notes, 2011.  It asks each latent to be active rarely on average, not a sample to have
    few active latents."""

    name = "kl_rho"

    def __init__(self, rho: float):
        if not 0 < rho < 1:
            raise ValueError(f"setting 'sparse_rho' wants a mean activation between 0 and 1, got {rho}")
        self.rho = rho

    def __call__(self, out: Forward) -> Tensor:
        mean = out.h.flatten(1).mean(0).clamp(LEAST_ACTIVATION, 1 - LEAST_ACTIVATION)
        rho = torch.as_tensor(self.rho, dtype=mean.dtype, device=mean.device)
        divergence = rho * (rho / mean).log() + (1 - rho) * ((1 - rho) / (1 - mean)).log()
        return divergence.sum().expand(out.h.shape[0])
