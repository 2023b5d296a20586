"""Part of benchmarks.latents_files: anomaly maps and inpainting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aecodec import Codec, conceal
from aecodec.latents import anomaly, inpaint
from aecodec.pixels import Picture
from benchmarks import progress
from benchmarks.labelled import NORMAL, Labelled

Float = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
DEFECT = 0.05
"""Share of a position's 16 x 16 pixels that makes it one of a defect."""
GAP = 4


def surfaces(pictures: Sequence[Labelled], codec: Codec) -> dict[str, Any]:
    """AUROC of whole pictures and of positions, by each map; half of the normal pictures teach."""
    from sklearn.metrics import roc_auc_score

    normal = [p for p in pictures if NORMAL in p.label]
    order = np.random.RandomState(0).permutation(len(normal))
    teach = [normal[i] for i in order[: len(normal) // 2]]
    test = [normal[i] for i in order[len(normal) // 2 :]] + [p for p in pictures if NORMAL not in p.label]
    defect = np.array([p.mask is not None for p in test])
    result: dict[str, Any] = {"normal to learn from": len(teach), "normal": int((~defect).sum())}
    result["with a defect"] = int(defect.sum())
    for by in anomaly.KINDS:
        bar = progress.bar(len(teach) + len(test), f"anomaly, {by}")
        readings = []
        for picture in teach:
            readings.append(anomaly.read(picture.pixels, codec, by))
            bar.update()
        detector = anomaly.fit_readings(readings, codec, by)
        scores = []
        for picture in test:
            scores.append(detector.score(picture.pixels, codec))
            bar.update()
        bar.close()
        values = np.array([s.score for s in scores])
        wholes = {"all": float(roc_auc_score(defect, values))}
        for kind in sorted({p.label for p in test if p.mask is not None}):
            some = np.array([p.label == kind for p in test]) | ~defect
            wholes[kind] = float(roc_auc_score(defect[some], values[some]))
        points = [
            (score.map.ravel(), _at_positions(picture.mask, score.map.shape).ravel())
            for picture, score in zip(test, scores, strict=True)
            if picture.mask is not None
        ]
        parts, truth = (np.concatenate(side) for side in zip(*points, strict=True))
        result[by] = {"pictures": wholes, "positions": float(roc_auc_score(truth, parts))}
    return result


def _at_positions(mask: Mask | None, shape: tuple[int, ...]) -> Mask:
    assert mask is not None
    rows, columns = shape
    wide = np.zeros((16 * rows, 16 * columns), np.float32)
    height, width = min(mask.shape[0], 16 * rows), min(mask.shape[1], 16 * columns)
    wide[:height, :width] = mask[:height, :width]
    return wide.reshape(rows, 16, columns, 16).mean((1, 3)) > DEFECT


def strokes(height: int, width: int, seed: int, count: int = 12) -> Mask:
    """Scratches across a picture: broken lines 5 to 20 pixels wide."""
    rng = np.random.RandomState(seed)
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        points = [tuple(p) for p in rng.uniform(0, 1, (3, 2)) * [width, height]]
        draw.line(points, fill=255, width=int(rng.randint(5, 21)), joint="curve")
    return np.asarray(image) > 0


def holes(pictures: Sequence[Pixels], codec: Codec) -> dict[str, Any]:
    """PSNR inside the hole, by way, mean over pictures."""
    ways: dict[str, Callable[[Pixels, Mask], Pixels]] = {
        "push-pull interpolation": conceal.fill,
        "biharmonic (scikit-image)": biharmonic,
        "the mean of these": inpaint.continued,
        "aecodec": lambda x, mask: inpaint.inpaint(Picture(x), mask, codec).pixels,
    }
    if (telea := _telea()) is not None:
        ways["Telea (OpenCV)"] = telea
    values: dict[str, list[float]] = {name: [] for name in ways}
    bar = progress.bar(len(pictures), "inpaint")
    for number, x in enumerate(pictures):
        mask = strokes(x.shape[0], x.shape[1], number)
        damaged = np.where(mask[:, :, None], 0, x).astype(np.uint8)
        for name, way in ways.items():
            filled = way(damaged, mask)
            error = np.square(filled.astype(np.float32) - x)[mask].mean()
            values[name].append(10 * np.log10(255**2 / error))
        bar.update()
    bar.close()
    facts = {
        "pictures": len(pictures),
        "missing": float(np.mean([_share(x, i) for i, x in enumerate(pictures)])),
    }
    return facts | {name: float(np.mean(found)) for name, found in values.items()}


def biharmonic(x: Pixels, mask: Mask) -> Pixels:
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(x / 255, mask, channel_axis=2, split_into_regions=True)
    return np.rint(np.clip(filled, 0, 1) * 255).astype(np.uint8)


def _share(x: Pixels, seed: int) -> float:
    return float(strokes(x.shape[0], x.shape[1], seed).mean())


def _telea() -> Callable[[Pixels, Mask], Pixels] | None:
    try:
        import cv2
    except ImportError:
        return None
    return lambda x, mask: cv2.inpaint(x, mask.astype(np.uint8), 5, cv2.INPAINT_TELEA)
