"""Pictures of what is normal -> a model of it; another picture -> a map of where it is not, and a score.

Three maps, each with a value for every 16 x 16 pixels:

    memory  distance of the position's latents to the nearest ones of normal pictures: a patch memory (Roth
            et al., Towards total recall in industrial anomaly detection, 2022) of the codec's own features
    rate    bits that the position costs: what is unusual cannot be predicted
    error   squared error of the decoded picture; the only one that runs the synthesis network

The memory holds the 16 leading channels of y_hat, in which lies most of a patch, after each picture's own
median is taken off and its own size divided out: how bright and how contrasty a picture is is no anomaly.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import model_bundle, pixels
from aecodec.codec import Codec
from aecodec.errors import OF_AN_INPUT, FormatError, UsageError
from aecodec.latents.encoder import Encoder
from aecodec.latents.reading import arrays_of
from aecodec.latents.surprise import CHANNELS, Float, checked_quality
from aecodec.latents.surprise import KINDS as KINDS
from aecodec.latents.surprise import QUALITY as QUALITY
from aecodec.latents.surprise import By as By
from aecodec.latents.surprise import Reading as Reading
from aecodec.latents.surprise import read as read
from aecodec.pixels import ImageInput
from aecodec.source import Source

FORMAT, VERSION = "aecodec-anomaly", 1
LARGEST = 20_000
"""Positions in the memory; more are thinned out at random."""
CLOSEST = 0.02
"""Nearer in the memory is the same: what is left is rounding, of float16 and of faiss. Usual are 2 or so."""
LEAST_SPREAD = 0.1
"""A tenth more of distance, bits or error is no more than one standard deviation; on surfaces that are alike
0.2 to 0.5 are found. Copies of one picture would make anything else infinitely unusual."""
FOLDS = 5
TOP = 0.25
HOTTEST = 4.0
"""Standard deviations that are white in a heat map."""
INSTALL = "run: pip install 'aecodec[latents]'"


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """What a picture scored."""

    score: float
    """Mean of the highest quarter of its map."""
    anomalous: bool
    """Above what all but 1 % of the normal pictures score that the model did not see while it learned."""
    map: Float
    """[ceil(H/16), ceil(W/16)]: standard deviations above the mean of normal pictures, on a log scale."""
    notes: tuple[str, ...] = ()
    """What was changed to make a picture codable, in words for the user."""


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """What is normal. Made by fit(), kept by pack() and load()."""

    by: By
    encoder: Encoder
    """What made the latents."""
    quality: float
    """At which pictures are encoded first."""
    memory: Float
    """[positions, CHANNELS] scaled, exact in float16; empty but for "memory"."""
    scale: Float
    """[CHANNELS] that the latents were divided by."""
    centre: float
    spread: float
    """Of the logarithms of map values on normal pictures."""
    threshold: float
    """99 % of normal pictures score less."""

    def map_of(self, source: ImageInput, codec: Codec) -> Float:
        """A picture or .aec file -> its map. Raises what decode() and encode() do; InputError for the
        reconstruction error of an .aec file, as the picture itself is not in it; UsageError for a codec with
        another model."""
        return self._read(source, codec)[0]

    def _read(self, source: ImageInput, codec: Codec) -> tuple[Float, tuple[str, ...]]:
        """Map, notes."""
        have, want = Encoder.of(codec.bundle), self.encoder
        if have != want:
            raise UsageError(f"the detector is for model {want}, the codec has {have}; take Detector.codec()")
        reading = read(source, codec, self.by, self.quality)
        return self.normalised(_raw_map(reading, self)), reading.notes

    def normalised(self, raw: Float) -> Float:
        """Distances, bits or errors [rows, columns], none below 0 -> standard deviations above the normal."""
        values: Float = (np.log(raw + np.float32(1e-3)) - self.centre) / self.spread
        return values

    def score(self, source: ImageInput, codec: Codec) -> Score:
        """A picture or .aec file -> how unusual it is. Raises what map_of() does."""
        found, notes = self._read(source, codec)
        value = _peak(found)
        return Score(value, value > self.threshold, found, notes)

    def codec(self, **options: Any) -> Codec:
        """A Codec with the model that the detector needs. ModelError where it is not installed."""
        return Codec(self.bundle().path, pixel_blocks=False, **options)

    def bundle(self) -> model_bundle.Bundle:
        """The model that the detector needs. ModelError where it is not installed."""
        return self.encoder.bundle()

    def pack(self) -> bytes:
        """The bytes of a model file, .npz."""
        facts = {name: getattr(self, name) for name in ("by", "quality", "centre", "spread", "threshold")}
        facts |= {"format": FORMAT, "version": VERSION} | self.encoder.facts()
        out = io.BytesIO()
        text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        np.savez_compressed(out, facts=text, memory=self.memory.astype(np.float16), scale=self.scale)
        return out.getvalue()


def load(source: Source) -> Detector:
    """A model file -> Detector. FormatError when it is none, or has a memory that nothing compares with."""
    data, where = arrays_of(source, "the model")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            facts = json.loads(parts["facts"].tobytes())
            memory, scale = (parts[name].astype(np.float32) for name in ("memory", "scale"))
        if (facts["format"], facts["version"]) != (FORMAT, VERSION) or facts["by"] not in KINDS:
            raise ValueError(f"{facts['format']} {facts['version']}")
        if memory.ndim != 2 or scale.shape != memory.shape[1:] or not np.isfinite(memory).all():
            raise ValueError(f"memory {memory.shape}, scale {scale.shape}")
        numbers = [float(facts[name]) for name in ("quality", "centre", "spread", "threshold")]
        quality, centre, spread, threshold = numbers
        if not np.isfinite([*scale, *numbers]).all() or not spread > 0 or (scale <= 0).any():
            raise ValueError(f"numbers {numbers}, scale {scale}")
        encoder = Encoder.from_facts(facts)
        if not 0 <= quality <= 100:
            raise ValueError(f"quality {quality}")
    except Exception as error:  # a damaged zip or array raises many types
        raise FormatError(f"{where} is no anomaly model of aecodec, or is damaged") from error
    _check_memory(where, facts["by"], memory)
    return Detector(facts["by"], encoder, quality, memory, scale, centre, spread, threshold)


def _check_memory(where: str, by: By, memory: Float) -> None:
    """FormatError for one that cannot be searched, or that `by` has no use for."""
    rows, width = memory.shape
    if by == "memory" and (rows == 0 or width != CHANNELS):
        raise FormatError(
            f"{where} has a memory of {rows} positions of {width} numbers, a position has {CHANNELS}; "
            "fit it again"
        )
    if by != "memory" and rows:
        raise FormatError(f"{where} goes by {by} and has a memory all the same; fit it again")


def heat_map(colours: pixels.Pixels, found: Float) -> NDArray[np.uint8]:
    """[H, W, C], map -> [H, W, 3]: the picture in grey, with what is unusual in red, yellow and white."""
    height, width = colours.shape[:2]
    rows, columns = found.shape
    wide = Image.fromarray(np.clip(found / HOTTEST, 0, 1)).resize(
        (16 * columns, 16 * rows), Image.Resampling.BILINEAR
    )
    heat = np.asarray(wide)[:height, :width, None]
    grey = colours.astype(np.float32).mean(2, keepdims=True) * np.float32(255 / np.iinfo(colours.dtype).max)
    ramp = np.clip(3 * heat - np.arange(3, dtype=np.float32), 0, 1) * 255
    drawn: NDArray[np.uint8] = np.rint(grey * (1 - heat) + ramp * heat).astype(np.uint8)
    return drawn


def fit(
    sources: Iterable[ImageInput],
    codec: Codec,
    by: By = "memory",
    quality: float | None = None,
    failed: Callable[[ImageInput, Exception], None] | None = None,
) -> Detector:
    """Normal pictures, or .aec files, at least FOLDS -> Detector.

    quality: 0..100, that of pictures; None is QUALITY. The scale of the scores comes from pictures that the
    memory was made without, in FOLDS turns. failed: told of a source that is broken, too large or of another
    model (errors.OF_AN_INPUT), instead of raising.
    Raises what decode() and encode() do; UsageError when too few are left, or for an unknown `by`."""
    quality = checked_quality(by, quality)
    found: list[Reading] = []
    for source in sources:
        try:
            found.append(read(source, codec, by, quality))
        except OF_AN_INPUT as error:
            if failed is None:
                raise
            failed(source, error)
    return fit_readings(found, codec, by, quality)


def fit_readings(found: Sequence[Reading], codec: Codec, by: By, quality: float | None = None) -> Detector:
    """fit(), of what read() gave."""
    quality = checked_quality(by, quality)
    if len(found) < FOLDS:
        raise UsageError(f"{len(found)} normal pictures are too few; give at least {FOLDS}")
    encoder = Encoder.of(codec.bundle)
    start = Detector(by, encoder, quality, np.zeros((0, 1), np.float32), np.ones(1, np.float32), 0, 1, 0)
    turns = [_remember(start, [r for i, r in enumerate(found) if i % FOLDS != k]) for k in range(FOLDS)]
    raw = [_raw_map(reading, turns[i % FOLDS]) for i, reading in enumerate(found)]
    logs = [np.log(values + np.float32(1e-3)) for values in raw]
    every = np.concatenate([values.ravel() for values in logs])
    centre, spread = float(every.mean()), max(float(every.std()), LEAST_SPREAD)
    threshold = float(np.quantile([_peak((values - centre) / spread) for values in logs], 0.99))
    whole = _remember(start, found)
    return replace(whole, centre=centre, spread=spread, threshold=threshold)


def _peak(values: Float) -> float:
    """A whole picture's score: a defect is a part of it, and single positions are noisy."""
    count = max(1, round(values.size * TOP))
    return float(np.sort(values, axis=None)[-count:].mean())


