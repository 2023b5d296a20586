"""Find the pictures of an index that are most like a picture.

PICTURE is an .aec file, or any picture, which is encoded first. Prints the nearest files, best first, with
the cosine of their features: 1 is the same picture. Needs faiss: pip install 'aecodec[latents]'.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os

from aecodec import remote
from aecodec.cli import common, files, values
from aecodec.errors import UsageError

HELP = "pictures of an index that are like a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", metavar="FILE", help="what `aecodec index` made")
    parser.add_argument("picture", metavar="PICTURE", help=".aec file or picture, or - for stdin")
    parser.add_argument("-k", type=values.count, default=10, metavar="N", help="how many (default 10)")
    common.add_encoding_quality(parser)
    common.add_runtime_arguments(parser, model=False)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each: path, score")


def run(args: argparse.Namespace) -> int:
    from aecodec.cli.attempt import told

    with told(args, args.picture, None):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from aecodec import models
    from aecodec.latents import index, reading, vectors

    args.index = remote.local_path(args.index)
    if remote.is_url(args.index):
        raise UsageError(
            f"{args.index!r} is a URL; an index is of files on this machine's disks: copy it to where it was"
        )
    made = index.load(args.index)
    if made.model_id is None:
        raise UsageError(f"the index {args.index!r} is empty; give `aecodec index` folders with .aec files")
    codec = common.codec_of(args, models.find_id(made.model_id).path)
    data = files.read_input(args.picture)
    with files.about(args.picture):
        latents = reading.read(data, codec, args.quality)
    if latents.header.model_id != made.model_id:
        have, want = models.called(latents.header.model_id), models.called(made.model_id)
        raise UsageError(
            f"{args.picture!r} was made with model {have}, the index is of {want}; give the picture itself"
        )
    for text in latents.notes:
        common.note(f"{args.picture!r}: {text}")
    folder = index.folder_of(args.index)
    for hit in made.search(vectors.pooled(latents), args.k):
        path = os.path.normpath(os.path.join(folder, hit.path))
        if not os.path.isabs(args.index):
            with contextlib.suppress(ValueError):  # another drive
                path = os.path.relpath(path)
        if args.json:
            print(json.dumps({"path": path, "score": round(hit.score, 6)}))
        else:
            print(f"{hit.score:.4f}  {common.shown(path)}")
    return 0
