"""SRC and DST -> what is to be done: what SRC holds, which results are there and whole, what is left."""

from __future__ import annotations

import hashlib
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aecodec import remote
from aecodec.cli import files, plan
from aecodec.cli.many.records import FOLDER, Done, Records
from aecodec.cli.plan import Job, Plan
from aecodec.errors import InputError, UsageError

SHARDS = {".parquet": "parquet", ".tar": "webdataset"}
READERS = 8
"""Results that are read at once for --check checksum."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file below SRC."""

    name: str
    relative: str
    """Its name in the tables: the path below SRC, with '/'."""
    size: int | None
    problem: InputError | None = None


def listing(place: str, without: str | None = None) -> Iterator[Item]:
    """The files below a folder, or the file itself, without what earlier runs keep there about themselves.

    without: another folder, which may be below it."""
    if not files.is_folder(place):
        if not files.is_finished(place):
            raise InputError(f"cannot read {place!r}: No such file or directory")
        yield Item(place, plan.base(place), None if remote.is_url(place) else os.path.getsize(place))
        return
    if remote.is_url(place):
        found: Iterable[Item] = (Item(*item) for item in remote.walk(place))
    else:
        found = (Item(p, (r or p).replace(os.sep, "/"), _size(p), e) for p, r, e in files.walk(place))
    below = _below(without, place) if without else None
    for item in found:
        if FOLDER not in item.relative.split("/") and not (below and item.relative.startswith(below)):
            yield item


def kind_of(items: list[Item], wanted: set[str], asked: str) -> str:
    """files, parquet or webdataset. UsageError where SRC holds several of them and none was asked for."""
    if asked != "auto":
        return asked
    suffixes = {suffix_of(item) for item in items}
    kinds = {SHARDS[suffix] for suffix in suffixes if suffix in SHARDS}
    kinds |= {"files"} if suffixes & wanted else set()
    if len(kinds) > 1:
        raise UsageError(f"SRC holds {' and '.join(sorted(kinds))}; choose with --kind")
    return kinds.pop() if kinds else "files"


def jobs(
    items: list[Item], kind: str, wanted: set[str], suffix: str, args: Namespace
) -> tuple[list[Job], int]:
    """-> a job for each input, in the order of their names, and how many files are no inputs.

    wanted: suffixes of inputs; suffix: of results. UsageError when two inputs have one result."""
    shard = next((s for s, k in SHARDS.items() if k == kind), None)
    named = not files.is_folder(args.src)
    found: list[Job] = []
    for item in items:
        if item.problem is not None:
            found.append(Job(item.name, None, item.problem))
        elif named or suffix_of(item) in ({shard} if shard else wanted):
            base = item.relative + suffix if args.full_names and not shard else item.relative
            problem = None if named else files.irregular(item.name)
            target = None if problem else plan.target_of(args.dst, base, shard or suffix)
            found.append(Job(item.name, target, problem))
    other = "" if shard or args.full_names else ", or take --full-names"
    plan.check(found, f"give one another name{other}")
    return found, len(items) - len(found)


def outstanding(
    every: list[Job], items: list[Item], records: Records, args: Namespace, left_out: int
) -> tuple[Plan, dict[str, str]]:
    """-> the jobs whose results are not there, or not whole; and {source: its name in the tables} of all.

    A result is there when the manifest has it, the file has the size that is written there (with --check
    checksum: the contents), and the input still has its size."""
    by_name = {item.name: item for item in items}
    there = {item.name: item.size for item in listing(args.dst)} if files.is_folder(args.dst) else {}
    names = {job.source: by_name[job.source].relative for job in every}
    whole = {names[job.source] for job in every if _is_whole(job, by_name, records.done, there, args)}
    if args.check == "checksum":
        whole -= set(_changed([j for j in every if names[j.source] in whole], names, records.done))
    todo: list[Job] = []
    for job in every:
        unit = names[job.source]
        if unit in whole:
            continue
        ours = unit in records.done
        if ours:
            records.forget(unit)
        replace = args.force or ours or job.target not in there
        todo.append(Job(job.source, job.target, job.problem, replace))
    return Plan(todo, left_out, len(whole)), names


def _is_whole(
    job: Job, by_name: dict[str, Item], done: dict[str, Done], there: dict[str, int | None], args: Namespace
) -> bool:
    item = by_name[job.source]
    entry = done.get(item.relative)
    if entry is None or args.force or job.target not in there:
        return False
    sizes = (there[job.target], entry.output_bytes), (item.size, entry.input_bytes)
    if any(now is not None and now != before for now, before in sizes):
        return False
    return not (entry.failed and args.retry_failed)


def _changed(whole: list[Job], names: dict[str, str], done: dict[str, Done]) -> Iterator[str]:
    def check(job: Job) -> str | None:
        unit = names[job.source]
        return None if checksum(str(job.target)) == done[unit].sha256 else unit

    with ThreadPoolExecutor(READERS, "aecodec") as pool:
        yield from (unit for unit in pool.map(check, whole) if unit is not None)


def checksum(name: str) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with files.opened(name) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def suffix_of(item: Item) -> str:
    return os.path.splitext(item.relative)[1].lower()


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None  # the job that reads it says why


def are_one(a: str, b: str) -> bool:
    """Do two names mean one folder?"""
    return _place(a) == _place(b)


def _below(folder: str, top: str) -> str | None:
    """What the relative paths of a folder's files begin with; None where it is not below the other."""
    folder, top = _place(folder), _place(top)
    return folder.removeprefix(top).lstrip("/") if folder != top and folder.startswith(top) else None


def _place(name: str) -> str:
    """The full name of a folder, with a "/" at its end."""
    name = remote.local_path(name)
    return (name if remote.is_url(name) else os.path.realpath(name).replace(os.sep, "/")).rstrip("/") + "/"
