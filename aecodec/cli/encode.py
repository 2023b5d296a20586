"""Compress pictures into .aec files.

IN is any picture that Pillow reads (PNG, JPEG, TIFF, WebP, AVIF, ...); '-' is stdin or stdout. An OUT that is
open already (/dev/stdout, /dev/fd/3) is written into, and not replaced. With --out-dir there may be any
number of inputs, and results that are there already are skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aecodec import models
from aecodec.cli import common, files, signals, values
from aecodec.errors import UsageError
from aecodec.models import TUNES
from aecodec.options import CLASH, DEFAULT_QUALITY, EFFORTS, INSTEAD

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec
    from aecodec.limits import Limits
    from aecodec.pixels import Picture

HELP = "picture -> .aec"
DEFAULTS = {"quality": None, "tune": None, "effort": 0}
VIDEOS = ("MPEG",)
"""Pillow tells them by their first bytes, reads none, and does not mark their plugins as stubs."""
READ_AS = {"MPO": "JPEG"}
"""Formats that the plugin of another one reads."""
USAGE = "aecodec encode [options] IN OUT\n       aecodec encode [options] --out-dir DIR [-r] IN..."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", metavar="IN", nargs="+", help="picture, or - for stdin; the last is OUT, or - for stdout"
    )
    add_coding(parser)
    common.add_batch_arguments(parser)
    common.add_metadata(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace results that exist")
    parser.add_argument(
        "--json", action="store_true", help="results as JSON, a line each (on stderr if OUT is -)"
    )


def add_coding(parser: argparse.ArgumentParser) -> None:
    """Quality, transparency, targets."""
    parser.add_argument("-q", "--quality", type=values.quality, metavar="0..100", help="quality (default 60)")
    parser.add_argument(
        "--tune",
        choices=TUNES,
        help="the form of the model that was trained for PSNR alone, or for what people see, too "
        "(default: the model as it is; the default model is perceptual)",
    )
    parser.add_argument(
        "--effort",
        type=int,
        choices=EFFORTS,
        metavar=f"0..{EFFORTS[-1]}",
        help="looks at what the decoder will make of the file, to mend it: fewer bytes for the same quality, "
        "slower with each (default 0)",
    )
    parser.set_defaults(**DEFAULTS)
    alpha = parser.add_mutually_exclusive_group()
    alpha.add_argument(
        "--alpha-quality",
        type=values.quality,
        metavar="0..100",
        help="code transparency with loss (default: exactly)",
    )
    alpha.add_argument("--no-alpha", action="store_true", help="leave transparency out")
    parser.add_argument(
        "--thumbnail",
        action="store_true",
        help="add the picture at 1/16, which file managers get without a network (0.01 bits a pixel)",
    )
    group = parser.add_argument_group(
        "targets", "at most one of them, and instead of -q, but for --max-size, which goes with it"
    )
    targets = group.add_mutually_exclusive_group()
    targets.add_argument(
        "--target-bpp", type=values.positive, metavar="BITS", help="bits a pixel, whole file"
    )
    targets.add_argument(
        "--target-size", type=values.size, metavar="BYTES", help="bytes; k, M and G: 1.5M is 1500000"
    )
    targets.add_argument(
        "--target-psnr", type=values.positive, metavar="DB", help="PSNR of the colours that show"
    )
    targets.add_argument(
        "--max-size",
        type=values.size,
        metavar="BYTES",
        help="lower -q where the file would be larger; k, M, G",
    )


def run(args: argparse.Namespace) -> int:
    common.one_thread_for_matrices()
    settle_quality(args)
    args.model = models.tuned(args.model, args.tune)
    if args.out_dir is not None:
        return _run_batch(args)
    source, target = common.names_of(args)
    from aecodec.cli.attempt import told

    with told(args, source, target):
        return _run(args, source, target)


def settle_quality(args: argparse.Namespace) -> None:
    """The default where -q is not given. UsageError for one that a target would replace."""
    if args.quality is None:
        args.quality = DEFAULT_QUALITY
        return
    for name in INSTEAD:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise UsageError(f"-q and --{option} {CLASH}")


def _run(args: argparse.Namespace, source: str, target: str) -> int:
    check_suffix(target)
    files.check_output(source, target, args.force)
    began = time.perf_counter()
    codec = common.codec_of(args)
    codec.prepare()
    encoded = encode(codec, args, files.input_of(source), source)
    signals.check()
    files.write_output(target, encoded.data, args.force)
    if args.json:
        outcome = replace(_done(source, target, encoded), seconds=time.perf_counter() - began)
        common.tell_facts(replace(outcome, found=_facts(target, encoded, codec.limits)).as_json(), target)
    else:
        for text in encoded.notes:
            common.note(f"{source!r}: {text}")
    return 0


def _done(source: str, target: str | None, encoded: Encoded) -> Outcome:
    from aecodec.cli.outcome import Outcome

    size = len(encoded.data)
    return Outcome(source, target, bytes=size, bpp=8 * size / encoded.pixels, notes=encoded.notes)


def _run_batch(args: argparse.Namespace) -> int:
    from aecodec.cli import batch, plan

    def work(codec: Codec, job: Job) -> Outcome:
        encoded = encode(codec, args, files.input_of(job.source), job.source)
        files.write_output(str(job.target), encoded.data, args.force)
        return _done(job.source, job.target, encoded)

    advice = f"{plan.APART}, or take `aecodec batch` with --full-names"
    jobs = plan.make(args.names, args.recursive, picture_suffixes, args.out_dir, ".aec", advice)
    return batch.run(args, jobs, work)


def check_suffix(target: str, own: str = ".aec") -> None:
    """UsageError for an output that has the name of a picture: it might be the last of several inputs.

    own: the suffix of what is written, which is no picture."""
    suffix = files.suffix_of(target)
    if suffix not in ("", own) and (suffix == ".aec" or suffix in _suffixes_of_pictures()):
        raise UsageError(
            f"{target!r} has the name of a picture; name the output {own}, "
            "or give --out-dir where all names are inputs"
        )


def _suffixes_of_pictures() -> set[str]:
    """Of those that Pillow reads, and of those that it writes."""
    from PIL import Image

    return picture_suffixes() | {s for s, form in Image.registered_extensions().items() if form in Image.SAVE}


def picture_suffixes() -> set[str]:
    """Of the pictures that Pillow reads here; it knows more formats."""
    from PIL import Image

    from aecodec.opening import REFUSED

    known = {s: READ_AS.get(form, form) for s, form in Image.registered_extensions().items()}
    no = {"AEC", *VIDEOS, *REFUSED}
    return {s for s, form in known.items() if form in Image.OPEN and form not in no and _is_read(form)}


def _is_read(form: str) -> bool:
    """False for a stub of Pillow's, which leaves reading to a handler, where none is registered."""
    from PIL import Image, ImageFile

    factory = Image.OPEN[form][0]
    if not (isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)):
        return True
    places = factory, sys.modules[factory.__module__]  # before Pillow 13 the handler is the module's
    return any(getattr(place, "_handler", None) is not None for place in places)


