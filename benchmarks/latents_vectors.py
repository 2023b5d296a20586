"""Part of benchmarks.latents_files: search, its speed, and classification, against features of pixels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import Codec
from aecodec.latents import classify, index, reading, vectors
from benchmarks import progress
from benchmarks.labelled import Labelled

Float = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Way = Callable[[list[str]], object]
QUALITY = 60.0
CHUNKS = 10
"""Turns in which the ways of the speed comparison alternate."""
PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)


def pooled_pixels(picture: Pixels, side: int = 4) -> Float:
    """Means over a grid of side x side, minus the picture's grey mean: [3 * side^2]"""
    image = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, np.float32).ravel() / 255


def colour_histogram(picture: Pixels) -> Float:
    """8 x 8 x 8 bins of RGB, square roots of the shares: [512]"""
    bins = (picture >> 5).astype(np.int32).reshape(-1, 3) @ np.array([64, 8, 1])
    return np.sqrt(np.bincount(bins, minlength=512) / len(bins)).astype(np.float32)


def recall(found: Float, labels: Sequence[str], counts: Sequence[int] = (1, 5)) -> dict[str, float]:
    """Each picture searches the others by cosine: how often is one of its class among the first `count`?

    Pictures that are alone in their class are not asked for."""
    unit = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    names = np.array(labels)
    same = names[:, None] == names[None]
    np.fill_diagonal(same, False)
    order = np.argsort(-scores, 1)[:, : max(counts)]
    right = np.take_along_axis(same, order, 1)[same.any(1)]
    return {f"recall@{count}": float(right[:, :count].any(1).mean()) for count in counts}


def search(pictures: Sequence[Labelled], codec: Codec) -> dict[str, Any]:
    """Retrieval by latents and by pixels, on the same pictures."""
    bar = progress.bar(len(pictures), "search")
    ours, others, again = [], [], []
    for picture in pictures:
        ours.append(vectors.pooled(reading.read(picture.pixels, codec, QUALITY)))
        decoded = codec.decode(codec.encode(picture.pixels, QUALITY))
        others.append((pooled_pixels(decoded), colour_histogram(decoded)))
        if len(again) < 100:
            again.append(vectors.pooled(reading.read(picture.pixels, codec, 25)))
        bar.update()
    bar.close()
    labels = [picture.label for picture in pictures]
    first = np.argmax(np.stack(again) @ np.stack(ours).T, 1) == np.arange(len(again))
    return {
        "pictures": len(pictures),
        "classes": len(set(labels)),
        "latents": recall(np.stack(ours), labels),
        "pooled pixels, 4 x 4": recall(_centred(np.stack([p for p, _ in others])), labels),
        "colour histogram, 512 bins": recall(np.stack([h for _, h in others]), labels),
        "first at another quality": float(first.mean()),
    }


def _centred(found: Float) -> Float:
    return (found - found.mean(0)) / (found.std(0) + 1e-6)


