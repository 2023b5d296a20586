"""Graphs that are cut from the synthesis for the latents alone, and ONNX files read without onnx."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from aecodec import cutting, onnx_file
from aecodec.errors import ModelError
from tests.tiny_latents import TINY


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
