"""Pictures of several classes -> a linear classifier of their latents; another picture -> its class.

The features are those of vectors.pooled, and means of the leading channels of y_hat and of the sizes of
more of them over a grid of 2 x 2: what is where. A multinomial logistic regression (scikit-learn) on
standardised features learns; to tell a class takes numpy alone, from a file of arrays.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aecodec import models
from aecodec.errors import FormatError, ModelError, UsageError
from aecodec.latents import vectors
from aecodec.latents.encoder import Encoder
from aecodec.latents.reading import Latents, arrays_of
from aecodec.model_bundle import Bundle
from aecodec.source import Source

Float = NDArray[np.float32]
FORMAT, VERSION = "aecodec-classifier", 1
GRID = 2
PENALTY = 0.001
"""C of scikit-learn's LogisticRegression: features are many, examples mostly few."""
INSTALL = "run: pip install 'aecodec[latents]'"


@dataclass(frozen=True, slots=True, eq=False)
class Classifier:
    """A linear head on standardised features. Made by fit(), kept by pack(), load()."""

    classes: tuple[str, ...]
    encoder: Encoder
    """What made the latents that it learnt from."""
    weight: Float
    """[classes, D]"""
    bias: Float
    """[classes]"""
    mean: Float
    """[D] of the features that were learned from."""
    spread: Float
    """[D], their standard deviations."""

    def probabilities(self, features: ArrayLike) -> Float:
        """[D] or [pictures, D] of `features` -> a share of 1 for each class, last axis. UsageError for
        another shape, and for what are no finite numbers."""
        features = _numbers(features)
        if features.ndim not in (1, 2) or features.shape[-1] != len(self.mean):
            have, want = list(features.shape), len(self.mean)
            raise UsageError(f"features {have}; the classifier learnt from {want} numbers for each picture")
        if not np.isfinite(features).all():
            raise UsageError("some features are not finite; no class can be told by them")
        scores = (features - self.mean) / self.spread @ self.weight.T + self.bias
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        shares: Float = (scores / scores.sum(-1, keepdims=True)).astype(np.float32)
        return shares

    def predict(self, latents: Latents) -> dict[str, float]:
        """A picture -> class: probability, the likeliest first. UsageError for another model's latents,
        FormatError where its features are more or fewer than those that were learnt from. Which encoder made
        them no latents tell: take that of bundle()."""
        have, want = latents.header.model_id, self.encoder.model_id
        if have != want:
            raise UsageError(
                f"the file was made with model {models.called(have)}, the classifier learnt from "
                f"{models.called(want)}; give the picture itself"
            )
        _check_width("the classifier", self.mean, latents.model.bundle)
        shares = self.probabilities(features(latents))
        return {self.classes[k]: float(shares[k]) for k in np.argsort(-shares, kind="stable")}

    def bundle(self) -> Bundle:
        """The model whose latents it learnt from. ModelError where it is not installed."""
        return self.encoder.bundle()

    def pack(self) -> bytes:
        """The bytes of a model file, .npz."""
        facts = {"format": FORMAT, "version": VERSION, "features": vectors.VERSION, "classes": self.classes}
        facts |= self.encoder.facts()
        out = io.BytesIO()
        np.savez_compressed(
            out,
            facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
            weight=self.weight,
            bias=self.bias,
            mean=self.mean,
            spread=self.spread,
        )
        return out.getvalue()


def load(source: Source) -> Classifier:
    """A model file -> Classifier. FormatError when it is none, or of another version of the features."""
    data, where = arrays_of(source, "the model")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            facts = json.loads(parts["facts"].tobytes())
            names = ("weight", "bias", "mean", "spread")
            weight, bias, mean, spread = (parts[name].astype(np.float32) for name in names)
        if facts["format"] != FORMAT:
            raise ValueError(facts["format"])
        versions = facts["version"], facts["features"]
        classes = tuple(str(name) for name in facts["classes"])
        encoder = Encoder.from_facts(facts)
        if len(set(classes)) != len(classes) or len(classes) < 2:
            raise ValueError(f"classes {classes}")
        shapes = (len(classes), mean.size), (len(classes),), (mean.size,), (mean.size,)
        if (weight.shape, bias.shape, mean.shape, spread.shape) != shapes:
            raise ValueError(f"weight {weight.shape}, {len(classes)} classes, {mean.shape} features")
        if not all(np.isfinite(part).all() for part in (weight, bias, mean, spread)) or spread.min() <= 0:
            raise ValueError("numbers that nothing can be computed with")
    except Exception as error:  # a damaged zip or array raises many types
        raise FormatError(f"{where} is no classifier of aecodec, or is damaged") from error
    if versions != (VERSION, vectors.VERSION):
        raise FormatError(f"{where} was learnt from features of another version; fit it again")
    with suppress(ModelError):  # of a model that is not installed predict() finds it
        _check_width(where, mean, models.find_id(encoder.model_id))
    return Classifier(classes, encoder, weight, bias, mean, spread)