@dataclass(frozen=True, slots=True)
class Encoded:
    data: bytes
    pixels: int
    input_bytes: int
    encodings: int
    notes: tuple[str, ...]


def encode(codec: Codec, args: argparse.Namespace, source: bytes | str, name: str) -> Encoded:
    """A picture's file, or its contents -> an .aec file. Errors begin with its name."""
    from aecodec import pixels

    with files.about(name):
        picture = pixels.open_picture(source, codec.limits, alpha=not args.no_alpha)
        size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
        return encode_picture(codec, args, picture, size)


def encode_picture(codec: Codec, args: argparse.Namespace, picture: Picture, input_bytes: int) -> Encoded:
    """A picture that has been read -> an .aec file."""
    from aecodec.options import Options
    from aecodec.raster import is_large
    from aecodec.rate_control import Target

    picture = common.keep_metadata(picture, args.metadata)
    height, width = picture.pixels.shape[:2]
    if is_large(width, height):
        common.return_memory()
    target = Target(args.target_bpp, args.target_size, args.target_psnr, args.max_size)
    options = Options(args.quality, target, args.alpha_quality, args.thumbnail, args.effort)
    found = codec.encode_to(picture, options)
    notes = picture.notes + ((found.note,) if found.note else ())
    return Encoded(found.data, height * width, input_bytes, found.runs, notes)


def _facts(output: str, encoded: Encoded, limits: Limits) -> dict[str, Any]:
    """What --json tells of the file, as `info` does, beside what came of the input."""
    from aecodec.describe import info

    counts = {"input_bytes": encoded.input_bytes, "encodings": encoded.encodings}
    return info(encoded.data, limits) | {"file": output} | counts
