"""Decompress .aec files into pictures.

OUT's suffix chooses the format (.png, .jpg, .tif, .webp, ...) where --format does not; for '-', /dev/stdout
and /dev/fd/3, which are written into and not replaced, it is PNG.
Colour profile, EXIF (with the orientation), XMP and resolution are written where the format takes them;
pixels are as stored. 16-bit colour needs .png, 16-bit grey .png or .tif; other formats get 8 bits.
With --out-dir there may be any number of inputs, and results that are there already are skipped.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aecodec.cli import common, files, signals, streams, values
from aecodec.errors import SALVAGED, UsageError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.codec import Codec

HELP = ".aec -> picture"
UNFIT = {
    ".pfm": "it holds floating-point numbers, and pictures here are of whole ones",
    ".pbm": "it holds black and white alone",
}
"""Formats under whose names Pillow would write another one."""
USAGE = "aecodec decode [options] IN OUT\n       aecodec decode [options] --out-dir DIR [-r] IN..."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", metavar="IN", nargs="+", help=".aec file, or - for stdin; the last is OUT, or - for stdout"
    )
    part = add_picture(parser)
    part.add_argument(
        "--region",
        type=values.region,
        metavar="X,Y,W,H",
        help="a part only, in pixels; reads only what it needs",
    )
    parser.add_argument("--no-alpha", action="store_true", help="leave transparency out")
    common.add_batch_arguments(parser)
    common.add_metadata(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace results that exist")
    parser.add_argument(
        "--json", action="store_true", help="results as JSON, a line each (on stderr if OUT is -)"
    )


def add_picture(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """What the picture is to be -> the group of options of which one at most can be given."""
    parser.add_argument("--format", metavar="NAME", help="png (default), jpg, tif, webp, ...: OUT's format")
    parser.add_argument(
        "--apply-orientation", action="store_true", help="turn the picture upright as EXIF says"
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--salvage",
        action="store_true",
        help="of a damaged file give what is whole; exit code 10 if not all is",
    )
    part.add_argument(
        "--scale",
        type=values.scale,
        default=1,
        metavar="1/N",
        help="smaller: 1/2 (or 0.5), 1/4, 1/8 or 1/16; the last two are fast where the model has previews",
    )
    part.add_argument(
        "--fit",
        type=values.count,
        metavar="N",
        help="at most N pixels wide and high, the fastest way; where it resamples, 16 bits become 8",
    )
    return part


def run(args: argparse.Namespace) -> int:
    common.one_thread_for_matrices()
    if args.out_dir is not None:
        return _run_batch(args)
    source, target = common.names_of(args)
    from aecodec.cli.attempt import told

    with told(args, source, target):
        return _run(args, source, target)


def _run(args: argparse.Namespace, source: str, target: str) -> int:
    if files.suffix_of(target) == ".aec":  # it might be the last of several inputs
        raise UsageError(
            f"{target!r} has the name of an .aec file; name the output .png, .jpg, .tif or .webp, "
            "or give --out-dir where all names are inputs"
        )
    files.check_output(source, target, args.force)
    form = format_of(target, args.format)
    began = time.perf_counter()
    codec = common.codec_of(args)
    outcome = replace(_decode(codec, args, source, target, form), seconds=time.perf_counter() - began)
    if args.json:
        common.tell_facts(outcome.as_json(), target)
    else:
        for text in outcome.notes:
            common.note(f"{source!r}: {text}")
    return outcome.exit_code


def _run_batch(args: argparse.Namespace) -> int:
    from aecodec.cli import batch, plan

    suffix, form = chosen(args.format)
    jobs = plan.make(args.names, args.recursive, lambda: {".aec"}, args.out_dir, suffix)
    return batch.run(args, jobs, lambda codec, job: _decode(codec, args, job.source, str(job.target), form))


def _decode(codec: Codec, args: argparse.Namespace, source: str, target: str, form: str) -> Outcome:
    from aecodec.cli import outcome
    from aecodec.container import MAGIC
    from aecodec.source import map_bytes

    apart = args.region and source != files.PIPE  # only the pages that the region needs are read
    data = map_bytes(source, MAGIC) if apart else files.read_input(source, MAGIC)
    decoded = decode(codec, args, data, source, form)
    signals.check()
    with files.about(source):
        files.write_output(target, decoded.contents, args.force)
    return outcome.Outcome(
        source,
        target,
        outcome.SALVAGED if decoded.lost else outcome.DONE,
        decoded.bytes,
        decoded.bpp,
        exit_code=SALVAGED if decoded.lost else 0,
        notes=decoded.notes,
    )


@dataclass(frozen=True, slots=True)
class Decoded:
    contents: files.Contents
    """Of the picture's file. What writes it finds damaged symbols only then: use it below files.about."""
    bytes: int
    """Of the .aec file."""
    bpp: float
    """Of the .aec file, over the pixels of the whole picture."""
    lost: bool
    """Are parts missing?"""
    notes: tuple[str, ...]


