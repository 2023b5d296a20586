"""Signals that end a command: KeyboardInterrupt, so that its temporary files go as after Ctrl-C.

aecodec.cli.main listens. Who catches errors of every kind asks here whether one of them is a signal: raised
while numpy's C part is imported, say, the interruption comes out of it as an ImportError.
"""

from __future__ import annotations

import signal
import sys
import threading

AGAIN = 0.01
"""Seconds until an interruption that Python has dropped comes again."""
NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
settled = False
"""Is the exit code certain, and nothing left that a signal could stop? Set from outside: a call could be
interrupted."""
_heard = False


def listen() -> None:
    """From now on, with none heard so far."""
    global _heard
    _heard = False
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup, or in a shell's background
            signal.signal(number, _interrupted)


def heard() -> bool:
    """Has one come that ends the command?"""
    return _heard


def check() -> None:
    """KeyboardInterrupt where one has been heard and something made another error of it, or none. In other
    threads than the main one nothing is interrupted."""
    if _heard and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def never_miss_one() -> None:
    """Python drops what is raised while it frees something: an interruption is to come again soon."""
    if not hasattr(signal, "setitimer"):
        return

    def again(dropped: sys.UnraisableHookArgs) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(dropped)
        elif not settled:
            signal.setitimer(signal.ITIMER_REAL, AGAIN)

    signal.signal(signal.SIGALRM, _interrupted)
    sys.unraisablehook = again


def hear_no_more() -> None:
    """The exit code says what there is, and Python's end, which takes a while, must not say anything else."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def _interrupted(signum: int, frame: object) -> None:
    global _heard
    if not settled:
        _heard = True
        raise KeyboardInterrupt
