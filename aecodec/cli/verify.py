"""Check .aec files: every checksum, and that the symbols decode to theirs.

Prints a line for each file. The exit code is that of the first file that is not whole, 0 if all are.
"""

from __future__ import annotations

import argparse
import sys

from aecodec.cli import common, files
from aecodec.errors import AecodecError

HELP = "check files without decoding their pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", metavar="FILE", nargs="+", help=".aec file, or - for stdin")
    common.add_runtime_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from aecodec.codec import Codec

    codec = Codec(args.model, args.device, args.threads)
    code = 0
    for name in args.inputs:
        try:
            codec.verify(files.read_input(name))
        except AecodecError as error:
            print(f"{name}: {type(error).__name__.removesuffix('Error').lower()}: {error}")
            code = code or error.exit_code
        else:
            print(f"{name}: ok")
        sys.stdout.flush()
    return code
