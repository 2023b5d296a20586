"""Latents of files and pictures, by the head of the synthesis graph, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from aecodec import Codec, cutting, planes, windows
from aecodec.errors import CorruptError, DeviceError
from aecodec.latents import rates, reading, vectors
from tests.synthetic import smooth
from tests.tiny_latents import TINY, decoded_first, latents, picture, tiny

__all__ = ["latents", "picture", "tiny"]  # fixtures


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


def test_first_half_of_the_shipped_model(codec, city):
    """Whose means are in rows, [1, h, w, N]; of a picture with padding."""
    found = reading.read(city[:290, :410], codec)
    rows, columns = found.size
    wanted = decoded_first(found.y_hat()[:, :rows, :columns])
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found.first_half(), wanted, atol=1e-4)


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
