"""Work in threads: the networks, the coder, zlib and numpy's loops run without the interpreter's lock.

What comes out, and in which order, does not depend on how many threads there are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

FEW = 4
"""Groups that are not worth a thread."""

T = TypeVar("T")
R = TypeVar("R")


def cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worth(threads: int, groups: int) -> int:
    """Threads for a picture of so many groups: a few groups are coded sooner than threads begin."""
    return max(1, min(threads, groups // FEW))


class Workers:
    """A few threads; without a pool everything is done where it is asked for."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool

    def submit(self, work: Callable[..., R], *arguments: Any) -> Callable[[], R]:
        """-> a function that waits for the result, or raises what the work raised."""
        if self._pool is None:
            result = work(*arguments)
            return lambda: result
        once = _Once(partial(work, *arguments))
        try:
            self._pool.submit(once)
        except RuntimeError:  # Python is about to end, or no thread can be had: it may be in the queue
            once()
        return once.answer.result

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Results in the order of the items."""
        return [done() for done in [self.submit(work, item) for item in items]]


class _Once:
    """Work that is done by whoever comes first."""

    def __init__(self, work: Callable[[], Any]) -> None:
        from concurrent.futures import Future

        self._work: Callable[[], Any] | None = work
        self._claim = threading.Lock()
        self.answer: Future[Any] = Future()

    def __call__(self) -> None:
        with self._claim:
            work, self._work = self._work, None  # which may hold large arrays
        if work is not None:
            try:
                self.answer.set_result(work())
            except BaseException as error:
                self.answer.set_exception(error)


@contextmanager
def workers(threads: int) -> Iterator[Workers]:
    """Ends when all work is done; work that has not begun is given up after an error."""
    if threads == 1:
        yield Workers(None)
    else:
        with _threads(threads) as found:
            yield found


@contextmanager
def _threads(number: int) -> Iterator[Workers]:
    pool = _pool(number)
    try:
        yield Workers(pool)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(threads: int) -> ThreadPoolExecutor | None:
    """None once the main thread has ended: Python then refuses to load this, while other threads work on."""
    try:
        from concurrent.futures import ThreadPoolExecutor
    except RuntimeError:
        return None
    return ThreadPoolExecutor(threads, "aecodec")


def ahead(items: Iterator[T], threads: int) -> Iterator[T]:
    """The same items; while one is used the next is made, in a thread of its own.

    RuntimeError in a process that was forked in between: it does not have that thread."""
    if threads == 1:
        yield from items
        return
    process = os.getpid()
    with _threads(1) as thread:
        coming = thread.submit(_next, items)
        try:
            while (item := coming()) is not None:
                coming = thread.submit(_next, items)
                yield item[0]
                if os.getpid() != process:
                    raise RuntimeError("these rows were begun before this process was forked; begin again")
        finally:
            if os.getpid() == process:
                thread.submit(getattr(items, "close", int))()


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None