def _check_width(where: str, mean: Float, bundle: Bundle) -> None:
    """FormatError where the model's features are more or fewer."""
    if len(mean) != length(bundle):
        raise FormatError(
            f"{where} learnt from features of {len(mean)} numbers, its model makes {length(bundle)}; "
            "fit it again"
        )


def features(latents: Latents) -> Float:
    """A picture -> [D] for the classifier."""
    return np.hstack([vectors.pooled(latents), grid(latents)])


def length(bundle: Bundle) -> int:
    """Of what features() gives with this model."""
    return vectors.length(bundle) + 2 * GRID * GRID * bundle.n


def grid(latents: Latents) -> Float:
    """[2 * GRID * GRID * N]: means of y_hat and of sqrt|y_hat| over the cells of a grid."""
    y = vectors.of(latents, "spatial")
    parts = []
    for rows in np.array_split(np.arange(y.shape[1]), GRID):
        for columns in np.array_split(np.arange(y.shape[2]), GRID):
            # A picture of a single row or column has cells without positions: they take those of all.
            cell = y[:, rows][:, :, columns] if rows.size and columns.size else y
            parts += [cell.mean((1, 2)), np.sqrt(np.abs(cell)).mean((1, 2))]
    found: Float = np.concatenate(parts)
    return found


def check_classes(classes: Collection[str]) -> None:
    """UsageError where there are too few to be told apart."""
    if len(classes) < 2:
        raise UsageError(
            f"{len(classes)} class is not enough to learn from; give a folder for each of several"
        )


def _check_features(found: Float, labels: int) -> None:
    """UsageError where nothing can be learnt from them."""
    shape = list(found.shape)
    if len(shape) != 2 or shape[0] != labels:
        raise UsageError(
            f"features {shape} and {labels} labels: give features [pictures, D] and a label for each picture"
        )
    if not np.isfinite(found).all():
        raise UsageError("some features are not finite; leave out the pictures that they are of")


def _numbers(found: ArrayLike) -> NDArray[np.float64]:
    """UsageError for what is no array of numbers."""
    try:
        return np.asarray(found, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"features are arrays of numbers, not {type(found).__name__}") from None


def fit(found: ArrayLike, labels: Sequence[object], encoder: Encoder) -> Classifier:
    """features() of pictures [pictures, D] and the class of each -> Classifier.

    labels: names; what is none, as numbers, becomes one (1 -> '1'). encoder: what made the latents.
    UsageError without scikit-learn, for less than two classes, where there are not as many labels as
    pictures, or for features that are not finite."""
    names = [str(label) for label in labels]
    classes = tuple(sorted(set(names)))
    check_classes(classes)
    with np.errstate(over="ignore"):  # too large ones become infinite
        found = _numbers(found).astype(np.float32)
    _check_features(found, len(names))
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise UsageError(f"learning needs scikit-learn; {INSTALL}") from None
    mean, spread = found.mean(0), found.std(0) + np.float32(1e-4)
    head = LogisticRegression(C=PENALTY, max_iter=500)
    head.fit((found - mean) / spread, [classes.index(name) for name in names])
    weight, bias = head.coef_.astype(np.float32), head.intercept_.astype(np.float32)
    if len(classes) == 2:  # scikit-learn keeps the difference of the two alone
        weight, bias = np.vstack([-weight, weight]) / 2, np.hstack([-bias, bias]) / 2
    return Classifier(classes, encoder, weight, bias, mean, spread)
