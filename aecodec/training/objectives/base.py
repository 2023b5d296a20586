"""The interface of all objectives: one forward pass in, one loss and its parts out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


@dataclass
class Forward:
    """What a pass of a batch leaves for the objective to look at.

    x [B, C, H, W]: what the encoder was given, perhaps corrupted; target [B, C, H, W]: what x_hat is
    measured against, both in 0..1; x_hat [B, C, H, W]; h [B, ...]: the latents the decoder was given.
    Only some objectives need the rest: encode, x -> h, for the Jacobian; mean and std [B, D] of a
    variational encoder; bits [B] that an entropy coder would spend; seam [B], the weight of visible
    edges between patches."""

    x: Tensor
    target: Tensor
    x_hat: Tensor
    h: Tensor
    encode: Callable[[Tensor], Tensor] | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    bits: Tensor | None = None
    seam: Tensor | None = None


EVEN_FROM = 0.02
"""Losses below this are not told apart by `evenness`: an empty crop must not outweigh all others."""


class Term(Protocol):
    """A distortion or a regulariser: Forward -> [B], one value a sample."""

    name: str

    def __call__(self, out: Forward) -> Tensor: ...


@dataclass
class Loss:
    """total: the scalar that is minimised; distortion [B] and parts {name: [B]} before their weights."""

    total: Tensor
    distortion: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Objective:
    """loss = mean_b l(share_b * (lmbda_b * distortion_b + sum_k weight_k * term_k,b / positions)), l(v) = v.

    distortion: a Term; terms: (weight, Term) pairs.  lmbda and share [B], 1 unless given: the codec has a
    lambda for every quality level.  positions: H * W with `per_pixel`, so that a term's weight means the
    same for every size of picture and bits become bits per pixel; otherwise 1.

    evenness p, 0 to below 1: l(v) = (v + EVEN_FROM)^(1 - p), so that a gradient counts by how much better the
    sample gets relative to what it costs.  A smooth picture has a small share of the loss of a busy one,
    and is as much a picture."""

    def __init__(
        self,
        distortion: Term,
        terms: list[tuple[float, Term]],
        per_pixel: bool = False,
        evenness: float = 0.0,
    ):
        self.distortion, self.terms, self.per_pixel = distortion, terms, per_pixel
        self.evenness = evenness

    def __call__(self, out: Forward, lmbda: Tensor | float = 1.0, share: Tensor | float = 1.0) -> Loss:
        positions = out.target.shape[2] * out.target.shape[3] if self.per_pixel else 1
        distortion = self.distortion(out)
        total = lmbda * distortion
        parts = {}
        for weight, term in self.terms:
            parts[term.name] = term(out) / positions
            total = total + weight * parts[term.name]
        total = total * share
        if self.evenness:
            total = (total + EVEN_FROM) ** (1 - self.evenness)
        return Loss(total.mean(), distortion, parts)
