"""Pictures that photographs do not stand for: flat, gradients, text, screens, line art, drawn from nothing.

    python -m benchmarks.synthetic OUT && python -m benchmarks.rd OUT/*

Writes OUT/SET/NAME.png, all of 768 x 512 pixels. Drawing is seeded: the same Pillow gives the same pixels.
"""

from __future__ import annotations

import argparse
import colorsys
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import environment

WIDTH, HEIGHT = 768, 512
Colour = tuple[int, int, int]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
STRONG: tuple[Colour, ...] = (
    (230, 0, 0),
    (0, 170, 0),
    (0, 60, 255),
    (255, 210, 0),
    (255, 0, 200),
    (0, 200, 230),
)
"""Saturated colours, as icons, charts and logos have them."""
WORDS = (
    "the of and to a in picture light window river number letter stone paper colour table garden north "
    "winter morning between through without Another Every 1984 3.14 (see above) cannot it's 42 % WATER "
    "quick jumps over lazy minimum illicit will fluffy waxy gypsum zebra"
).split()


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, so that no machine's fonts matter."""
    return ImageFont.load_default(size)


def canvas(colour: Colour = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH, HEIGHT), colour)
    return image, ImageDraw.Draw(image)


def lines_of_text(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    size: int,
    colour: Colour,
    rng: random.Random,
) -> None:
    """Fills box (left, top, right, bottom) with words."""
    left, top, right, bottom = box
    face, y = font(size), top
    while y + size <= bottom:
        line = rng.choice(WORDS)
        while draw.textlength(longer := f"{line} {rng.choice(WORDS)}", face) <= right - left:
            line = longer
        draw.text((left, y), line, colour, face)
        y += round(1.35 * size)


def plain() -> Image.Image:
    return canvas((58, 110, 165))[0]


def patches() -> Image.Image:
    """Rectangles of one colour each, edges off every power-of-two grid."""
    rng = random.Random(1)
    image, draw = canvas()
    for y in range(0, HEIGHT, 73):
        for x in range(0, WIDTH, 91):
            draw.rectangle((x, y, x + 90, y + 72), tuple(rng.randrange(256) for _ in range(3)))
    return image


def shapes() -> Image.Image:
    """A logo: few colours, smooth outlines."""
    image = Image.new("RGB", (4 * WIDTH, 4 * HEIGHT), (250, 250, 247))
    draw = ImageDraw.Draw(image)
    for k, colour in enumerate(STRONG):
        x, y = 430 + 430 * k, 1024 + round(520 * math.sin(1.3 * k))
        draw.ellipse((x - 360, y - 360, x + 360, y + 360), colour)
        draw.polygon(((x - 200, y + 200), (x + 200, y + 200), (x, y - 240)), WHITE)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)


def ramp() -> Image.Image:
    """Dark to light from left to right, a hue from top to bottom."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    planes = [255 * x * (0.6 + 0.4 * np.cos(2 * np.pi * (y - third))) for third in (0, 1 / 3, 2 / 3)]
    return rounded(np.stack(planes, 2))


def glow() -> Image.Image:
    """Light that falls off from a point, to black."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    falloff = np.exp(-((x - 250) ** 2 + (y - 180) ** 2) / (2 * 190.0**2))
    return rounded(falloff[:, :, None] * np.array([255, 190, 120]))


def sky() -> Image.Image:
    """A slope of 40 grey levels over the height: where banding shows."""
    level = np.linspace(0, 1, HEIGHT)[:, None, None] * np.ones((1, WIDTH, 1))
    return rounded(np.array([70, 120, 190]) + level * np.array([60, 45, 20]))


