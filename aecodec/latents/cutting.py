"""The head of a synthesis graph, up to the latents: bytes of synthesis.onnx -> bytes of a smaller graph.

    latents   symbols, z_hat, quality -> y_hat [1, N, h, w], in the units of y (the gain divided out)
    anchors   z_hat, quality, places [P] of h * w -> mean [1, K, P, 1] of the first K channels there; gain and
              factor [1, N, 1, 1]. At places that are decoded first, y_hat is (mean * gain + symbol) * factor

Nothing behind y_hat is kept: of `nano` 15 % of the arithmetic, and 4 % for the means of half of the channels
at half of the places. So features need no bundle of their own. y_hat is found by its place: symbols and z_hat
reach the picture through it alone, it is the bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aecodec.errors import ModelError
from aecodec.latents import onnx_file
from aecodec.latents.onnx_file import Graph, Node

DATA = frozenset({"symbols", "z_hat"})
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Relu", "Clip"})


def latents(synthesis: bytes) -> bytes:
    """ModelError when the graph has no y_hat where it should be."""
    graph = onnx_file.read(synthesis)
    scaled, _ = _scaling(graph.nodes)
    return _cut(graph, scaled.outputs).pack()


def anchors(synthesis: bytes, channels: int) -> bytes:
    """channels: K. ModelError when the graph has no y_hat, or no means, where they should be."""
    graph = onnx_file.read(synthesis)
    _, factor = _scaling(graph.nodes)
    added = next((n for n in graph.nodes if n.kind == "Add" and "symbols" in n.inputs), None)
    gained = next(
        (n for n in graph.nodes if added and n.kind == "Mul" and n.outputs[0] in added.inputs), None
    )
    head = next(
        (n for n in graph.nodes if gained and n.kind == "Conv" and n.outputs[0] in gained.inputs), None
    )
    if gained is None or head is None:
        raise ModelError(
            "synthesis.onnx does not add the symbols to a convolution's means with a gain; "
            "features need that place"
        )
    (mean,) = head.outputs
    gain = next(name for name in gained.inputs if name != mean)
    return _at_places(_first_channels(_cut(graph, (mean, gain, factor)), channels)).pack()


def _bottleneck(nodes: Sequence[Node]) -> str:
    """The first tensor through which all that symbols and z_hat say goes on: y_hat in quantiser steps."""
    last = {name: k for k, node in enumerate(nodes) for name in node.inputs}
    depends, alive = set(DATA), set(DATA)
    for k, node in enumerate(nodes):
        if node.kind != "Shape" and depends.intersection(node.inputs):
            depends.update(node.outputs)
            alive.update(node.outputs)
        alive = {name for name in alive if last.get(name, -1) > k}
        if len(alive) == 1 and not alive & DATA:
            return alive.pop()
    raise ModelError("synthesis.onnx has no place that all latents go through; its y_hat was not found")


def _scaling(nodes: Sequence[Node]) -> tuple[Node, str]:
    """The node that takes y_hat from quantiser steps to the units of y, and its factor."""
    steps = _bottleneck(nodes)
    users = [node for node in nodes if steps in node.inputs]
    if len(users) != 1 or users[0].kind != "Mul":
        raise ModelError("synthesis.onnx does not divide y_hat by the gain; its latents have no unit")
    return users[0], next(name for name in users[0].inputs if name != steps)


def _cut(graph: Graph, outputs: tuple[str, ...]) -> Graph:
    """Only what `outputs` are computed from."""
    needed, kept = set(outputs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    weights = {name: weight for name, weight in graph.weights.items() if name in needed}
    inputs = {name: value for name, value in graph.inputs.items() if name in needed}
    return replace(graph, nodes=tuple(reversed(kept)), weights=weights, inputs=inputs, outputs=outputs)


def _first_channels(graph: Graph, count: int) -> Graph:
    """With only so many channels of the first output, which a convolution makes."""
    bounds = {"begin": onnx_file.integers("begin", 0), "end": onnx_file.integers("end", count)}
    nodes: list[Node] = []
    for node in graph.nodes:
        if graph.outputs[0] in node.outputs:  # onnxruntime slices weights when it loads the graph
            parts = {weight: f"{weight}_part" for weight in node.inputs[1:]}
            nodes += [Node("Slice", (weight, *bounds), (part,)) for weight, part in parts.items()]
            node = replace(node, inputs=(node.inputs[0], *parts.values()))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), weights={**graph.weights, **bounds})


def _at_places(graph: Graph) -> Graph:
    """With the first output at chosen places alone, [1, C, h, w] -> [1, C, P, 1].

    So are the tensors before it, back to where an operator looks beside its place. ModelError where that is
    the one which makes the output."""
    depends, whole = {"z_hat"}, set[str]()
    for node in graph.nodes:
        if depends.intersection(node.inputs):
            depends.update(node.outputs)
    late: list[Node] = []
    for node in reversed(graph.nodes):
        if _pointwise(node) and depends.intersection(node.inputs) and whole.isdisjoint(node.outputs):
            late.insert(0, node)
        else:
            whole.update(node.inputs)
    made = {name for node in late for name in node.outputs}
    if graph.outputs[0] not in made:
        raise ModelError(
            "synthesis.onnx has no 1x1 convolution that makes its means; features need that place"
        )
    nodes = [node for node in graph.nodes if made.isdisjoint(node.outputs)]
    chosen: dict[str, str] = {}
    for name in sorted({name for node in late for name in node.inputs} & depends - made):
        flat, rows, found, chosen[name] = (f"{name}_{step}" for step in ("flat", "rows", "found", "chosen"))
        nodes += [
            Node("Flatten", (name,), (flat,), onnx_file.attribute("axis", 2)),  # [C, h * w]
            Node("Transpose", (flat,), (rows,)),  # copying a row of [h * w, C] is quick, a column is not
            Node("Gather", (rows, "places"), (found,)),  # [P, C]
            Node("Transpose", (found,), (f"{found}_back",)),
            Node("Unsqueeze", (f"{found}_back", "axes"), (chosen[name],)),
        ]
    nodes += [replace(node, inputs=tuple(chosen.get(name, name) for name in node.inputs)) for node in late]
    weights = {**graph.weights, "axes": onnx_file.integers("axes", 0, 3)}
    inputs = {**graph.inputs, "places": onnx_file.list_of_integers("places")}
    return replace(graph, nodes=tuple(nodes), weights=weights, inputs=inputs)


def _pointwise(node: Node) -> bool:
    """Does it compute each place from that place alone?"""
    if node.kind == "Conv":
        kernel, strides, pads = (node.ints(name) for name in ("kernel_shape", "strides", "pads"))
        return kernel == (1, 1) and set(strides) <= {1} and not any(pads)
    return node.kind in ELEMENTWISE
