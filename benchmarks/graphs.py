"""What the networks reach of the machine's peak, graph by graph, in each precision, and what limits them.

    python -m benchmarks.graphs [--model NAME|FOLDER] [--threads 2] [--size 768x512]

The peak is the speed of one large matrix product in ONNX Runtime, float32 and uint8 x int8, measured here and
now. Multiply-accumulates are those of the float32 graph's convolutions and matrix products, for both
precisions: an 8-bit graph does not count what it adds. A graph's fraction of the peak is what all of its time
would be worth in such products; of an 8-bit graph, whose layers are partly float, it is also given of the
time that its mixture of products would take at both peaks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import models
from aecodec.model_bundle import WINDOWED, Bundle
from aecodec.session import runtime
from benchmarks import environment

PEAK_SIDE = 1024
INT8_KINDS = ("QLinearConv", "MatMulIntegerToFloat", "MatMulInteger")
FLOAT_KINDS = ("Conv", "FusedConv", "MatMul", "Gemm", "FusedGemm", "FusedMatMul")
Arrays = dict[str, NDArray[Any]]


def _session(graph: bytes, threads: int, prefix: str | None = None) -> Any:
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if prefix:
        options.enable_profiling, options.profile_file_prefix = True, prefix
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _product(kind: str) -> bytes:
    """A graph of one square matrix product."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    side = [PEAK_SIDE, PEAK_SIDE]
    if kind == "int8":
        weight = rng.integers(-127, 128, side, np.int8)
        node, seen, given = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
    else:
        weight = rng.standard_normal(side, np.float32)
        node, seen, given = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(node, ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", seen, side)],
        [helper.make_tensor_value_info("y", given, side)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    data: bytes = model.SerializeToString()
    return data


def _median(job: Callable[[], object], rounds: int) -> float:
    job()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def peaks(threads: int, rounds: int = 9) -> dict[str, float]:
    """{"fp32", "int8": 10^9 multiply-accumulates a second}. Needs onnx, to write the graphs."""
    rng = np.random.default_rng(1)
    side = (PEAK_SIDE, PEAK_SIDE)
    feeds = {"fp32": rng.standard_normal(side, np.float32), "int8": rng.integers(0, 256, side, np.uint8)}
    found = {}
    for kind, x in feeds.items():
        session = _session(_product(kind), threads)
        seconds = _median(lambda s=session, x=x: s.run(None, {"x": x}), rounds)  # type: ignore[misc]
        found[kind] = PEAK_SIDE**3 / seconds / 1e9
    return found


def feeds(bundle: Bundle, width: int, height: int) -> dict[str, Arrays]:
    """Plausible inputs of each float graph for a picture whose sides are multiples of 64."""
    rng = np.random.default_rng(2)
    h, w = height // 16, width // 16
    quality = np.array([37.8], np.float32)
    y = rng.laplace(0, 1, (1, bundle.n, h, w)).astype(np.float32)
    z_hat = np.rint(rng.normal(0, 2, (1, bundle.z, h // 4, w // 4))).astype(np.float32)
    index = rng.integers(0, 30, y.shape).astype(np.uint8)
    return {
        "analysis": {"x": rng.random((1, 3, height, width), np.float32), "quality": quality},
        "context": {"y": y, "z_hat": z_hat, "quality": quality, "index_first": index},
        "synthesis": {"symbols": np.rint(y), "z_hat": z_hat, "quality": quality},
    }


def _macs(graph: bytes, feed: Arrays) -> dict[str, float]:
    """{"fp32", "int8": 10^9 multiply-accumulates} of a graph, from the sizes of what its products give."""
    import onnx

    model = onnx.load_from_string(graph)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:  # export.compact
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    for node in model.graph.node:  # run everything once: shapes of fused operators cannot be inferred
        model.graph.output.extend(onnx.ValueInfoProto(name=out) for out in node.output)
    names = {out for node in model.graph.node for out in node.output if node.op_type in _PRODUCTS}
    kept = [out for out in model.graph.output if out.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    session = _session(model.SerializeToString(), 1)
    sizes = dict(zip([o.name for o in kept], [a.size for a in session.run(None, feed)], strict=True))
    total = {"fp32": 0.0, "int8": 0.0}
    for node in model.graph.node:
        if node.op_type in _PRODUCTS:
            kind = "int8" if node.op_type in INT8_KINDS else "fp32"
            shape = weights[node.input[3 if node.op_type == "QLinearConv" else 1]]
            depth = math.prod(shape[1:]) if node.op_type in ("Conv", "QLinearConv") else shape[0]
            total[kind] += sizes[node.output[0]] * depth / 1e9
    return total


_PRODUCTS = (*INT8_KINDS, *FLOAT_KINDS)


def _shares(graph: bytes, feed: Arrays, threads: int, rounds: int) -> dict[str, float]:
    """{operator: milliseconds} by ONNX Runtime's profiler, fastest of the rounds for each node."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(graph, threads, os.path.join(folder, "profile"))
        for _ in range(rounds):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    fastest: dict[str, float] = {}
    operator = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"]
            fastest[name] = min(fastest.get(name, math.inf), event["dur"] / 1e3)
            operator[name] = event["args"]["op_name"]
    total: Counter[str] = Counter()
    for name, ms in fastest.items():
        total[operator[name]] += ms  # type: ignore[assignment]
    return dict(total.most_common())


def measure(bundle: Bundle, width: int, height: int, threads: int, rounds: int = 9) -> dict[str, Any]:
    """{"peaks", "graphs": {graph: {precision: {"ms", "gmac", "of_peak", "of_mixed_peak", "operators"}}}}"""
    peak = peaks(threads)
    found: dict[str, Any] = {}
    precisions = ["fp32", *sorted(bundle.precisions)]
    for graph in WINDOWED:
        feed = feeds(bundle, width, height)[graph]
        found[graph] = {}
        work = {p: bundle.read(bundle.file_of(graph, p)) for p in precisions}
        gmac = sum(_macs(work["fp32"], feed).values())
        for precision, data in work.items():
            if precision != "fp32" and data == work["fp32"]:
                continue
            session = _session(data, threads)
            seconds = _median(lambda s=session, f=feed: s.run(None, f), rounds)  # type: ignore[misc]
            mixed = _macs(data, feed)
            ideal = mixed["fp32"] / peak["fp32"] + mixed["int8"] / peak["int8"]
            found[graph][precision] = {
                "ms": 1e3 * seconds,
                "gmac": gmac,
                "int8_share": mixed["int8"] / sum(mixed.values()),
                "of_peak": gmac / seconds / peak[precision],
                "of_mixed_peak": ideal / seconds,
                "operators": _shares(data, feed, threads, rounds),
            }
    return {"peaks": peak, "graphs": found, "size": f"{width} x {height}", "threads": threads}


def beside_peak(bundle: Bundle, size: tuple[int, int], threads: int, rounds: int) -> dict[str, Any] | None:
    """Measured and printed for a picture of about this size; None without onnx, which writes the products."""
    if importlib.util.find_spec("onnx") is None:
        print("\nnetworks: not compared with the machine's peak, there is no onnx (pip install onnx)")
        return None
    width, height = (-(-side // 64) * 64 for side in size)
    found = measure(bundle, width, height, threads, rounds)
    report(bundle.name, found)
    return found


def report(title: str, found: dict[str, Any]) -> None:
    peak = found["peaks"]
    print(f"\nnetworks of {title}, {found['size']}, {found['threads']} threads")
    print(f"  one matrix product of {PEAK_SIDE}^3: fp32 {peak['fp32']:.0f}, int8 {peak['int8']:.0f} GMAC/s")
    for graph, rows in found["graphs"].items():
        for precision, row in rows.items():
            ratio = f", {rows['fp32']['ms'] / row['ms']:.2f} x as fast as fp32" if precision != "fp32" else ""
            print(f"  {graph:10} {precision}: {row['ms']:7.2f} ms, {row['gmac']:.2f} GMAC{ratio}")
            of_int8 = f" ({row['int8_share']:.0%} of its products are int8)" if precision != "fp32" else ""
            print(
                f"             {row['of_peak']:.0%} of the {precision} peak, "
                f"{row['of_mixed_peak']:.0%} of that of its mixture{of_int8}"
            )
            top = list(row["operators"].items())[:6]
            print("             " + ", ".join(f"{name} {ms:.2f}" for name, ms in top))


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graphs", description=first)
    parser.add_argument("--model", help="bundle's name or folder; default: the default model")
    parser.add_argument("--threads", type=int, default=min(2, environment.cpus()))
    parser.add_argument("--size", default="768x512", help="width x height, multiples of 64 (%(default)s)")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args(arguments)
    try:
        width, height = (int(side) for side in options.size.split("x"))
        if width % 64 or height % 64:
            raise ValueError(f"--size {options.size}: both sides must be multiples of 64")
        bundle = models.find(options.model)
    except ValueError as error:
        return environment.fail(str(error))
    beside_peak(bundle, (width, height), options.threads, options.rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
