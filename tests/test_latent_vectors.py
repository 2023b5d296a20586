"""Features: vectors of latents, of files and of pictures."""

from __future__ import annotations

import numpy as np
import pytest

import aecodec
from aecodec import Codec, cutting, model_bundle, networks
from aecodec.errors import UsageError
from aecodec.latents import index, reading, vectors
from tests.synthetic import smooth
from tests.tiny_latents import TINY, decoded_first, latents, picture, tiny

__all__ = ["latents", "picture", "tiny"]  # fixtures


def test_a_file_and_its_picture_have_the_same_features(tiny, picture):
    data = tiny.encode(picture, 45)
    for kind, latent in [("pooled", "y"), ("pooled", "z"), ("spatial", "y"), ("spatial", "z")]:
        of_file = vectors.of(reading.read(data, tiny), kind, latent)
        of_picture = vectors.of(reading.read(picture, tiny, 45), kind, latent)
        np.testing.assert_array_equal(of_file, of_picture)
        assert of_file.dtype == np.float32


def test_shapes(tiny, latents):
    n, z = tiny.bundle.n, tiny.bundle.z
    assert vectors.of(latents).shape == (512 + n // 2,)
    assert vectors.of(latents, "pooled", "z").shape == (2 * z,)
    assert vectors.of(latents, "spatial").shape == (n, 7, 10)
    assert vectors.of(latents, "spatial", "z").shape == (z, 2, 3)
    assert np.linalg.norm(vectors.of(latents)) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UsageError, match="pooled or spatial"):
        vectors.of(latents, "median")


def reference_pooled(y):
    """[N, rows, columns] -> what vectors.VERSION 3 stands for, in the plainest way."""
    first = decoded_first(y).astype(np.float64)
    words = np.random.RandomState(0).standard_normal((512, 6))
    distances = np.square(words[:, :, None] - first[:6]).sum(1)
    shares = np.exp(-(distances - distances.min(0)) / 2 / 0.3)
    counts = np.sqrt((shares / shares.sum(0)).sum(1))
    texture = np.sqrt(np.abs(first)).mean(1)
    both = np.hstack([part / np.linalg.norm(part) for part in (counts, texture)])
    return both / np.linalg.norm(both)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5), (17, 16), (100, 149), (600, 30)])
def test_pooled_is_of_y_hat(tiny, size):
    """Of all sizes: some have one position, or one row or column of them."""
    found = reading.read(smooth(0, *size), tiny, 70)
    rows, columns = found.size
    expected = reference_pooled(found.y_hat()[:, :rows, :columns])
    np.testing.assert_allclose(vectors.of(found), expected, atol=2e-5)


def test_features_of_pixel_blocks_are_the_same_each_time():
    """Though a decoder and an encoder run for them: in any order, on any number of threads."""
    page = np.random.default_rng(7).choice(np.array([0, 255], np.uint8), (32, 48)).repeat(4, 0).repeat(4, 1)
    data = Codec("nano", "cpu", 1).encode(page, 60)
    codecs = [Codec("nano", "cpu", threads) for threads in (1, 2, 3)]
    assert any(codecs[0].parse(data)[1].blocks)
    first, *others = [
        index.vector_of(data, codec, verify)[0] for codec in (*codecs, codecs[0]) for verify in (False, True)
    ]
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_features_of_the_package(city, monkeypatch):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(TINY))
    vector = aecodec.latents.features(city, model="tiny", device="cpu", threads=1)
    data = aecodec.encode(city, 60, "tiny", "cpu", 1)
    np.testing.assert_array_equal(vector, aecodec.latents.features(data, device="cpu", threads=1))


def test_no_synthesis_runs(tiny, picture, monkeypatch):
    """Neither is a session for it made, nor for the context network of a decoder."""
    opened = []
    original = networks.open_session

    def spy(data, *rest):
        opened.append(len(data))
        return original(data, *rest)

    data = tiny.encode(picture, 60)
    fresh = Codec(TINY, device="cpu", threads=1)
    monkeypatch.setattr(networks, "open_session", spy)
    vectors.of(reading.read(data, fresh))
    exact = [(TINY / f"{name}.onnx").stat().st_size for name in model_bundle.SCALE_NETWORKS]
    head = len(cutting.anchors((TINY / "synthesis.onnx").read_bytes(), 24))
    assert sorted(opened) == sorted([*exact, head])
