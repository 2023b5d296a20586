"""Export: 8-bit layers and graphs against float ones, the bundle with them, and sums of 16 bits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from export_models import fresh, largest_pairs, pictures, written  # noqa: E402
from onnx import TensorProto, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

from aecodec import model_bundle, models  # noqa: E402
from aecodec.errors import ModelError  # noqa: E402
from aecodec.training.model import CodecModel  # noqa: E402
from export.bundle import write_bundle  # noqa: E402
from export.calibration import Range, by_channel  # noqa: E402
from export.int8 import calibrated  # noqa: E402
from export.int8_builder import Int8Builder  # noqa: E402
from export.prune import prune  # noqa: E402
from export.trunk import Samples  # noqa: E402

GRAPHS = ("analysis", "context", "synthesis")


def run(graph: onnx.ModelProto, feed: dict[str, Any]) -> list[Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def layer(build: Any, c_in: int, seen: Range, q: np.ndarray) -> np.ndarray:
    g = Int8Builder("layer")
    name = g.input("q", TensorProto.UINT8, [1, "h", "w", c_in])
    kind = TensorProto.FLOAT if build.__name__ == "to_float" else TensorProto.UINT8
    return run(g.finish({"out": (build(g, name), kind, [1, "h", "w", None])}), {"q": q})[0]


def test_layers_compute_what_the_float_ones_do() -> None:
    """Every layer against float64 arithmetic on the real values that its integers stand for."""
    rng = np.random.default_rng(2)
    q = rng.integers(0, 256, (1, 6, 7, 32), np.uint8)
    seen = Range(rng.uniform(0.01, 0.1, 32), rng.integers(0, 256, 32).astype(float))
    x = (q - seen.zero) * seen.scale
    weight, bias = rng.normal(size=(48, 32)), rng.normal(size=48)
    wanted = x @ weight.T + bias

    def to_float(g: Int8Builder, q: str) -> str:
        return g.to_float(q, weight, bias, seen)

    def pointwise(g: Int8Builder, q: str) -> str:
        return g.pointwise(q, weight, bias, seen, given)

    found = layer(to_float, 32, seen, q)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()
    given = by_channel(wanted.reshape(-1, 48).T)
    found = (layer(pointwise, 32, seen, q) - given.zero) * given.scale
    inside = np.clip(wanted, -given.zero * given.scale, (255 - given.zero) * given.scale)
    assert (np.abs(found - inside) < 0.02 * np.abs(wanted).max() + given.scale).all()

    def conv3(g: Int8Builder, q: str) -> str:
        return g.conv3(q, kernel, bias, even, given)

    def depthwise3(g: Int8Builder, q: str) -> str:
        return g.depthwise3(q, deep.weight.detach().numpy(), even, given)

    even = Range(seen.scale, np.full(32, 128.0))
    x = torch.from_numpy((q - 128.0) * seen.scale).permute(0, 3, 1, 2)
    kernel = rng.normal(size=(48, 32, 3, 3))
    wanted = nn.functional.conv2d(x, torch.from_numpy(kernel), torch.from_numpy(bias), padding=1)
    wanted = wanted.permute(0, 2, 3, 1).numpy()
    given = Range(np.full(48, np.abs(wanted).max() / 127), np.full(48, 128.0))
    found = (layer(conv3, 32, even, q) - given.zero) * given.scale
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()

    even = Range(seen.scale, np.zeros(32))
    deep = nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
    with torch.no_grad():
        x = torch.from_numpy(q * seen.scale).float().permute(0, 3, 1, 2)
        wanted = deep(x).permute(0, 2, 3, 1).numpy()
    given = Range(np.full(32, np.abs(wanted).max() / 127), np.full(32, 128.0))
    found = (layer(depthwise3, 32, even, q) - given.zero) * given.scale
    assert np.abs(found - wanted).max() < 0.03 * np.abs(wanted).max()


def test_pairs_of_two_places_are_refused() -> None:
    seen, g = Range(np.ones(3), np.zeros(3)), Int8Builder("layer")
    with pytest.raises(ValueError, match="a 3x3 layer of 3 inputs"):
        g.conv3("q", np.ones((2, 3, 3, 3)), np.zeros(2), seen, Range(np.ones(2), np.zeros(2)))


def test_biases_make_up_for_rounded_weights() -> None:
    """Inputs far from 0: small errors of many weights add up to a constant, unless their mean is known."""
    rng = np.random.default_rng(3)
    q = rng.integers(180, 200, (1, 12, 12, 32), np.uint8)
    scale, zero = rng.uniform(0.01, 0.1, 32), np.zeros(32)
    x = q * scale
    known = Range(scale, zero, x.mean((0, 1, 2)))
    assert np.array_equal(known.times(scale).mean, known.mean * scale)
    weight, bias = rng.normal(size=(48, 32)), rng.normal(size=48)
    wide = rng.normal(size=(48, 32, 3, 3))
    deep = nn.Conv2d(32, 32, 3, groups=32, bias=False)
    given = Range(np.full(48, 4.0), np.full(48, 128.0))
    narrow = Range(np.full(32, 0.1), np.full(32, 128.0))
    dense = torch.from_numpy(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        filtered = deep(dense.float()).permute(0, 2, 3, 1).numpy()
    around = nn.functional.conv2d(dense, torch.from_numpy(wide), torch.from_numpy(bias))
    around = around.permute(0, 2, 3, 1).numpy()

    def means(seen: Range) -> list[np.ndarray]:
        def to_float(g: Int8Builder, q: str) -> str:
            return g.to_float(q, weight, bias, seen)

        def pointwise(g: Int8Builder, q: str) -> str:
            return g.pointwise(q, weight, bias, seen, given)

        def conv3(g: Int8Builder, q: str) -> str:
            return g.conv3(q, wide, bias, seen, given)

        def depthwise3(g: Int8Builder, q: str) -> str:
            return g.depthwise3(q, deep.weight.detach().numpy(), seen, narrow)

        found = [layer(to_float, 32, seen, q)]
        found.append((layer(pointwise, 32, seen, q) - given.zero) * given.scale)
        found.append(((layer(conv3, 32, seen, q) - given.zero) * given.scale)[:, 1:-1, 1:-1])
        found.append(((layer(depthwise3, 32, seen, q) - narrow.zero) * narrow.scale)[:, 1:-1, 1:-1])
        return [part.mean((0, 1, 2)) for part in found]

    plain = x @ weight.T + bias
    ends = [[(z - r.zero[0]) * r.scale[0] for z in (0, 255)] for r in (given, given, given, narrow)]
    wanted = [part.mean((0, 1, 2)) for part in (plain, plain, around, filtered)]
    for before, after, mean, (low, high) in zip(
        means(Range(scale, zero)), means(known), wanted, ends, strict=True
    ):
        inside = (mean > 0.8 * low) & (mean < 0.8 * high)
        assert inside.sum() > 20
        off = [np.abs(part - mean)[inside].mean() for part in (before, after)]
        assert off[1] < 0.7 * off[0]


def narrow(model: CodecModel) -> Samples | None:
    return calibrated(model, "relu", pictures(), crops=6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[CodecModel, Path]:
    return written(tmp_path_factory.mktemp("bundle") / "fresh", samples=narrow)


def test_int8_graphs_are_near_the_float_ones(bundle: tuple[CodecModel, Path]) -> None:
    model, folder = bundle
    x, quality = pictures()[2][None].numpy().astype(np.float32) / 255, np.array([30.0], np.float32)
    with torch.no_grad():
        out = model(torch.from_numpy(x), torch.tensor([30.0]), exact=True, hard=True)

    def both(name: str, feed: dict[str, np.ndarray]) -> list[Any]:
        return [run(onnx.load(folder / f"{name}{form}.onnx"), feed) for form in ("", ".int8")]

    (y, z_hat), (y8, z_hat8) = both("analysis", {"x": x, "quality": quality})
    assert 0 < np.abs(y8 - y).mean() < 0.02 * np.abs(y).mean()
    assert z_hat8.shape == z_hat.shape
    feed = {"symbols": out.symbols.numpy(), "z_hat": out.z_hat.numpy(), "quality": quality}
    (x_hat,), (x_hat8,) = both("synthesis", feed)
    assert x_hat8.shape == x_hat.shape == x.shape
    assert 0 < np.abs(x_hat8 - x_hat).mean() < 1.5 / 255


def test_the_graphs_run_as_they_are_written(bundle: tuple[CodecModel, Path], tmp_path: Path) -> None:
    """ONNX Runtime's optimised graph: every 8-bit layer is one fused operator in NHWC, nothing is rounded to
    bytes and straight back, and in float are only the layers that are meant to be."""
    for name in GRAPHS:
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        path = str(bundle[1] / f"{name}.int8.onnx")
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
        count = {kind: sum(node.op_type == kind for node in nodes) for kind in {n.op_type for n in nodes}}
        wanted = {  # of the tiny model: a block has three 8-bit layers to bytes and two to float
            "analysis": (3 * 3, 2 * 3 + 3),  # pixels twice, the hyper encoder's first
            "context": (3 + 2, 2 + 2 + 5),
            "synthesis": (3 + 2 + 3 * 2 + 3, 2 + 2 + 5 + 2 * 2 + 3),
        }[name]
        assert (count["QLinearConv"], count["MatMulIntegerToFloat"]) == wanted, name
        read = {i: node.op_type for node in nodes for i in node.input}
        for node in nodes:
            if node.op_type == "QuantizeLinear":
                assert read[node.output[0]] != "DequantizeLinear"
        large = [n for n in nodes if n.op_type in ("Conv", "FusedConv") and "nchwc" not in n.domain]
        assert not large


def test_other_activations_stay_in_float() -> None:
    assert calibrated(fresh(), "silu", pictures()) is None


def saturating(q: np.ndarray, kernel: np.ndarray) -> tuple[float, float]:
    """q [n, K] uint8, kernel [K, O] int8 -> share of the 16-bit sums of two products that are cut, and the
    mean error of the outputs over their mean size, as on x86 without VNNI (vpmaddubsw)."""
    pairs = len(kernel) // 2 * 2
    products = q[:, :pairs, None].astype(np.int32) * kernel[None, :pairs].astype(np.int32)
    sums = products.reshape(len(q), -1, 2, kernel.shape[1]).sum(2)
    cut = np.clip(sums, -(2**15), 2**15 - 1)
    exact = sums.sum(1)
    return float((cut != sums).mean()), float(
        np.abs(cut.sum(1) - exact).mean() / max(1.0, np.abs(exact).mean())
    )


def dense_kernels(graph: onnx.ModelProto) -> Iterator[np.ndarray]:
    """[inputs, outputs] of each 8-bit layer that sums over channels, inputs in the order of the sums."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "MatMulIntegerToFloat":
            yield weights[node.input[1]]
        elif node.op_type == "QLinearConv" and (kernel := weights[node.input[3]]).shape[1] > 1:
            yield kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))


