"""Fill what is missing of a picture: scratches, text written over it, holes.

MASK is a picture of the same size, white where pixels are to be filled. What is around is continued into the
hole; all other pixels stay as they are.
"""

from __future__ import annotations

import argparse
import time

from aecodec.cli import common, files
from aecodec.errors import UsageError

HELP = "fill what a mask marks in a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="PICTURE", help="any picture or .aec file, or - for stdin")
    parser.add_argument(
        "--mask", metavar="MASK", required=True, help="a picture, white where PICTURE is missing"
    )
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="picture, or - (PNG) for stdout")
    common.add_metadata(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="what was done as JSON (on stderr if OUT is -)")


def run(args: argparse.Namespace) -> int:
    from aecodec.cli.attempt import told

    with told(args, args.input, args.output):
        return _run(args, args.input, args.output)


def _run(args: argparse.Namespace, source: str, target: str) -> int:
    from aecodec.cli import batch, decode, outcome, written

    if source == args.mask == files.PIPE:
        raise UsageError("only one of picture and mask can come from stdin")
    for name in (source, args.mask):
        files.check_output(name, target, args.force)
    form = decode.format_of(target, None)
    from aecodec.latents import inpaint

    # Blocks coded as pixels would keep the hole as it is.
    codec = common.codec_of(args, pixel_blocks=False)
    picture = common.keep_metadata(common.read_any(source, codec), args.metadata)
    data = files.read_input(args.mask)
    with files.about(args.mask):
        mask = inpaint.read_mask(data, picture, codec.limits)
    began = time.perf_counter()
    with batch.progress(len(inpaint.QUALITIES), "turn") as bar:
        step = (lambda: None) if bar is None else bar.update
        filled = inpaint.inpaint(picture, mask, codec, step=step)
    packed, notes = written.at_once(filled, form)
    seconds = time.perf_counter() - began
    files.write_output(target, packed, args.force)
    notes = picture.notes + notes
    if not mask.any():
        notes += (f"the mask {args.mask!r} is white nowhere: nothing was filled",)
    elif mask.all():
        notes += (f"the mask {args.mask!r} is white everywhere: nothing of the picture is left",)
    if args.json:
        found = {"filled": int(mask.sum())}
        done = outcome.Outcome(source, target, seconds=seconds, notes=notes, found=found)
        common.tell_facts(done.as_json(), target)
    else:
        for text in notes:
            common.note(text)
    return 0
