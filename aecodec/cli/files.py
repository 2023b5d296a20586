"""Reading and writing for the commands: '-' is a pipe; nothing is overwritten unasked or half written."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, BinaryIO, TypeAlias

from aecodec import remote
from aecodec.cli import streams
from aecodec.errors import OF_AN_INPUT, InputError, OutputError, UsageError
from aecodec.source import read_bytes

PIPE = streams.PIPE
Contents: TypeAlias = bytes | Callable[[BinaryIO], None]
"""What a file is to hold, or what writes it."""


def read_input(name: str, magic: bytes = b"") -> bytes:
    """The contents of a file, or of stdin for '-'. magic: see source.read_bytes."""
    if name == PIPE and sys.stdin is None:
        raise InputError("stdin is closed; name a file, or send the input there")
    return read_bytes(sys.stdin.buffer if name == PIPE else name, magic)


def input_of(name: str) -> bytes | str:
    """The contents, or the name itself of a file that can be read as it is needed."""
    apart = name != PIPE and not remote.is_url(name) and os.path.isfile(name)
    return name if apart else read_input(name)


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """A file to be read a part at a time. InputError where it cannot be opened."""
    name = remote.local_path(name)
    if remote.is_url(name):
        with remote.stream(name) as stream:
            yield stream
        return
    try:
        local = open(name, "rb")
    except OSError as error:
        raise InputError(f"cannot read {name!r}: {error.strerror or error}") from None
    with local:
        yield local


class UnfitError(OutputError):
    """The format of the output cannot hold the picture."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Errors that the contents of an input cause begin with its name."""
    try:
        yield
    except (*OF_AN_INPUT, UnfitError) as error:
        where = "stdin" if name == PIPE else repr(name)
        raise type(error)(str(error) if where in str(error) else f"{where}: {error}") from None


def check_store(name: str, what: str) -> None:
    """UsageError for a chained URL as a place for results: archives are read only, and a cache has nothing to
    keep of what is written."""
    if remote.is_chained(name):
        raise UsageError(
            f"{what} is {name!r}, a chained URL, which is for reading; "
            "name the store itself (s3://bucket/name), or write to this machine and pack that"
        )


def check_output(source: str, target: str, force: bool) -> None:
    """Before any work: refuses what write_output would have to refuse at the end."""
    if streams.is_stream(target):
        streams.check(target)
        return
    if not target:
        raise UsageError("the output's name is empty")
    source, target = remote.local_path(source), remote.local_path(target)
    if remote.is_url(target):
        check_store(target, "the output")
        if not force and remote.exists(target):
            raise OutputError(f"{target!r} exists; use --force to replace it")
        return
    exist = os.path.exists(target) and os.path.exists(source)
    if source != PIPE and exist and os.path.samefile(source, target):
        raise UsageError(f"input and output are the same file, {target!r}")
    folder, stated = os.path.dirname(os.path.realpath(target)), os.path.dirname(target)
    if stated and not os.path.isdir(stated):  # NAME/.. of a folder that is not there is resolved all the same
        folder = stated
    if os.path.basename(target) in ("", os.curdir, os.pardir):
        folder = target  # the name of a folder, and never that of a file
    if os.path.isdir(target):
        raise OutputError(f"cannot write {target!r}: it is a folder")
    if not os.path.isdir(folder):
        raise OutputError(f"cannot write {target!r}: there is no folder {folder!r}")
    if os.path.exists(target) and _is_regular(target) and not force:
        raise OutputError(f"{target!r} exists; use --force to replace it")


def suffix_of(target: str) -> str:
    """Of an output that is a file, lower-case: streams, pipes and devices may have any name."""
    local = remote.local_path(target)
    if streams.is_stream(target):
        return ""
    if not remote.is_url(local) and os.path.exists(local) and not _is_regular(local):
        return ""
    return os.path.splitext(local)[1].lower()


def write_output(target: str, data: Contents, force: bool, spare: str | None = None) -> None:
    """All of data or nothing: written under another name, then renamed.

    What cannot be renamed (a stream, a pipe, a device, a URL) is begun when all of data is there.
    spare: the folder for what is not complete; None, or where it is on another disk: the target's."""
    if streams.is_stream(target):
        with _complete(data) as stream:
            streams.write(target, stream)
        return
    target = remote.local_path(target)
    if remote.is_url(target):
        if not force and remote.exists(target):
            raise OutputError(f"{target!r} exists; use --force to replace it")
        with _complete(data) as stream:
            remote.write(target, stream.read())
        return
    try:
        if os.path.exists(target) and not _is_regular(target):  # a device or a named pipe
            with _complete(data) as whole, open(target, "wb") as stream:
                shutil.copyfileobj(whole, stream)
        else:
            _replace(os.path.realpath(target), data, force, spare)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise OutputError(f"{target!r} exists; use --force to replace it") from None
        raise OutputError(f"cannot write {target!r}: {error.strerror or error}") from None