def test_graphs_fit_sums_of_16_bits(bundle: tuple[CodecModel, Path]) -> None:
    """Of inputs that reach 255 everywhere; to the nearest byte of the largest weight they would not."""
    assert model_bundle.load(bundle[1]).fits_16_bits
    count = 0
    for name in GRAPHS:
        for kernel in dense_kernels(onnx.load(bundle[1] / f"{name}.int8.onnx")):
            for sign in (1, -1):
                q = np.where(sign * kernel.T > 0, 255, 0).astype(np.uint8)  # a row for each output
                assert saturating(q, kernel) == (0, 0)
                count += 1
    assert count > 50
    kernel = np.random.default_rng(0).integers(-127, 128, (32, 16)).astype(np.int8)
    assert saturating(np.full((4, 32), 255, np.uint8), kernel)[0] > 0.1


def test_bundles_that_say_they_fit_do() -> None:
    fitting = [shipped for shipped in models.installed() if shipped.fits_16_bits]
    assert models.default_name() in [shipped.name for shipped in fitting]
    for shipped in fitting:
        for graph in shipped.precisions["int8"]:
            for kernel in dense_kernels(onnx.load_from_string(shipped.read(shipped.file_of(graph, "int8")))):
                assert largest_pairs(kernel.T.astype(int)).max() * 255 < 2**15, (shipped.name, graph)


