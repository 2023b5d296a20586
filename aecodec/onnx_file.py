"""ONNX files as lists of nodes, without the package onnx: bytes -> Graph -> bytes.

An ONNX file is a protobuf message (https://protobuf.dev/programming-guides/encoding) with a graph in it.
Nodes are read as far as it takes to rewire them; all else, such as weights, stays the bytes that it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from aecodec.errors import ModelError

Bytes: TypeAlias = bytes | memoryview

MODEL_FORMAT, MODEL_GRAPH, MODEL_OPERATORS, OPERATORS_VERSION = 1, 7, 8, 2
GRAPH_NAME = 2
GRAPH_NODE, GRAPH_WEIGHT, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SHAPES = 1, 5, 11, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_KIND, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_INTS, ATTRIBUTE_TYPE = 1, 3, 4, 8, 20
TYPE_INT, TYPE_TEXT, TYPE_INTS = 2, 3, 7
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
VALUE_NAME, VALUE_TYPE, TYPE_TENSOR, ELEMENT_TYPE, TENSOR_SHAPE, SHAPE_DIM, DIM_NAME = 1, 2, 1, 1, 2, 1, 2
FLOAT, INT64, FLOAT16 = 1, 7, 10
VARINT, EIGHT_BYTES, LENGTH_DELIMITED, FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rest: bytes = b""
    """Name and attributes, as in the file."""

    def ints(self, attribute: str) -> tuple[int, ...]:
        """An attribute that is a list of numbers, none below 0; () where it is not given."""
        for number, payload, _ in _fields(memoryview(self.rest)):
            if number == NODE_ATTRIBUTE and _texts(payload, ATTRIBUTE_NAME) == (attribute,):
                return _ints(payload, ATTRIBUTE_INTS)
        return ()


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...]
    """Each one behind those that make its inputs."""
    weights: Mapping[str, Bytes]
    inputs: Mapping[str, Bytes]
    outputs: tuple[str, ...]
    rest: bytes
    """Of the graph, as in the file."""
    model: bytes
    """What stands around the graph: versions of the format and of the operators."""

    def pack(self) -> bytes:
        """The bytes of a file. Shapes of tensors are left to those who read it."""
        fields = [self.rest, *(_field(GRAPH_NODE, _node_bytes(node)) for node in self.nodes)]
        fields += [_field(GRAPH_WEIGHT, weight) for weight in self.weights.values()]
        fields += [_field(GRAPH_INPUT, value) for value in self.inputs.values()]
        fields += [_field(GRAPH_OUTPUT, _field(VALUE_NAME, name.encode())) for name in self.outputs]
        return self.model + _field(MODEL_GRAPH, b"".join(fields))

    def only(self, outputs: tuple[str, ...]) -> Graph:
        """What `outputs` are computed from."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs)
                kept.append(node)
        weights = {name: weight for name, weight in self.weights.items() if name in needed}
        inputs = {name: value for name, value in self.inputs.items() if name in needed}
        return replace(self, nodes=tuple(reversed(kept)), weights=weights, inputs=inputs, outputs=outputs)


def read(data: bytes) -> Graph:
    """ModelError when it is no ONNX file."""
    model = list(_fields(memoryview(data)))
    graph = next((payload for number, payload, _ in model if number == MODEL_GRAPH), None)
    if graph is None:
        raise ModelError("the file holds no graph; it is not an ONNX graph")
    nodes: list[Node] = []
    weights: dict[str, Bytes] = {}
    inputs: dict[str, Bytes] = {}
    outputs: list[str] = []
    rest: list[Bytes] = []
    for number, payload, whole in _fields(graph):
        if number == GRAPH_NODE:
            nodes.append(_node(payload))
        elif number == GRAPH_WEIGHT:
            weights["".join(_texts(payload, TENSOR_NAME))] = payload
        elif number == GRAPH_INPUT:
            inputs["".join(_texts(payload, VALUE_NAME))] = payload
        elif number == GRAPH_OUTPUT:
            outputs += _texts(payload, VALUE_NAME)
        elif number != GRAPH_SHAPES:
            rest.append(whole)
    around = b"".join(whole for number, _, whole in model if number != MODEL_GRAPH)
    return Graph(tuple(nodes), weights, inputs, tuple(outputs), b"".join(rest), around)


def attribute(name: str, value: int) -> bytes:
    """A number as an attribute, for Node.rest."""
    fields = _field(ATTRIBUTE_NAME, name.encode()), _number(ATTRIBUTE_INT, value)
    return _field(NODE_ATTRIBUTE, b"".join([*fields, _number(ATTRIBUTE_TYPE, TYPE_INT)]))


def attributes(name: str, *values: int) -> bytes:
    """Numbers as one attribute, for Node.rest."""
    fields = [_field(ATTRIBUTE_NAME, name.encode()), *(_number(ATTRIBUTE_INTS, value) for value in values)]
    return _field(NODE_ATTRIBUTE, b"".join([*fields, _number(ATTRIBUTE_TYPE, TYPE_INTS)]))


