"""Latents of files and pictures, the head of the synthesis graph, rates, features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

import aecodec
from aecodec import Codec, cutting, models, networks, onnx_file, planes, windows
from aecodec.errors import CorruptError, DeviceError, ModelError, UsageError
from aecodec.latents import index, rates, reading, vectors
from tests.conftest import DATA
from tests.synthetic import smooth

TINY = DATA / "bundles" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    """Its networks alone: they are so small that noise is cheaper as pixels."""
    return Codec(TINY, device="cpu", threads=1, pixel_blocks=False)


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


def decoded_first(y):
    """[N, h, w] -> [N/2, P]: the first half of the channels where they are decoded first."""
    rows, columns = np.indices(y.shape[1:])
    return y[: len(y) // 2, (rows + columns) % 2 == 0]


def test_first_half_is_of_y_hat(latents):
    """Without the padding: of 7 x 10 positions."""
    first = latents.first_half()
    assert first.shape == (24, 35) and np.abs(first).max() > 0.1
    np.testing.assert_allclose(first, decoded_first(latents.y_hat()[:, :7, :10]), atol=1e-5)
    # The other symbols were never looked at.
    changed = replace(latents, symbols=latents.symbols.copy())
    changed.symbols[0, :24, 1::2, ::2] += 1
    changed.symbols[0, 24:] += 1
    np.testing.assert_array_equal(changed.first_half(), first)


def test_less_is_read_for_the_first_half(tiny, picture, latents):
    found = reading.read_first(tiny.encode(picture, 70), tiny)
    np.testing.assert_array_equal(found.first_half(), latents.first_half())
    assert found.symbols.shape[1] == 24
    with pytest.raises(DeviceError):  # rather than a wrong answer
        found.y_hat()


def test_y_hat_is_near_y_of_the_analysis(city):
    """Latents of a file are those of its picture, to quantisation; the better the quality, the nearer."""
    codec, errors = Codec(device="cpu", threads=2, pixel_blocks=False), []
    for quality in (20, 60, 100):
        found = reading.read(city, codec, quality)
        level = np.array([found.header.quality / 256], np.float32)
        y, _ = found.model.networks.analysis(planes.to_network(city), level)
        session = found.model.networks.derived("step", "synthesis", lambda data: cutting.anchors(data, 1))
        _, _, step = session.run(None, {"z_hat": found.z_hat, "quality": level, "places": np.array([0])})
        difference = np.square(found.y_hat() - (y * step)[0]).mean() / np.square(y * step).mean()
        errors.append(float(np.sqrt(difference)))
    assert 1 > errors[0] > 1.5 * errors[1] > 2 * errors[2]
    assert errors[2] < 0.1


@pytest.mark.parametrize("read", [reading.read_file, reading.read_first])
def test_blocks_coded_as_pixels_have_latents_too(codec, read):
    """Those of the picture that the file holds; the file itself says nothing of them but their pixels."""
    rng = np.random.default_rng(7)
    pages = rng.choice(np.array([0, 255], np.uint8), (2, 32, 48)).repeat(4, 1).repeat(4, 2)
    files = [codec.encode(page, 60) for page in pages]
    parsed = [codec.parse(file)[1] for file in files]
    assert bytes(parsed[0].groups[0]) == bytes(parsed[1].groups[0])
    found = [read(file, codec) for file in files]
    plain = Codec(device="cpu", threads=2, pixel_blocks=False).encode(pages[0], 60)
    assert found[0].header.quality == parsed[0].header.quality
    np.testing.assert_array_equal(found[0].first_half(), read(plain, codec).first_half())
    assert np.abs(found[0].first_half() - found[1].first_half()).max() > 0.1


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


def test_first_half_of_the_shipped_model(codec, city):
    """Whose means are in rows, [1, h, w, N]; of a picture with padding."""
    found = reading.read(city[:290, :410], codec)
    rows, columns = found.size
    wanted = decoded_first(found.y_hat()[:, :rows, :columns])
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found.first_half(), wanted, atol=1e-4)


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
    cut = [(cutting.anchors(whole, 24), {"z_hat", "quality", "places"}, 3)]
    cut += [(cutting.latents(whole), {"symbols", "z_hat", "quality"}, 1)]
    sizes = [*(len(graph) for graph, _, _ in cut), len(whole)]
    assert sizes == sorted(sizes) and sizes[1] < 0.6 * sizes[2]
    for graph, inputs, outputs in cut:
        model = onnx.load_from_string(graph)
        assert {i.name for i in model.graph.input} == inputs and len(model.graph.output) == outputs


def test_onnx_files_there_and_back():
    whole = onnx.load(TINY / "synthesis.onnx")
    graph = onnx_file.read(whole.SerializeToString())
    again = onnx.load_from_string(graph.pack())
    assert list(again.graph.node) == list(whole.graph.node)
    assert list(again.graph.initializer) == list(whole.graph.initializer)
    assert list(again.graph.input) == list(whole.graph.input)
    assert again.opset_import == whole.opset_import and again.ir_version == whole.ir_version
    for data in (whole.SerializeToString()[:-9], b"\x07nonsense", b""):
        with pytest.raises(ModelError, match="not an ONNX graph"):
            onnx_file.read(data)


def mean_convolutions(model):
    """The convolutions in front of the means of the first half, the last one first."""
    made = {name: node for node in model.graph.node for name in node.output}
    added = next(n for n in model.graph.node if n.op_type == "Add" and "symbols" in n.input)
    todo, found = [name for name in added.input if name != "symbols"], []
    while todo:
        node = made.get(todo.pop(0))
        if node is not None and node not in found:
            found.append(node)
            todo += node.input
    return [node for node in found if node.op_type == "Conv"]


def widened(model, node):
    """A 1x1 convolution made a 3x3 one, which sees its neighbours."""
    weight = next(w for w in model.graph.initializer if w.name == node.input[1])
    values = onnx.numpy_helper.to_array(weight)
    wide = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1))) + 0.1 * np.roll(values, 1, 0)
    weight.CopyFrom(onnx.numpy_helper.from_array(wide, weight.name))
    for attribute in node.attribute:
        if attribute.name in ("kernel_shape", "pads"):
            attribute.ints[:] = [3, 3] if attribute.name == "kernel_shape" else [1, 1, 1, 1]


@pytest.mark.parametrize("wide", [None, 1, 2])
def test_means_at_places(wide):
    """Whichever of the last layers looks around, each place has the mean that the whole graph has there."""
    import onnxruntime

    model = onnx.load(TINY / "synthesis.onnx")
    convolutions = mean_convolutions(model)
    if wide is not None:
        widened(model, convolutions[wide])
    cut = cutting.anchors(model.SerializeToString(), 24)
    head = convolutions[0].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(head, 1, None))
    rng = np.random.default_rng(0)
    feed = {"z_hat": rng.integers(-3, 4, (1, 16, 2, 3)).astype(np.float32), "quality": np.float32([30])}
    places = np.array([95, 0, 13, 13, 50])
    whole, here = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        for data in (model.SerializeToString(), cut)
    )
    (mean,) = whole.run([head], {**feed, "symbols": np.zeros((1, 48, 8, 12), np.float32)})
    found = here.run(None, {**feed, "places": places})[0]
    assert found.shape == (1, 24, 5, 1)
    np.testing.assert_allclose(found[..., 0], mean.reshape(1, 48, -1)[:, :24, places], atol=1e-5)


def test_means_that_are_not_there_are_refused():
    model = onnx.load(TINY / "synthesis.onnx")
    widened(model, mean_convolutions(model)[0])
    with pytest.raises(ModelError, match="1x1 convolution"):
        cutting.anchors(model.SerializeToString(), 24)
    for node in model.graph.node:
        if mean_convolutions(model)[0].output[0] in node.input:
            node.op_type = "Div"
    with pytest.raises(ModelError, match="convolution's means with a gain"):
        cutting.anchors(model.SerializeToString(), 24)


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
    head = len(cutting.anchors((TINY / "synthesis.onnx").read_bytes(), 24))
    assert sorted(opened) == sorted([*exact, head])


def test_damage_is_found(tiny, picture):
    data = bytearray(tiny.encode(picture, 60))
    data[-20] ^= 4
    with pytest.raises(CorruptError):
        reading.read(bytes(data), tiny)


def test_large_pictures_in_windows(tiny, monkeypatch):
    """y_hat and the features of a picture in several windows are those of the whole."""
    picture = np.random.default_rng(0).integers(0, 60, (870, 330, 3)) + smooth(4, 870, 330) // 2
    found = reading.read(picture.astype(np.uint8), tiny, 80)
    whole, first, vector = found.y_hat(), found.first_half(), vectors.of(found)
    seen, network = [], found._head

    def watched(self, *args):
        run = network(*args)
        return lambda **inputs: (seen.append(inputs["z_hat"].shape[2:]), run(**inputs))[1]

    for largest in (8, 30):
        monkeypatch.setattr(windows, "LARGEST", largest)
        np.testing.assert_allclose(found.y_hat(), whole, atol=1e-4)
        with monkeypatch.context() as patch:
            patch.setattr(reading.Latents, "_head", watched)
            np.testing.assert_allclose(vectors.of(found), vector, atol=1e-5)
        np.testing.assert_allclose(np.sort(found.first_half()), np.sort(first), atol=1e-4)
    assert len(seen) > 20 and max(height * width for height, width in seen) < 50
