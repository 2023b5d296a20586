"""Float networks in float16: which layers, how near they come, what becomes of sums that are too large.

On a CPU onnxruntime computes such graphs in float32, so the numbers are rounded here, behind every operator,
as a GPU rounds them.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from aecodec import cutting, half, networks, onnx_file
from aecodec.codec import Codec
from aecodec.session import open_session
from tests.synthetic import smooth

QUALITY = np.float32([30])


@pytest.fixture(scope="module")
def graphs(bundle):
    return {name: bundle.read(f"{name}.onnx") for name in ("analysis", "context", "synthesis")}


def rounded(data):
    """A graph of half.halved() that runs in float32, its tensors rounded to float16 where they are that."""
    graph = onnx.load_from_string(data)
    types = {t.name: t.data_type for t in graph.graph.initializer}
    half_of = {name for name, kind in types.items() if kind == TensorProto.FLOAT16}
    nodes = [helper.make_node("Cast", [name], [f"{name}@32"], to=TensorProto.FLOAT) for name in half_of]
    renamed = {name: f"{name}@32" for name in half_of}
    for node in graph.graph.node:
        if not (node.op_type == "Cast" and node.input[0] in half_of):  # weights of layers in float32
            node.input[:] = [renamed.get(name, name) for name in node.input]
        nodes.append(node)
        to = {a.name: a.i for a in node.attribute}.get("to") if node.op_type == "Cast" else None
        follows = node.op_type in ("Conv", *half.BETWEEN) and any("@32" in name for name in node.input)
        if to == TensorProto.FLOAT16 or follows:
            name, raw, small = node.output[0], f"{node.output[0]}@raw", f"{node.output[0]}@16"
            if to != TensorProto.FLOAT16:
                node.output[0] = raw
                nodes.append(helper.make_node("Cast", [raw], [small], to=TensorProto.FLOAT16))
            else:
                node.output[0] = small
            nodes.append(helper.make_node("Cast", [small], [f"{name}@32"], to=TensorProto.FLOAT))
            renamed[name] = f"{name}@32"
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph.SerializeToString()


def run(data, **inputs):
    return open_session(data, "cpu", 1).run(None, {"quality": QUALITY, **inputs})


def latents(bundle, largest=4):
    rng = np.random.default_rng(5)
    symbols = rng.integers(-largest, largest + 1, (1, bundle.n, 8, 12)).astype(np.float32)
    return {"symbols": symbols, "z_hat": rng.integers(-9, 10, (1, bundle.z, 2, 3)).astype(np.float32)}


def layers(data):
    """The multiply-accumulates of each convolution by the type of its weights, at one place of its output."""
    graph = onnx.load_from_string(data).graph
    weights = {t.name: (t.data_type, tuple(t.dims)) for t in graph.initializer}
    stored = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Cast" and n.input[0] in weights}
    found = {TensorProto.FLOAT: [], TensorProto.FLOAT16: []}
    for node in graph.node:
        if node.op_type == "Conv":
            kind = TensorProto.FLOAT if node.input[1] in stored else weights[node.input[1]][0]
            shape = weights[stored.get(node.input[1], node.input[1])][1]
            found[kind].append(int(np.prod(shape)))
    return found


def test_most_of_the_arithmetic_is_in_half(graphs):
    for name in ("analysis", "synthesis"):
        found = layers(half.halved(graphs[name]))
        assert sum(found[TensorProto.FLOAT16]) > 2 * sum(found[TensorProto.FLOAT])
    # Of analysis the two layers that read pixels are left.
    assert len(layers(half.halved(graphs["analysis"]))[TensorProto.FLOAT]) == 2


def test_means_stay_as_they_are(bundle, graphs):
    assert half.halved(graphs["context"]) is graphs["context"]
    steps = cutting.with_steps(graphs["synthesis"])
    (_, y_hat), (_, same) = (run(data, **latents(bundle)) for data in (steps, half.halved(steps)))
    assert np.array_equal(y_hat, same)
    preview = cutting.preview(graphs["synthesis"], bundle.read("small_8.onnx"))
    assert half.halved(preview) is preview  # latents and linear layers alone


def test_pictures_and_latents_come_near(bundle, graphs):
    (x_hat,) = run(graphs["synthesis"], **latents(bundle))
    (near,) = run(rounded(half.halved(graphs["synthesis"])), **latents(bundle))
    assert 0 < np.abs(near - x_hat).mean() * 255 < 0.1
    x = smooth(4, 128, 192).transpose(2, 0, 1)[None].astype(np.float32) / 255
    y, z_hat = run(graphs["analysis"], x=x)
    near_y, near_z = run(rounded(half.halved(graphs["analysis"])), x=x)
    assert 0 < np.abs(near_y - y).mean() < 0.01  # quantiser steps
    assert np.mean(near_z != z_hat) < 0.02


def test_latents_of_no_picture_give_numbers(bundle, graphs):
    data = rounded(half.halved(graphs["synthesis"]))
    for largest in (300, 32767):
        (x_hat,) = run(data, **latents(bundle, largest))
        assert np.isfinite(x_hat).all()
    unguarded = onnx.load_from_string(data)
    for node in unguarded.graph.node:
        if node.op_type == "Where":
            node.op_type, node.input[:] = "Identity", [node.input[2]]
    (x_hat,) = run(unguarded.SerializeToString(), **latents(bundle, 32767))
    assert not np.isfinite(x_hat).all()  # so the test means something


def test_what_half_cannot_hold_stays():
    def conv(name, factor, source, out):
        weights.append(numpy_helper.from_array(np.full((1, 1, 1, 1), factor, np.float32), name))
        return helper.make_node("Conv", [source, name], [out])

    weights = []
    nodes = [conv("a", 2, "x", "b"), conv("large", 1e6, "b", "c"), conv("d", 3, "c", "e")]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None]) for name in "xe"]
    nodes.append(helper.make_node("Relu", ["e"], ["f"]))
    nodes.append(conv("g", 1e-6, "f", "h"))
    ports[1].name = "out"
    nodes.append(helper.make_node("Identity", ["h"], ["out"]))
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = onnx_file.read(half.halved(model.SerializeToString()))
    kinds = {
        name: bool(onnx_file.values_of(weight, onnx_file.FLOAT16)) for name, weight in found.weights.items()
    }
    assert kinds == {"a": False, "large": False, "d_half": True, "g_half": True, half.ZERO: False}
    assert onnx_file.shape_of(found.weights["d_half"]) == (1, 1, 1, 1)


def test_files_of_half_are_read_in_float_and_the_other_way_round(monkeypatch):
    """The symbols are the same: what decides about them is never in half."""
    opened = []

    def open_here(data, device, threads, optimise):
        opened.append((device, data))
        data = rounded(data) if device == "cuda" else data
        return open_session(data, "cpu", threads, optimise)

    monkeypatch.setattr(networks, "open_session", open_here)
    picture = smooth(7, 150, 211)
    single = Codec(device="cpu", threads=1, precision="fp32", pixel_blocks=False)
    halves = Codec(device="cuda", threads=1, precision="fp16", pixel_blocks=False)
    for effort in (0, 1):
        files = [codec.encode(picture, 50, effort=effort) for codec in (single, halves)]
        assert abs(len(files[0]) - len(files[1])) < 0.01 * len(files[0])
        for file in files:
            shown, near = single.decode(file), halves.decode(file)
            assert np.abs(shown.astype(int) - near).max() <= 1
    used = {data for device, data in opened if device == "cuda"}
    assert sum(map(half_weights, used)) >= 3  # analysis, synthesis, and that of the second look
    assert not any(half_weights(data) for device, data in opened if device == "cpu")


def half_weights(data):
    """Does a convolution compute in float16?"""
    return bool(layers(data)[TensorProto.FLOAT16])
