"""Outputs that are open already: '-', and what names such as /dev/stdout and /dev/fd/3 stand for.

A shell may have sent such a stream to a file. Replacing that file would lose what others write into it, so
the result goes into the stream, as it goes into a pipe. Used by aecodec.cli.files and by the commands.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO

from aecodec.errors import OutputError, UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PIPE = "-"
STDOUT = 1
FOLDER = "/dev/fd"
LINKS = 40
"""Links behind each other that are followed, as by Linux."""
PART = 1 << 20
"""Bytes that are read at a time."""
AT_ONCE = 512
"""Bytes that any pipe takes without waiting, if it takes some (POSIX: PIPE_BUF)."""
_patient = True


def is_stream(name: str) -> bool:
    return name == PIPE or _number(name) is not None


def is_stdout(name: str) -> bool:
    """Is it where the command would tell about its results?"""
    return name == PIPE or _number(name) == STDOUT


def check(name: str) -> None:
    """Before any work: that it is open, and no terminal."""
    number = _number(name)
    where = "stdout" if number is None else repr(name)
    try:
        if number is None:
            terminal = sys.stdout.isatty()
        else:
            os.fstat(number)
            terminal = os.isatty(number)
    except (OSError, AttributeError):  # there is no sys.stdout where the process began without
        raise OutputError(f"{where} is closed; name a file, or send the output somewhere") from None
    if terminal:
        raise UsageError(f"{where} is a terminal; send the output to a file or a pipe")


def write(name: str, data: BinaryIO) -> None:
    """At its place, or behind what is there where it is appended to."""
    number = _number(name)
    try:
        if number is None:
            sys.stdout.flush()
        there = descriptor(sys.stdout) if number is None else number
        if there is None:
            shutil.copyfileobj(data, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        while part := memoryview(data.read(PART)):
            while part:
                part = part[_some(there, part) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        where = "to stdout" if number is None else repr(name)
        raise OutputError(f"cannot write {where}: {error.strerror or error}") from None


def descriptor(stream: TextIO | None) -> int | None:
    """None where there is none: closed from the start, or put in its place by another program."""
    try:
        return stream.fileno() if stream else None
    except (AttributeError, OSError, ValueError):
        return None


def _some(number: int, data: ReadableBuffer) -> int:
    """Writes what the stream takes, at least a byte -> how many. Waits where it takes none: whoever shares a
    pipe may have made it one that does not block. BlockingIOError instead after wait_no_more()."""
    while True:
        if not _patient:
            if not _wait(number, 0):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            data = memoryview(data)[:AT_ONCE]
        try:
            return os.write(number, data)
        except BlockingIOError:
            if not _patient or not _wait(number, None):
                raise


def _wait(number: int, milliseconds: int | None) -> bool:
    """Until the stream takes something, or is broken."""
    import select

    if not hasattr(select, "poll"):
        return False
    ready = select.poll()
    ready.register(number, select.POLLOUT)
    return bool(ready.poll(milliseconds))


def wait_no_more() -> None:
    """For the end of a command that was interrupted: whoever does not read may never do."""
    global _patient
    _patient = False


class _Waiting(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        return _some(self.fileno(), data)


def whole(stream: TextIO) -> TextIO:
    """The same stream, but that it takes all of a text, or raises: with PYTHONUNBUFFERED Python's own drops
    what a disk or a pipe does not take at once."""
    number = descriptor(stream)
    console = os.name == "nt"  # which is no file there
    if number is None or console or not isinstance(stream, io.TextIOWrapper):
        return stream
    lines = stream.line_buffering or isinstance(stream.buffer, io.RawIOBase)
    buffer = io.BufferedWriter(_Waiting(number, "wb", closefd=False))
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=lines)


def _number(name: str) -> int | None:
    """Of the stream, also where links lead to it; None for any other name."""
    own = f"/proc/{os.getpid()}/"
    for _ in range(LINKS):
        above, last = os.path.split(name)
        folder = os.path.realpath(above)
        if last.isdecimal() and (folder == FOLDER or (folder.startswith(own) and folder.endswith("/fd"))):
            return int(last)
        try:
            name = os.path.join(folder, os.readlink(os.path.join(folder, last)))
        except (OSError, AttributeError):  # no link, or a system without
            return None
    return None
