"""Training pictures drawn from nothing: what the photographs at hand have little of, and no licence covers.

    python -m aecodec.training.drawn OUT [--count 256] [--seed 1]

writes PNGs of 512 x 512, of three kinds: soft scenes, in which smooth shades meet at long sharp curves, as in
studio photographs and renderings; thin lines on such grounds, every other time curves, else straight ones as
of cables before the sky; and words on plates.  The folder is given to
the trainer beside the others (`data`), which takes crops by area.  Seeded: the same Pillow and numpy draw the
same pixels.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Random = np.random.Generator
Values = NDArray[np.floating[Any]]
"""[SIDE, SIDE, 3] or [SIDE, SIDE, 1]; colours from 0 to 255."""
Outline = list[tuple[float, float]]
"""x, y in pixels."""

SIDE = 512
FINER = 4
"""Masks are drawn so many times as large and averaged, so that their edges are smooth."""
KINDS = 4
"""Of four pictures two are scenes, one has thin lines, one words."""


def picture(rng: Random, kind: int) -> Image.Image:
    """kind: 0 and 1 a soft scene, 2 thin lines, 3 words."""
    colours = _shade(rng)
    if kind < 2:
        colours = _scene(rng, colours)
    elif kind == 2:
        colours = _cables(rng, colours) if rng.random() < 0.5 else _curves(rng, colours)
    else:
        colours = _words(rng, colours)
    if rng.random() < 0.5:  # what a camera leaves
        colours = colours + rng.normal(0, rng.uniform(0.3, 2), colours.shape)
    image = Image.fromarray(np.rint(colours).clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9))) if rng.random() < 0.5 else image


def _colour(rng: Random) -> Values:
    """[3], more often pale or dark than strong."""
    grey, tint = rng.uniform(0, 255), rng.normal(0, rng.choice([5, 25, 80]), 3)
    return np.clip(grey + tint, 0, 255).astype(np.float32)


def _shade(rng: Random) -> Values:
    """A ground that changes slowly: a few colours near one, and nothing but smooth steps between."""
    nodes = int(rng.integers(2, 5))
    grid = _colour(rng) + rng.normal(0, rng.choice([3, 12, 40]), (nodes, nodes, 3))
    planes = [
        Image.fromarray(grid[:, :, c].astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], 2)


def _mask(outline: Outline) -> Values:
    """What is inside a closed curve: [SIDE, SIDE, 1] in 0..1."""
    fine = Image.new("L", (FINER * SIDE, FINER * SIDE))
    ImageDraw.Draw(fine).polygon([(FINER * x, FINER * y) for x, y in outline], 255)
    return _averaged(fine)


def _averaged(fine: Image.Image) -> Values:
    """FINER times too large, 0..255 -> [SIDE, SIDE, 1] in 0..1."""
    return np.asarray(fine.reduce(FINER), np.float32)[:, :, None] / 255


def _outline(rng: Random, radius: float) -> Outline:
    """A closed smooth curve around a random place."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    distance = np.ones_like(angle)
    for k in range(1, 6):
        distance += rng.normal(0, 0.25 / k**1.3) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    x, y = (rng.uniform(0, SIDE) + radius * np.maximum(distance, 0.05) * f(angle) for f in (np.cos, np.sin))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _scene(rng: Random, colours: Values) -> Values:
    for _ in range(int(rng.integers(2, 8))):
        outline = _outline(rng, rng.uniform(30, 300))
        if rng.random() < 0.4:  # it throws a soft shadow
            right, down = rng.uniform(-12, 12, 2).tolist()
            hard = 255 * _mask([(x + right, y + down) for x, y in outline])[:, :, 0]
            blur = ImageFilter.GaussianBlur(rng.uniform(4, 20))
            soft = Image.fromarray(np.rint(hard).astype(np.uint8)).filter(blur)
            colours = colours * (1 - rng.uniform(0.1, 0.6) * np.asarray(soft)[:, :, None] / 255)
        colours = colours + _mask(outline) * (_shade(rng) - colours)
    return colours


def _curves(rng: Random, colours: Values) -> Values:
    inks = [_colour(rng) for _ in range(3)]
    for _ in range(int(rng.integers(5, 40))):
        fine = Image.new("L", (FINER * SIDE, FINER * SIDE))
        closed = [(FINER * x, FINER * y) for x, y in _outline(rng, rng.uniform(20, 400))]
        part = closed[: int(rng.integers(20, len(closed)))]
        ImageDraw.Draw(fine).line(part, 255, int(rng.integers(FINER, 3 * FINER + 1)), "curve")
        colours = colours + _averaged(fine) * (inks[int(rng.integers(3))] - colours)
    return colours


def _cables(rng: Random, colours: Values) -> Values:
    """Straight thin lines from side to side, in bundles that nearly meet somewhere."""
    for _ in range(int(rng.integers(1, 5))):
        ink, width = _colour(rng) * rng.choice([0.2, 1]), int(rng.integers(2, 2 * FINER + 1))
        meet, spread = rng.uniform(-SIDE, 2 * SIDE, 2), rng.uniform(20, SIDE)
        fine = Image.new("L", (FINER * SIDE, FINER * SIDE))
        for _ in range(int(rng.integers(2, 12))):
            way = SIDE / 2 + rng.normal(0, spread, 2) - meet
            ends = FINER * np.stack([meet - way, meet + 4 * way])
            ImageDraw.Draw(fine).line([(float(x), float(y)) for x, y in ends], 255, width)
        colours = colours + _averaged(fine) * (ink - colours)
    return colours


def _words(rng: Random, colours: Values) -> Values:
    letters = np.array(list(string.ascii_letters + string.digits + "      .,-"))
    y = float(rng.uniform(0, 30))
    while y < SIDE:
        size = float(rng.choice([9, 11, 13, 16, 22, 34, 60]))
        on = Image.new("L", (SIDE, SIDE))
        text = "".join(rng.choice(letters, int(rng.integers(5, 90))))
        ImageDraw.Draw(on).text((float(rng.uniform(-20, 200)), y), text, 255, ImageFont.load_default(size))
        mask = np.asarray(on, np.float32)[:, :, None] / 255
        colours = colours + mask * (_colour(rng) - colours)
        y += size * float(rng.uniform(1.1, 2.5))
    return colours


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m aecodec.training.drawn")
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.count):
        rng = np.random.default_rng((options.seed, number))
        picture(rng, number % KINDS).save(options.out / f"drawn-{options.seed}-{number:04}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
