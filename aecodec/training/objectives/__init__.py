"""What is minimised, in parts that add up: a corruption of the input, a distortion, weighted terms.

    x --corruption--> x~ --encoder--> h --decoder--> x_hat
    loss = mean over the batch of  share * (lmbda * distortion(target, x_hat) + sum_k weight_k term_k)

The same interface serves the codec and the small autoencoders; `settings` turns a configuration into an
objective."""

from __future__ import annotations

from .base import Forward, Loss, Objective, Term
from .corruption import Corruption
from .settings import ObjectiveSettings, autoencoder_objective, codec_objective, corruption_of

__all__ = [
    "Corruption",
    "Forward",
    "Loss",
    "Objective",
    "ObjectiveSettings",
    "Term",
    "autoencoder_objective",
    "codec_objective",
    "corruption_of",
]
