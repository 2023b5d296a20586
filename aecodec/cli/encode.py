"""Compress a picture into an .aec file.

IN is any picture that Pillow reads (PNG, JPEG, TIFF, WebP, AVIF, ...); '-' is stdin or stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any

from aecodec.cli import common, files

HELP = "picture -> .aec"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="picture, or - for stdin")
    parser.add_argument("output", metavar="OUT", help=".aec file, or - for stdout")
    parser.add_argument(
        "-q", "--quality", type=common.quality, default=60.0, metavar="0..100", help="quality (default 60)"
    )
    alpha = parser.add_mutually_exclusive_group()
    alpha.add_argument(
        "--alpha-quality",
        type=common.quality,
        metavar="0..100",
        help="code transparency with loss (default: exactly)",
    )
    alpha.add_argument("--no-alpha", action="store_true", help="leave transparency out")
    _add_targets(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="result as JSON (on stderr if OUT is -)")


def _add_targets(parser: argparse.ArgumentParser) -> None:
    targets = parser.add_argument_group("targets", "instead of a quality; at most one of them")
    targets.add_argument(
        "--target-bpp", type=common.positive, metavar="BITS", help="bits a pixel, whole file"
    )
    targets.add_argument(
        "--target-size", type=common.size, metavar="BYTES", help="bytes; 40k is 40000, 1.5M is 1500000"
    )
    targets.add_argument("--target-psnr", type=common.positive, metavar="DB", help="PSNR of the colours")
    targets.add_argument(
        "--max-size", type=common.size, metavar="BYTES", help="lower -q where the file would be larger"
    )


def run(args: argparse.Namespace) -> int:
    files.check_output(args.input, args.output, args.force)
    from aecodec import pixels
    from aecodec.codec import Codec
    from aecodec.rate_control import Target

    codec = Codec(args.model, args.device, args.threads)
    source = files.read_input(args.input)
    with files.about(args.input):
        picture = pixels.read_picture(source, codec.limits, alpha=not args.no_alpha)
    began = time.perf_counter()
    target = Target(args.target_bpp, args.target_size, args.target_psnr, args.max_size)
    if target:
        found = codec.encode_to(picture, target, args.quality, args.alpha_quality)
        data, runs = found.data, found.runs
        picture = replace(picture, notes=(*picture.notes, *([found.note] if found.note else [])))
    else:
        data, runs = codec.encode_picture(picture, args.quality, args.alpha_quality), 1
    seconds = time.perf_counter() - began
    files.write_output(args.output, data, args.force)
    if args.json:
        facts = {"input_bytes": len(source), "seconds": round(seconds, 4), "encodings": runs}
        _print_json(args.output, data, facts | {"notes": list(picture.notes)})
    else:
        for text in picture.notes:
            common.note(text)
    return 0


def _print_json(output: str, data: bytes, facts: dict[str, Any]) -> None:
    from aecodec.describe import info

    result = info(data) | {"file": output} | facts
    print(json.dumps(result), file=sys.stderr if output == files.PIPE else sys.stdout)
