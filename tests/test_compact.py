"""Weights stored as float16: the same numbers, and only where they are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from onnx import TensorProto, numpy_helper  # noqa: E402

from aecodec.session import open_session  # noqa: E402
from export.builder import GraphBuilder  # noqa: E402
from export.compact import LEAST, compact  # noqa: E402

F32 = TensorProto.FLOAT


def test_what_float16_holds_is_stored_so_and_gives_the_same() -> None:
    rng = np.random.default_rng(5)
    halves = rng.normal(size=(16, 16)).astype(np.float16).astype(np.float32)
    finer = halves + np.float32(1e-5)
    larger = halves * np.float32(2**17)  # beyond float16's largest
    assert halves.size == LEAST
    g = GraphBuilder("compact")
    x = g.input("x", F32, [1, 16])
    h = g.op("Add", g.op("MatMul", x, g.const(halves)), g.const(halves[0]))
    h = g.op("MatMul", g.op("MatMul", h, g.const(finer)), g.const(larger))
    graph = g.finish({"y": (h, F32, [1, 16])})
    before = graph.SerializeToString()
    small = compact(graph)
    assert graph.SerializeToString() == before
    square = [t.data_type for t in small.graph.initializer if t.dims == [16, 16]]
    assert sorted(square) == sorted([TensorProto.FLOAT16, F32, F32])
    assert [t.data_type for t in small.graph.initializer if t.dims == [16]] == [F32]  # too small
    assert len(small.SerializeToString()) < len(before) - halves.nbytes // 2 + 100
    values = rng.normal(size=(1, 16)).astype(np.float32)
    wanted, found = (
        open_session(data, "cpu", 1).run(["y"], {"x": values})[0]
        for data in (before, small.SerializeToString())
    )
    np.testing.assert_array_equal(found, wanted)


def test_numbers_that_are_none_stay() -> None:
    values = np.zeros(LEAST, np.float32)
    values[3] = np.nan
    g = GraphBuilder("nan")
    graph = g.finish({"y": (g.op("Add", g.input("x", F32, [LEAST]), g.const(values)), F32, [LEAST])})
    (kept,) = compact(graph).graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(kept), values)
    assert kept.data_type == F32
