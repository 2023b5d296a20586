"""A graph in float32 -> the same with most of its convolutions in float16, for GPUs: bytes -> bytes.

In float32 stay layers whose results are rounded and computed with (the means, which come out alike
everywhere), those that read pixels or latents themselves (latents have hundreds of quantiser steps, float16
has 11 bits), and sums that end in an output. The graph alone tells which they are: a bundle needs no files
for it.

Micikevicius et al., Mixed Precision Training, ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from aecodec import onnx_file
from aecodec.onnx_file import FLOAT, FLOAT16, Graph, Node, shape_of, values_of

LAYER, ZERO = "Conv", "zero_of_half"
BETWEEN = {"Add": 2, "DepthToSpace": 1, "Mul": 2, "Relu": 1, "Reshape": 1, "Squeeze": 1, "Transpose": 1}
"""What may stand between two layers in float16, and how many of its inputs are data."""


def halved(data: bytes) -> bytes:
    """ModelError when it is no ONNX graph. A graph without such layers comes back as it is."""
    graph = onnx_file.read(data)
    stored = _stored(graph)
    names = _in_half(graph, stored)
    return _Writer(graph, stored, names).graph().pack() if names else data


def _stored(graph: Graph) -> dict[str, str]:
    """Weights that are float16 in the file, by the names under which they are float32."""
    casts = (node for node in graph.nodes if node.kind == "Cast" and node.inputs[0] in graph.weights)
    halves = (node for node in casts if values_of(graph.weights[node.inputs[0]], FLOAT16))
    return {node.outputs[0]: node.inputs[0] for node in halves}


def _in_half(graph: Graph, stored: Mapping[str, str]) -> set[str]:
    """The tensors that become float16."""
    exact, summed = _before_rounding(graph), _behind_layers(graph)
    found, late = set[str](), set[str]()  # late: behind a layer
    for node in graph.nodes:
        name, fixed = node.outputs[0], not exact.isdisjoint(node.outputs)
        if node.kind == LAYER and not fixed:
            fits = all(weight in stored or _halves(graph, weight) for weight in node.inputs[1:])
            if node.inputs[0] in late and fits and name not in graph.outputs:
                found.add(name)
            late.add(name)
        elif not late.isdisjoint(node.inputs):
            late.update(node.outputs)
            data = node.inputs[: BETWEEN.get(node.kind, 0)]
            if not fixed and name not in summed and not found.isdisjoint(data):
                found.add(name)
    return found


def _before_rounding(graph: Graph) -> set[str]:
    """Tensors that are rounded, or lead to one that is, on the way to a layer."""
    used, found = set[str](), set[str]()
    for node in reversed(graph.nodes):
        if (node.kind == "Round" and not used.isdisjoint(node.outputs)) or not found.isdisjoint(node.outputs):
            found.update((*node.inputs, *node.outputs))
        if node.kind in (LAYER, "MatMul") or not used.isdisjoint(node.outputs):
            used.update(node.inputs)
    return found


def _behind_layers(graph: Graph) -> set[str]:
    """Tensors that lead to an output without another layer."""
    found = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.kind != LAYER and not found.isdisjoint(node.outputs):
            found.update(node.inputs)
    return found


def _halves(graph: Graph, name: str) -> bytes:
    """The values of a float32 weight in float16; none where it is none, or has numbers that are too large."""
    with np.errstate(over="ignore"):
        values = np.frombuffer(values_of(graph.weights.get(name, b""), FLOAT), "<f4").astype("<f2")
    return values.tobytes() if np.isfinite(values).all() else b""


class _Writer:
    """Puts casts where float32 and float16 meet, one for each tensor."""

    def __init__(self, graph: Graph, stored: Mapping[str, str], half: set[str]) -> None:
        self._graph, self._stored, self._half = graph, stored, half
        self._nodes: list[Node] = []
        self._weights = dict(graph.weights)
        self._cast = set[str]()

    def graph(self) -> Graph:
        for node in self._graph.nodes:
            if self._half.isdisjoint(node.outputs):
                inputs = [self._float(name) for name in node.inputs]
            else:
                data = len(node.inputs) if node.kind == LAYER else BETWEEN[node.kind]
                inputs = [*map(self._float16, node.inputs[:data]), *node.inputs[data:]]
            self._nodes.append(replace(node, inputs=tuple(inputs)))
        whole = replace(self._graph, nodes=tuple(self._nodes), weights=self._weights)
        return whole.only(whole.outputs)

    def _float(self, name: str) -> str:
        """Sums that are too large for float16, of latents that no picture has, come to 0."""
        if name not in self._half:
            return name
        new, cast, lost = f"{name}_float", f"{name}_cast", f"{name}_lost"
        if new not in self._cast:
            self._cast.add(new)
            self._weights.setdefault(ZERO, onnx_file.tensor(ZERO, FLOAT, bytes(4)))
            self._nodes += [
                _cast(name, cast, FLOAT),
                Node("IsNaN", (cast,), (lost,)),
                Node("Where", (lost, ZERO, cast), (new,)),
            ]
        return new

    def _float16(self, name: str) -> str:
        if name in self._half:
            return name
        if name in self._stored:
            return self._stored[name]
        new = f"{name}_half"
        if new not in self._weights and (values := _halves(self._graph, name)):
            self._weights[new] = onnx_file.tensor(new, FLOAT16, values, shape_of(self._weights[name]))
        if new not in self._weights and new not in self._cast:
            self._cast.add(new)
            self._nodes.append(_cast(name, new, FLOAT16))
        return new


def _cast(name: str, new: str, kind: int) -> Node:
    return Node("Cast", (name,), (new,), onnx_file.attribute("to", kind))
