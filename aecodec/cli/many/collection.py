"""SRC and DST -> what is to be done: what SRC holds, which results are there and whole, what is left."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from aecodec import remote
from aecodec.cli import files, plan
from aecodec.cli.many.listing import Item, listing, local_facts
from aecodec.cli.many.records import Done, Records
from aecodec.cli.plan import Job, Plan
from aecodec.errors import UsageError

SHARDS = {".parquet": "parquet", ".tar": "webdataset"}
READERS = 8
"""Files that are read at once for their checksums."""


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
            found.append(Job(item.name, target, problem, version=item.version))
    other = "" if shard or args.full_names else ", or take --full-names"
    plan.check(found, f"give one another name{other}")
    return found, len(items) - len(found)


def outstanding(
    every: list[Job], items: list[Item], records: Records, args: Namespace, left_out: int
) -> tuple[Plan, dict[str, str]]:
    """-> the jobs whose results are not there, or not whole; and {source: its name in the tables} of all.

    A result is there when the manifest has it, the file has the size that is written there (with --check
    checksum: the contents), and the input still has its size, and its version or else its contents."""
    by_name = {item.name: item for item in items}
    names = {job.source: by_name[job.source].relative for job in every}
    there = _there([job for job in every if names[job.source] in records.done], args.dst)
    whole = {names[job.source] for job in every if _is_whole(job, by_name, records.done, there, args)}
    if args.check == "checksum":
        whole -= set(_changed([j for j in every if names[j.source] in whole], names, records.done))
    whole -= set(_other_inputs([j for j in every if names[j.source] in whole], names, records))
    todo: list[Job] = []
    for job in every:
        unit = names[job.source]
        if unit in whole:
            continue
        # No link leads out of a store's listing, and asking it for each name again would take its time.
        free = args.force or (remote.is_url(args.dst) and job.target not in there)
        todo.append(dataclasses.replace(job, replace=free or records.is_ours(unit)))
    return Plan(todo, left_out, len(whole)), names


def _there(done: list[Job], dst: str) -> dict[str, int | None]:
    """The results that are there, and their sizes. Those on this machine's disks are looked at one by one: a
    folder in DST may be a link, which no listing follows."""
    if remote.is_url(dst):
        return {item.name: item.size for item in listing(dst)} if files.is_folder(dst) else {}
    targets = (job.target for job in done if job.target and os.path.isfile(job.target))
    return {target: local_facts(target)[0] for target in targets}


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


def _other_inputs(whole: list[Job], names: dict[str, str], records: Records) -> Iterator[str]:
    """Units whose inputs have the sizes that they had and other contents. Only those of another version are
    read; the manifest learns the versions of inputs that were copied or touched."""

    def is_new(job: Job) -> bool:
        before = records.done[names[job.source]].input_version
        return None not in (job.version, before) and job.version != before

    suspects = [job for job in whole if is_new(job)]
    if not suspects:
        return
    before = records.input_checksums({names[job.source] for job in suspects})

    def is_same(job: Job) -> bool:
        kept = before.get(names[job.source])
        try:
            return kept is not None and checksum(job.source) == kept
        except Exception:
            return False  # the job says why it cannot be read

    with ThreadPoolExecutor(READERS, "aecodec") as pool:
        for job, same in zip(suspects, pool.map(is_same, suspects), strict=True):
            if same:
                records.confirm(names[job.source], str(job.version))
            else:
                yield names[job.source]


def checksum(name: str) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with files.opened(name) as stream:
        return digest(stream)


def digest(stream: IO[bytes]) -> str:
    """SHA-256 of what is left of a stream."""
    found = hashlib.sha256()
    while block := stream.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def suffix_of(item: Item) -> str:
    return os.path.splitext(item.relative)[1].lower()
