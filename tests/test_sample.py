"""Contact sheets of a small autoencoder's pictures: a linear one, made here."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps

import aecodec
from aecodec.errors import ModelError, UsageError
from aecodec.latents import sample
from aecodec.latents.autoencoder import Autoencoder

SIDE, LATENT = 8, 6


def graph(nodes, weights, inputs, outputs):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    results = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    made = helper.make_graph(nodes, "g", values, results, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """h = W (x - 0.5), x_hat = 0.5 + W^T h, with orthonormal rows; std is 1."""
    folder = tmp_path_factory.mktemp("linear")
    basis = np.linalg.qr(np.random.default_rng(0).normal(0, 1, (SIDE * SIDE, LATENT)))[0].astype(np.float32)
    half = np.array(0.5, np.float32)
    encoder = graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"], axis=1),
            helper.make_node("Sub", ["flat", "half"], ["centred"]),
            helper.make_node("MatMul", ["centred", "basis"], ["h"]),
            helper.make_node("Mul", ["h", "zero"], ["nothing"]),
            helper.make_node("Exp", ["nothing"], ["std"]),
        ],
        {"half": half, "basis": basis, "zero": np.array(0, np.float32)},
        {"x": ["B", 1, SIDE, SIDE]},
        {"h": ["B", LATENT], "std": ["B", LATENT]},
    )
    decoder = graph(
        [
            helper.make_node("MatMul", ["h", "basis"], ["flat"]),
            helper.make_node("Add", ["flat", "half"], ["shifted"]),
            helper.make_node("Reshape", ["shifted", "shape"], ["x_hat"]),
        ],
        {"half": half, "basis": basis.T.copy(), "shape": np.array([-1, 1, SIDE, SIDE])},
        {"h": ["B", LATENT]},
        {"x_hat": ["B", 1, SIDE, SIDE]},
    )
    files = {"encoder.onnx": encoder, "decoder.onnx": decoder}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = {"format": "aecodec-autoencoder", "version": 1, "name": "linear", "objective": "variational"}
    manifest |= {"input": [1, SIDE, SIDE], "latent": LATENT, "variational": True}
    manifest["files"] = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_sheet_of_the_prior(cli, bundle, tmp_path):
    out = tmp_path / "sheet.png"
    result = cli("sample", bundle, "-o", out, "-n", 6, "--columns", 3, "--scale", 2, "--json")
    told = json.loads(result.out)
    assert result.code == 0 and told["pictures"] == 6 and told["seconds"] > 0
    with Image.open(out) as image:
        sheet = np.asarray(image)
    step = 2 * (SIDE + sample.GAP)
    assert sheet.shape == (2 * step - 2, 3 * step - 2, 3)
    expected = sample.from_prior(Autoencoder.load(bundle), 6)
    for number in range(6):
        top, left = number // 3 * step, number % 3 * step
        part = sheet[top : top + 2 * SIDE : 2, left : left + 2 * SIDE : 2, 0] / 255
        np.testing.assert_allclose(part, expected[number, 0], atol=0.003)
    assert (sheet[2 * SIDE : step] == 255).all()
    cli("sample", bundle, "-o", tmp_path / "other.png", "-n", 6, "--columns", 3, "--scale", 2, "--seed", 1)
    with Image.open(tmp_path / "other.png") as image:
        assert (np.asarray(image) != sheet).mean() > 0.3
    assert cli("sample", bundle, "-o", out).code == 9


def test_between_two_pictures(cli, bundle, tmp_path):
    """The ends are their reconstructions; on the way each step is as large as the others."""
    model = Autoencoder.load(bundle)
    y, x = np.mgrid[:64, :64]
    for name, wave in (("a", np.sin(x / 9)), ("b", np.cos(y / 7))):
        Image.fromarray((128 + 100 * wave).astype(np.uint8)).save(tmp_path / f"{name}.png")
    names = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    found = sample.between(model, *names, 5)
    ends = model.reconstruct(np.stack([sample.fitted(model, name) for name in names]))
    np.testing.assert_allclose(found[[0, -1]], ends, atol=1e-5)
    steps = [
        np.linalg.norm(model.encode(b[None]) - model.encode(a[None]))
        for a, b in zip(found, found[1:], strict=False)
    ]
    assert max(steps) < 1.1 * min(steps) and min(steps) > 0.01
    out = tmp_path / "way.png"
    assert cli("sample", bundle, "-o", out, "--between", *names, "-n", 5, "--scale", 1).code == 0
    with Image.open(out) as image:
        assert image.size == (5 * (SIDE + 1) - 1, SIDE)
    with pytest.raises(UsageError, match="at least 2"):
        sample.between(model, *names, 1)


def test_pictures_are_fitted(bundle):
    """The centre square, in grey."""
    model = Autoencoder.load(bundle)
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 200
    np.testing.assert_allclose(sample.fitted(model, wide), 200 / 255, atol=0.01)


@pytest.mark.parametrize("kind", range(1, 9))
def test_pictures_are_fitted_upright(bundle, tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = kind
    stored = np.random.default_rng(0).integers(0, 256, (SIDE, 2 * SIDE)).astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        seen = np.asarray(ImageOps.exif_transpose(image))
    model = Autoencoder.load(bundle)
    found = sample.fitted(model, str(tmp_path / "a.png"))
    np.testing.assert_array_equal(found, sample.fitted(model, seen))


def test_sheets_and_samples_that_make_no_sense(bundle):
    model, two = Autoencoder.load(bundle), np.zeros((2, 1, SIDE, SIDE), np.float32)
    for found in (two[:0], two[0], two[:, [0, 0]], np.zeros((1, 3, 0, SIDE), np.float32)):
        with pytest.raises(UsageError, match="makes no sheet"):
            sample.contact_sheet(found)
    for options in ({"columns": 0}, {"columns": -1}, {"scale": 0}, {"columns": 2.5}):
        with pytest.raises(UsageError, match="1 or more"):
            sample.contact_sheet(two, **options)
    for count, seed in ((0, 0), (-1, 0), (1, -1), (2.5, 0), (2, 1.5)):
        with pytest.raises(UsageError, match="a count from 1 on"):
            sample.from_prior(model, count, seed)


def test_another_process_loads_it_once_more(bundle, monkeypatch):
    monkeypatch.chdir(bundle.parent)
    model = Autoencoder.load(bundle.name, threads=1)
    monkeypatch.chdir("/")
    again = pickle.loads(pickle.dumps(model))
    x = np.random.default_rng(0).random((2, 1, SIDE, SIDE), np.float32)
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    assert again == model and copy.deepcopy(model) == model


def test_numbers_that_are_none(bundle):
    model = Autoencoder.load(bundle)
    for wrong, match in (
        ([[1], [1, 2]], "arrays of numbers"),
        (np.full((1, 1, SIDE, SIDE), np.nan), "finite"),
    ):
        for call in (model.encode, model.decode):
            with pytest.raises(UsageError, match=match):
                call(wrong)
    with pytest.raises(UsageError, match="not finite"):
        sample.contact_sheet(np.full((2, 1, SIDE, SIDE), np.nan, np.float32))
    with pytest.raises(UsageError, match="whole number"):
        model.interpolate(np.zeros((1, SIDE, SIDE)), np.ones((1, SIDE, SIDE)), 2.5)


def test_ends_that_are_no_plain_pictures(cli, bundle, tmp_path):
    """An .aec file, and the first frame of several; neither is overwritten."""
    first, second, out = tmp_path / "a.aec", tmp_path / "b.gif", tmp_path / "way.png"
    frames = [Image.fromarray(np.full((40, 40), value, np.uint8)) for value in (50, 200)]
    frames[0].save(second, save_all=True, append_images=frames[1:])
    first.write_bytes(aecodec.encode(frames[0], 90, "nano"))
    result = cli("sample", bundle, "-o", out, "--between", first, second, "--json")
    facts = json.loads(result.out)
    assert result.code == 0 and facts["status"] == "done" and facts["input"] == str(bundle)
    assert "b.gif" in facts["notes"][0] and "first of 2 frames" in facts["notes"][0]
    for name in (first, second):
        before = name.read_bytes()
        result = cli("sample", bundle, "-o", name, "--between", first, second, "--force", "--json")
        assert result.code == 2 and json.loads(result.out)["status"] == "failed"
        assert name.read_bytes() == before
    assert "only one" in cli("sample", bundle, "-o", out, "--between", "-", "-").err


def test_no_model(cli, tmp_path):
    for name in (tmp_path, "nano", Path(aecodec.__file__).parent / "bundles" / "nano"):  # of the codec
        result = cli("sample", name, "-o", tmp_path / "x.png")
        assert result.code == ModelError.exit_code and "folder of a small autoencoder is wanted" in result.err


def test_sheets_larger_than_pictures(cli, bundle, tmp_path):
    out = tmp_path / "o.png"
    for options in (
        ["-n", "1" + "0" * 20],
        ["--scale", "1" + "0" * 20],
        ["-n", "70000", "--columns", "70000"],
    ):
        result = cli("sample", bundle, "-o", out, *options)
        assert result.code == 2 and "ask for fewer, or a smaller scale" in result.err, result
        assert result.err.count("\n") == 1 and not out.exists()
    with pytest.raises(UsageError, match="2 pictures of 8 x 8 pixels, 60000 times larger, make a sheet"):
        sample.contact_sheet(np.zeros((2, 1, 8, 8), np.float32), scale=60000)
    assert sample.layout((5, 3, 20, 10), None, None) == (3, 2, 3)
