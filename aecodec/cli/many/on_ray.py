"""The engine of a Ray cluster: an actor is a process with one Codec; the driver hands out jobs.

Every job has exactly one outcome. Outcomes come only from the driver's own list of what is on the way, and a
result appears under its name at once and whole, so doing a job twice is the same as doing it once. When a
process dies its jobs are done elsewhere. The one that it was busy with is perhaps to blame: it is tried
alone, and given up after ATTEMPTS deaths. So a picture that kills every process costs a row of the failures.

Plain actors rather than Ray Data, which repeats the task of a dead worker without end and knows no such row.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from aecodec.cli.common import codec_of
from aecodec.cli.many.work import Task, do
from aecodec.cli.outcome import FAILED, Outcome
from aecodec.cli.plan import Job
from aecodec.errors import AecodecError, DeviceError, UsageError

ATTEMPTS = 3
CHUNK = 8
"""Files that are sent to a worker at once; shards go alone."""
PATIENCE = 30.0
"""Seconds after which a run that waits for workers says so."""
DEATHS = 10
"""Workers in a row that died before they could work: it is not the pictures. Or pictures in a row, without
any other outcome, that killed all that tried them."""


def ray_module() -> Any:
    """UsageError where it is not installed."""
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs Ray; run: pip install 'aecodec[ray]'") from None
    return ray


class Worker:
    """What runs in a process of the cluster."""

    def __init__(self, task: Task, threads: int) -> None:
        self._task, self._threads = task, threads

    def ready(self) -> int:
        """The id of the process, once it can work. AecodecError where it never will."""
        from aecodec.session import runtime

        runtime()
        self._codec = codec_of(self._task.args, threads=self._threads)
        return os.getpid()

    def work(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [do(self._task, self._codec, job) for job in jobs]


@dataclass(eq=False)
class _Actor:
    handle: Any
    starting: Any
    """The reference of its ready(); None as soon as that has come."""
    process: int | None = None
    """Its id, on its machine."""
    chunk: Any = None
    """The reference of what it is busy with. Nothing waits behind it while others are idle."""


class RayEngine:
    """Called with jobs, gives the number and the outcome of each, as they come.

    Connects to the cluster of --address or RAY_ADDRESS, or starts one here and ends it afterwards. UsageError
    where Ray is not installed or the cluster does not answer; DeviceError where its workers cannot start."""

    def __init__(self, task: Task, args: Namespace) -> None:
        self._ray = ray_module()
        self._task, self._address, self._gpus = task, args.address, args.num_gpus
        self._threads = args.threads or 1
        self._asked = args.jobs
        self._chunk = CHUNK if task.kind == "files" else 1
        self._actors: list[_Actor] = []
        self._todo: deque[list[int]] = deque()
        self._sent: dict[Any, tuple[_Actor, list[int]]] = {}
        self._deaths: dict[int, int] = {}
        self._barren = 0
        """Workers that died since the last outcome."""

    def __call__(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        if not jobs:
            return
        with redirect_stdout(sys.stderr):  # where Ray tells of workers that died; stdout is for --json
            ours = self._connect()
            try:
                yield from self._through(jobs)
            finally:
                for actor in self._actors:
                    self._ray.kill(actor.handle)
                if ours:
                    self._ray.shutdown()

    # -- the cluster -----------------------------------------------------------------------------

    def _connect(self) -> bool:
        """Was it not there before?"""
        if self._ray.is_initialized():
            return False
        address = self._address or os.environ.get("RAY_ADDRESS")
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of this run is told to anybody
            os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: last on a machine that is busy
            cpus = max(os.cpu_count() or 1, (self._asked or 1) * self._threads)
            settings |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 128 << 20}
        try:
            self._ray.init(address=address or "local", **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"no Ray cluster at {address!r}: {error}") from None
        return True

    def _workers(self, jobs: int) -> int:
        if self._asked is not None:
            wanted: int = self._asked
        else:
            there = self._ray.cluster_resources()
            wanted = int(
                there.get("GPU", 0) / self._gpus if self._gpus else there.get("CPU", 1) / self._threads
            )
        return max(1, min(wanted, -(-jobs // self._chunk)))

    def _start(self) -> None:
        actor = self._ray.remote(Worker).options(num_cpus=self._threads, num_gpus=self._gpus or 0)
        handle = actor.remote(self._task, self._threads)
        self._actors.append(_Actor(handle, handle.ready.remote()))

    # -- the jobs --------------------------------------------------------------------------------

    def _through(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        workers = self._workers(len(jobs))
        # of few pictures each worker gets several chunks all the same, so that all end at about the same time
        size = max(1, min(self._chunk, len(jobs) // (4 * workers)))
        self._todo.extend(list(range(n, min(n + size, len(jobs)))) for n in range(0, len(jobs), size))
        for _ in range(workers):
            self._start()
        waited = False
        while self._todo or self._sent:
            self._send(jobs)
            pending = [*self._sent, *(a.starting for a in self._actors if a.starting is not None)]
            done, _ = self._ray.wait(pending, num_returns=1, timeout=PATIENCE)
            if not done and not self._sent and not waited:
                waited = True
                print("aecodec: waiting for free CPUs (or GPUs) of the cluster", file=sys.stderr)
            for reference in done:
                yield from self._take(reference, jobs)

    def _send(self, jobs: Sequence[Job]) -> None:
        for actor in self._actors:
            if self._todo and actor.process is not None and actor.chunk is None:
                numbers = self._todo.popleft()
                actor.chunk = actor.handle.work.remote([jobs[n] for n in numbers])
                self._sent[actor.chunk] = actor, numbers

    def _take(self, reference: Any, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        starting = next((a for a in self._actors if a.starting == reference), None)
        if starting is None and reference not in self._sent:
            return  # of a worker whose death is known
        try:
            found = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            kind = type(error.cause) if isinstance(error.cause, AecodecError) else DeviceError
            raise kind(f"a worker of the cluster cannot start: {error.cause}") from None
        except self._ray.exceptions.RayError as error:
            yield from self._mourn(starting or self._sent[reference][0], jobs, error)
            return
        if starting is not None:
            starting.starting, starting.process = None, found
            return
        actor, numbers = self._sent.pop(reference)
        actor.chunk = None
        self._barren = 0
        yield from zip(numbers, found, strict=True)

    def _mourn(self, actor: _Actor, jobs: Sequence[Job], error: Exception) -> Iterator[tuple[int, Outcome]]:
        """A worker is dead: another takes its place, and its jobs go back to the front."""
        self._barren += 1
        if self._barren >= (DEATHS if actor.process is None else DEATHS * ATTEMPTS):
            what = f"{self._barren} workers of the cluster died one after the other and none did anything"
            raise DeviceError(f"{what}: {error}")
        self._actors.remove(actor)
        if actor.chunk is not None:
            numbers = self._sent.pop(actor.chunk)[1]
            if len(numbers) > 1:
                self._todo.extendleft([n] for n in reversed(numbers))
            else:
                yield from self._blame(numbers[0], jobs)
        if self._todo:
            self._start()

    def _blame(self, number: int, jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if self._deaths[number] < ATTEMPTS:
            self._todo.appendleft([number])
            return
        job = jobs[number]
        text = f"{job.source!r}: the worker died {ATTEMPTS} times at it (a crash, or not enough memory)"
        yield number, Outcome(job.source, job.target, FAILED, error=text, exit_code=1)
