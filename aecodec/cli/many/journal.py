"""A text file of JSON lines that grows during a run and survives its end, whenever that comes.

On this machine's disks lines are appended. Object stores cannot append: there lines go to small files beside
it, NAME.part00001 and so on, which close() joins into one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from aecodec import remote
from aecodec.cli import files
from aecodec.errors import OutputError

PART_LINES, PART_SECONDS = 1000, 10.0


class Journal:
    """name: path or URL of the file; its folder must be there."""

    def __init__(self, name: str) -> None:
        self.name = remote.local_path(name)
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self._parts = list(_parts(self.name)) if remote.is_url(self.name) else []
        self._stream: IO[bytes] | None = None

    def lines(self) -> Iterator[str]:
        """What is there, and what waits. The last line may be torn where a machine stopped."""
        if remote.is_url(self.name):
            waiting = "".join(self._waiting)  # as of now: while it is read, more may come, or be written
            for name in [self.name] * remote.exists(self.name) + self._parts:
                yield from remote.read(name).decode("utf-8", "replace").splitlines()
            yield from waiting.splitlines()
        elif files.is_finished(self.name):
            with open(self.name, encoding="utf-8", errors="replace") as stream:
                yield from (line.rstrip("\n") for line in stream)

    def append(self, lines: Iterable[str]) -> None:
        """Lines that belong together; they are with the system before the next call."""
        text = [line + "\n" for line in lines]
        if not remote.is_url(self.name):
            with self._writing():
                if self._stream is None:
                    torn = _is_torn(self.name)
                    self._stream = open(self.name, "ab")
                    if torn:
                        text.insert(0, "\n")
                self._stream.write("".join(text).encode())
                self._stream.flush()
            return
        self._waiting += text
        if len(self._waiting) >= PART_LINES or time.monotonic() - self._written >= PART_SECONDS:
            self._flush()

    def replace(self, lines: Iterable[str]) -> None:
        """All lines anew, or none."""
        self._close_stream()
        files.write_output(self.name, "".join(line + "\n" for line in lines).encode(), force=True)
        for part in self._parts:
            remote.remove(part)
        self._parts, self._waiting = [], []

    def close(self) -> None:
        self._close_stream()
        if remote.is_url(self.name):
            self._flush()
            if self._parts:
                self.replace(list(self.lines()))

    def _flush(self) -> None:
        self._written = time.monotonic()
        if self._waiting:
            last = int(self._parts[-1].rpartition(".part")[2]) if self._parts else 0
            part = f"{self.name}.part{last + 1:05}"
            remote.write(part, "".join(self._waiting).encode())
            self._parts.append(part)
            self._waiting = []

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with self._writing():
                stream.close()  # writes what a full disk did not take

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write {self.name!r}: {error.strerror or error}") from None


def _is_torn(path: str) -> bool:
    """Has the last line no end? What is appended must not become a part of it."""
    if not os.path.isfile(path) or not os.path.getsize(path):
        return False
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


def _parts(name: str) -> Iterator[str]:
    folder, _, base = name.rpartition("/")
    if remote.is_folder(folder):
        for found in remote.walk(folder):
            if found.relative.startswith(base + ".part"):
                yield found.url
