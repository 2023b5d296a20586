"""The codec's own objective, entropy-constrained: bits and squared error, and visible edges of patches.

It is the variational objective in quantised form.  With q(y~ | x) uniform on a quantiser step around y
the entropy of q is 0 bits, so KL(q || p) is E[-log2 p(y~)]: the bits of y~.  A Gaussian likelihood makes
-log p(x | y~) the squared error, lambda its precision (Balle et al., Variational image compression with a
scale hyperprior, ICLR 2018, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from aecodec.training.transforms import PATCH

from .base import Forward, Term

SEAM_REACH = (1, 2, 4)
"""Pixels on either side of an edge between patches."""
FLAT = 6 / 255
"""A step in the picture that begins to hide one in the error."""


class Rate:
    """R(x) = -log2 p(y~ | z~) - log2 p(z~): [B] bits, of noisy or of rounded values as the model chose."""

    name = "rate"

    def __call__(self, out: Forward) -> Tensor:
        assert out.bits is not None
        return out.bits


def seam_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """[B, 3, H, W] twice -> [B]: squared steps of the error over the edges of 16x16 patches, where x is flat.

    Blocks are seen in flat areas, which count little in a squared error.  So the mean square of the error's
    steps along the edge of a patch is divided by 1 + (mean square of the steps of x) / FLAT^2."""
    found = []
    for axis in (2, 3):
        edges = torch.arange(PATCH, x.shape[axis], PATCH, device=x.device)
        for reach in SEAM_REACH:
            before, after = edges - reach, edges + reach - 1
            steps = [t.index_select(axis, after) - t.index_select(axis, before) for t in (x_hat - x, x)]
            error, own = (s.square().unflatten(5 - axis, (-1, PATCH)).mean((1, 6 - axis)) for s in steps)
            found.append((error / (1 + own / FLAT**2)).mean((1, 2)))
    return torch.stack(found).mean(0)


class WithSeams:
    """A distortion plus seam * 255^2 * `seam_error`, its weight seam [B] taken from the pass."""

    def __init__(self, distortion: Term):
        self.distortion, self.name = distortion, distortion.name

    def __call__(self, out: Forward) -> Tensor:
        assert out.seam is not None
        return self.distortion(out) + out.seam * seam_error(out.x_hat, out.target) * 255**2