def _remember(start: Detector, found: Sequence[Reading]) -> Detector:
    """With the positions of these pictures as its memory."""
    if start.by != "memory":
        return start
    points = np.concatenate([reading.positions.reshape(CHANNELS, -1) for reading in found], 1).T  # [P, C]
    if len(points) > LARGEST:
        points = points[np.sort(np.random.RandomState(0).permutation(len(points))[:LARGEST])]
    scale = points.std(0) + np.float32(1e-3)
    # As a file keeps it: what is loaded has to judge as what was calibrated.
    memory = (points / scale).astype(np.float16).astype(np.float32)
    return replace(start, memory=memory, scale=scale)


def _raw_map(reading: Reading, detector: Detector) -> Float:
    found: Float = reading.positions[0]
    if detector.by == "memory":
        points = reading.positions.reshape(CHANNELS, -1).T / detector.scale
        distances = np.sqrt(_nearest(points, detector.memory))
        found = np.maximum(distances, np.float32(CLOSEST)).reshape(found.shape)
    return found


def _nearest(points: Float, memory: Float) -> Float:
    """[P, C], [M, C] -> squared distance of each point to the nearest in memory: [P]"""
    try:
        import faiss
    except ImportError:
        raise UsageError(f"the patch memory needs faiss; {INSTALL}") from None
    found, _ = faiss.knn(np.ascontiguousarray(points), np.ascontiguousarray(memory), 1)
    distances: Float = np.maximum(found[:, 0], 0)  # rounding may take equal ones below 0
    return distances
