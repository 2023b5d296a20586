"""Processes that are forked while other threads work: what waits for a fork, and what a child makes anew.

A forked process has none of its parent's other threads, and what they held at that moment is never given
back. Locks of ours are made anew in the child. Those inside onnxruntime cannot be: it sets up variables of
its own when it is imported, with the first session and with the first runs, and a child that was forked
meanwhile waits for ever for the thread that did. So forks wait until nobody is at it.

Nothing is locked during the fork itself: a signal that comes then may end the hooks that would unlock it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Protocol
from weakref import WeakKeyDictionary

FORK_WAITS = 10.0
"""Seconds that a fork waits at most."""
FORK_TAKES = 3.0
"""Seconds after which others go on without having heard of its end."""


class Owner(Protocol):
    """What holds sessions, or a lock."""

    def _renew(self) -> None:
        """Forgets its sessions and makes its locks anew. Called in a forked process."""


_change = threading.Condition()
_busy: list[int] = []
"""Threads in undisturbed(): once for each of their calls."""
_forks: dict[int, float] = {}
"""Threads that fork, and when they have done so at the latest (time.monotonic)."""
_owners: WeakKeyDictionary[Owner, None] = WeakKeyDictionary()


def renew_in_children(owner: Owner) -> None:
    """owner._renew() is called in every process that is forked from now on, while `owner` lives. They are
    called in the order in which they came."""
    _owners[owner] = None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No fork happens inside, unless it takes longer than FORK_WAITS. May be nested; threads may be inside
    together. What is done inside waits for no lock that other modules hold while a process is forked."""
    me = threading.get_ident()
    with _change:
        while me not in _busy and (left := max(_forks.values(), default=0) - time.monotonic()) > 0:
            _change.wait(left)
        _busy.append(me)
    try:
        yield
    finally:
        with _change:
            _busy.remove(me)
            _change.notify_all()


def _before_fork() -> None:
    me = threading.get_ident()
    with _change:
        _forks[me] = time.monotonic() + FORK_WAITS + FORK_TAKES
        _change.wait_for(lambda: all(thread == me for thread in _busy), FORK_WAITS)
        _forks[me] = time.monotonic() + FORK_TAKES


def _in_parent() -> None:
    with _change:
        _forks.pop(threading.get_ident(), None)
        _change.notify_all()


def _in_child() -> None:
    global _change, _busy, _forks
    _change, _forks = threading.Condition(), {}
    _busy = [thread for thread in _busy if thread == threading.get_ident()]
    for owner in list(_owners):
        owner._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