def text_attribute(name: str, text: str) -> bytes:
    """A text as an attribute, for Node.rest."""
    fields = _field(ATTRIBUTE_NAME, name.encode()), _field(ATTRIBUTE_TEXT, text.encode())
    return _field(NODE_ATTRIBUTE, b"".join([*fields, _number(ATTRIBUTE_TYPE, TYPE_TEXT)]))


def tensor(name: str, kind: int, raw: bytes, shape: Sequence[int] = ()) -> bytes:
    """Values in their order, little-endian, for Graph.weights."""
    fields = [_number(TENSOR_DIMS, size) for size in shape]
    fields += [_number(TENSOR_TYPE, kind), _field(TENSOR_NAME, name.encode()), _field(TENSOR_RAW, raw)]
    return b"".join(fields)


def integers(name: str, *values: int) -> bytes:
    """int64 [values], for Graph.weights."""
    return tensor(name, INT64, struct.pack(f"<{len(values)}q", *values), (len(values),))


def values_of(weight: Bytes, kind: int) -> Bytes:
    """The values of a weight; none where they are of another type than `kind`, FLOAT say."""
    raw: list[Bytes] = [payload for number, payload, _ in _fields(memoryview(weight)) if number == TENSOR_RAW]
    return raw[0] if raw and _ints(memoryview(weight), TENSOR_TYPE) == (kind,) else b""


def shape_of(weight: Bytes) -> tuple[int, ...]:
    return _ints(memoryview(weight), TENSOR_DIMS)


def of_any_size(name: str, kind: int, dimensions: int) -> bytes:
    """A tensor for Graph.inputs; kind: INT64, say."""
    sizes = [_field(SHAPE_DIM, _field(DIM_NAME, f"{name}_{i}".encode())) for i in range(dimensions)]
    shape = _field(TENSOR_SHAPE, b"".join(sizes))
    form = _field(TYPE_TENSOR, _number(ELEMENT_TYPE, kind) + shape)
    return _field(VALUE_NAME, name.encode()) + _field(VALUE_TYPE, form)


def around() -> tuple[bytes, bytes]:
    """Graph.rest and Graph.model of a new graph."""
    operators = _field(MODEL_OPERATORS, _number(OPERATORS_VERSION, 17))
    return _field(GRAPH_NAME, b"graph"), _number(MODEL_FORMAT, 8) + operators


def _node(payload: memoryview) -> Node:
    found: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_KIND: []}
    rest: list[Bytes] = []
    for number, part, whole in _fields(payload):
        if number in found:
            found[number].append(_text(part))
        else:
            rest.append(whole)
    inputs, outputs, kind = found.values()
    return Node("".join(kind), tuple(inputs), tuple(outputs), b"".join(rest))


def _node_bytes(node: Node) -> bytes:
    fields = [_field(NODE_INPUT, name.encode()) for name in node.inputs]
    fields += [_field(NODE_OUTPUT, name.encode()) for name in node.outputs]
    return b"".join([*fields, _field(NODE_KIND, node.kind.encode()), node.rest])


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """number, payload, and the bytes of the whole field."""
    at = 0
    try:
        while at < len(data):
            begin = at
            tag, at = _varint(data, at)
            kind, start = tag & 7, at
            if kind == LENGTH_DELIMITED:
                size = data[at]
                start = at + 1
                if size > 127:
                    size, start = _varint(data, at)
                at = start + size
            elif kind == VARINT:
                _, at = _varint(data, at)
            elif kind in (EIGHT_BYTES, FOUR_BYTES):
                at += 8 if kind == EIGHT_BYTES else 4
            else:
                raise ModelError(f"wire type {kind} at byte {begin}; it is not an ONNX graph")
            if at > len(data):
                raise IndexError
            yield tag >> 3, data[start:at], data[begin:at]
    except IndexError:
        raise ModelError("the file ends within a field; it is not an ONNX graph") from None


def _texts(data: memoryview, number: int) -> tuple[str, ...]:
    return tuple(_text(payload) for n, payload, _ in _fields(data) if n == number)


def _text(payload: memoryview) -> str:
    return bytes(payload).decode("utf-8", "backslashreplace")


def _ints(data: memoryview, number: int) -> tuple[int, ...]:
    """A field of its own for each, or all of them in one."""
    found = []
    for n, payload, _ in _fields(data):
        at = 0
        while n == number and at < len(payload):
            value, at = _varint(payload, at)
            found.append(value)
    return tuple(found)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _packed(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, payload: Bytes) -> bytes:
    return b"".join([_packed(number << 3 | LENGTH_DELIMITED), _packed(len(payload)), payload])


def _number(number: int, value: int) -> bytes:
    return _packed(number << 3 | VARINT) + _packed(value)
