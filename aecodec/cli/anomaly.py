"""Learn what normal pictures look like; tell where others do not.

`aecodec anomaly fit DIR -o MODEL` learns from a folder of normal pictures or .aec files. `aecodec anomaly
score MODEL PICTURE...` tells how unusual each is, and --out-dir draws where. Inputs that are broken are
left out with a message.
"""

from __future__ import annotations

import argparse
import sys
from io import BytesIO
from typing import IO, TYPE_CHECKING

from aecodec.cli import common, files, values
from aecodec.errors import UsageError

if TYPE_CHECKING:
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec
    from aecodec.pixels import Picture

HELP = "where pictures are not as normal ones are"
USAGE = (
    "aecodec anomaly fit [options] DIR... -o MODEL\n"
    "       aecodec anomaly score [options] MODEL PICTURE... [--out-dir DIR]"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("fit", "score"), help="learn, or tell")
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="fit: pictures, .aec files, folders; score: the model, then these",
    )
    parser.add_argument("-o", "--output", metavar="MODEL", help="fit: what was learnt, .npz")
    parser.add_argument(
        "--by",
        choices=("memory", "rate", "error"),
        help="fit: distance to normal latents (default), bits, or squared error of the decoded picture",
    )
    parser.add_argument(
        "-q",
        "--quality",
        type=values.quality,
        metavar="0..100",
        help="fit: at which pictures that are no .aec files are encoded first (default 70; 15 by error)",
    )
    parser.add_argument("--out-dir", metavar="DIR", help="score: draws where, a PNG file for each input")
    common.add_jobs(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace results that exist")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each input")


def run(args: argparse.Namespace) -> int:
    return _fit(args) if args.action == "fit" else _score(args)


def _fit(args: argparse.Namespace) -> int:
    if args.output is None or args.out_dir is not None:
        raise UsageError("anomaly fit writes one model: give -o MODEL, and no --out-dir")
    files.check_output(args.names[0], args.output, args.force)
    from aecodec.cli import batch, outcome, plan
    from aecodec.cli.encode import picture_suffixes
    from aecodec.latents import anomaly

    by: anomaly.By = args.by or "memory"
    # Blocks coded as pixels have no latents.
    codec = common.codec_of(args, threads=batch.threads_of(args), pixel_blocks=False)
    jobs = plan.once(plan.make(args.names, True, lambda: {".aec", *picture_suffixes()}))
    plan.check_result(jobs.jobs, args.output)
    found: dict[str, anomaly.Reading] = {}

    def work(_: Codec, job: Job) -> Outcome:
        data = files.read_input(job.source)
        with files.about(job.source):
            reading = found[job.source] = anomaly.read(data, codec, by, args.quality)
        return outcome.Outcome(job.source, None, notes=reading.notes)

    code = batch.run(args, jobs, work)
    readings = [found[job.source] for job in jobs.jobs if job.source in found]
    detector = anomaly.fit_readings(readings, codec, by, args.quality)
    files.write_output(args.output, detector.pack(), args.force)
    return code


def _score(args: argparse.Namespace) -> int:
    if args.output is not None or len(args.names) < 2:
        raise UsageError("anomaly score takes MODEL and PICTURE..., and no -o")
    if any(value is not None for value in (args.by, args.quality, args.model)):
        raise UsageError("anomaly score goes by what was learnt: --by, --quality and --model are for fit")
    from aecodec.cli import batch, outcome, plan
    from aecodec.cli.encode import picture_suffixes
    from aecodec.latents import anomaly
    from aecodec.pixels import Picture

    detector = anomaly.load(args.names[0])
    codec = common.codec_of(args, detector.bundle().path, batch.threads_of(args), pixel_blocks=False)
    suffixes = {".aec", *picture_suffixes()}
    jobs = plan.make(args.names[1:], True, lambda: suffixes, args.out_dir, ".png")

    def work(_: Codec, job: Job) -> Outcome:
        draw = batch.is_wanted(args, job)
        data = files.read_input(job.source)
        with files.about(job.source):
            score = detector.score(data, codec)
            notes = score.notes
            if job.target is not None and not draw:
                notes += (f"the map {job.target!r} stays as it was; --force replaces it",)
            elif job.target is not None:
                picture = common.decoded(data, codec)
                heat = anomaly.heat_map(picture.array, score.map)
                _draw(Picture(heat, orientation=picture.orientation), job.target, args.force)
        facts = {"score": round(score.score, 4), "anomalous": score.anomalous}
        return outcome.Outcome(job.source, job.target, notes=notes, found=facts)

    return batch.run_all(args, jobs, work, _show, goes_on=False)  # all are scored again


def _show(outcome: Outcome) -> list[tuple[str, IO[str]]]:
    from aecodec.cli import batch

    problems = batch.show_problems(outcome)
    if "score" not in outcome.found:
        return problems
    word = "anomalous" if outcome.found["anomalous"] else "normal"
    line = f"{outcome.found['score']:8.3f}  {word:9}  {common.shown(outcome.input)}"
    return [*problems, (line, sys.stdout)]


def _draw(heat: Picture, target: str, force: bool) -> None:
    """Upright, as the picture is seen."""
    from aecodec import pixels
    from aecodec.orientation import upright

    out = BytesIO()
    pixels.to_pil(upright(heat)).save(out, "PNG")
    files.write_output(target, out.getvalue(), force)