def rounded(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def page() -> Image.Image:
    """Black on white, from small to large."""
    rng = random.Random(2)
    image, draw = canvas()
    top = 12
    for size, rows in ((36, 1), (24, 2), (18, 3), (14, 4), (12, 5), (10, 5), (8, 3)):
        bottom = top + round(1.35 * size * (rows - 1)) + size
        lines_of_text(draw, (20, top, WIDTH - 20, bottom), size, BLACK, rng)
        top = bottom + 14
    return image


def coloured_text() -> Image.Image:
    """Strong colours on strong colours: chroma has the detail."""
    rng = random.Random(3)
    image, draw = canvas()
    for k, ground in enumerate(STRONG):
        left, top = 256 * (k % 3), 256 * (k // 3)
        draw.rectangle((left, top, left + 255, top + 255), ground)
        ink = STRONG[(k + 2) % len(STRONG)]
        lines_of_text(draw, (left + 12, top + 12, left + 244, top + 244), 12 + 3 * (k % 3), ink, rng)
    return image


def code(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], rng: random.Random, size: int = 11
) -> None:
    """An editor's dark text area."""
    left, top, right, bottom = box
    draw.rectangle(box, (30, 30, 46))
    inks = ((205, 214, 244), (137, 180, 250), (166, 227, 161), (249, 226, 175), (243, 139, 168))
    for number, y in enumerate(range(top + 4, bottom - size - 2, size + 4), 1):
        draw.text((left + 4, y), f"{number:3}", (108, 112, 134), font(size))
        x = left + 34 + 14 * rng.randrange(4)
        while x < right - 60 and rng.random() < 0.85:
            word = rng.choice(WORDS)
            if x + draw.textlength(word, font(size)) > right - 4:
                break
            draw.text((x, y), word, rng.choice(inks), font(size))
            x += round(draw.textlength(word + " ", font(size)))


def editor() -> Image.Image:
    image, draw = canvas((30, 30, 46))
    code(draw, (0, 0, WIDTH - 1, HEIGHT - 1), random.Random(4), 13)
    return image


def window(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], title: str
) -> tuple[int, int, int, int]:
    """Frame, title bar and buttons; -> the box inside."""
    left, top, right, bottom = box
    draw.rectangle((left + 3, top + 3, right + 3, bottom + 3), (40, 60, 80))
    draw.rectangle(box, (240, 240, 240), (120, 120, 120))
    draw.rectangle((left + 1, top + 1, right - 1, top + 22), (0, 90, 180))
    draw.text((left + 8, top + 5), title, WHITE, font(12))
    for k, colour in enumerate(((230, 60, 50), (240, 190, 40), (60, 180, 70))):
        x = right - 16 - 18 * k
        draw.ellipse((x, top + 6, x + 11, top + 17), colour)
    return left + 2, top + 24, right - 2, bottom - 2


def desktop() -> Image.Image:
    """Windows over each other, icons, a task bar."""
    rng = random.Random(5)
    image, draw = canvas((0, 128, 128))
    for k in range(5):
        y = 16 + 84 * k
        draw.rounded_rectangle((20, y, 67, y + 47), 8, STRONG[k])
        draw.polygon(((32, y + 36), (56, y + 36), (44, y + 12)), WHITE)
        draw.text((18, y + 52), f"Folder {k + 1}", WHITE, font(11))
    inner = window(draw, (110, 30, 520, 330), "Notes.txt")
    draw.rectangle(inner, WHITE)
    lines_of_text(draw, (inner[0] + 6, inner[1] + 6, inner[2] - 8, inner[3] - 4), 12, BLACK, rng)
    code(draw, window(draw, (300, 150, 740, 450), "main.py"), rng)
    draw.rectangle((0, HEIGHT - 30, WIDTH, HEIGHT), (200, 200, 200))
    draw.rectangle((4, HEIGHT - 26, 74, HEIGHT - 4), (225, 225, 225), (90, 90, 90))
    draw.text((14, HEIGHT - 23), "Start", BLACK, font(13))
    draw.text((WIDTH - 60, HEIGHT - 22), "12:34", BLACK, font(12))
    return image


