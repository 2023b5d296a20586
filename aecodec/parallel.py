"""Work in threads: the networks, the coder, zlib and numpy's loops run without the interpreter's lock.

What comes out, and in which order, does not depend on how many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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
    """A few threads; with one there is none, and everything is done where it is asked for."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool

    def submit(self, work: Callable[..., R], *arguments: Any) -> Callable[[], R]:
        """-> a function that waits for the result, or raises what the work raised."""
        if self._pool is not None:
            return self._pool.submit(work, *arguments).result
        result = work(*arguments)
        return lambda: result

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Results in the order of the items."""
        return [work(item) for item in items] if self._pool is None else list(self._pool.map(work, items))


@contextmanager
def workers(threads: int) -> Iterator[Workers]:
    """Ends when all work is done; work that has not begun is given up after an error."""
    if threads == 1:
        yield Workers(None)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads, "aecodec")
    try:
        yield Workers(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(items: Iterator[T], threads: int) -> Iterator[T]:
    """The same items; while one is used the next is made, in a thread of its own.

    RuntimeError in a process that was forked in between: it does not have that thread."""
    if threads == 1:
        yield from items
        return
    from concurrent.futures import ThreadPoolExecutor

    process = os.getpid()
    with ThreadPoolExecutor(1, "aecodec") as pool:
        coming: Future[tuple[T] | None] = pool.submit(_next, items)
        try:
            while (item := coming.result()) is not None:
                coming = pool.submit(_next, items)
                yield item[0]
                if os.getpid() != process:
                    raise RuntimeError("these rows were begun before this process was forked; begin again")
        finally:
            if os.getpid() == process:
                pool.submit(getattr(items, "close", int)).result()


def _next(items: Iterator[T]) -> tuple[T] | None:
    for item in items:
        return (item,)
    return None
