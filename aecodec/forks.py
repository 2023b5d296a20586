"""Processes that are forked while other threads work: what waits for a fork, and what a child makes anew.

A forked process has none of its parent's other threads, and what they held at that moment is never given
back. Locks of ours are made anew in the child. Those inside onnxruntime cannot be: it sets up variables of
its own when it is imported, with the first session and with the first runs, and a child that was forked
meanwhile waits for ever for the thread that did. So forks wait until nobody is at it.
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


class Owner(Protocol):
    """What holds sessions, or a lock."""

    def _renew(self) -> None:
        """Forgets its sessions and makes its locks anew. Called in a forked process."""


_lock = threading.RLock()
_change = threading.Condition(_lock)
_busy: list[int] = []
"""Threads in undisturbed(): once for each of their calls."""
_waiting = 0
"""How many threads wait in order to fork."""
_forking: int | None = None
"""The thread that forks and holds the lock."""
_count = 0
_owners: WeakKeyDictionary[Owner, None] = WeakKeyDictionary()


def count() -> int:
    """How many forks this process is away from the one that loaded the module."""
    return _count


def renew_in_children(owner: Owner) -> None:
    """owner._renew() is called in every process that is forked from now on, while `owner` lives. They are
    called in the order in which they came."""
    _owners[owner] = None


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No fork happens inside, unless it takes longer than FORK_WAITS. May be nested; threads may be inside
    together."""
    me = threading.get_ident()
    with _change:
        if me not in _busy:
            _change.wait_for(lambda: not _waiting)
        _busy.append(me)
    try:
        yield
    finally:
        with _change:
            _busy.remove(me)
            _change.notify_all()


def _before_fork() -> None:
    global _forking, _waiting
    me, end = threading.get_ident(), time.monotonic() + FORK_WAITS
    if not _lock.acquire(timeout=FORK_WAITS):
        return
    _waiting += 1
    try:
        _change.wait_for(lambda: all(thread == me for thread in _busy), max(0, end - time.monotonic()))
    finally:
        _waiting -= 1
        _change.notify_all()
        _forking = me


def _in_parent() -> None:
    global _forking
    if _forking == threading.get_ident():
        _forking = None
        _lock.release()


def _in_child() -> None:
    global _lock, _change, _busy, _waiting, _forking, _count
    _lock = threading.RLock()
    _change, _waiting, _forking, _count = threading.Condition(_lock), 0, None, _count + 1
    _busy = [thread for thread in _busy if thread == threading.get_ident()]
    for owner in list(_owners):
        owner._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
