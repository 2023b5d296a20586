"""One flipped bit in a file of two megapixels: always found, and nine tenths of the picture survive it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from aecodec import container
from aecodec.errors import AecodecError
from aecodec.groups import LEAST_EDGE, RIM, SMALL, choose_edge

HEIGHT, WIDTH = 1088, 1920


@pytest.fixture(scope="module")
def file(codec, city):
    picture = np.pad(city, ((0, HEIGHT - 300), (0, WIDTH - 410), (0, 0)), mode="reflect")
    return codec.encode(picture, 30)


def flipped(data, place, bit):
    out = bytearray(data)
    out[place] ^= 1 << bit
    return bytes(out)


def test_always_found(file):
    rng = random.Random(5)
    places = [
        *range(300),
        *(rng.randrange(len(file)) for _ in range(1200)),
        *range(len(file) - 50, len(file)),
    ]
    for place in places:
        with pytest.raises(AecodecError):
            container.read_file(flipped(file, place, rng.randrange(8)))


def group_spans(data):
    parsed = container.read_file(data)
    sizes = [len(group) for group in parsed.groups]
    start = len(data) - 4 - sum(sizes)
    return [(start + sum(sizes[:g]), start + sum(sizes[: g + 1])) for g in range(len(sizes))]


def test_one_group_is_lost(file):
    """Every flip in a group's bytes costs that group alone, and that is less than a tenth."""
    rng = random.Random(6)
    edge = container.read_header(file).group_edge
    assert (16 * edge) ** 2 < HEIGHT * WIDTH / 10
    for group, (begin, end) in enumerate(group_spans(file)):
        for _ in range(3):
            bad = flipped(file, rng.randrange(begin, end), rng.randrange(8))
            assert container.read_file(bad, salvage=True).damaged == (group,)


@pytest.mark.parametrize("group", [0, 6])
def test_the_rest_survives(codec, file, group):
    whole = codec.decode(file)
    begin, end = group_spans(file)[group]
    picture, lost = codec.salvage(flipped(file, (begin + end) // 2, 2))
    assert lost == [group]
    same = (np.abs(picture.pixels.astype(int) - whole) <= 1).all(axis=2)  # of 255: nobody sees that
    assert 0.9 < same.mean() < 0.99


SIZES = [
    *((64, 64), (512, 768), (1100, 1200), (1000, 1500), (1088, 1920), (1200, 1600), (1500, 2000)),
    *((2000, 3000), (1000, 8000)),
]


@pytest.mark.parametrize("size", SIZES)
def test_edges(size):
    latents = -(-size[0] // 64) * 4, -(-size[1] // 64) * 4
    positions, edge = latents[0] * latents[1], choose_edge(latents, 32)
    assert edge % 4 == 0 and LEAST_EDGE <= edge <= 32
    assert edge == 32 if positions < SMALL else edge**2 < positions / 10
    if edge > LEAST_EDGE and positions >= SMALL:
        assert (edge + RIM) ** 2 <= positions / 10
    assert choose_edge(latents, 16) == 16
