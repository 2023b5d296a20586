"""Wall times of jobs in alternating rounds, and what is kept of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks.tracing import rotations

Spread = dict[str, float]
Job = Callable[[], object]


def spread(seconds: list[float], pixels_coded: int) -> Spread:
    """Milliseconds (median, fastest, slowest) and the median's megapixels a second."""
    median = statistics.median(seconds)
    return {
        "ms": 1e3 * median,
        "ms_min": 1e3 * min(seconds),
        "ms_max": 1e3 * max(seconds),
        "megapixels_per_second": pixels_coded / median / 1e6,
    }


def alternate(jobs: Mapping[str, Job], rounds: int) -> dict[str, list[float]]:
    """{job: its seconds in each round}. No round warms up: call every job once before."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for name in rotations(jobs, rounds):
        begin = time.perf_counter()
        jobs[name]()
        times[name].append(time.perf_counter() - begin)
    return times
