"""Variational autoencoders: the bound, pictures from the prior, and what lies between two pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.latents.autoencoder import Autoencoder
from benchmarks.family.principal import Principal, mse

Array = NDArray[np.float32]
COUNT = 1000
NEIGHBOURS = 3
DRAWS = 8
UNUSED = 0.01
"""Nats below which a latent says nothing."""


def elbo(model: Autoencoder, x: Array) -> dict[str, float]:
    """Nats a picture, means over x: elbo, kl, used (latents above UNUSED nats), and the mean's squared error.

    E_q by DRAWS draws of h a picture; the likelihood's deviation is the one trained with."""
    pixel_std = float(model.manifest["trained"]["pixel_std"])
    mean, std = model.encode_distribution(x)
    each = 0.5 * (np.square(mean) + np.square(std) - 1 - 2 * np.log(std))
    rng = np.random.default_rng(0)
    values = math.prod(model.input)
    error = 0.0
    for _ in range(DRAWS):
        h = mean + std * rng.standard_normal(mean.shape, np.float32)
        error += mse(x, model.decode(h, clip=False)) * values / DRAWS
    likelihood = -error / (2 * pixel_std**2) - values * math.log(pixel_std * math.sqrt(2 * math.pi))
    kl = float(each.sum(1).mean())
    used = int((each.mean(0) > UNUSED).sum())
    return {"elbo": likelihood - kl, "kl": kl, "used": used, "mse": mse(x, model.decode(mean))}


def from_gaussian(model: Autoencoder, train: Array, count: int, rng: np.random.Generator) -> Array:
    """Pictures of an autoencoder without a prior: latents from a Gaussian fitted to those of `train`."""
    h = model.encode(train)
    drawn = rng.multivariate_normal(h.mean(0), np.cov(h, rowvar=False), count)
    return model.decode(drawn.astype(np.float32))


def precision_recall(samples: Array, real: Array) -> tuple[float, float]:
    """Share of samples within the real pictures' manifold, share of real ones within the samples'.

    A set's manifold: around each member the ball that reaches its third nearest neighbour, in pixels
    (Kynkaanniemi et al., Improved Precision and Recall Metric, NeurIPS 2019, who take network features)."""
    from sklearn.metrics import pairwise_distances

    flat = [p.reshape(len(p), -1) for p in (samples, real)]
    across = pairwise_distances(flat[0], flat[1])
    own, theirs = (np.partition(pairwise_distances(f), NEIGHBOURS, 1)[:, NEIGHBOURS] for f in flat)
    return float((across <= theirs).any(1).mean()), float((across.T <= own).any(1).mean())


def samples(model: Autoencoder, plain: Autoencoder, train: Array, test: Array) -> list[dict[str, Any]]:
    """Rows of precision and recall: real pictures themselves, the prior, and two ways without one."""
    rng = np.random.default_rng(1)
    real = test[rng.permutation(len(test))[:COUNT]]
    principal = Principal.of(train)
    sources = {
        "other real pictures": train[rng.permutation(len(train))[:COUNT]],
        "variational, prior N(0, 1)": model.sample(COUNT, rng),
        "undercomplete, Gaussian fitted to its latents": from_gaussian(plain, train, COUNT, rng),
        "undercomplete, N(0, 1)": plain.decode(rng.standard_normal((COUNT, plain.latent), np.float32)),
        "principal components, their Gaussian": principal.sample(COUNT, model.latent, rng),
    }
    rows = []
    for name, pictures in sources.items():
        precision, recall = precision_recall(pictures, real)
        rows.append({"source": name, "precision": precision, "recall": recall})
    return rows


def between(model: Autoencoder, plain: Autoencoder, train: Array, test: Array) -> dict[str, float]:
    """Root mean square distance of what lies half way between two test pictures to the nearest training one.

    As a share of that distance of test pictures themselves: 1 is as near as pictures are."""
    from sklearn.neighbors import NearestNeighbors

    first, last = test[: len(test) // 2], test[len(test) // 2 :][: len(test) // 2][::-1]
    tree = NearestNeighbors(n_neighbors=1).fit(train.reshape(len(train), -1))

    def distance(pictures: Array) -> float:
        return float(np.sqrt(np.square(tree.kneighbors(pictures.reshape(len(pictures), -1))[0]).mean()))

    real = distance(first)
    middle = {
        "variational": model.decode((model.encode(first) + model.encode(last)) / 2),
        "undercomplete": plain.decode((plain.encode(first) + plain.encode(last)) / 2),
        "pixels": (first + last) / 2,
    }
    return {name: distance(pictures) / real for name, pictures in middle.items()}
