"""Index .aec files by what they show, for `aecodec search`.

Only latents are decoded, no pictures, but for those with blocks coded as pixels. Where FILE exists, files
that it has already and that did not change are not read again, those of other folders stay, and those that
are gone are forgotten. A file that is broken is left out with a message.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecodec import remote
from aecodec.cli import common, files, streams
from aecodec.errors import FormatError, InputError, OutputError, UsageError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec
    from aecodec.latents.index import Index

HELP = "a searchable index of .aec files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", metavar="DIR", nargs="+", help="folder with .aec files, at any depth, or a file"
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="the index, .npz")
    common.add_jobs(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read all of the latents and verify their checksum, not only that of the bytes",
    )
    parser.add_argument("--rebuild", action="store_true", help="read everything again")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file")


def run(args: argparse.Namespace) -> int:
    common.one_thread_for_matrices()
    if files.PIPE in args.names or streams.is_stream(args.output):
        raise UsageError("an index is of files that have names, and a file itself; '-' has none")
    args.names, args.output = list(map(remote.local_path, args.names)), remote.local_path(args.output)
    for name in (*args.names, args.output):
        if remote.is_url(name):
            raise UsageError(
                f"{name!r} is a URL; an index is of files on this machine's disks: copy them here first"
            )
    for name in args.names:
        files.check_output(name, args.output, force=True)
    from aecodec.cli import batch, outcome, plan
    from aecodec.latents import index

    folder = index.folder_of(args.output)
    there_already = os.path.isfile(args.output)  # a device would be read without end
    if there_already and args.rebuild and not index.is_index(args.output):
        raise OutputError(f"{args.output!r} is there and no index; give another name, or remove it")
    state = _state(args.output)
    made = _known(args) if there_already else index.Index()
    jobs = plan.make(args.names, True, lambda: {".aec"})
    plan.check_result(jobs.jobs, args.output)
    whole = False
    if not _holds(made, [job.source for job in jobs.jobs if not job.problem], folder, args.rebuild):
        whole = args.rebuild and len(made) > 0
        made = index.Index()  # its files may be of another model now
    there: set[str] = set()
    seen: set[str] = set()
    irregular = {index.path_of(job.source, folder) for job in jobs.jobs if job.problem}
    one_at_a_time = threading.Lock()

    def work(codec: Codec, job: Job) -> Outcome:
        entry = index.entry_of(job.source, folder)
        there.add(entry.path)
        if entry in made and (entry.path in seen or not args.rebuild):
            seen.add(entry.path)
            return outcome.Outcome(job.source, None, outcome.SKIPPED)
        with files.about(job.source):
            vector, model_id = index.vector_of(job.source, codec, args.verify)
        with one_at_a_time:
            made.add(entry, vector, model_id)
        seen.add(entry.path)
        return outcome.Outcome(job.source, None, bytes=entry.size)

    try:
        code = batch.run(args, jobs, work, skipped="in the index already", goes_on=not args.rebuild)
    except BaseException:  # the next run goes on from here, but for a part that would replace a whole
        if len(made) and not whole:
            _catch_up(made, args.output, state)
            files.write_output(args.output, made.pack(), force=True)
        raise
    if code and not (seen if args.rebuild else there):
        return code  # a name that was mistyped, or a model that is missing
    _catch_up(made, args.output, state)
    broken = (there | irregular) - seen
    kept = [
        path for path in made.paths if path not in broken and (path in seen or not _is_gone(path, folder))
    ]
    if gone := made.keep(kept):
        common.note(f"forgot {gone} that are gone, or cannot be indexed any more")
    files.write_output(args.output, made.pack(), force=True)
    return code


def _known(args: argparse.Namespace) -> Index:
    """What the file has; where it is to be built again, nothing of one that this release does not read."""
    from aecodec.latents import index

    try:
        return index.load(args.output)
    except FormatError:
        if args.rebuild:
            return index.Index()
        raise


def _state(path: str) -> tuple[int, int] | None:
    """Of a file, another one when it has been written anew."""
    with contextlib.suppress(OSError):
        facts = os.stat(path)
        return facts.st_ino, facts.st_mtime_ns
    return None


def _catch_up(made: Index, path: str, state: tuple[int, int] | None) -> None:
    """With what another process has written meanwhile."""
    from aecodec.latents import index

    if _state(path) != state and os.path.isfile(path):
        with contextlib.suppress(FormatError):
            made.fill(index.load(path))


def _holds(made: Index, names: Sequence[str], folder: str, every: bool) -> bool:
    """Is anything of the index still true, given that these files will be read: every one, or where they
    changed?"""
    from aecodec.latents import index

    read: set[str] = set()
    for name in names:
        with contextlib.suppress(InputError):
            entry = index.entry_of(name, folder)
            if entry in made and not every:
                return True
            read.add(entry.path)
    return any(path not in read and not _is_gone(path, folder) for path in made.paths)


def _is_gone(path: str, folder: str) -> bool:
    """Not merely where it cannot be looked at."""
    try:
        os.stat(os.path.join(folder, path))
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    return False
