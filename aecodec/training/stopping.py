"""Ctrl-C and `kill`: a run ends between two steps, where what it saves is one state."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """`signal`: the first that came while this was entered, or 0.  It is only noted, for the loop to look at;
    one more of its kind does what it did before."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}
        self._cuts = False

    def __enter__(self) -> Stop:
        self.signal = 0
        if threading.current_thread() is not threading.main_thread():  # which alone may do this
            return self
        for number in SIGNALS:
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:  # as a shell's jobs in the background ignore Ctrl-C
                self._before[number] = before or signal.SIG_DFL
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, _: object) -> None:
        self.signal = number
        signal.signal(number, self._before[number])
        if self._cuts:
            raise KeyboardInterrupt

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """What a signal need not wait for: it is left at once, and the run ends before the next step."""
        self._cuts = True
        try:
            yield
        except KeyboardInterrupt:
            self.signal = self.signal or signal.SIGINT
        finally:
            self._cuts = False
