"""Take the noise out of a picture, by coding it.

Uses the default model's denoising one (NAME-denoise), or else the first that is installed: nano-denoise,
whose files the decoder of nano reads. Another model loses noise by coding the picture as coarsely as the
noise deserves. OUT is a picture, or an .aec file: then the clean picture is a small file, too.
"""

from __future__ import annotations

import argparse
import os
import time

from aecodec.cli import common, files, values

HELP = "picture -> the same without noise"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="PICTURE", help="any picture or .aec file, or - for stdin")
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="picture, .aec, or - (PNG) for stdout"
    )
    parser.add_argument(
        "--sigma",
        type=values.within(255, "sigma"),
        metavar="S",
        help="standard deviation of the noise, 0..255 (default: estimated)",
    )
    parser.add_argument(
        "-q", "--quality", type=values.quality, metavar="0..100", help="of the coding (default: what suits S)"
    )
    common.add_metadata(parser)
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--json", action="store_true", help="what was done as JSON (on stderr if OUT is -)")


def run(args: argparse.Namespace) -> int:
    from aecodec.cli.attempt import told

    with told(args, args.input, args.output):
        return _run(args, args.input, args.output)


def _run(args: argparse.Namespace, source: str, target: str) -> int:
    from aecodec.cli import decode, outcome, written

    files.check_output(source, target, args.force)
    coded = os.path.splitext(target)[1].lower() == ".aec"
    form = "" if coded else decode.format_of(target, None)
    from aecodec.latents import denoise

    codec = denoise.make_codec(
        args.model,
        device=args.device,
        threads=args.threads,
        limits=common.limits(args),
        precision=args.precision,
    )
    picture = common.keep_metadata(common.read_any(source, codec), args.metadata)
    began = time.perf_counter()
    sigma = denoise.estimate_sigma(picture.array) if args.sigma is None else args.sigma
    quality = args.quality
    if quality is None:
        quality = denoise.quality_for(codec.bundle, sigma, picture.pixels.shape[2])
    notes = picture.notes
    if coded:
        data = denoise.encode(picture, codec, sigma, quality)
    else:
        data, more = written.at_once(denoise.denoise(picture, codec, sigma, quality), form)
        notes += more
    seconds = time.perf_counter() - began
    files.write_output(target, data, args.force)
    if args.json:
        found = {"model": codec.bundle.name, "sigma": round(sigma, 2), "quality": round(quality, 2)}
        done = outcome.Outcome(
            source, target, bytes=len(data) if coded else None, seconds=seconds, notes=notes, found=found
        )
        common.tell_facts(done.as_json(), target)
    else:
        for text in notes:
            common.note(text)
    return 0
