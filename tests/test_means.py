"""Export: means that are the same in every precision, and the layers that make them so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from export_models import pictures, written  # noqa: E402
from onnx import TensorProto  # noqa: E402

from aecodec import Codec, _core, cutting, models  # noqa: E402
from aecodec.training.model import SIZES, CodecModel  # noqa: E402
from export import verify  # noqa: E402
from export.calibration import Range  # noqa: E402
from export.float_form import FloatForm  # noqa: E402
from export.int8 import calibrated, int8_graphs  # noqa: E402
from export.int8_builder import Int8Builder  # noqa: E402
from export.means import LEADING, float_graphs  # noqa: E402
from export.trunk import Samples  # noqa: E402

SATURATES = 0
F32, U8 = TensorProto.FLOAT, TensorProto.UINT8
LEVELS = (0.0, 30.0, 63.0)


def session(graph: Path | bytes, optimise: bool = True) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_DISABLE_ALL
    given = graph if isinstance(graph, bytes) else str(graph)
    return ort.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def rounded(model: CodecModel) -> Samples | None:
    return calibrated(model, "relu", pictures(), crops=6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[CodecModel, Path]:
    return written(tmp_path_factory.mktemp("means") / "fresh", samples=rounded)


def layers(g: Int8Builder, rng: np.random.Generator) -> dict[str, tuple[str, int]]:
    """Every layer of the builder on the input x: name -> (output, its type)."""
    seen = Range(rng.uniform(0.01, 0.1, 24), np.full(24, 131.0))
    flat = Range(np.full(24, 0.04), np.full(24, 131.0))
    from_0 = Range(seen.scale, np.zeros(24))
    given = Range(rng.uniform(0.1, 0.3, 40), rng.integers(90, 160, 40).astype(float))
    weight, bias = rng.normal(size=(40, 24)), rng.normal(size=40)
    q = g.quantise(g.input("x", F32, [1, "h", "w", 24]), flat)
    return {
        "quantise": (q, U8),
        "pointwise": (g.pointwise(q, weight, bias, seen, given), U8),
        "depthwise3": (g.depthwise3(q, rng.normal(size=(24, 1, 3, 3)), from_0, seen), U8),
        "to_float": (g.to_float(q, weight, bias, seen), F32),
    }


def test_layers_round_alike_in_float() -> None:
    x = np.random.default_rng(4).normal(0, 2.5, (1, 9, 11, 24)).astype(np.float32)  # some are cut
    found = []
    for form in (Int8Builder, FloatForm):
        g = form("layers")
        made = layers(g, np.random.default_rng(5))
        integers = TensorProto.FLOAT if form is FloatForm else U8
        shape = [1, "h", "w", None]
        graph = g.finish(
            {name: (t, F32 if kind == F32 else integers, shape) for name, (t, kind) in made.items()}
        )
        assert {node.domain for node in graph.graph.node} == (
            {""} if form is FloatForm else {"", "com.microsoft"}
        )
        found.append(dict(zip(made, session(graph.SerializeToString()).run(None, {"x": x}), strict=True)))
    for name, there in found[0].items():
        here = found[1][name]
        assert 0 < there.std()
        if there.dtype == np.uint8:
            assert np.array_equal(here, there.astype(np.float32)), name
        else:
            np.testing.assert_allclose(here, there, rtol=1e-6, atol=1e-5 * np.abs(there).max(), err_msg=name)


def test_layers_without_a_float_form_are_refused() -> None:
    g = FloatForm("layers")
    q = g.input("q", F32, [1, "h", "w", 24])
    seen = Range(np.ones(24), np.full(24, 128.0))
    with pytest.raises(ValueError, match="a zero of 128 has no float form"):
        g.conv3(q, np.ones((40, 24, 3, 3)), np.zeros(40), seen, Range(np.ones(40), np.zeros(40)))


def latents(folder: Path, level: float) -> dict[str, Any]:
    x, quality = pictures()[1][None].numpy().astype(np.float32) / 255, np.array([level], np.float32)
    y, z_hat = session(folder / "analysis.onnx").run(None, {"x": x, "quality": quality})
    return {"y": y, "z_hat": z_hat, "quality": quality}


@pytest.mark.parametrize("level", LEVELS)
def test_means_are_the_same_in_both_precisions(bundle: tuple[CodecModel, Path], level: float) -> None:
    """With ONNX Runtime's fusions, which change the order of sums, and without."""
    folder = bundle[1]
    feed = latents(folder, level)
    everywhere = np.full(feed["y"].shape, 63, np.uint8)
    wanted = session(folder / "context.onnx").run(None, feed | {"index_first": everywhere})
    assert np.abs(wanted[1] - feed["y"]).max() > 0.05  # it does foretell something
    for name, optimise in (("context.int8", True), ("context", False)):
        found = session(folder / f"{name}.onnx", optimise).run(None, feed | {"index_first": everywhere})
        for a, b in zip(found, wanted, strict=True):
            assert 12 * np.square(a - b).mean() < verify.SAME_MEANS
    feed["symbols"] = np.rint(feed.pop("y"))
    for divisor in (8, 16):
        small = (folder / f"small_{divisor}.onnx").read_bytes()
        whole = [(folder / f"synthesis{form}.onnx").read_bytes() for form in ("", ".int8")]
        found = [session(cutting.preview(graph, small)).run(None, feed)[0] for graph in whole]
        assert found[0].std() > 0
        np.testing.assert_allclose(found[1], found[0], atol=0.02 / 255)


