"""Pictures of few rows or columns: networks code blocks of 64 x 64, most of which lie beside the picture."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec import Codec, block_choice


def lagrangian(codec, picture, quality):
    """Bytes, and bits + lambda * squared error."""
    data = codec.encode(picture, quality)
    lmbda = codec.bundle.lmbda(round(quality * 0.63 * 256) / 256)
    error = np.square(codec.decode(data).astype(float) - picture).mean(-1).sum()
    return len(data), 8 * len(data) + lmbda * error


@pytest.mark.parametrize("shape", [(1, 2000), (1500, 1), (2, 410), (300, 2)])
def test_the_cheaper_way_is_taken(codec, city, shape):
    """As pixels, where networks need more bytes than a lossless file, and give less for them."""
    row = np.ascontiguousarray(city[::60]).reshape(-1, 3)[: shape[0] * shape[1]].reshape(*shape, 3)
    picture = row if min(shape) == 1 else city[: shape[0], : shape[1]].copy()
    networks = Codec(device="cpu", threads=2, pixel_blocks=False)
    for quality in (20, 60, 100):
        size, cost = lagrangian(codec, picture, quality)
        assert size < 0.8 * picture.nbytes
        assert cost <= 1.01 * lagrangian(networks, picture, quality)[1]


def test_noise_is_not_much_larger_than_its_samples(codec):
    noise = np.random.default_rng(0).integers(0, 256, (1, 4000, 3), np.uint8)
    assert len(codec.encode(noise, 100)) < 1.04 * noise.nbytes


def test_errors_beside_the_picture_do_not_count():
    """A block's own pixels are repeated there for the networks."""
    picture = np.zeros((65, 70, 3), np.uint8)
    picture[:, ::2] = 9  # not of a single colour
    decoded, found = picture + 2, np.ones((2, 2), np.bool_)
    sums = {row: values.tolist() for row, values in block_choice.errors(picture, decoded, 0, found)}
    assert sums == {0: [4 * 64 * 64, 4 * 64 * 6], 1: [4 * 64, 4 * 6]}
    part = block_choice._Part(picture, [([0, 0], 0.0), ([1, 1], 0.0)])
    whole, corner = part.tried(64, 1.0).error
    assert whole == pytest.approx(64 * 64 / 6 * corner, rel=0.01) and corner > 0