def decode(codec: Codec, args: argparse.Namespace, data: bytes | memoryview, name: str, form: str) -> Decoded:
    """An .aec file -> a picture's file in Pillow's format `form`. Errors begin with its name.

    A large picture is not held: its rows are decoded as they are written, where `form` and args allow it."""
    from aecodec import container, thumbnail
    from aecodec.cli import written
    from aecodec.groups import note_of_lost
    from aecodec.orientation import upright
    from aecodec.raster import is_large

    contents: files.Contents
    lost: list[int] = []
    with files.about(name):
        if not (args.region or args.fit) and args.scale == 1:
            codec.prepare(data)
        header = container.read_header(data, codec.limits)
        scale = _scale(args, data, codec)
        whole = not (args.salvage or args.region or args.apply_orientation or args.fit) and scale == 1
        large = is_large(header.width, header.height)
        if large:
            common.return_memory()
        rows: written.Rows | None = None
        if whole and large:
            picture, rows = codec.stream(data)
        elif args.salvage:
            picture, lost = codec.salvage(data)
        else:
            picture = codec.read(data, args.region, scale)
        if args.fit:
            picture = thumbnail.fit(picture, args.fit)
        if args.apply_orientation:
            picture = upright(picture)
        picture = common.keep_metadata(picture, args.metadata)
        if args.no_alpha:
            picture = replace(picture, alpha=None)
        if rows is None and is_large(picture.pixels.shape[1], picture.pixels.shape[0]):
            rows = written.rows_of(picture)
        if rows is None:
            contents, notes = written.at_once(picture, form)
        else:
            contents, notes = written.by_rows(picture, rows, form, codec.threads)
        notes = picture.notes + notes + note_of_lost(lost)
    bpp = 8 * len(data) / (header.width * header.height)
    return Decoded(contents, len(data), bpp, bool(lost or picture.lost), notes)


def _scale(args: argparse.Namespace, data: bytes | memoryview, codec: Codec) -> float:
    """--scale, or what --fit needs."""
    if not args.fit:
        return float(args.scale)
    from aecodec import container, preview, thumbnail

    header = container.read_header(data, codec.limits)
    return 1 / thumbnail.divisor_for(header.width, header.height, args.fit, preview.DIVISORS)


def chosen(name: str | None) -> tuple[str, str]:
    """--format, where there is no OUT -> the suffix of results, Pillow's name of the format."""
    name = name or "png"
    return _suffix(name), format_of("", name)


def format_of(output: str, name: str | None) -> str:
    """Pillow's name of the format that --format or OUT's suffix asks for; PGM is none of Pillow's, but of
    aecodec.cli.formats."""
    from PIL import Image

    if streams.is_stream(output) and not name:
        return "PNG"
    suffix = _suffix(name) if name else os.path.splitext(output)[1].lower()
    form = Image.registered_extensions().get(suffix)
    where = f"format {name!r}" if name else repr(output)
    if suffix in UNFIT:
        raise UsageError(f"{where}: {suffix} is not written: {UNFIT[suffix]}; use .ppm, .png or .tif")
    if form is None or form not in Image.SAVE or form == "AEC":
        raise UsageError(f"{where}: no format has the suffix {suffix!r}; use .png, .jpg, .tif or .webp")
    return "PGM" if suffix == ".pgm" else form


def _suffix(name: str) -> str:
    return "." + name.lower().removeprefix(".")
