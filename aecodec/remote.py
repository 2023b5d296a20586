"""Names such as s3://bucket/a.png or memory://a.aec, through fsspec, which is imported when one is met.

A name is a URL when it begins with a scheme and "://". Everything else is a path of this machine. URLs may be
chained: zip://folder::s3://bucket/a.zip is a folder of an archive in a store, simplecache::s3://bucket/folder
is read through a cache.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from aecodec.errors import AecodecError, InputError, OutputError, UsageError

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://")
CACHES = {"blockcache", "filecache", "simplecache"}
"""Schemes that have no names of their own, but those of what they are chained to."""
VERSIONS = ("ETag", "generation", "etag", "mtime", "modified", "LastModified", "last_modified", "created")
"""What stores call the version of an object, or its time; those that follow the contents come first."""


class Entry(NamedTuple):
    """A file at a URL."""

    url: str
    relative: str
    """Its path below the folder that was listed; "" of a file that was asked for itself."""
    size: int | None
    version: str | None
    """What its store has: see VERSIONS. None where it tells nothing."""


def is_url(name: str) -> bool:
    return _URL.match(name) is not None


def is_chained(name: str) -> bool:
    return is_url(name) and "::" in name


def own_part(url: str) -> tuple[str, str, str]:
    """What is before the part of a chained URL that has the name of the file, that part, what is behind."""
    parts = url.split("::")
    at = next((i for i, part in enumerate(parts) if part.partition("://")[0] not in CACHES), len(parts) - 1)
    before, behind = parts[:at], parts[at + 1 :]
    return "".join(f"{part}::" for part in before), parts[at], "".join(f"::{part}" for part in behind)


def join(url: str, name: str) -> str:
    """The URL of what is below a folder, which may be all of a store: memory://, zip://::a.zip"""
    before, own, behind = own_part(url)
    scheme, _, path = own.partition("://")
    folder = path.rstrip("/")
    return f"{before}{scheme}://{folder}{'/' * bool(folder)}{name}{behind}"


def uncached(name: str) -> str:
    """A URL without the caches that it is read through; every other name as it is."""
    return name.removeprefix(own_part(name)[0]) if is_chained(name) else name


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
    """All of data or nothing, as far as the store can. Folders are made."""
    with _failing(f"cannot write {url!r}", OutputError):
        system, path = _open(url)
        system.makedirs(system._parent(path), exist_ok=True)
        if _puts_whole(system):
            system.pipe_file(path, data)
        else:
            with system.transaction, system.open(path, "wb") as stream:
                stream.write(data)


def _puts_whole(system: Any) -> bool:
    """Object stores show an object when it is complete. fsspec talks to them asynchronously, through one file
    system for all threads, whose only transaction would end with the first of them; others have one each."""
    return bool(system.async_impl)


def exists(url: str) -> bool:
    with _failing(f"cannot look for {url!r}", OutputError):
        system, path = _open(url)
        return bool(system.exists(path))


def is_folder(url: str) -> bool:
    with _failing(f"cannot look for {url!r}", InputError):
        system, path = _open(url)
        return bool(system.isdir(path))


def walk(url: str) -> Iterator[Entry]:
    """The files below a folder, sorted by their names."""
    with _failing(f"cannot list {url!r}", InputError):
        system, path = _open(url)
        found = system.find(path, detail=True)
    for name in sorted(map(str, found)):
        relative = name[len(path.rstrip("/")) :].lstrip("/")
        yield _entry(join(url, relative), relative, found[name])


def entry(url: str) -> Entry:
    """What a store says about one file. InputError where it cannot be asked."""
    with _failing(f"cannot read {url!r}", InputError):
        system, path = _open(url)
        return _entry(url, "", system.info(path))


def _entry(url: str, relative: str, facts: Mapping[str, Any]) -> Entry:
    version = next((facts[key] for key in VERSIONS if facts.get(key)), None)
    return Entry(url, relative, facts.get("size"), None if version is None else str(version))


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
        if _puts_whole(system):
            system.put_file(path, place)
        else:
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
