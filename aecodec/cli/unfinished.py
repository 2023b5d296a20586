"""Files that are not complete yet: under names of their own, and gone whatever ends the work on them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

STATUS = "/proc/self/status"
"""Where Linux tells the umask, since 4.7."""
_umask_lock = threading.Lock()


@contextmanager
def new_file(folder: str) -> Iterator[BinaryIO]:
    """To be written, and then renamed or linked. What still has its name at the end is removed.

    The name is chosen before there is such a file: a signal may come as soon as there is one."""
    while True:
        name, own = os.path.join(folder, f".aecodec-{os.urandom(8).hex()}.tmp"), True
        try:
            try:
                stream = open(name, "x+b", opener=_open_for_the_user)
            except FileExistsError:
                own = False
                continue
            with stream:
                yield stream
            return
        finally:
            if own:
                try:  # at once: whatever is called before may be interrupted
                    os.unlink(name)
                except FileNotFoundError:
                    pass


def _open_for_the_user(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def link(temporary: str, path: str) -> None:
    """A rename that fails where the name was taken meanwhile; where links do not exist, a check must do."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.replace(temporary, path)


def mode_of(path: str) -> int:
    """Of the file that is replaced, or what open() would give a new one."""
    if os.path.exists(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    return 0o666 & ~_umask()


def _umask() -> int:
    """Where the system does not tell, it can only be read by setting it, for all threads."""
    with contextlib.suppress(OSError, ValueError), open(STATUS, encoding="ascii") as stream:
        for line in stream:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    with _umask_lock:
        umask = os.umask(0)
        os.umask(umask)
    return umask
