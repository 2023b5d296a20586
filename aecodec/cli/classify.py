"""Learn to tell classes of pictures apart by their latents; tell the class of others.

`aecodec classify fit DIR -o MODEL` takes a folder for each class: the name of a picture's folder is its
class. `aecodec classify predict MODEL PICTURE...` tells the class of each. Pictures and .aec files are
taken; those that are broken are left out with a message. Learning needs scikit-learn: pip install
'aecodec[latents]'.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import sys
from typing import IO, TYPE_CHECKING

from aecodec import remote
from aecodec.cli import common, files
from aecodec.errors import UsageError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec
    from aecodec.latents.classify import Float

HELP = "which of several classes a picture is of"
USAGE = (
    "aecodec classify fit [options] DIR... -o MODEL\n"
    "       aecodec classify predict [options] MODEL PICTURE..."
)
SHOWN = 3
"""Classes that are told of each picture, without --json."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fit", "predict"), help="learn, or tell")
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="fit: folders with one for each class; predict: the model, then pictures, .aec files, folders",
    )
    parser.add_argument("-o", "--output", metavar="MODEL", help="fit: what was learnt, .npz")
    common.add_encoding_quality(parser)
    common.add_jobs(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace MODEL if it exists")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each input")


def run(args: argparse.Namespace) -> int:
    return _fit(args) if args.action == "fit" else _predict(args)


def _fit(args: argparse.Namespace) -> int:
    if args.output is None:
        raise UsageError("classify fit writes a model: give -o MODEL")
    if files.PIPE in args.names:
        raise UsageError("'-' is in no folder, whose name would be its class; give files")
    files.check_output(args.names[0], args.output, args.force)
    import numpy as np

    from aecodec.cli import batch, outcome, plan
    from aecodec.cli.encode import picture_suffixes
    from aecodec.latents import classify, reading
    from aecodec.latents.encoder import Encoder

    suffixes = {".aec", *picture_suffixes()}
    jobs = plan.once(plan.make(args.names, True, lambda: suffixes))
    plan.check_result(jobs.jobs, args.output)
    if jobs.jobs:  # before they are coded
        classify.check_classes({_class_of(job.source) for job in jobs.jobs})
    found: dict[str, tuple[Float, bytes]] = {}

    def work(codec: Codec, job: Job) -> Outcome:
        data = files.read_input(job.source)
        with files.about(job.source):
            latents = reading.read(data, codec, args.quality)
        found[job.source] = classify.features(latents), latents.header.model_id
        facts = {"class": _class_of(job.source)}
        return outcome.Outcome(job.source, None, notes=latents.notes, found=facts)

    code = batch.run(args, jobs, work)
    paths = [job.source for job in jobs.jobs if job.source in found]
    models = {found[path][1] for path in paths}
    if len(models) > 1:
        raise UsageError(
            f"files of {len(models)} models cannot be learnt from together; encode them with one"
        )
    if not paths:
        raise UsageError("no picture could be read; there is nothing to learn from")
    vectors = np.stack([found[path][0] for path in paths])
    (model_id,), asked = models, Encoder.of(common.codec_of(args).bundle)
    # Files may be of another model than pictures are encoded with; which encoder made them they do not say.
    encoder = asked if asked.model_id == model_id else Encoder(model_id)
    made = classify.fit(vectors, [_class_of(path) for path in paths], encoder)
    files.write_output(args.output, made.pack(), args.force)
    return code


def _class_of(name: str) -> str:
    """The folder that a picture is in; an archive, where there is none in it."""
    if remote.is_url(name):
        _, own, archive = remote.own_part(name)
        return posixpath.basename(posixpath.dirname(own.partition("://")[2]).strip("/") or archive.strip(":"))
    return os.path.basename(os.path.dirname(os.path.abspath(name)))


def _predict(args: argparse.Namespace) -> int:
    if args.output is not None or len(args.names) < 2:
        raise UsageError("classify predict takes MODEL and PICTURE..., and no -o")
    from aecodec.cli import batch, outcome, plan
    from aecodec.cli.encode import picture_suffixes
    from aecodec.latents import classify, reading

    made = classify.load(args.names[0])
    args.model = args.model or os.fspath(made.bundle().path)
    suffixes = {".aec", *picture_suffixes()}

    def work(codec: Codec, job: Job) -> Outcome:
        data = files.read_input(job.source)
        with files.about(job.source):
            latents = reading.read(data, codec, args.quality)
            found = made.predict(latents)
        shares = {name: round(share, 4) for name, share in found.items()}
        facts = {"class": next(iter(shares)), "probabilities": shares}
        return outcome.Outcome(job.source, None, notes=latents.notes, found=facts)

    return batch.run(args, plan.make(args.names[1:], True, lambda: suffixes), work, _show)


def _show(outcome: Outcome) -> list[tuple[str, IO[str]]]:
    from aecodec.cli import batch

    problems = batch.show_problems(outcome)
    if "class" not in outcome.found:
        return problems
    best = list(outcome.found["probabilities"].items())[:SHOWN]
    told = ", ".join(f"{common.shown(name)} {share:.2f}" for name, share in best)
    return [*problems, (f"{common.shown(outcome.input)}: {told}", sys.stdout)]