def test_models_of_leading_latents_alone() -> None:
    model = CodecModel(replace(SIZES["tiny"], n=LEADING)).eval()
    samples = rounded(model)
    assert samples is not None
    y = np.random.default_rng(6).normal(size=(1, LEADING, 8, 8)).astype(np.float32)
    feed = {"y": y, "z_hat": np.ones((1, 16, 2, 2), np.float32), "quality": np.array([50.0], np.float32)}
    feed["index_first"] = np.full(y.shape, 63, np.uint8)
    graphs = (float_graphs(model, samples)["context.onnx"], int8_graphs(model, samples)["context"])
    one, other = (session(graph.SerializeToString()).run(None, feed)[1] for graph in graphs)
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_float_graphs_round_where_those_in_8_bits_do(bundle: tuple[CodecModel, Path], tmp_path: Path) -> None:
    """Means of the bundle differ from those of a bundle that does not round them, and not by much."""
    _, plain = written(tmp_path / "plain")
    feed = latents(plain, 30.0)
    feed["index_first"] = np.full(feed["y"].shape, 63, np.uint8)
    found, wanted = (session(f / "context.onnx").run(None, feed)[1] for f in (bundle[1], plain))
    assert 0 < np.square(found - wanted).mean() < 0.01 * np.square(feed["y"] - wanted).mean()


def test_export_checks_the_means(bundle: tuple[CodecModel, Path], tmp_path: Path) -> None:
    folder, picture = bundle[1], pictures()[0][None].numpy().astype(np.float32) / 255
    verify.check_means(folder, picture, lambda _: None)
    _, other = written(tmp_path / "plain")
    changed = folder / "context.onnx"
    before = changed.read_bytes()
    try:
        changed.write_bytes((other / "context.onnx").read_bytes())
        with pytest.raises(ValueError, match="the int8 graphs have other means"):
            verify.check_means(folder, picture, lambda _: None)
    finally:
        changed.write_bytes(before)


def test_any_precision_decodes_what_any_other_encoded(city: np.ndarray) -> None:
    """Of the shipped model at the highest quality, where a difference in the means would be seen first."""
    shipped = models.find()
    if "context" not in shipped.precisions.get("int8", {}):
        pytest.skip("the default model has no means in 8 bits")
    if _core.dot_product() == SATURATES and not shipped.fits_16_bits:
        pytest.skip("int8 networks of the default model are refused on this CPU")
    part = city[:192, :256]
    codecs = {p: Codec(precision=p, threads=1) for p in ("fp32", "int8")}

    def error(encoder: str, decoder: str) -> float:
        decoded = codecs[decoder].decode(codecs[encoder].encode(part, quality=100))
        return float(np.square(decoded.astype(float) - part).mean())

    assert error("int8", "fp32") < 1.02 * error("fp32", "fp32")
    assert error("fp32", "int8") < 1.02 * error("int8", "int8")
