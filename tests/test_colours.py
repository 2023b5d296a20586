"""Colours that are merged: the frequent ones stay, nothing moves further than it may."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from aecodec.colours import Colours


def shapes(size: int = 128) -> np.ndarray:
    """uint8 [1, size, size, 3]: a disc on a ground of another colour, with a soft edge."""
    image = Image.new("RGB", (4 * size, 4 * size), (250, 250, 245))
    ImageDraw.Draw(image).ellipse((size, size, 3 * size, 3 * size), (231, 3, 17))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))[None]


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(a.astype(float) - b).sum(-1))


def count(pixels: np.ndarray) -> int:
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0))


@pytest.mark.parametrize("tolerance", [4, 16, 64, 96])
def test_flat_places_are_exact_and_edges_have_fewer_steps(tolerance):
    picture = shapes()
    found = Colours(picture).merged(tolerance)
    flat = (picture == (250, 250, 245)).all(-1) | (picture == (231, 3, 17)).all(-1)
    np.testing.assert_array_equal(found[flat], picture[flat])
    assert distance(found, picture).max() <= tolerance
    assert (
        2 < count(found) <= 1.5 + 344 / tolerance
    )  # no two nearer than the tolerance, from one side to the other
    assert count(found) < count(picture)


def test_no_tolerance_no_change():
    picture = shapes()
    np.testing.assert_array_equal(Colours(picture).merged(0), picture)


def test_flat_colours_stay_however_near():
    """White shapes on paper that is not quite white, in no more colours than the two."""
    picture = shapes().copy()
    picture[0, 20:40, 10:120] = 255
    found = Colours(picture).merged(442)
    flat = {(250, 250, 245), (231, 3, 17), (255, 255, 255)}
    assert {tuple(map(int, c)) for c in np.unique(found.reshape(-1, 3), axis=0)} == flat
    np.testing.assert_array_equal(found[0, 20:40, 10:120], 255)


def test_steps_of_a_gradient_are_not_flat():
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, 0)[None]
    assert count(Colours(ramp).merged(16)) <= 256 / 8


@pytest.mark.parametrize("tolerance", [4, 8, 24, 96])
def test_noise_stays_within_a_step(tolerance):
    """Colours of which none is frequent; a grid's step a channel, and white stays white."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    noise[0, 0] = 255  # a line is not flat
    found = Colours(noise).merged(tolerance)
    assert found.shape == noise.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - noise).max() <= tolerance
    assert (found[0, 0] == 255).all()


def test_grey():
    grey = np.random.default_rng(0).integers(0, 256, (2, 16, 48, 1), np.uint8)
    found = Colours(grey).merged(10)
    assert found.shape == grey.shape and np.abs(found.astype(int) - grey).max() <= 10
    assert count(found) <= 36


def test_blocks_share_their_colours():
    """One palette for all that are given together, whatever their order within."""
    blocks = shapes()[0].reshape(2, 64, 2, 64, 3).swapaxes(1, 2).reshape(4, 64, 64, 3)
    found = Colours(blocks).merged(48)
    whole = Colours(shapes()).merged(48)[0]
    np.testing.assert_array_equal(found.reshape(2, 2, 64, 64, 3).swapaxes(1, 2).reshape(128, 128, 3), whole)
