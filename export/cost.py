"""Multiply-accumulates a pixel of a graph: what its convolutions take, by ONNX shape inference."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

SIDE = 512
"""Pixels of the square that is counted: one group of the scale networks."""
EXTENT = {"H": SIDE, "W": SIDE, "h": SIDE // 16, "w": SIDE // 16, "zh": SIDE // 64, "zw": SIDE // 64, "G": 1}
ENCODER = ("analysis", "scales_first", "context", "scales_second")
DECODER = ("scales_first", "scales_second", "synthesis")


def macs_per_pixel(graph: onnx.ModelProto) -> float:
    """Convolutions only; everything else together is a few operations a value."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(graph)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_value = EXTENT[axis.dim_param]
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(fixed, strict_mode=True).graph.value_info
    }
    weights = {tensor.name: list(tensor.dims) for tensor in fixed.graph.initializer}
    total = 0
    for node in fixed.graph.node:
        if node.op_type == "Conv":
            positions = math.prod(shapes[node.output[0]][2:])
            total += positions * math.prod(weights[node.input[1]])
    return total / SIDE**2


def kmac_per_pixel(graphs: Mapping[str, onnx.ModelProto]) -> dict[str, float]:
    """{"encode", "decode"}: thousands of multiply-accumulates a pixel, of a bundle's graphs by file name."""
    each = {name.removesuffix(".onnx"): macs_per_pixel(graph) for name, graph in graphs.items()}
    return {
        "encode": round(sum(each[name] for name in ENCODER) / 1000, 2),
        "decode": round(sum(each[name] for name in DECODER) / 1000, 2),
    }
