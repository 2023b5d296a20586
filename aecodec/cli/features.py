"""Write what the latents of pictures say, as .npy arrays, without decoding pictures.

IN is an .aec file, or any picture, which is encoded first. Pooled features are one vector for a picture;
spatial ones keep a column for each 16 x 16 pixels of y or 64 x 64 of z. With --out-dir there may be any
number of inputs.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from aecodec.cli import common, files

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec
    from aecodec.latents.vectors import Float

HELP = "latents as numbers -> .npy"
USAGE = "aecodec features [options] IN OUT\n       aecodec features [options] --out-dir DIR [-r] IN..."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", metavar="IN", nargs="+", help=".aec file or picture, or - for stdin; the last is OUT, .npy"
    )
    parser.add_argument("--kind", choices=("pooled", "spatial"), default="pooled", help="default: pooled")
    parser.add_argument("--latent", choices=("y", "z"), default="y", help="default: y")
    common.add_encoding_quality(parser)
    common.add_batch_arguments(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace results that exist")
    parser.add_argument(
        "--json", action="store_true", help="a line of JSON for each input (on stderr if OUT is -)"
    )


def run(args: argparse.Namespace) -> int:
    if args.out_dir is not None:
        return _run_batch(args)
    from aecodec.cli.attempt import told
    from aecodec.cli.encode import check_suffix

    source, target = common.names_of(args)
    with told(args, source, target):
        check_suffix(target, ".npy")
        files.check_output(source, target, args.force)
        began = time.perf_counter()
        outcome = _write(common.codec_of(args), args, source, target)
    if args.json:
        common.tell_facts(replace(outcome, seconds=time.perf_counter() - began).as_json(), target)
    else:
        for text in outcome.notes:
            common.note(f"{source!r}: {text}")
    return 0


def _run_batch(args: argparse.Namespace) -> int:
    from aecodec.cli import batch, plan
    from aecodec.cli.encode import picture_suffixes

    def work(codec: Codec, job: Job) -> Outcome:
        return _write(codec, args, job.source, str(job.target))

    suffixes = lambda: {".aec", *picture_suffixes()}  # noqa: E731
    return batch.run(args, plan.make(args.names, args.recursive, suffixes, args.out_dir, ".npy"), work)


def _write(codec: Codec, args: argparse.Namespace, source: str, target: str) -> Outcome:
    from aecodec.cli.outcome import Outcome

    found, notes = _features(codec, args, source)
    files.write_output(target, _pack(found), args.force)
    return Outcome(source, target, notes=notes, found={"shape": list(found.shape)})


def _features(codec: Codec, args: argparse.Namespace, name: str) -> tuple[Float, tuple[str, ...]]:
    """Features, notes."""
    from aecodec.latents import reading, vectors

    data = files.read_input(name)
    with files.about(name):
        latents = reading.read(data, codec, args.quality)
        return vectors.of(latents, args.kind, args.latent), latents.notes


def _pack(array: Float) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()
