"""Where bytes come from: bytes-like, path, URL or file object -> bytes.

The first step of encoding a stored picture and of decoding. No numpy, no Pillow.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
from io import BufferedIOBase, BytesIO, RawIOBase, UnsupportedOperation
from typing import BinaryIO, Protocol, TypeAlias

from aecodec import remote
from aecodec.errors import InputError


class Readable(Protocol):
    def read(self) -> bytes: ...


class _NoBytesError(Exception):
    """What read() gives is something else."""


Binary: TypeAlias = BinaryIO | BufferedIOBase | RawIOBase
Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | Readable"


def read_bytes(source: Source, magic: bytes = b"") -> bytes:
    """The whole contents. A str is a path or a URL (see aecodec.remote), an os.PathLike always a path.

    magic: what they have to begin with. Of others only as many bytes are read (a device has no end), and who
    parses them says what is wrong. InputError when it cannot be read; UsageError for a URL without fsspec."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str) and remote.is_url(source):
        return remote.read(source)
    if isinstance(source, str | os.PathLike):
        return _read_file(os.fspath(source), magic)
    if hasattr(source, "read"):
        data = _read_object(source, magic)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InputError("the file object gives text; open it in binary mode ('rb')")
        return bytes(data)
    raise InputError(
        f"bytes, a path or a binary file object is needed (to encode, also a numpy array or a Pillow image), "
        f"not {type(source).__name__}"
    )


def open_bytes(source: Source | Readable) -> BinaryIO:
    """The contents as something that can be sought in: a file of this machine itself, read when it is needed.

    InputError when it cannot be opened, or read."""
    if isinstance(source, str | os.PathLike) and not (isinstance(source, str) and remote.is_url(source)):
        stream = _open_file(os.fspath(source))
        if stream.seekable():
            return stream
        with stream:  # a pipe
            return BytesIO(_read_path(stream, os.fspath(source), b""))
    return BytesIO(read_bytes(source))


def map_bytes(source: Source, magic: bytes = b"") -> bytes | memoryview:
    """read_bytes() without reading all of them: a file's pages come when they are looked at, and a view of
    such pages stays as it is."""
    if isinstance(source, memoryview) and source.c_contiguous and source.ndim == source.itemsize == 1:
        return source
    if not isinstance(source, str | os.PathLike) or (isinstance(source, str) and remote.is_url(source)):
        return read_bytes(source, magic)
    path = os.fspath(source)
    with _open_file(path) as stream:
        facts = os.fstat(stream.fileno())
        if stat.S_ISREG(facts.st_mode) and facts.st_size:
            with contextlib.suppress(OSError, ValueError):  # a file system that maps nothing
                return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        return _read_path(stream, path, magic)  # a pipe would be lost if it were opened again


def _read_file(path: str, magic: bytes) -> bytes:
    with _open_file(path) as stream:
        return _read_path(stream, path, magic)


def _read_path(stream: BinaryIO, path: str, magic: bytes) -> bytes:
    try:
        return _read(stream, magic)
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror or error}") from None


def _read_object(source: Readable, magic: bytes) -> object:
    """Whatever its read() gives; None for what is no bytes, and for text that cannot be decoded."""
    try:
        return _read(source, magic) if isinstance(source, BufferedIOBase | RawIOBase) else source.read()
    except (UnicodeDecodeError, _NoBytesError):
        return None
    except (OSError, ValueError) as error:  # ValueError: it is closed
        name = getattr(source, "name", "")
        where = f"the file object {name!r}" if isinstance(name, str) and name else "the file object"
        if isinstance(error, UnsupportedOperation):
            raise InputError(f"{where} is not open for reading; open it with 'rb'") from None
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"cannot read {where}: {reason}") from None


def _read(stream: Binary, magic: bytes) -> bytes:
    begin = _all_of(stream, len(magic)) if magic else b""
    return begin + _all_of(stream) if begin == magic else begin


def _all_of(stream: Binary, count: int | None = None) -> bytes:
    """To the end, or to `count` bytes. Waits where the stream does not: whoever shares a pipe may have made
    it one that does not block, and then what read() gives ends where nothing was there yet."""
    parts: list[bytes | bytearray | memoryview] = []
    missing = count
    while missing is None or missing > 0:
        part: object = stream.read() if missing is None else stream.read(missing)
        if part is None:
            _wait(stream)
        elif not isinstance(part, bytes | bytearray | memoryview):
            raise _NoBytesError
        elif part:
            parts.append(part)
            missing = None if missing is None else missing - len(part)
        else:
            break
    return b"".join(parts)


def _wait(stream: Binary) -> None:
    """Until there is something to read, or the end."""
    import select

    try:
        ready = select.poll()
        ready.register(stream.fileno(), select.POLLIN)
    except (AttributeError, UnsupportedOperation):
        raise BlockingIOError(errno.EAGAIN, "there is nothing to read yet; give one that waits") from None
    ready.poll()


def _open_file(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read {path!r}: {reason}") from None
