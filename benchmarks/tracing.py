"""Watching the codec at work: its own functions wrapped for the length of a `with` block.

Benchmarks must see what encode() and decode() really do, not a copy of their data path that drifts away.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Function = Callable[..., Any]
Label = str | Callable[..., str]


@contextmanager
def wrapped(owner: Any, name: str, wrapper: Callable[[Function], Function]) -> Iterator[None]:
    """owner.name is wrapper(owner.name) inside the block. A name that is not there (any more) is left out."""
    original = owner.__dict__.get(name)
    if original is None:
        yield
        return
    setattr(owner, name, wrapper(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


class Stopwatch:
    """Seconds by label. A watched call inside another one counts for the inner label alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._threads = threading.local()

    def watch(self, label: Label) -> Callable[[Function], Function]:
        """A wrapper that counts calls under label, or under label(*arguments)."""

        def wrapper(function: Function) -> Function:
            def call(*arguments: Any, **named: Any) -> Any:
                inside = self._threads.__dict__.setdefault("inside", [])
                inside.append(0.0)
                begin = time.perf_counter()
                try:
                    return function(*arguments, **named)
                finally:
                    spent = time.perf_counter() - begin
                    own = spent - inside.pop()
                    self.seconds[label if isinstance(label, str) else label(*arguments)] += own
                    if inside:
                        inside[-1] += spent

            return call

        return wrapper


def rotations(names: Iterable[str], rounds: int) -> Iterator[str]:
    """Every name once a round, each round beginning with another: slow drifts hit all alike."""
    order = list(names)
    for k in range(rounds):
        turn = k % len(order)
        yield from order[turn:] + order[:turn]
