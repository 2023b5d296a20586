"""A linear classifier on latents, on principal components, on pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.latents.autoencoder import Autoencoder
from aecodec.training.family.data import Pictures
from benchmarks.family.denoising import noisy
from benchmarks.family.principal import Principal

Array = NDArray[np.float32]
TRAINED_ON = 3000
ITERATIONS = 200
NOISE = 50.0


def fit(features: Array, labels: NDArray[np.int64]) -> Any:
    """Multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS, C=0.1))
    return head.fit(features, labels)


def accuracy(models: Mapping[str, Autoencoder], pictures: Pictures, latent: int) -> list[dict[str, Any]]:
    """A row per kind of feature: dimensions, accuracy on clean and on noisy test pictures.

    The classifier is fitted to clean ones. models: {row's name: autoencoder}; principal components of
    `latent` dimensions and pixels are added."""
    chosen = np.random.default_rng(0).permutation(len(pictures.train))[:TRAINED_ON]
    train, labels = pictures.train[chosen], pictures.train_labels[chosen]
    test = pictures.test
    principal = Principal.of(pictures.train)
    encoders: dict[str, Any] = {name: model.encode for name, model in models.items()}
    encoders["principal components"] = lambda x: principal.encode(x, latent)
    encoders["pixels"] = lambda x: x.reshape(len(x), -1)
    rows = []
    for name, encode in encoders.items():
        head = fit(encode(train), labels)
        row = {"features": name, "dimensions": int(encode(test[:1]).shape[1])}
        row["clean"] = float((head.predict(encode(test)) == pictures.test_labels).mean())
        row["noisy"] = float((head.predict(encode(noisy(test, NOISE))) == pictures.test_labels).mean())
        rows.append(row)
    return rows
