"""A progress bar on stderr: tqdm where it is installed, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from typing import Protocol


class Bar(Protocol):
    def update(self, n: int = 1) -> object: ...

    def close(self) -> object: ...


class PlainBar:
    """A line every few seconds, so that logs stay short."""

    EVERY = 5.0

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label, self.done = total, label, 0
        self.begin = self.printed = time.monotonic()

    def update(self, n: int = 1) -> None:
        self.done += n
        now = time.monotonic()
        if now - self.printed >= self.EVERY or self.done == self.total:
            left = (now - self.begin) / self.done * (self.total - self.done)
            print(f"{self.label}: {self.done}/{self.total}, {left:.0f} s left", file=sys.stderr, flush=True)
            self.printed = now

    def close(self) -> None:
        pass


def bar(total: int, label: str) -> Bar:
    """Something with update(n) and close()."""
    if not sys.stderr.isatty():
        return PlainBar(total, label)
    try:
        from tqdm import tqdm
    except ImportError:
        return PlainBar(total, label)
    made: Bar = tqdm(total=total, desc=label, unit="", dynamic_ncols=True, file=sys.stderr)
    return made
