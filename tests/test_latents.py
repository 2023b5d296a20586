"""Latents of files and pictures, the head of the synthesis graph, rates, features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

import aecodec
from aecodec import Codec, models, networks, pixels, windows
from aecodec.errors import CorruptError, ModelError, UsageError
from aecodec.latents import cutting, rates, reading, vectors
from tests.conftest import DATA
from tests.synthetic import smooth

TINY = DATA / "bundles" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    return Codec(TINY, device="cpu", threads=1)


@pytest.fixture(scope="module")
def picture():
    """Detail and smooth parts, no multiple of 16."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 90, (100, 149, 3))
    return np.clip(smooth(1, 100, 149) * 0.7 + noise * (np.arange(149) > 80)[:, None], 0, 255).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def latents(tiny, picture):
    return reading.read(picture, tiny, 70)


def reference_y_hat(latents, bundle):
    """y_hat by the whole synthesis graph, with the tensor that is y_hat made an output by hand."""
    import onnxruntime

    model = onnx.load(bundle / "synthesis.onnx")
    scaled = [n for n in model.graph.node if n.op_type == "Mul" and len(layers(model, n.output[0])) > 1][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(scaled.output[0], 1, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    quality = np.array([latents.header.quality / 256], np.float32)
    feed = {"symbols": latents.symbols, "z_hat": latents.z_hat, "quality": quality}
    return session.run([scaled.output[0]], feed)[0][0]


def layers(model, name):
    """What is computed from a tensor by convolution; y_hat goes into the network and into the shortcut."""
    return [n for n in model.graph.node if name in n.input and n.op_type == "Conv"]


def test_y_hat_is_that_of_the_synthesis(latents):
    expected = reference_y_hat(latents, TINY)
    assert latents.y_hat().shape == expected.shape == (48, *latents.header.latent_size)
    np.testing.assert_allclose(latents.y_hat(), expected, atol=1e-5)


def test_first_half_is_half_of_y_hat(latents):
    """Without the padding: of 7 x 10 positions; which half is first changes in the middle of the channels."""
    first, second = latents.first_half()
    y = latents.y_hat()[:, :7, :10]
    rows, columns = np.indices((7, 10))
    even = (rows + columns) % 2 == 0
    np.testing.assert_allclose(first, y[:24, even], atol=1e-5)
    np.testing.assert_allclose(second, y[24:, ~even], atol=1e-5)
    assert np.abs(first).max() > 0.1
    # The symbols of the other half were never looked at.
    changed = replace(latents, symbols=latents.symbols.copy())
    changed.symbols[0, :24, 1::2, ::2] += 1
    np.testing.assert_array_equal(changed.first_half()[0], first)


def test_y_hat_is_near_y_of_the_analysis(city):
    """Latents of a file are those of its picture, to quantisation; the better the quality, the nearer."""
    codec, errors = Codec(device="cpu", threads=2, pixel_blocks=False), []
    for quality in (20, 60, 100):
        found = reading.read(city, codec, quality)
        level = np.array([found.header.quality / 256], np.float32)
        y, _ = found.model.networks.analysis(pixels.to_network(city), level)
        session = found.model.networks.derived("anchors", "synthesis", lambda d: cutting.anchors(d).graph)
        feed = {"symbols": found.symbols, "z_hat": found.z_hat, "quality": level}
        _, step = session.run(None, {i.name: feed[i.name] for i in session.get_inputs()})
        difference = np.square(found.y_hat() - (y * step)[0]).mean() / np.square(y * step).mean()
        errors.append(float(np.sqrt(difference)))
    assert 1 > errors[0] > 1.5 * errors[1] > 2 * errors[2]
    assert errors[2] < 0.1


def test_heads_without_a_bottleneck_are_refused():
    graph = onnx.load(TINY / "synthesis.onnx")
    graph.graph.node[0].op_type = "Identity"
    graph.graph.node[0].input[:] = ["symbols"]
    for node in graph.graph.node:  # the symbols go around every place
        if node.output[0] == "x_hat":
            node.input[0], node.op_type = "symbols", "Identity"
    with pytest.raises(ModelError, match="y_hat"):
        cutting.latents(graph.SerializeToString())
    with pytest.raises(ModelError, match="not an ONNX graph|no graph"):
        cutting.latents(b"\x07nonsense")


def test_cut_graphs_are_small_and_valid():
    whole = (TINY / "synthesis.onnx").read_bytes()
    sizes = [len(cutting.anchors(whole).graph), len(cutting.latents(whole).graph), len(whole)]
    assert sizes == sorted(sizes) and sizes[1] < 0.6 * sizes[2]
    model = onnx.load_from_string(cutting.latents(whole).graph)
    assert {i.name for i in model.graph.input} == {"symbols", "z_hat", "quality"}
    assert len(model.graph.output) == 1


@pytest.mark.parametrize("quality", [10, 60, 95])
def test_rates_add_up_to_the_file(tiny, picture, quality):
    data = tiny.encode(picture, quality)
    _, parsed = tiny.parse(data)
    found = reading.read_file(data, tiny)
    y, z = rates.of_y(found), rates.of_z(found)
    assert y.shape == found.header.latent_size and 4 * z.shape[0] == y.shape[0]
    payload = 8 * sum(len(group) for group in parsed.groups)
    assert payload * 0.9 - 200 < y.sum() + z.sum() <= payload


def test_detail_costs_bits(codec):
    """The right half is noise."""
    flat = np.full((128, 256, 3), 90, np.uint8)
    flat[:, 128:] = np.random.default_rng(0).integers(60, 120, (128, 128, 3))
    bits = rates.of_y(reading.read(flat, codec, 60))
    assert bits[:, 9:].mean() > 5 * bits[:, :7].mean()


def test_a_file_and_its_picture_have_the_same_features(tiny, picture):
    data = tiny.encode(picture, 45)
    for kind, latent in [("pooled", "y"), ("pooled", "z"), ("spatial", "y"), ("spatial", "z")]:
        of_file = vectors.of(reading.read(data, tiny), kind, latent)
        of_picture = vectors.of(reading.read(picture, tiny, 45), kind, latent)
        np.testing.assert_array_equal(of_file, of_picture)
        assert of_file.dtype == np.float32


def test_shapes(tiny, latents):
    n, z = tiny.bundle.n, tiny.bundle.z
    assert vectors.of(latents).shape == (512 + n,)
    assert vectors.of(latents, "pooled", "z").shape == (2 * z,)
    assert vectors.of(latents, "spatial").shape == (n, 7, 10)
    assert vectors.of(latents, "spatial", "z").shape == (z, 2, 3)
    assert np.linalg.norm(vectors.of(latents)) == pytest.approx(1, abs=1e-5)
    with pytest.raises(UsageError, match="pooled or spatial"):
        vectors.of(latents, "median")


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (40, 5), (17, 16), (600, 30)])
def test_sizes(tiny, size):
    found = vectors.of(reading.read(smooth(0, *size), tiny))
    assert np.isfinite(found).all() and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


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
    exact = [(TINY / f"{name}.onnx").stat().st_size for name in models.SCALE_NETWORKS]
    head = len(cutting.anchors((TINY / "synthesis.onnx").read_bytes()).graph)
    assert sorted(opened) == sorted([*exact, head])


def test_damage_is_found(tiny, picture):
    data = bytearray(tiny.encode(picture, 60))
    data[-20] ^= 4
    with pytest.raises(CorruptError):
        reading.read(bytes(data), tiny)


def test_large_pictures_in_windows(tiny, monkeypatch):
    """y_hat of a picture in several windows is that of the whole."""
    found = reading.read(smooth(4, 900, 320), tiny, 50)
    whole = found.y_hat()
    monkeypatch.setattr(windows, "LARGEST", 8)
    np.testing.assert_allclose(found.y_hat(), whole, atol=1e-4)
