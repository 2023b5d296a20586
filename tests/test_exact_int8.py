"""Scale networks in bytes: the integers of the form in float32, on every shape, and a way back to it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from export_models import written  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from aecodec import model_bundle, scale_networks  # noqa: E402
from aecodec.codec import Codec  # noqa: E402
from aecodec.errors import ModelError  # noqa: E402
from aecodec.groups import Groups  # noqa: E402
from aecodec.scale_networks import InBytes, InFloats  # noqa: E402
from aecodec.session import open_session  # noqa: E402
from aecodec.training.model import CodecModel  # noqa: E402
from export import verify  # noqa: E402
from export.exact_int8 import exact_graphs, rounding  # noqa: E402


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[CodecModel, Path]:
    return written(tmp_path_factory.mktemp("exact") / "fresh", exact=exact_graphs)


@pytest.fixture
def copy(made: tuple[CodecModel, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[1], tmp_path / "copy"))


def open_graph(data: bytes) -> Any:
    return open_session(data, "cpu", 1)


@pytest.mark.parametrize("shift", range(1, 10))
def test_rounding_is_the_floor_of_the_format(shift: int) -> None:
    top, worst = (63 if shift == 8 else 127), 70_000
    added, scale = rounding(shift, top, worst)
    v = np.arange(-worst, worst + 1)
    product = (v + added).astype(np.float32) * scale
    assert product.dtype == np.float32
    np.testing.assert_array_equal(np.rint(product).clip(0, 255).clip(0, top), (v >> shift).clip(0, top))


def test_rounding_says_where_it_cannot() -> None:
    with pytest.raises(ValueError, match="a shift of 14 .* cannot be had by rounding"):
        rounding(14, 127, 1 << 23)


def test_bytes_agree_with_integers(made: tuple[CodecModel, Path]) -> None:
    said: list[str] = []
    assert verify.check_exact_int8(*made, said.append, rounds=1) > 100_000
    assert "int64 numpy" in said[0]


def test_a_wrong_weight_is_found(made: tuple[CodecModel, Path]) -> None:
    model, folder = made
    for layer in (model.scales.f1, model.scales.f4, model.scales.s1):
        kept = layer.weight.detach().clone()
        try:
            with torch.no_grad():
                layer.weight[:, 0] += 2.0**-layer.weight_bits
            with pytest.raises(ValueError, match="bytes, .*int64"):
                verify.check_exact_int8(model, folder, lambda _: None, rounds=1)
        finally:
            with torch.no_grad():
                layer.weight.copy_(kept)


def test_pairs_of_products_fit_into_16_bits(made: tuple[CodecModel, Path]) -> None:
    """What every layer reads is cut at 127 before, or comes in so; weights are never -128."""
    bundle = model_bundle.load(made[1])
    for graph, given in (("scales_first", set()), ("scales_second", {"features", "sizes"})):
        proto = onnx.load_from_string(bundle.read(bundle.exact[graph].file))
        weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
        by_output = {node.output[0]: node for node in proto.graph.node}

        def largest(name: str, given: set[str], nodes: dict[str, Any], values: dict[str, Any]) -> int:
            """The top of the cut that a tensor went through last."""
            if name in given:
                return scale_networks.LARGEST
            node = nodes[name]
            if node.op_type == "Clip":
                return int(values[node.input[2]].item())
            assert node.op_type in ("Transpose", "Reshape", "Concat", "Cast"), node.op_type
            return max(largest(i, given, nodes, values) for i in node.input if i not in values)

        layers = [node for node in proto.graph.node if node.op_type == "QLinearConv"]
        assert len(layers) == (6 if graph == "scales_first" else 5)
        for node in layers:
            kernel = weights[node.input[3]].astype(int)
            pair = largest(node.input[0], given, by_output, weights) * 2 * np.abs(kernel).max()
            assert pair < 1 << 15


def test_both_forms_give_the_same_on_groups_of_any_shape(made: tuple[CodecModel, Path]) -> None:
    bundle = model_bundle.load(made[1])
    assert (bundle.s, sorted(bundle.exact)) == (made[0].size.scale_width, ["scales_first", "scales_second"])
    plain = replace(bundle, exact={})
    one, two = (
        [scale_networks.load(b, graph, open_graph) for graph in model_bundle.SCALE_NETWORKS]
        for b in (bundle, plain)
    )
    assert {type(form) for form in one} == {InBytes} and {type(form) for form in two} == {InFloats}
    rng = np.random.default_rng(4)
    for groups, height, width in ((1, 1, 1), (3, 8, 8), (2, 6, 6), (4, 3, 8), (1, 7, 2)):
        z_hat = rng.integers(-127, 128, (groups, bundle.z, height, width)).astype(np.float32)
        symbols = np.rint(rng.standard_t(1, (groups, bundle.n, 4 * height, 4 * width)) * 9)
        symbols = symbols.clip(-32768, 32767).astype(np.int16)
        symbols[0, 0, 0, 0] = -32768
        level = np.array([int(rng.integers(64))])
        (index, features), (same, same_features) = (form[0].first(z_hat, level) for form in (one, two))
        np.testing.assert_array_equal(index, same)
        np.testing.assert_array_equal(features, same_features)
        parity = np.add.outer(np.arange(4 * height), np.arange(4 * width)) % 2
        half = np.where(np.arange(bundle.n)[:, None, None] < bundle.n // 2, parity == 0, parity == 1)
        second = one[1].second(features, symbols * half, level)
        np.testing.assert_array_equal(second, two[1].second(features, symbols * half, level))
        assert not index[:, ~half].any() and not second[:, half].any()
        assert index.any() and second.any() and index.flags.c_contiguous and second.flags.c_contiguous


def test_a_file_is_the_same_in_both_forms(made: tuple[CodecModel, Path], copy: Path) -> None:
    """Groups of four shapes; each form reads what the other wrote."""
    picture = np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)
    picture = np.kron(picture, np.ones((16, 16, 1), np.uint8))
    in_bytes, in_floats = Codec(made[1], "cpu", 1), Codec(without_bytes(copy), "cpu", 1)
    data = in_bytes.encode(picture, 40)
    assert data == in_floats.encode(picture, 40)
    np.testing.assert_array_equal(in_floats.decode(data), in_bytes.decode(data))


def without_bytes(folder: Path) -> Path:
    edit(folder, lambda manifest: manifest.update(exact={}))
    return folder


def edit(folder: Path, change: Any) -> None:
    import json

    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("graph", model_bundle.SCALE_NETWORKS)
def test_a_form_that_computes_something_else_is_not_used(copy: Path, graph: str) -> None:
    """A runtime whose kernels round otherwise would give another answer."""
    edit(copy, lambda manifest: manifest["exact"][graph].update(answer="00000000"))
    bundle = model_bundle.load(copy)
    assert isinstance(scale_networks.load(bundle, graph, open_graph), InFloats)
    other = next(name for name in model_bundle.SCALE_NETWORKS if name != graph)
    assert isinstance(scale_networks.load(bundle, other, open_graph), InBytes)
    picture = np.random.default_rng(6).integers(0, 256, (64, 128, 3), np.uint8)
    codec = Codec(copy, "cpu", 1)
    assert codec.decode(codec.encode(picture, 30)).shape == picture.shape  # one network of each form


def test_a_runtime_without_the_operators_is_enough(made: tuple[CodecModel, Path]) -> None:
    bundle = model_bundle.load(made[1])

    def old_runtime(data: bytes) -> Any:
        if b"QLinearConv" in data:
            raise ModelError("onnxruntime cannot load a graph of the model")
        return open_graph(data)

    assert isinstance(scale_networks.load(bundle, "scales_first", old_runtime), InFloats)


def test_a_damaged_file_is_named(copy: Path) -> None:
    path = copy / model_bundle.load(copy).exact["scales_first"].file
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match=r"scales_first.int8.onnx is damaged"):
        scale_networks.load(model_bundle.load(copy), "scales_first", open_graph)


def test_the_manifest_must_name_files_of_the_bundle(copy: Path) -> None:
    edit(copy, lambda manifest: manifest["exact"]["scales_first"].update(file="nowhere.onnx"))
    with pytest.raises(ModelError, match="not a valid manifest.*exact: nowhere.onnx"):
        model_bundle.load(copy)
    edit(
        copy, lambda manifest: manifest.update(exact={"synthesis": {"file": "synthesis.onnx", "answer": "0"}})
    )
    with pytest.raises(ModelError, match="not a valid manifest.*exact: synthesis"):
        model_bundle.load(copy)


def test_batches_hold_groups_of_one_shape() -> None:
    groups = Groups((76, 52), 24)  # three columns, the last 4 wide; four rows, the last 4 high
    batches = groups.batches(range(len(groups.all)), 4)
    assert sorted(n for batch in batches for n in batch) == list(range(12))
    for batch in batches:
        assert len({(groups.all[n].height, groups.all[n].width) for n in batch}) == 1 and len(batch) <= 4
    assert [len(batch) for batch in batches] == [4, 2, 3, 2, 1]
    assert groups.batches([11, 3], 8) == [[11], [3]]
