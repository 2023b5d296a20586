"""The head of a synthesis graph, up to the latents: bytes of synthesis.onnx -> bytes of a smaller graph.

    latents   symbols, z_hat, quality -> y_hat [1, N, h, w], in the units of y (the gain divided out)
    preview   that, and behind it a small graph of the bundle -> x_hat at 1/8 or 1/16
    with_steps  the whole graph, and y_hat [1, N, h, w] in quantiser steps as a second output
    anchors   z_hat, quality, places [P] of h * w -> mean [1, K, P, 1] of the first K channels there; gain and
              factor [1, N, 1, 1]. At places that are decoded first, y_hat is (mean * gain + symbol) * factor

Nothing behind y_hat is kept: of `nano` 15 % of the arithmetic, and 4 % for the means of half of the channels
at half of the places. So features need no bundle of their own. y_hat is found by its place: symbols and z_hat
reach the picture through it alone, it is the bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aecodec import onnx_file
from aecodec.errors import ModelError
from aecodec.onnx_file import INT64, Graph, Node

DATA = frozenset({"symbols", "z_hat"})
ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Relu", "Clip"})
IN_ROWS = ELEMENTWISE | {"Concat", "Div", "MatMul", "Round"}
"""Operators of graphs in [1, h, w, C] that compute each place from that place alone."""


def latents(synthesis: bytes) -> bytes:
    """ModelError when the graph has no y_hat where it should be."""
    return _head(onnx_file.read(synthesis)).pack()


def preview(synthesis: bytes, small: bytes) -> bytes:
    """small: a graph small_8.onnx or small_16.onnx (export/previews.py), which follows y_hat.

    ModelError when they do not fit together."""
    behind = onnx_file.read(small)
    head = _head(onnx_file.read(synthesis))
    made = [name for part in (head, behind) for name in (*part.weights, *_outputs(part.nodes))]
    if len(set(made)) < len(made) or behind.inputs.keys() - {"y_hat"} - head.inputs.keys():
        raise ModelError("a preview does not fit behind synthesis.onnx; its tensors have other names")
    (y_hat,) = head.outputs
    nodes = [
        replace(node, inputs=tuple(y_hat if name == "y_hat" else name for name in node.inputs))
        for node in behind.nodes
    ]
    weights = {**head.weights, **behind.weights}
    return replace(head, nodes=(*head.nodes, *nodes), weights=weights, outputs=behind.outputs).pack()


def with_steps(synthesis: bytes) -> bytes:
    """ModelError when the graph has no y_hat where it should be."""
    graph = onnx_file.read(synthesis)
    found = _bottleneck(graph.nodes)
    nodes = list(graph.nodes)
    if rows := _means_in_rows(graph.nodes):  # [1, h, w, N], and the gain divided out
        nodes += [
            Node("Mul", (found, rows[1]), ("steps_in_rows",)),
            Node("Transpose", ("steps_in_rows",), ("steps",), onnx_file.attributes("perm", 0, 3, 1, 2)),
        ]
        found = "steps"
    return replace(graph, nodes=tuple(nodes), outputs=(*graph.outputs, found)).pack()


def anchors(synthesis: bytes, channels: int) -> bytes:
    """channels: K. ModelError when the graph has no y_hat, or no means, where they should be."""
    graph = onnx_file.read(synthesis)
    _, factor = _scaling(graph.nodes)
    if rows := _means_in_rows(graph.nodes):
        return _rows_at_places(graph.only((*rows, factor)), channels).pack()
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
    return _at_places(_first_channels(graph.only((mean, gain, factor)), channels)).pack()


def _head(graph: Graph) -> Graph:
    """What y_hat [1, N, h, w], in the units of y, is computed from."""
    scaled, _ = _scaling(graph.nodes)
    users = [node for node in graph.nodes if scaled.outputs[0] in node.inputs]
    if not _means_in_rows(graph.nodes):
        return graph.only(scaled.outputs)
    if len(users) == 1 and users[0].kind == "Transpose":
        return graph.only(users[0].outputs)
    turned = Node("Transpose", scaled.outputs, ("y_hat_turned",), onnx_file.attributes("perm", 0, 3, 1, 2))
    return replace(graph, nodes=(*graph.nodes, turned)).only(turned.outputs)


def _outputs(nodes: Sequence[Node]) -> list[str]:
    return [name for node in nodes for name in node.outputs]


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
    late, depends = _late(graph.nodes, _pointwise)
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
    inputs = {**graph.inputs, "places": onnx_file.of_any_size("places", INT64, 1)}
    return replace(graph, nodes=tuple(nodes), weights=weights, inputs=inputs)


def _means_in_rows(nodes: Sequence[Node]) -> tuple[str, str] | None:
    """In graphs whose means are [1, h, w, N] and in the units of y: those of the first half, and the gain by
    which symbols are divided before they are added. None in others."""
    turned = {n.outputs[0] for n in nodes if n.kind == "Transpose" and n.inputs[0] == "symbols"}
    divided = next((n for n in nodes if n.kind == "Div" and n.inputs[0] in turned), None)
    added = next((n for n in nodes if divided and n.kind == "Add" and divided.outputs[0] in n.inputs), None)
    if divided is None or added is None:
        return None
    return next(name for name in added.inputs if name != divided.outputs[0]), divided.inputs[1]


def _rows_at_places(graph: Graph, channels: int) -> Graph:
    """What `anchors` gives, from outputs mean [1, h, w, N], gain and factor [1, 1, 1, N], of which the factor
    is for the units of y.  So far back as operators look at their place alone, they see the places only."""
    mean, gain, factor = graph.outputs
    late, depends = _late(graph.nodes, lambda node: node.kind in IN_ROWS)
    made = {name for node in late for name in node.outputs}
    nodes = [node for node in graph.nodes if made.isdisjoint(node.outputs)]
    chosen: dict[str, str] = {}
    flat = onnx_file.attribute("axis", 3)
    entering = {name for node in late for name in node.inputs} & depends - made
    for name in sorted(entering or {mean}):
        rows, found, chosen[name] = (f"{name}_{step}" for step in ("rows", "found", "chosen"))
        nodes += [
            Node("Flatten", (name,), (rows,), flat),  # [h * w, C]
            Node("Gather", (rows, "places"), (found,)),  # [P, C]
            Node("Unsqueeze", (found, "outer"), (chosen[name],)),  # [1, 1, P, C]
        ]
    nodes += [replace(node, inputs=tuple(chosen.get(name, name) for name in node.inputs)) for node in late]
    nodes += [
        Node("Flatten", (chosen.get(mean, mean),), ("mean_rows",), flat),  # [P, N]
        Node("Slice", ("mean_rows", "begin", "end", "second"), ("mean_part",)),
        Node("Transpose", ("mean_part",), ("mean_back",)),  # [K, P]
        Node("Unsqueeze", ("mean_back", "around"), ("mean_there",)),
        Node("Div", (factor, gain), ("factor_of_steps",)),
    ]
    for name, there in ((gain, "gain_there"), ("factor_of_steps", "factor_there")):
        nodes += [
            Node("Flatten", (name,), (f"{there}_flat",), flat),  # [1, N]
            Node("Unsqueeze", (f"{there}_flat", "inner"), (there,)),
        ]
    numbers = {
        "begin": (0,),
        "end": (channels,),
        "second": (1,),
        "outer": (0, 1),
        "inner": (2, 3),
        "around": (0, 3),
    }
    weights = {**graph.weights, **{name: onnx_file.integers(name, *n) for name, n in numbers.items()}}
    inputs = {**graph.inputs, "places": onnx_file.of_any_size("places", INT64, 1)}
    outputs = ("mean_there", "gain_there", "factor_there")
    return replace(graph, nodes=tuple(nodes), weights=weights, inputs=inputs, outputs=outputs)


def _late(nodes: Sequence[Node], pointwise: Callable[[Node], bool]) -> tuple[list[Node], set[str]]:
    """The last nodes, as far back as they are pointwise, and all that z_hat has to do with."""
    depends, whole, late = {"z_hat"}, set[str](), list[Node]()
    for node in nodes:
        if depends.intersection(node.inputs):
            depends.update(node.outputs)
    for node in reversed(nodes):
        if pointwise(node) and depends.intersection(node.inputs) and whole.isdisjoint(node.outputs):
            late.insert(0, node)
        else:
            whole.update(node.inputs)
    return late, depends


def _pointwise(node: Node) -> bool:
    """Does it compute each place from that place alone?"""
    if node.kind == "Conv":
        kernel, strides, pads = (node.ints(name) for name in ("kernel_shape", "strides", "pads"))
        return kernel == (1, 1) and set(strides) <= {1} and not any(pads)
    return node.kind in ELEMENTWISE
