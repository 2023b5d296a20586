"""The head of a synthesis graph, up to the latents: bytes of synthesis.onnx -> bytes of a smaller graph.

    latents   symbols, z_hat, quality -> y_hat [1, N, h, w], in the units of y (the gain divided out)
    anchors   symbols, z_hat, quality -> mu_1 + s_1 [1, N, h, w] in quantiser steps, valid on the first
              checkerboard half; the factor [1, N, 1, 1] that takes steps to the units of y

Nothing behind y_hat is kept: of `nano` 15 and 6 % of the arithmetic. So features need no bundle of their
own and no package onnx: an ONNX file is a protobuf message, of which nodes and weights are left out here.
y_hat is found by its place: symbols and z_hat reach the picture through it alone, it is the bottleneck.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aecodec.errors import ModelError

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_WEIGHT, GRAPH_INPUT, GRAPH_OUTPUT = 1, 5, 11, 12
GRAPH_VALUE_INFO = 13
NODE_INPUT, NODE_OUTPUT, NODE_KIND = 1, 2, 4
WEIGHT_NAME, VALUE_NAME = 8, 1
LENGTH_DELIMITED = 2
DATA = frozenset({"symbols", "z_hat"})


@dataclass(frozen=True, slots=True)
class Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A graph that ends earlier, and the names of its outputs."""

    graph: bytes
    outputs: tuple[str, ...]


def latents(synthesis: bytes) -> Cut:
    """ModelError when the graph has no y_hat where it should be."""
    nodes = _nodes(synthesis)
    steps = _bottleneck(nodes)
    scaled = _scaling(nodes, steps)
    return _cut(synthesis, (scaled.outputs[0],))


def anchors(synthesis: bytes) -> Cut:
    """ModelError when the graph has no y_hat, or no means of the first half, where they should be."""
    nodes = _nodes(synthesis)
    steps = _bottleneck(nodes)
    scaled = _scaling(nodes, steps)
    first = next((n for n in nodes if n.kind == "Add" and "symbols" in n.inputs), None)
    if first is None:
        raise ModelError("synthesis.onnx does not add the symbols to their means; features need that place")
    factor = next(name for name in scaled.inputs if name != steps)
    return _cut(synthesis, (first.outputs[0], factor))


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


def _scaling(nodes: Sequence[Node], steps: str) -> Node:
    """The node that takes y_hat from quantiser steps to the units of y."""
    users = [node for node in nodes if steps in node.inputs]
    if len(users) != 1 or users[0].kind != "Mul":
        raise ModelError("synthesis.onnx does not divide y_hat by the gain; its latents have no unit")
    return users[0]


# -- protobuf (https://protobuf.dev/programming-guides/encoding) -------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """number, payload (empty unless length-delimited), and the bytes of the whole field."""
    at = 0
    try:
        while at < len(data):
            begin = at
            tag, at = _varint(data, at)
            size = {0: 0, 1: 8, 5: 4}.get(tag & 7, 0)
            if tag & 7 == LENGTH_DELIMITED:
                size, at = _varint(data, at)
            elif tag & 7 == 0:
                _, at = _varint(data, at)
            elif not size:
                raise ModelError(f"synthesis.onnx: wire type {tag & 7} at byte {begin}; not an ONNX graph")
            payload = data[at : at + size] if tag & 7 == LENGTH_DELIMITED else data[:0]
            at += size
            yield tag >> 3, payload, data[begin:at]
    except IndexError:
        raise ModelError("synthesis.onnx ends within a field; not an ONNX graph") from None


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _pack(number: int, payload: bytes) -> bytes:
    size, head = len(payload), bytearray([number << 3 | LENGTH_DELIMITED])
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + payload


def _text(data: memoryview, number: int) -> tuple[str, ...]:
    return tuple(bytes(payload).decode() for n, payload, _ in _fields(data) if n == number)


def _graph(model: bytes) -> memoryview:
    for number, payload, _ in _fields(memoryview(model)):
        if number == MODEL_GRAPH:
            return payload
    raise ModelError("synthesis.onnx holds no graph")


def _node(payload: memoryview) -> Node:
    return Node("".join(_text(payload, NODE_KIND)), _text(payload, NODE_INPUT), _text(payload, NODE_OUTPUT))


def _nodes(model: bytes) -> list[Node]:
    return [_node(payload) for number, payload, _ in _fields(_graph(model)) if number == GRAPH_NODE]


def _cut(model: bytes, outputs: tuple[str, ...]) -> Cut:
    """Only what `outputs` are computed from."""
    needed = set(outputs)
    for node in reversed(_nodes(model)):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
    kept = []
    for number, payload, whole in _fields(_graph(model)):
        names: tuple[str, ...] | None = None
        if number == GRAPH_NODE:
            names = _node(payload).outputs
        elif number == GRAPH_WEIGHT:
            names = _text(payload, WEIGHT_NAME)
        elif number == GRAPH_INPUT:
            names = _text(payload, VALUE_NAME)
        elif number in (GRAPH_OUTPUT, GRAPH_VALUE_INFO):
            names = ()
        if names is None or needed.intersection(names):
            kept.append(bytes(whole))
    kept += [_pack(GRAPH_OUTPUT, _pack(VALUE_NAME, name.encode())) for name in outputs]
    rest = [bytes(whole) for number, _, whole in _fields(memoryview(model)) if number != MODEL_GRAPH]
    return Cut(b"".join([*rest, _pack(MODEL_GRAPH, b"".join(kept))]), outputs)
