"""Part of benchmarks.latents_files: contact sheets of what the tools make of photographs, and of surfaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import Codec
from aecodec.latents import anomaly, denoise, inpaint, reading, vectors
from aecodec.pixels import Picture
from benchmarks.labelled import crops
from benchmarks.latents_pictures import biharmonic, strokes

Pixels = NDArray[np.uint8]
Sheet = tuple[list[Pixels], int, int]
"""Pictures, how many in a row, how wide each."""
GAP = 4
SIDE = 384
SIGMA = 25


def sheets(photographs: Sequence[Pixels], codec: Codec, plain: Codec) -> dict[str, Sheet]:
    """All of them by name. plain: a Codec without pixel blocks."""
    corner = [x[:SIDE, :SIDE] for x in photographs]
    return {
        "search": (search(photographs, codec), 6, 104),
        "anomaly": (surfaces(plain), 6, 104),
        "inpaint": (holes(corner[0], plain), 3, 256),
        "denoise": (noise(corner[-1]), 3, 256),
    }


def search(photographs: Sequence[Pixels], codec: Codec, queries: int = 4, hits: int = 5) -> list[Pixels]:
    """Rows of a part of a photograph and of the five parts of any of them that are nearest."""
    parts = list(crops(list(photographs), 192, 8 * len(photographs)))
    found = np.stack([vectors.pooled(reading.read(part, codec)) for part in parts])
    scores = found @ found.T
    np.fill_diagonal(scores, -np.inf)
    rows = []
    for query in range(2, len(photographs), max(1, len(photographs) // queries))[:queries]:
        rows += [parts[k] for k in (query, *np.argsort(-scores[query])[:hits])]
    return rows


def woven(seed: int, defect: bool) -> Pixels:
    """[192, 256] grey: crossing waves with noise, a defect is a square of other ones."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[:192, :256]
    surface = 120 + 25 * np.sin(x / 5 + rng.uniform(6)) + 25 * np.sin(y / 7 + rng.uniform(6))
    if defect:
        top, left, side = rng.randint(20, 130), rng.randint(20, 190), rng.randint(24, 48)
        surface[top : top + side, left : left + side] = 120 + 45 * np.sin((x + y) / 2.5)[:side, :side]
    return np.clip(surface + rng.normal(0, 4, surface.shape), 0, 255).astype(np.uint8)


def surfaces(plain: Codec) -> list[Pixels]:
    """Two rows: surfaces with a defect, each with its heat map."""
    detector = anomaly.fit([woven(seed, False) for seed in range(12)], plain)
    shown = []
    for seed in range(100, 106):
        picture = woven(seed, True)
        heat = anomaly.heat_map(np.atleast_3d(picture), detector.score(picture, plain).map)
        shown += [picture, heat]
    return shown


def holes(x: Pixels, plain: Codec) -> list[Pixels]:
    """A photograph with strokes missing, filled by the biharmonic equation, and by the codec."""
    mask = strokes(x.shape[0], x.shape[1], 0)
    damaged = np.where(mask[:, :, None], 255, x).astype(np.uint8)
    return [damaged, biharmonic(damaged, mask), inpaint.inpaint(Picture(damaged), mask, plain).pixels]


def noise(x: Pixels) -> list[Pixels]:
    """A photograph, the same with noise, and that denoised by the best model that is installed."""
    noisy = np.clip(np.rint(x + np.random.RandomState(0).normal(0, SIGMA, x.shape)), 0, 255).astype(np.uint8)
    return [x, noisy, denoise.denoise(Picture(noisy), denoise.make_codec(device="cpu"), SIGMA).pixels]


def write(path: Path, found: Sequence[Pixels], columns: int, width: int) -> None:
    """Row by row, each picture `width` pixels wide; WebP."""
    small = []
    for x in found:
        image = Image.fromarray(x).convert("RGB")
        height = max(1, round(image.height * width / image.width))
        small.append(image.resize((width, height), Image.Resampling.LANCZOS))
    rows = [small[i : i + columns] for i in range(0, len(small), columns)]
    heights = [max(image.height for image in row) for row in rows]
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, sum(heights) + GAP * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for k, image in enumerate(row):
            sheet.paste(image, (k * (width + GAP), top))
        top += height + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "WEBP", quality=70, method=6)
