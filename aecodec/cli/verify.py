"""Check .aec files: every checksum, and that the symbols decode to theirs.

Prints a line for each file. The exit code is that of the first file that is not whole, 0 if all are.
"""

from __future__ import annotations

import argparse
import sys
from typing import IO, TYPE_CHECKING

from aecodec.cli import common, files
from aecodec.errors import AecodecError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec

HELP = "check files without decoding their pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="FILE", nargs="+", help=".aec file, or - for stdin")
    common.add_batch_arguments(parser, out_dir=False)
    common.add_runtime_arguments(parser)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file")


def run(args: argparse.Namespace) -> int:
    from aecodec.cli import batch, plan

    return batch.run(args, plan.make(args.names, args.recursive, lambda: {".aec"}), _verify, _show)


def _verify(codec: Codec, job: Job) -> Outcome:
    from aecodec import container
    from aecodec.cli.outcome import Outcome

    data = files.read_input(job.source, container.MAGIC)
    codec.verify(data)
    header = container.read_header(data, codec.limits)
    return Outcome(job.source, None, bytes=len(data), bpp=8 * len(data) / (header.width * header.height))


def _show(outcome: Outcome) -> list[tuple[str, IO[str]]]:
    kinds = {e.exit_code: e.__name__.removesuffix("Error").lower() for e in AecodecError.__subclasses__()}
    kind = kinds.get(outcome.exit_code, "unexpected")
    verdict = f"{kind}: {' '.join(outcome.error.split())}" if outcome.error else "ok"
    return [(f"{common.shown(outcome.input)}: {verdict}", sys.stdout)]
