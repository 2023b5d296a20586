"""Names such as s3://bucket/a.png or memory://a.aec, through fsspec, which is imported when one is met.

A name is a URL when it begins with a scheme and "://". Everything else is a path of this machine.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from aecodec.errors import AecodecError, InputError, OutputError, UsageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(name: str) -> bool:
    return _URL.match(name) is not None


def local_path(name: str) -> str:
    """The path that a file:// URL names; every other name as it is."""
    if not name.startswith("file://"):
        return name
    with _failing(f"cannot open {name!r}", UsageError):
        return str(_open(name)[1])


def read(url: str) -> bytes:
    """The whole contents. InputError when they cannot be read; UsageError without fsspec."""
    with _failing(f"cannot read {url!r}", InputError):
        system, path = _open(url)
        return bytes(system.cat_file(path))


def write(url: str, data: bytes) -> None:
    """All of data or nothing, as far as the store can: within a transaction. Folders are made."""
    with _failing(f"cannot write {url!r}", OutputError):
        system, path = _open(url)
        system.makedirs(system._parent(path), exist_ok=True)
        with system.transaction, system.open(path, "wb") as stream:
            stream.write(data)


def exists(url: str) -> bool:
    with _failing(f"cannot look for {url!r}", OutputError):
        system, path = _open(url)
        return bool(system.exists(path))


def is_folder(url: str) -> bool:
    with _failing(f"cannot look for {url!r}", InputError):
        system, path = _open(url)
        return bool(system.isdir(path))


def walk(url: str) -> Iterator[tuple[str, str, int | None]]:
    """The files below a folder, sorted: their URLs, their paths relative to the folder, their sizes."""
    with _failing(f"cannot list {url!r}", InputError):
        system, path = _open(url)
        found = system.find(path, detail=True)
    head, mark, rest = url.partition("::")  # zip://folder::s3://bucket/archive.zip
    head = head if head.endswith("://") else head.rstrip("/") + "/"
    for name in sorted(map(str, found)):
        relative = name[len(path.rstrip("/")) :].lstrip("/")
        yield f"{head}{relative}{mark}{rest}", relative, found[name].get("size")


@contextmanager
def stream(url: str) -> Iterator[IO[bytes]]:
    """The contents to be read a part at a time. InputError when they cannot be opened."""
    with _failing(f"cannot read {url!r}", InputError):
        system, path = _open(url)
        opened = system.open(path, "rb")
    with opened:
        yield opened


def upload(url: str, path: str) -> None:
    """write(), of a file of this machine."""
    with _failing(f"cannot write {url!r}", OutputError):
        system, place = _open(url)
        system.makedirs(system._parent(place), exist_ok=True)
        with open(path, "rb") as source, system.transaction, system.open(place, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)


def remove(url: str) -> None:
    with _failing(f"cannot remove {url!r}", OutputError):
        system, path = _open(url)
        system.rm_file(path)


def _open(url: str) -> tuple[Any, Any]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise UsageError(f"{url!r}: URLs need fsspec; run: pip install 'aecodec[fsspec]'") from None
    return url_to_fs(url)  # type: ignore[no-any-return]


@contextmanager
def _failing(what: str, kind: type[AecodecError]) -> Iterator[None]:
    """Stores raise whatever their own libraries do; the message of an ImportError says what to install."""
    try:
        yield
    except (AecodecError, MemoryError):
        raise
    except Exception as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "No such file or directory" if missing else str(error) or type(error).__name__
        raise kind(f"{what}: {reason}") from None