def test_sums_are_exact_on_this_cpu() -> None:
    """Of the largest pairs that fit, whatever the CPU, and of inputs that are 255 for the most part."""
    rng = np.random.default_rng(6)
    for c_in, c_out, k in ((32, 48, 1), (96, 192, 1), (352, 16, 1), (12, 16, 3)):
        kernel = rng.integers(-127, 128, (c_out, c_in, k, k)).astype(float)
        kernel[:, 1::2] = np.sign(kernel[:, ::2]) * (128 - np.abs(kernel[:, ::2]))
        q = rng.integers(0, 256, (1, 6, 7, c_in), np.uint8)
        q[rng.random(q.shape) < 0.9] = 255
        x = torch.from_numpy(q.astype(float)).permute(0, 3, 1, 2)
        sums = nn.functional.conv2d(x, torch.from_numpy(kernel), padding=k // 2).permute(0, 2, 3, 1).numpy()
        steps = 200 / np.abs(sums).max((0, 1, 2)).astype(np.float32)
        middle = np.where(sums.mean((0, 1, 2)) < 0, 220 / steps, 20 / steps).round()

        def to_float(g: Int8Builder, name: str, kernel: np.ndarray = kernel) -> str:
            bias = g.chosen(np.zeros(len(kernel)))
            return g._multiplied(name, kernel[:, :, 0, 0], np.ones(len(kernel)), bias, g.scalar(1.0))

        def to_bytes(
            g: Int8Builder,
            name: str,
            kernel: np.ndarray = kernel,
            steps: np.ndarray = steps,
            middle: np.ndarray = middle,
        ) -> str:
            return g._convolve(name, kernel, steps, middle * steps, 0)

        seen = Range(np.ones(c_in), np.zeros(c_in))
        if k == 1:
            assert np.array_equal(layer(to_float, c_in, seen, q), sums)
        off = layer(to_bytes, c_in, seen, q) - np.clip((sums + middle) * steps, 0, 255)
        assert np.abs(off).max() < 0.501


def test_a_model_exported_anew_keeps_its_id(bundle: tuple[CodecModel, Path], tmp_path: Path) -> None:
    (model, folder), (_, plain) = bundle, written(tmp_path / "plain")
    tables = (folder / "tables.bin").read_bytes()
    cfg = {"activation": "relu", "size": "tiny"}
    cfg |= {k: 0 for k in ("steps", "step", "minutes", "batch", "crop", "seed")}
    cfg |= {"lambda_low": 0.0005, "lambda_high": 0.4}
    pruned = deepcopy(model)
    prune(pruned, pictures(), crops=2, side=64)
    samples = narrow(pruned)
    again = tmp_path / "again"
    write_bundle(pruned, cfg, tables, "first", tmp_path / "first", samples)
    write_bundle(pruned, cfg, tables, "again", again, samples, tmp_path / "first")
    before, found = model_bundle.load(tmp_path / "first"), model_bundle.load(again)
    assert found.model_id == before.model_id and sorted(found.precisions["int8"]) == sorted(GRAPHS)
    assert found.file_of("synthesis", "int8") == "synthesis.int8.onnx"
    assert found.file_of("scales_first", "int8") == "scales_first.onnx"
    write_bundle(pruned, cfg, tables, "float", tmp_path / "float", None, plain)
    assert model_bundle.load(tmp_path / "float").model_id == model_bundle.load(plain).model_id
    with pytest.raises(ValueError, match="context.onnx: not those of the bundle"):
        write_bundle(pruned, cfg, tables, "float", tmp_path / "other", None, again)
    manifest = json.loads((again / "manifest.json").read_text())
    manifest["identity"]["context.onnx"] = "00" * 32
    manifest["model_id"] = model_bundle.id_of(manifest["identity"]).hex()
    (tmp_path / "float" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="model id"):
        model_bundle.load(tmp_path / "float")
    for wrong, given in (
        ("tables.bin", (tables[:-1] + b"\0", samples)),
        ("context.onnx", (tables, calibrated(pruned, "relu", pictures(), 3))),
    ):
        with pytest.raises(ValueError, match=f"{wrong}: not those of the bundle"):
            write_bundle(pruned, cfg, given[0], "again", tmp_path / "other", given[1], again)
