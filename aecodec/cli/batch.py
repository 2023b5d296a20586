"""Runs a command's work on many inputs: workers, progress, errors that stop only their own input, the sum.

Workers are threads: the networks, the entropy coder, Pillow's and zlib's codecs and numpy's loops all run
without the interpreter's lock, and one process holds the pictures of all. Each worker has a Codec of its
own with its share of the CPUs, so that no more threads run than there are CPUs. Where that share is one,
all use the same Codec: without threads of its own it can be shared at no cost, and its weights are in
memory once.
"""

from __future__ import annotations

import signal
import sys
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from aecodec.cli import common, files
from aecodec.cli.attempt import attempt
from aecodec.cli.outcome import DONE, FAILED, SALVAGED, SKIPPED, Outcome
from aecodec.cli.plan import Job, Plan
from aecodec.errors import DeviceError
from aecodec.parallel import cpus

if TYPE_CHECKING:
    from aecodec.codec import Codec

Work: TypeAlias = Callable[["Codec", Job], Outcome]
"""Does one job; its errors become the outcome's."""
Show: TypeAlias = Callable[[Outcome], "list[tuple[str, IO[str]]]"]
"""How an outcome is told without --json: lines and where each goes."""
Keep: TypeAlias = Callable[[Job, Outcome], None]
"""What else is done with an outcome, as soon as it is there."""
Engine: TypeAlias = Callable[[Sequence[Job]], Iterator[tuple[int, Outcome]]]
"""Does jobs elsewhere -> the number of each and its outcome, as they come."""


def show_problems(outcome: Outcome) -> list[tuple[str, IO[str]]]:
    """Of the outcomes only what the user should know."""
    lines = [f"aecodec: {outcome.error}"] if outcome.error else []
    lines += [f"aecodec: note: {outcome.input!r}: {note}" for note in outcome.notes]
    return [(" ".join(line.split()), sys.stderr) for line in lines]


THERE = "there already; --force replaces them"


def run(
    args: Namespace,
    plan: Plan,
    work: Work,
    show: Show = show_problems,
    skipped: str = THERE,
    goes_on: bool | None = None,
) -> int:
    """All jobs whose results are not there -> the exit code: that of the first input, in their order, that
    did not go well; else 0.

    skipped: why inputs may be skipped, in words. goes_on: does the same command go on where this one ended?
    None: where results are files.
    After Ctrl-C the pictures in progress are finished, the sum is told, and KeyboardInterrupt goes on."""

    def unless_there(codec: Codec, job: Job) -> Outcome:
        if job.target is not None and not is_wanted(args, job):
            return Outcome(job.source, job.target, SKIPPED)
        return work(codec, job)

    return run_all(args, plan, unless_there, show, skipped=skipped, goes_on=goes_on)


def is_wanted(args: Namespace, job: Job) -> bool:
    """Has its result to be made, or made anew? Then its place is ready."""
    if job.target is None:
        return False
    if not args.force and files.is_finished(job.target) and not files.remove_empty(job.target):
        return False
    files.make_parent(job.target)
    files.check_output(job.source, job.target, args.force)
    return True


def run_all(
    args: Namespace,
    plan: Plan,
    work: Work,
    show: Show = show_problems,
    keep: Keep | None = None,
    engine: Engine | None = None,
    skipped: str = THERE,
    goes_on: bool | None = None,
) -> int:
    """run() without a look at what is there. engine: instead of threads of this process, and of `work`."""
    if goes_on is None:
        goes_on = keep is not None or any(job.target is not None for job in plan.jobs)
    batch = _Batch(args, plan, work, show, keep, engine, skipped, goes_on)
    try:
        batch.work_through()
    finally:
        batch.sum_up()
    return batch.exit_code()


