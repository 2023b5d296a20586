"""Where the codec's milliseconds go: its own functions watched, and its entropy coder alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from PIL import Image

from aecodec import container, entropy, pixels, planes
from aecodec.model_bundle import SCALE_NETWORKS
from aecodec.networks import Networks
from benchmarks import entropy as entropy_benchmark
from benchmarks.codecs import ImageCodec
from benchmarks.codecs.aecodec_codec import Aecodec
from benchmarks.timing import Spread, alternate, spread
from benchmarks.tracing import Label, Stopwatch, wrapped


def breakdown(codec: ImageCodec, image: Image.Image, quality: float, rounds: int) -> dict[str, Any]:
    """{"encode" / "decode": {part: mean milliseconds}}, in rounds of their own: watching costs a little."""
    data = codec.encode(image, quality)
    result = {}
    jobs: dict[str, Callable[[], object]] = {
        "encode": partial(codec.encode, image, quality),
        "decode": partial(codec.decode, data),
    }
    for what, job in jobs.items():
        watch = Stopwatch()
        parts: list[tuple[Any, str, Label]] = [(Networks, "_run", lambda networks, graph: f"graph {graph}")]
        parts += [(Networks, graph, f"graph {graph}") for graph in SCALE_NETWORKS]
        parts += [(entropy, "encode_group", "entropy coder")]
        steps = ("__init__", "z", "first", "second", "finish")
        parts += [(entropy.GroupReader, name, "entropy coder") for name in steps]
        parts += [(entropy, "symbols_crc", "symbol checksum")]
        parts += [(container, name, "container") for name in ("write_file", "read_file")]
        parts += [(pixels, name, "pixels") for name in ("read_picture", "to_array")]
        parts += [(planes, name, "pixels") for name in ("to_network", "from_network")]
        with ExitStack() as stack:
            for owner, name, label in parts:
                stack.enter_context(wrapped(owner, name, watch.watch(label)))
            begin = time.perf_counter()
            for _ in range(rounds):
                job()
            total = time.perf_counter() - begin
        rest = total - sum(watch.seconds.values())
        seconds = {**watch.seconds, "rest (groups, rounding, merging)": rest, "total": total}
        result[what] = {part: 1e3 * s / rounds for part, s in seconds.items()}
    return result


def entropy_only(codec: Aecodec, image: Image.Image, quality: float, rounds: int) -> dict[str, Any]:
    """{"encode" / "decode": times of the picture's symbols through the coder, "symbols", "bytes"}.

    One thread, no networks: what encode() hands to the coder is kept and coded again. Skipped
    symbols (their index says that they are 0) are not counted."""
    groups, tables = entropy_benchmark.record(codec.codec, [image], quality)
    work = entropy_benchmark.prepare(groups, tables)
    made, size = entropy_benchmark.our_jobs(work, tables)
    decoder = [name for name in made if name.startswith("aecodec decode")][-1]  # AVX2 where there is one
    times = alternate({"encode": made["aecodec encode"], "decode": made[decoder]}, rounds)
    found: dict[str, Spread] = {w: spread(s, image.width * image.height) for w, s in times.items()}
    return {**found, "symbols": len(work.row), "bytes": size}
