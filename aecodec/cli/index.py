"""Index .aec files by what they show, for `aecodec search`.

Only latents are decoded, no pictures. Where FILE exists, files that it has already and that did not change
are not read again, and those that are gone are forgotten. A file that is broken is left out with a message.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from aecodec.cli import common, files
from aecodec.errors import UsageError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec

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
    if files.PIPE in (*args.names, args.output):
        raise UsageError("an index is of files that have names; '-' has none")
    from aecodec.cli import batch, outcome, plan
    from aecodec.latents import index

    folder = os.path.dirname(os.path.abspath(args.output))
    fresh = args.rebuild or not os.path.exists(args.output)
    made = index.Index() if fresh else index.load(args.output)
    jobs = plan.make(args.names, True, lambda: {".aec"})
    seen: set[str] = set()

    def work(codec: Codec, job: Job) -> Outcome:
        entry = index.entry_of(job.source, folder)
        if entry in made:
            seen.add(entry.path)
            return outcome.Outcome(job.source, None, outcome.SKIPPED)
        with files.about(job.source):
            vector, model_id = index.vector_of(job.source, codec, args.verify)
        made.add(entry, vector, model_id)
        seen.add(entry.path)
        return outcome.Outcome(job.source, None, bytes=entry.size)

    try:
        code = batch.run(args, jobs, work, skipped="in the index already")
    except KeyboardInterrupt:  # the next run goes on from here
        files.write_output(args.output, made.pack(), force=True)
        raise
    if gone := made.keep(seen):
        common.note(f"forgot {gone} that are gone, or broken now")
    files.write_output(args.output, made.pack(), force=True)
    return code
