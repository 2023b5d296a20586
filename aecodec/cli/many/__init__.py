"""Code whole collections, on this machine or on many: folders, Parquet files, WebDataset shards.

SRC is a folder, a .parquet or a .tar file, DST a folder, here or at URLs. Each input has one result; a second
run does what is missing. What became of every picture is in tables below DST/_aecodec: manifest.jsonl
(sizes, bits a pixel, checksums) and failures.jsonl. docs/many-machines.md has the details.

encode makes .aec files of pictures, decode pictures of .aec files, and transcode .aec files of .aec files, at
another quality or with another model.
"""

from __future__ import annotations

import argparse

from aecodec import models
from aecodec.cli import common, decode, encode, values
from aecodec.errors import UsageError

HELP = "encode, decode or transcode a collection, on one machine or many"
USAGE = "aecodec batch [options] ACTION SRC DST"
ACTIONS = ("encode", "decode", "transcode")
KINDS = ("auto", "files", "parquet", "webdataset")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="ACTION", choices=ACTIONS, help=", ".join(ACTIONS))
    parser.add_argument("src", metavar="SRC", help="folder, .parquet or .tar file; may be a URL")
    parser.add_argument("dst", metavar="DST", help="folder for the results; may be a URL")
    _add_engine(parser)
    _add_collection(parser)
    encode.add_coding(parser)
    decode.add_picture(parser)
    common.add_metadata(parser)
    common.add_runtime_arguments(parser, unless="1 for each of --jobs")
    parser.add_argument("--force", action="store_true", help="do everything again and replace what is there")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file or shard")
    parser.set_defaults(region=None)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="threads of this process (default), or processes of a Ray cluster",
    )
    group.add_argument(
        "--workers",
        "--jobs",
        dest="jobs",
        type=values.count,
        metavar="N",
        help="pictures at a time (default: as many as there are CPUs, or GPUs with --num-gpus)",
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="of the Ray cluster (default: RAY_ADDRESS, else one is started here and ended afterwards)",
    )
    group.add_argument(
        "--num-gpus", type=values.positive, metavar="N", help="GPUs of each Ray worker; 0.25: four share one"
    )


def _add_collection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("collection")
    group.add_argument(
        "--kind", choices=KINDS, default="auto", help="what SRC holds (default: by the names in it)"
    )
    group.add_argument(
        "--column", metavar="NAME", help="Parquet: the pictures (default: image for encode, else aec)"
    )
    group.add_argument(
        "--output-column", metavar="NAME", help="Parquet: the results (default: image for decode, else aec)"
    )
    group.add_argument(
        "--members",
        metavar="EXT[,EXT]",
        help="WebDataset: extensions of the pictures (default: those of a single part, such as jpg)",
    )
    group.add_argument(
        "--full-names",
        action="store_true",
        help="a.png becomes a.png.aec, not a.aec: a.jpg may be there, too",
    )
    group.add_argument(
        "--check",
        choices=("size", "checksum"),
        default="size",
        help="how a second run sees that a result is whole: its size (default), or its contents read again",
    )
    group.add_argument(
        "--retry-failed",
        action="store_true",
        help="do shards again in which pictures failed (files always are)",
    )
    group.add_argument(
        "--parquet-tables", action="store_true", help="write the tables as Parquet, too, at the end"
    )


def run(args: argparse.Namespace) -> int:
    _check(args)
    encode.settle_quality(args)
    args.model = models.tuned(args.model, args.tune)
    from aecodec.cli.many import drive

    return drive.run(args)


def _check(args: argparse.Namespace) -> None:
    """Options that would have no effect are mistakes."""
    if args.engine == "local":
        for option in ("address", "num_gpus"):
            if getattr(args, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} needs --engine ray")
    no: tuple[str, ...]
    if args.action == "decode":
        no, why = (
            (
                "target_bpp",
                "target_size",
                "target_psnr",
                "max_size",
                "alpha_quality",
                "thumbnail",
            ),
            "encode",
        )
    else:
        no, why = ("format", "salvage", "fit", "apply_orientation"), "decode"
        if args.scale != 1:
            raise UsageError(f"--scale is for decode, not for {args.action}")
    for option in encode.DEFAULTS:
        if args.action == "decode" and getattr(args, option) != encode.DEFAULTS[option]:
            raise UsageError(f"--{option} is for encode, not for decode")
    for option in no:
        if getattr(args, option) not in (None, False):
            raise UsageError(f"--{option.replace('_', '-')} is for {why}, not for {args.action}")
    if args.action == "transcode" and args.no_alpha:
        raise UsageError("--no-alpha is for encode and decode, not for transcode")
