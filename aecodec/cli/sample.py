"""Draw pictures from a variational autoencoder: a contact sheet.

MODEL is the folder of a small autoencoder (docs/autoencoders.md). By default its decoder gets latents
from the prior; with --between A B those on the way from one picture to the other.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from aecodec.cli import common, files, values
from aecodec.errors import UsageError

if TYPE_CHECKING:
    from aecodec.pixels import Picture

HELP = "pictures from a variational model"
COUNT, COUNT_BETWEEN = 64, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="MODEL", help="folder of an autoencoder")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="contact sheet, or - (PNG) for stdout"
    )
    parser.add_argument(
        "-n",
        "--count",
        type=values.count,
        metavar="N",
        help=f"pictures (default {COUNT}, between two {COUNT_BETWEEN})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="another number, other pictures (default 0)"
    )
    parser.add_argument("--between", nargs=2, metavar=("A", "B"), help="two pictures to go from and to")
    parser.add_argument(
        "--columns", type=values.count, metavar="N", help="of the sheet (default: a square, or a row)"
    )
    parser.add_argument(
        "--scale", type=values.count, metavar="N", help="enlarge N times (default: small ones, to about 64)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="what was done as JSON (on stderr if OUT is -)")


def run(args: argparse.Namespace) -> int:
    from aecodec.cli.attempt import told

    with told(args, args.folder, args.output):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from aecodec.cli import decode, written
    from aecodec.cli.outcome import Outcome

    ends: list[str] = args.between or []
    if ends.count(files.PIPE) > 1:
        raise UsageError("only one of the two pictures can come from stdin")
    for name in (args.folder, *ends):
        files.check_output(name, args.output, args.force)
    form = decode.format_of(args.output, None)
    from aecodec.latents import sample
    from aecodec.latents.autoencoder import Autoencoder
    from aecodec.pixels import Picture

    if args.seed < 0:
        raise UsageError(f"seed {args.seed} is below 0")
    began = time.perf_counter()
    model = Autoencoder.load(args.folder)
    count, notes = args.count or (COUNT_BETWEEN if ends else COUNT), []
    columns = args.columns or (count if ends else None)
    sample.layout((count, *model.input), columns, args.scale)  # before anything is computed for it
    if ends:
        pictures = [_read(name) for name in ends]
        first, last = (sample.fitted(model, picture) for picture in pictures)
        notes = [f"{name!r}: {note}" for name, p in zip(ends, pictures, strict=True) for note in p.notes]
        found = model.interpolate(first, last, count)
    else:
        found = sample.from_prior(model, count, args.seed)
    data, more = written.at_once(Picture(sample.contact_sheet(found, columns, args.scale)), form)
    files.write_output(args.output, data, args.force)
    notes += more
    if args.json:
        facts = {"model": model.name, "pictures": len(found)}
        seconds = time.perf_counter() - began
        done = Outcome(args.folder, args.output, seconds=seconds, notes=tuple(notes), found=facts)
        common.tell_facts(done.as_json(), args.output)
    else:
        for text in notes:
            common.note(text)
    return 0


def _read(name: str) -> Picture:
    """An .aec file or any other picture; what transparency hides shows."""
    from aecodec import pixels
    from aecodec.codec import Codec
    from aecodec.container import MAGIC

    data = files.read_input(name)
    with files.about(name):
        if data.startswith(MAGIC):
            return Codec().decode_picture(data)
        return pixels.read_picture(data, alpha=False)