def speed(pictures: Sequence[Pixels], quality: float, codec: Codec) -> dict[str, Any]:
    """An index of files from their latents, against decoding them all and pooling their pixels, as they are
    or at 1/16, of which come about the same numbers.

    Files with blocks coded as pixels, which are encoded anew for the index, are told of apart, too."""

    def pool(paths: list[str], scale: float = 1) -> Float:
        return np.stack([pooled_pixels(codec.decode(path, scale=scale)) for path in paths])

    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Way] = {
            "index from latents": lambda some: index.build(some, folder, codec),
            "index --verify": lambda some: index.build(some, folder, codec, verify=True),
            "decode, pool": pool,
            "decode at 1/16, pool": partial(pool, scale=1 / 16),
        }
        plain: list[str] = []
        mixed: list[str] = []
        bar = progress.bar(len(pictures), "encode")
        for number, picture in enumerate(pictures):
            path = Path(folder, f"{number:05}.aec")
            path.write_bytes(codec.encode(picture, quality))
            (mixed if any(codec.parse(path)[1].blocks) else plain).append(str(path))
            bar.update()
        bar.close()
        for way in ways.values():
            way([*plain[:2], *mixed[:2]])  # sessions are made
        common, slow = in_turns(ways, plain), in_turns(ways, mixed)
    wall, cpu = ({name: common[name][i] + slow[name][i] for name in ways} for i in range(2))
    decoded = [name for name in ways if name.startswith("decode")]
    return {
        "files": len(pictures),
        "with blocks of pixels": len(mixed),
        "size": list(pictures[0].shape[:2]),
        "ms a file": {name: 1000 * wall[name] / len(pictures) for name in ways},
        "CPU ms a file": {name: 1000 * cpu[name] / len(pictures) for name in ways},
        "ms a file without blocks of pixels": _each(common, len(plain)),
        "ms a file with blocks of pixels": _each(slow, len(mixed)),
        "times as fast": {
            name: {other: wall[other] / wall[name] for other in decoded}
            for name in ways
            if name not in decoded
        },
    }


def _each(times: dict[str, tuple[float, float]], count: int) -> dict[str, float]:
    return {name: 1000 * wall / count for name, (wall, _) in times.items()} if count else {}


def in_turns(ways: dict[str, Way], paths: list[str]) -> dict[str, tuple[float, float]]:
    """{way: wall time, CPU time} of all files. The ways take turns over tenths of them, so that what else
    the machine does disturbs all alike."""
    wall, cpu = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    size = max(1, -(-len(paths) // CHUNKS))
    begins = range(0, len(paths), size)
    bar = progress.bar(len(begins), "index")
    for begin in begins:
        for name, way in ways.items():
            before = time.perf_counter(), time.process_time()
            way(paths[begin : begin + size])
            wall[name] += time.perf_counter() - before[0]
            cpu[name] += time.process_time() - before[1]
        bar.update()
    bar.close()
    return {name: (wall[name], cpu[name]) for name in ways}


def classes(train: Sequence[Labelled], test: Sequence[Labelled], codec: Codec) -> dict[str, Any]:
    """Accuracy of the same linear classifier on latents, on principal components, on pixels."""
    from sklearn.decomposition import PCA

    bar = progress.bar(len(train) + len(test), "classify")
    latents = []
    for part in (train, test):
        found = []
        for picture in part:
            found.append(classify.features(reading.read(picture.pixels, codec, 80)))
            bar.update()
        latents.append(np.stack(found))
    bar.close()
    raw = [np.stack([p.pixels.ravel() for p in part]).astype(np.float32) / 255 for part in (train, test)]
    result: dict[str, Any] = {
        "train": len(train),
        "test": len(test),
        "classes": len({p.label for p in train}),
    }
    labels = [[p.label for p in part] for part in (train, test)]
    result["latents"] = _accuracy(*latents, *labels)
    for count in (64, 256):
        pca = PCA(count, random_state=0).fit(raw[0])
        result[f"PCA, {count}"] = _accuracy(pca.transform(raw[0]), pca.transform(raw[1]), *labels)
    result["pixels"] = _accuracy(*raw, *labels)
    return result


def _accuracy(train: Any, test: Any, labels: list[str], truth: list[str]) -> dict[str, float]:
    """Logistic regression on standardised features; its penalty is chosen on a fifth of the training set."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = train.mean(0), train.std(0) + 1e-4
    train, test = (train - mean) / spread, (test - mean) / spread
    cut = len(train) * 4 // 5

    def head(penalty: float, end: int) -> Any:
        return LogisticRegression(C=penalty, max_iter=300).fit(train[:end], labels[:end])

    scores = [head(penalty, cut).score(train[cut:], labels[cut:]) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax(scores))]
    accuracy = float(head(best, len(train)).score(test, truth))
    return {"accuracy": accuracy, "features": float(train.shape[1]), "C": best}
