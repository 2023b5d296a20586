"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aecodec.cli import values
from aecodec.errors import UsageError
from aecodec.limits import DEFAULT_LIMITS, MOST_THREADS, Limits
from aecodec.precision import PRECISIONS

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.pixels import Picture

M_MMAP_THRESHOLD = -3
"""Of malloc.h."""

KINDS = ("exif", "icc", "xmp")
NO_PROFILE = "its colour profile is left out; programs will take its colours for sRGB"

LIMITED = {
    "max_pixels": "width times height",
    "max_side": "width, and height",
    "max_sections": "sections of a file",
    "max_section_size": "bytes of a section",
    "max_groups": "groups of a file",
    "max_metadata": "bytes of a profile, of EXIF, of XMP",
    "max_pixels_per_byte": "pixels for each byte of a file",
}


def metadata(text: str) -> frozenset[str]:
    """The kinds to keep."""
    chosen = {"all": set(KINDS), "none": set()}.get(text, set(text.split(",")))
    if not chosen <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not all, none, or some of {','.join(KINDS)}")
    return frozenset(chosen)


def model_name(text: str) -> str:
    """Or a folder; that it is there is seen where it is needed."""
    from aecodec import models

    models.check(text)
    return text


def add_encoding_quality(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "-q",
        "--quality",
        type=values.quality,
        default=60.0,
        metavar="0..100",
        help="at which a picture that is no .aec file is encoded first (default 60)",
    )


def add_runtime_arguments(
    parser: argparse.ArgumentParser, model: bool = True, unless: str = "automatic"
) -> None:
    """unless: how many threads there are where the option is not given, in words."""
    if model:
        parser.add_argument(
            "--model", type=model_name, metavar="NAME", help="name or folder of a model bundle"
        )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (CUDA where it works), cpu, or cuda (an error where it does not work)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of the networks: auto (int8 where the CPU is made for it, else fp32), fp32, int8, fp16 (CUDA)",
    )
    parser.add_argument(
        "--threads",
        type=values.threads,
        metavar="N",
        help=f"CPU threads, {MOST_THREADS} at most (default: {unless})",
    )
    add_limits(parser)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """One option for each of aecodec.limits."""
    what = "what is refused before memory is taken for it (SECURITY.md); N may end in k, M or G"
    group = parser.add_argument_group("limits", what)
    for name, default in DEFAULT_LIMITS._asdict().items():
        group.add_argument(
            "--" + name.replace("_", "-"),
            type=values.size,
            metavar="N",
            default=default,
            help=f"{LIMITED[name]} (default {default})",
        )


def limits(args: argparse.Namespace) -> Limits:
    return Limits(**{name: getattr(args, name) for name in Limits._fields})


def codec_of(
    args: argparse.Namespace,
    model: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    pixel_blocks: bool = True,
) -> Codec:
    """What add_runtime_arguments() asks for; model, threads: those instead."""
    from aecodec.codec import Codec

    return Codec(
        getattr(args, "model", None) if model is None else model,
        args.device,
        threads or args.threads,
        limits(args),
        pixel_blocks=pixel_blocks,
        precision=args.precision,
    )


def add_batch_arguments(parser: argparse.ArgumentParser, out_dir: bool = True) -> None:
    group = parser.add_argument_group("many inputs", "errors stop only their own input")
    if out_dir:
        group.add_argument("--out-dir", metavar="DIR", help="where results go, each named after its input")
    group.add_argument("-r", "--recursive", action="store_true", help="take the files in folders, too")
    add_jobs(group)


def add_jobs(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--jobs", type=values.count, default=1, metavar="N", help="inputs at a time (default 1)"
    )


def add_metadata(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata",
        type=metadata,
        default=frozenset(KINDS),
        metavar="KINDS",
        help="what to keep: all (default), none, or some of exif,icc,xmp; the orientation is always kept",
    )


def keep_metadata(picture: Picture, kinds: frozenset[str]) -> Picture:
    """The picture without the other kinds; without its resolution, too, where none is kept.

    The orientation stays: without it the picture would be another one."""
    from dataclasses import replace

    from aecodec.picture_notes import without_metadata

    notes = picture.notes if kinds else without_metadata(picture.notes)
    if picture.icc and "icc" not in kinds:
        notes += (NO_PROFILE,)
    kept = {kind: getattr(picture, kind) if kind in kinds else b"" for kind in KINDS}
    dpi = picture.dpi if kinds else None
    return replace(picture, notes=notes, icc=kept["icc"], exif=kept["exif"], xmp=kept["xmp"], dpi=dpi)


def read_any(name: str, codec: Codec) -> Picture:
    """An .aec file or any other picture, or stdin for '-'; by its first bytes, not by its name."""
    from aecodec.cli import files

    data = files.read_input(name)
    with files.about(name):
        return decoded(data, codec)


def decoded(data: bytes, codec: Codec) -> Picture:
    """The contents of an .aec file or of any other picture -> the picture."""
    from aecodec import pixels
    from aecodec.container import MAGIC

    return codec.decode_picture(data) if data.startswith(MAGIC) else pixels.read_picture(data, codec.limits)


def names_of(args: argparse.Namespace) -> tuple[str, str]:
    """IN and OUT, where there is no --out-dir."""
    if args.recursive or args.jobs != 1:
        raise UsageError("-r and --jobs need --out-dir")
    names: Sequence[str] = args.names
    if len(names) != 2:
        what = "OUT is missing" if len(names) == 1 else f"{len(names)} names"
        raise UsageError(f"{what}: give IN and OUT, or any number of inputs and --out-dir")
    return names[0], names[1]


class ToldError(Exception):
    """An error of which stderr has a line of --json already: nothing else is to be between such lines."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("told already")
        self.exit_code = exit_code


def debugging() -> bool:
    """Are tracebacks wanted?"""
    return os.environ.get("AECODEC_DEBUG", "") not in ("", "0")


def one_thread_for_matrices() -> None:
    """Before numpy is imported: its OpenBLAS would start a thread for each CPU, which look for work in a loop
    at first, and coding pictures has none for them."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def return_memory() -> None:
    """Blocks of a megabyte and more go back to the system when they are freed, as they do at first; glibc
    would soon keep those of up to 32 MB, in heaps of each thread. So does what is free by now, after a large
    picture has been read. For large pictures: it costs time."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(M_MMAP_THRESHOLD, 1 << 20)
            libc.malloc_trim(0)


def shown(name: str) -> str:
    """A name for a line of text: a newline in it, or what steers a terminal, is written as an escape."""
    from unicodedata import category

    return "".join(c if c.isprintable() or category(c) == "Zs" else repr(c)[1:-1] for c in name)


def tell(text: str) -> None:
    """A line on stderr. Where that takes nothing, the exit code is all that is left to say."""
    if sys.stderr:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def tell_facts(text: str, output: str) -> None:
    """What --json says: on stdout, or on stderr where the output itself goes to stdout."""
    from aecodec.cli import streams

    if streams.is_stdout(output):
        tell(text)
    else:
        print(text)


def note(text: str) -> None:
    """Something the user should know; the result is fine."""
    tell(f"aecodec: note: {text}")