class _Batch:
    def __init__(
        self,
        args: Namespace,
        plan: Plan,
        work: Work,
        show: Show,
        keep: Keep | None,
        engine: Engine | None,
        skipped: str,
        goes_on: bool,
    ) -> None:
        self._args, self._plan, self._work, self._show = args, plan, work, show
        self._keep, self._engine, self._out = keep, engine, sys.stdout
        self._skipped, self._goes_on = skipped, goes_on
        self._workers = min(args.jobs, len(plan.jobs)) or 1
        self._threads: int | None = args.threads or _share(self._workers)
        self._own, self._lock, self._shared = threading.local(), threading.Lock(), self._new_codec()
        self._counts: Counter[str] = Counter()
        self._codes: dict[int, int] = {}
        self._write: Callable[[str, IO[str]], None] = _write

    def work_through(self) -> None:
        if self._args.command == "encode":
            _ = self._shared.bundle  # without a model there is nothing to begin with
        with progress(len(self._plan.jobs)) as bar:
            if bar is not None:
                self._write = lambda text, stream: bar.write(text, file=stream)
            step = bar.update if bar is not None else int
            if self._engine is not None:
                for number, outcome in self._engine(self._plan.jobs):
                    self._take(number, outcome)
                    step(1)
                    self._check_device()
            elif self._workers == 1:
                for number, job in enumerate(self._plan.jobs):
                    self._take(number, self._attempt(job))
                    step(1)
                    self._check_device()
            else:
                self._in_threads(step)

    def _in_threads(self, step: Callable[[int], Any]) -> None:
        outcomes: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        pool = ThreadPoolExecutor(self._workers, "aecodec")
        for number, job in enumerate(self._plan.jobs):
            pool.submit(lambda n, j: outcomes.put((n, self._attempt(j))), number, job)
        try:
            for _ in self._plan.jobs:
                self._take(*_next(outcomes))
                step(1)
                self._check_device()
        except BaseException:
            with _impatience():
                pool.shutdown(cancel_futures=True)
            while not outcomes.empty():
                self._take(*outcomes.get())
            raise
        pool.shutdown()

    def _take(self, number: int, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        if outcome.exit_code:
            self._codes[number] = outcome.exit_code
        if self._keep is not None:
            self._keep(self._plan.jobs[number], outcome)
        if self._args.json:
            self._write(outcome.as_json(), self._out)
        else:
            for told in self._show(outcome):
                self._write(*told)

    def _check_device(self) -> None:
        """Without one every input would fail with the same words."""
        if DeviceError.exit_code in self._codes.values():
            raise DeviceError("stopped: the other inputs need the device, too")

    def _attempt(self, job: Job) -> Outcome:
        return attempt(job, lambda: self._work(self._codec(), job))

    def _codec(self) -> Codec:
        if self._workers == 1 or self._threads == 1:
            return self._shared
        if not hasattr(self._own, "codec"):
            self._own.codec = self._new_codec()
        codec: Codec = self._own.codec
        return codec

    def _new_codec(self) -> Codec:
        return common.codec_of(self._args, threads=self._threads)

    def exit_code(self) -> int:
        return self._codes[min(self._codes)] if self._codes else 0

    def sum_up(self) -> None:
        """On stderr: it is for people, --json has the rest."""
        counts, total = self._counts, len(self._plan.jobs) + self._plan.finished
        counts[SKIPPED] += self._plan.finished
        if total == counts[DONE] + counts[FAILED] == 1 and not self._plan.left_out:
            return  # nothing to add
        parts = [f"{counts[DONE]} of {total} done"]
        if counts[SALVAGED]:
            parts.append(f"{counts[SALVAGED]} with parts missing")
        if counts[SKIPPED]:
            parts.append(f"{counts[SKIPPED]} skipped ({self._skipped})")
        if counts[FAILED]:
            parts.append(f"{counts[FAILED]} failed")
        if left := total - counts.total():
            parts.append(f"{left} not begun{' (the same command goes on)' * self._goes_on}")
        if self._plan.left_out:
            parts.append(f"{self._plan.left_out} other files left alone")
        common.tell(f"aecodec: {', '.join(parts)}")


def _next(outcomes: SimpleQueue[tuple[int, Outcome]]) -> tuple[int, Outcome]:
    """Waits a second at a time: Python looks at a Ctrl-C that comes just before it waits when it is done."""
    while True:
        with suppress(Empty):
            return outcomes.get(timeout=1)


def _write(text: str, stream: IO[str]) -> None:
    if stream is sys.stderr:
        common.tell(text)
    else:
        print(text, file=stream, flush=True)


def threads_of(args: Namespace) -> int | None:
    """CPU threads for one of the workers, where the command line does not say."""
    threads: int | None = args.threads
    return threads or _share(args.jobs)


def _share(workers: int) -> int | None:
    """CPU threads for each of several workers."""
    if workers == 1:
        return None
    return max(1, cpus() // workers)


@contextmanager
def progress(total: int, unit: str = "file") -> Iterator[Any]:
    """A progress bar where stderr is a terminal; else None, and tqdm is not even imported."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:
        yield bar


@contextmanager
def _impatience() -> Iterator[None]:
    """While the pictures in progress are finished a second Ctrl-C ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    common.tell("aecodec: finishing the pictures in progress; Ctrl-C again to stop at once")
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
