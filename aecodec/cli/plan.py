"""Many inputs -> what to make of each: files and folders -> jobs, before anything is read or written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from aecodec import remote
from aecodec.cli import files
from aecodec.errors import AecodecError, InputError, UsageError

APART = "give them different --out-dir, or one another name"
"""What helps where two inputs have one result."""


@dataclass(frozen=True, slots=True)
class Job:
    """One input and where its result goes."""

    source: str
    target: str | None = None
    """None: nothing is written."""
    problem: AecodecError | None = None
    """Why there is nothing to do: a folder that cannot be listed, say."""
    replace: bool = False
    """May the result take the place of a file that is there? Only `batch` asks."""
    version: str | None = None
    """Of the input, as `batch` notes it."""


@dataclass(frozen=True, slots=True)
class Plan:
    jobs: list[Job]
    left_out: int = 0
    """Files in the folders whose suffixes say that they are no inputs."""
    finished: int = 0
    """Inputs that are no jobs because their results are there."""


def make(
    inputs: Sequence[str],
    recursive: bool,
    suffixes: Callable[[], set[str]],
    folder: str | None = None,
    suffix: str = "",
    advice: str = APART,
) -> Plan:
    """What the command line names -> jobs in its order; what a folder holds, in the order of the names.

    suffixes: of the files to take from folders, lower-case; files that are named are always taken. Where
    results have such a suffix, those of earlier runs are not taken from a folder in a named one.
    folder, suffix: results are folder/NAME.suffix, with the tree below a named folder mirrored; without
    folder there are none. UsageError when two inputs have one result, with advice, or when a result would
    replace an input.
    """
    if folder is not None:
        check_folder(folder)
    jobs: list[Job] = []
    left_out = 0
    for name in inputs:
        if name == files.PIPE and folder is not None:
            raise UsageError("'-' has no name that its result could have; use IN OUT without --out-dir")
        if name == files.PIPE or not files.is_folder(name):
            jobs.append(Job(name, target_of(folder, base(name), suffix)))
        elif not recursive:
            jobs.append(Job(name, problem=InputError(f"{name!r} is a folder; use -r to take what is in it")))
        else:
            wanted = suffixes()
            own = files.below(folder, name) if folder is not None and suffix in wanted else None
            for path, relative, problem in files.walk(name):
                result = own is not None and relative.replace(os.sep, "/").startswith(own)
                if result or (problem is None and os.path.splitext(relative)[1].lower() not in wanted):
                    left_out += 1
                else:
                    problem = problem or files.irregular(path)
                    jobs.append(Job(path, None if problem else target_of(folder, relative, suffix), problem))
    check(jobs, advice)
    return Plan(jobs, left_out)


def once(plan: Plan) -> Plan:
    """Each input a single time, where some are named, or lie in folders that are named, more than once."""
    first: dict[str, Job] = {}
    for job in plan.jobs:
        first.setdefault(job.source if job.source == files.PIPE else _key(job.source), job)
    return replace(plan, jobs=list(first.values()))


def base(name: str) -> str:
    """The last part of a path, or of a URL without what it is chained to."""
    return remote.own_part(name)[1].rpartition("/")[2] if remote.is_url(name) else os.path.basename(name)


def check_folder(name: str, what: str = "the folder for results") -> None:
    """UsageError for a name that results cannot be put below."""
    if not name:
        raise UsageError(f"the name of {what} is empty; give . for the current folder")
    files.check_store(name, what)


def target_of(folder: str | None, relative: str, suffix: str) -> str | None:
    """folder/relative with another suffix."""
    if folder is None:
        return None
    return join(folder, os.path.splitext(relative)[0] + suffix)


def join(folder: str, name: str) -> str:
    """A name below a folder, which may be all of a store: memory://"""
    return remote.join(folder, name) if remote.is_url(folder) else os.path.join(folder, name)


def _key(name: str) -> str:
    """Equal for names of one file."""
    return remote.uncached(name) if remote.is_url(name) else os.path.normcase(os.path.realpath(name))


def check_result(jobs: Sequence[Job], result: str) -> None:
    """UsageError when the one result of all jobs would replace an input."""
    key = _key(result)
    for job in jobs:
        if job.source != files.PIPE and _key(job.source) == key:
            raise UsageError(f"{result!r} would replace the input {job.source!r}; nothing was written")


def check(jobs: Sequence[Job], advice: str) -> None:
    """UsageError when two inputs have one result, with advice, or when a result would replace an input."""
    sources = {_key(job.source): job.source for job in jobs}
    taken: dict[str, str] = {}
    for job in jobs:
        if job.target is None:
            continue
        key = _key(job.target)
        if key in taken:
            raise UsageError(
                f"{taken[key]!r} and {job.source!r} would both become {job.target!r}; "
                f"nothing was written; {advice}"
            )
        if key in sources:
            raise UsageError(f"{job.target!r} would replace the input {sources[key]!r}; nothing was written")
        taken[key] = job.source
