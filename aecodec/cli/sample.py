"""Draw pictures from a variational autoencoder: a contact sheet.

MODEL is the folder of a small autoencoder (docs/autoencoders.md). By default its decoder gets latents
from the prior; with --between A B those on the way from one picture to the other.
"""

from __future__ import annotations

import argparse
import json

from aecodec.cli import common, files, values
from aecodec.errors import UsageError

HELP = "pictures from a variational model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="MODEL", help="folder of an autoencoder")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="contact sheet, or - (PNG) for stdout"
    )
    parser.add_argument(
        "-n", "--count", type=values.count, metavar="N", help="pictures (default 64, between two 10)"
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
    from aecodec.cli import decode, written

    files.check_output(args.folder, args.output, args.force)
    form = decode.format_of(args.output, None)
    from aecodec.latents import sample
    from aecodec.latents.autoencoder import Autoencoder
    from aecodec.pixels import Picture

    if args.seed < 0:
        raise UsageError(f"seed {args.seed} is below 0")
    model = Autoencoder.load(args.folder)
    columns = args.columns
    if args.between:
        ends = []
        for name in args.between:
            data = files.read_input(name)
            with files.about(name):
                ends.append(sample.fitted(model, data))
        found = model.interpolate(ends[0], ends[1], args.count or 10)
        columns = columns or len(found)
    else:
        found = sample.from_prior(model, args.count or 64, args.seed)
    data, _ = written.at_once(Picture(sample.contact_sheet(found, columns, args.scale)), form)
    files.write_output(args.output, data, args.force)
    if args.json:
        facts = {"output": args.output, "model": model.name, "pictures": len(found)}
        common.tell_facts(json.dumps(facts), args.output)
    return 0