def spreadsheet() -> Image.Image:
    """Ruled cells, figures, and a bar chart with a legend."""
    rng = random.Random(6)
    image, draw = canvas()
    for row in range(25):
        y = 20 * row + 8
        if row % 2:
            draw.rectangle((8, y, 400, y + 20), (232, 240, 250))
        for column in range(5):
            x = 8 + 78 * column
            draw.rectangle((x, y, x + 78, y + 20), None, (190, 190, 190))
            ink = (200, 0, 0) if rng.random() < 0.2 else BLACK
            draw.text((x + 6, y + 4), f"{rng.uniform(-999, 9999):,.2f}", ink, font(11))
    draw.rectangle((430, 20, 750, 300), None, BLACK)
    for k in range(12):
        height = rng.randrange(30, 250)
        draw.rectangle((446 + 25 * k, 298 - height, 464 + 25 * k, 298), STRONG[k % len(STRONG)])
    for k, colour in enumerate(STRONG):
        draw.rectangle((440, 330 + 26 * k, 456, 346 + 26 * k), colour)
        draw.text((466, 331 + 26 * k), f"Series {k + 1}: {rng.choice(WORDS)}", BLACK, font(12))
    return image


def hatching() -> Image.Image:
    """Lines of one and two pixels at every angle, and dots."""
    image, draw = canvas()
    for k in range(24):
        left, top = 128 * (k % 6), 128 * (k // 6)
        angle, gap, centre = math.pi * k / 24, 3 + k % 7, (left + 64, top + 64)
        tile = Image.new("L", (128, 128), 255)
        brush = ImageDraw.Draw(tile)
        for offset in range(-128, 128, gap):
            x, y = 64 - offset * math.sin(angle), 64 + offset * math.cos(angle)
            dx, dy = 100 * math.cos(angle), 100 * math.sin(angle)
            brush.line((x - dx, y - dy, x + dx, y + dy), 0, 1 + k % 2)
        image.paste(tile.convert("RGB"), (left, top))
        draw.ellipse((centre[0] - 20, centre[1] - 20, centre[0] + 20, centre[1] + 20), WHITE, BLACK)
    return image


def contours() -> Image.Image:
    """A map: level lines of a smooth height, thin and anti-aliased."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 90.0
    height = np.sin(x) * np.cos(0.8 * y) + 0.6 * np.sin(1.7 * x + y) + 0.3 * np.cos(2.3 * y - x)
    slope = np.hypot(*np.gradient(height)) + 1e-3
    to_line = np.abs((height * 6 + 0.5) % 1 - 0.5) / 6 / slope  # pixels to the nearest line
    ink = np.clip(1.3 - to_line, 0, 1)[:, :, None]
    hue = [colorsys.hsv_to_rgb(0.08, 0.15, 1.0), colorsys.hsv_to_rgb(0.07, 0.9, 0.45)]
    return rounded(255 * (np.array(hue[0]) * (1 - ink) + np.array(hue[1]) * ink))


SETS: dict[str, dict[str, Callable[[], Image.Image]]] = {
    "flat": {"plain": plain, "patches": patches, "shapes": shapes},
    "gradient": {"ramp": ramp, "glow": glow, "sky": sky},
    "text": {"page": page, "coloured": coloured_text, "editor": editor},
    "screen": {"desktop": desktop, "spreadsheet": spreadsheet},
    "lineart": {"hatching": hatching, "contours": contours},
}


def write(out: Path) -> list[Path]:
    """Writes every set into a folder of its own. -> the folders"""
    for name, drawn in SETS.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        for title, draw in drawn.items():
            draw().save(out / name / f"{title}.png", optimize=True)
    return [out / name for name in SETS]


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=first)
    parser.add_argument("out", type=Path, help="folder to write into")
    options = parser.parse_args(arguments)
    try:
        folders = write(options.out)
    except OSError as error:
        return environment.fail(f"cannot write pictures: {error}")
    print(*folders)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
