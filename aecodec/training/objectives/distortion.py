"""How far x_hat is from its target: a value a sample."""

from __future__ import annotations

from torch import Tensor

from .base import Forward

DISTORTIONS = ("mse", "mae")


class Distortion:
    """D(x, x_hat) = scale^p * sum |x - x_hat|^p over all values of a sample, or their mean with `mean`.

    p = 2 for "mse", p = 1 for "mae".  With the bottleneck's width alone to hold it back this is the
    undercomplete autoencoder (Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural
    Networks, Science 313, 2006); linear and with "mse" its minimum spans the leading principal directions
    (Baldi and Hornik, Neural Networks 2, 1989)."""

    def __init__(self, name: str, scale: float = 1.0, mean: bool = False):
        if name not in DISTORTIONS:
            raise ValueError(f"setting 'distortion': {name!r} is unknown; known: {', '.join(DISTORTIONS)}")
        self.name, self.mean = name, mean
        self.power = 2 if name == "mse" else 1
        self.factor = scale**self.power

    def __call__(self, out: Forward) -> Tensor:
        error = out.x_hat - out.target
        error = error.square() if self.power == 2 else error.abs()
        axes = tuple(range(1, error.dim()))
        return (error.mean(axes) if self.mean else error.sum(axes)) * self.factor