def in_memory(data: Contents) -> bytes:
    """All of it, where there is no file for it."""
    if isinstance(data, bytes):
        return data
    stream = BytesIO()
    data(stream)
    return stream.getvalue()


@contextmanager
def _complete(data: Contents) -> Iterator[BinaryIO]:
    """All of it, to be read."""
    if isinstance(data, bytes):
        yield BytesIO(data)
        return
    import tempfile

    try:
        stream = tempfile.TemporaryFile()
    except OSError as error:
        raise OutputError(f"no folder for what is not complete yet: {error.strerror or error}") from None
    with stream:
        try:
            data(stream)
            stream.seek(0)
        except OSError as error:
            raise OutputError(f"cannot write a temporary file: {error.strerror or error}") from None
        yield stream


def is_folder(name: str) -> bool:
    name = remote.local_path(name)
    return remote.is_folder(name) if remote.is_url(name) else os.path.isdir(name)


def is_finished(target: str) -> bool:
    """Is the result there? Then it is whole: it appears under its name only when it is."""
    target = remote.local_path(target)
    return remote.exists(target) if remote.is_url(target) else os.path.isfile(target)


def remove_empty(target: str) -> bool:
    """Removes a result of no bytes, which no command leaves: was it one?"""
    target = remote.local_path(target)
    if remote.is_url(target):
        empty = remote.entry(target).size == 0
        if empty:
            remote.remove(target)
        return empty
    try:
        if os.path.getsize(target):
            return False
        os.unlink(os.path.realpath(target))
    except OSError as error:
        raise OutputError(f"cannot replace {target!r}: {error.strerror or error}") from None
    return True


def make_parent(target: str) -> None:
    """The folder of a result, and those above it; those of URLs are made when they are written."""
    target = remote.local_path(target)
    if not remote.is_url(target):
        folder = os.path.dirname(target) or "."
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder!r}: {error.strerror or error}") from None


def walk(name: str) -> Iterator[tuple[str, str, InputError | None]]:
    """The files below a folder in the order of their names: name, path relative to the folder, None.

    Links to folders are not followed. For a folder that cannot be listed: name, "", the reason."""
    top = remote.local_path(name)
    if remote.is_url(top):
        yield from ((found.url, found.relative, None) for found in remote.walk(top))
        return
    problems: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=problems.append):
        folders.sort()
        for path in (os.path.join(folder, n) for n in sorted(names)):
            yield path, os.path.relpath(path, top), None
    for error in problems:
        path = str(error.filename)
        yield path, "", InputError(f"cannot list {path!r}: {error.strerror or error}")


def are_one(a: str, b: str) -> bool:
    """Do two names mean one folder?"""
    return _place(a) == _place(b)


def below(folder: str, top: str) -> str | None:
    """What walk(top) calls the files of a folder, up to their names; None where it is not below `top`."""
    folder, top = _place(folder), _place(top)
    return folder.removeprefix(top).lstrip("/") if folder != top and folder.startswith(top) else None


def _place(name: str) -> str:
    """The full name of a folder, with a "/" at its end."""
    name = remote.uncached(remote.local_path(name))
    return (name if remote.is_url(name) else os.path.realpath(name).replace(os.sep, "/")).rstrip("/") + "/"


def irregular(name: str) -> InputError | None:
    """Why a file that is found in a folder is not opened: a pipe would wait for who writes to it, a device
    may have no end. None for files, for what cannot be looked at (reading says why), and at URLs."""
    path = remote.local_path(name)
    try:
        if remote.is_url(path) or _is_regular(path):
            return None
    except OSError:
        return None
    return InputError(f"{name!r} is a pipe or a device; name it to read it, or give the folder without it")


def _is_regular(path: str) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


def _replace(path: str, data: Contents, force: bool, spare: str | None) -> None:
    from aecodec.cli import unfinished

    folder = os.path.dirname(path)
    if spare is not None and os.stat(spare).st_dev == os.stat(folder).st_dev:
        folder = spare
    with unfinished.new_file(folder) as stream:
        if isinstance(data, bytes):
            stream.write(data)
        else:
            data(stream)
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        os.chmod(stream.name, unfinished.mode_of(path))
        if not force:
            unfinished.link(stream.name, path)
        else:
            os.replace(stream.name, path)
