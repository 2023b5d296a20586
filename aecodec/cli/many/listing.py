"""What SRC and DST hold: files, their sizes, and versions by which a change is seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from aecodec import remote
from aecodec.cli import files, plan
from aecodec.cli.many.records import FOLDER
from aecodec.errors import InputError


@dataclass(frozen=True, slots=True)
class Item:
    """A file below SRC."""

    name: str
    relative: str
    """Its name in the tables: the path below SRC, with '/'."""
    size: int | None
    problem: InputError | None = None
    version: str | None = None
    """The time of its last change in nanoseconds, or what its store has; None where that is not known."""


def listing(place: str, without: str | None = None) -> Iterator[Item]:
    """The files below a folder, or the file itself, without what earlier runs keep there about themselves.

    without: another folder, which may be below it. InputError where there is nothing."""
    far = remote.is_url(place)
    if not files.is_folder(place):
        if not files.is_finished(place):
            raise InputError(f"cannot read {place!r}: No such file or directory")
        size, version = remote.entry(place)[2:] if far else local_facts(place)
        yield Item(place, plan.base(place), size, None, version)
        return
    found = _far(place) if far else _near(place)
    below = files.below(without, place) if without else None
    for item in found:
        if FOLDER not in item.relative.split("/") and not (below and item.relative.startswith(below)):
            yield item


def local_facts(path: str) -> tuple[int | None, str | None]:
    """Size and version of a file on this machine; None, None where it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None, None  # the job that reads it says why
    return found.st_size, str(found.st_mtime_ns)


def _near(folder: str) -> Iterator[Item]:
    for path, relative, problem in files.walk(folder):
        size, version = local_facts(path)
        yield Item(path, (relative or path).replace(os.sep, "/"), size, problem, version)


def _far(folder: str) -> Iterator[Item]:
    for found in remote.walk(folder):
        yield Item(found.url, found.relative, found.size, None, found.version)
