"""Float weights that float16 holds exactly are stored as float16: the same numbers in half of the bytes.

Trained weights are kept as float16 (weights/), so most of them are such numbers; those that export folds a
factor into are not.  ONNX Runtime casts constants once, when it loads a graph, and so computes what it did
without this.  Files whose hashes decide the id of a model are left as they are: an older bundle could not be
exported anew."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST = 256
"""Values below which a Cast node is not worth it."""


def compact(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large float32 weights are float16 behind a Cast where that loses nothing."""
    small = onnx.ModelProto()
    small.CopyFrom(graph)
    casts = []
    for weight in small.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < LEAST:
            continue
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.array_equal(halves.astype(np.float32), values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(halves, f"{name}_half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *small.graph.node]
    del small.graph.node[:]
    small.graph.node.extend(nodes)
    return small
