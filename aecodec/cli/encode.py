"""Compress a picture into an .aec file.

IN is any picture that Pillow reads (PNG, JPEG, TIFF, WebP, AVIF, ...); '-' is stdin or stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from aecodec.cli import common, files

HELP = "picture -> .aec"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="picture, or - for stdin")
    parser.add_argument("output", metavar="OUT", help=".aec file, or - for stdout")
    parser.add_argument(
        "-q", "--quality", type=common.quality, default=60.0, metavar="0..100", help="quality (default 60)"
    )
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="result as JSON (on stderr if OUT is -)")


def run(args: argparse.Namespace) -> int:
    files.check_output(args.input, args.output, args.force)
    from aecodec import pixels
    from aecodec.codec import Codec

    codec = Codec(args.model, args.device, args.threads)
    source = files.read_input(args.input)
    with files.about(args.input):
        picture = pixels.read_picture(source, codec.limits)
    began = time.perf_counter()
    data = codec.encode_picture(picture, args.quality)
    seconds = time.perf_counter() - began
    files.write_output(args.output, data, args.force)
    if args.json:
        _print_json(args.output, data, len(source), seconds, picture.notes)
    else:
        for text in picture.notes:
            common.note(text)
    return 0


def _print_json(output: str, data: bytes, source_bytes: int, seconds: float, notes: tuple[str, ...]) -> None:
    from aecodec.describe import info

    facts = info(data) | {
        "file": output,
        "input_bytes": source_bytes,
        "seconds": round(seconds, 4),
        "notes": list(notes),
    }
    print(json.dumps(facts), file=sys.stderr if output == files.PIPE else sys.stdout)
