"""How long do encoding and decoding take, how much memory, beside peers, and where do the milliseconds go?

    python -m benchmarks.speed FOLDER|FILE [--threads 2] [--quality 60] [--out FILE.json]

One picture (the first of the folder) and a 2-megapixel one made of its mirrored tiles. Warm: all codecs in
one run and in alternating rounds, each from a PIL image to bytes and from bytes to an array. AVIF (speed 6,
4:4:4; with libavif's own tune, and with that for PSNR) has as many threads as aecodec; WebP (method 6) and
JPEG have one in Pillow. Each peer works at the quality at which its file is nearest to aecodec's in bytes.
aecodec itself computes in the precision of `auto` and, where that is another, in fp32 beside it; graphs.py
has each graph beside the machine's peak. --sizes: models that are not trained, for their speed alone
(untrained.py). Whole processes: the aecodec command and, for the peers, benchmarks.one, with their peak
memory; avifenc where it is installed; the parts of one aecodec process (startup.py). Learned codecs (one
picture, random weights): learned.py. Ratios are the other's time / aecodec's time: above 1, aecodec is
faster. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import codecs, environment, graphs, learned, metrics, pictures, processes, startup, untrained
from benchmarks.breakdown import breakdown, entropy_only
from benchmarks.codecs import ImageCodec
from benchmarks.codecs.aecodec_codec import Aecodec
from benchmarks.codecs.compressai_networks import MODELS
from benchmarks.timing import Spread, alternate, spread

FORMAT = 2
PEERS = ("avif-s6", "avif-s6-psnr", "webp", "jpeg-baseline")
LARGE = (1920, 1088)
COLD_ROUNDS, LEARNED_ROUNDS = 5, 3


def matching_quality(codec: ImageCodec, image: Image.Image, size: int) -> int:
    """The whole quality 1..100 whose file is nearest to size bytes."""
    low, high = 1, 100
    sizes: dict[int, int] = {}

    def bytes_at(quality: int) -> int:
        if quality not in sizes:
            sizes[quality] = len(codec.encode(image, quality))
        return sizes[quality]

    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_at(middle) < size else (low, middle)
    return min((low, high), key=lambda quality: abs(bytes_at(quality) - size))


def warm(
    used: dict[str, ImageCodec], qualities: dict[str, float], image: Image.Image, rounds: int
) -> dict[str, Any]:
    """Encode and decode times of one picture."""
    original = pictures.pixels(image)
    data: dict[str, bytes] = {}
    found: dict[str, Any] = {}
    for name, codec in used.items():  # warms up, too
        data[name] = codec.encode(image, qualities[name])
        found[name] = {
            "quality": qualities[name],
            "bpp": 8 * len(data[name]) / (image.width * image.height),
            "psnr-rgb": metrics.psnr(original, codec.decode(data[name])),
        }
    jobs: dict[str, Callable[[], object]] = {}
    for name, codec in used.items():
        jobs[f"{name} encode"] = partial(codec.encode, image, qualities[name])
        jobs[f"{name} decode"] = partial(codec.decode, data[name])
    times = alternate(jobs, rounds)
    for name in used:
        for what in ("encode", "decode"):
            found[name][what] = spread(times[f"{name} {what}"], image.width * image.height)
    return found


def ratios(found: dict[str, Any], ours: str) -> dict[str, Spread]:
    """{peer: {"encode" / "decode": peer's median / aecodec's}}"""
    return {
        name: {what: entry[what]["ms"] / found[ours][what]["ms"] for what in ("encode", "decode")}
        for name, entry in found.items()
        if name != ours
    }


def report_warm(title: str, found: dict[str, Any], ratio: dict[str, Spread]) -> None:
    print(f"\n{title}: milliseconds, median (fastest .. slowest)")
    wide = max(map(len, found))
    heads = (f"  {what:26} MP/s" for what in ("encode", "decode"))
    print(f"  {'codec':{wide}}   q    bpp   PSNR", *heads)
    for name, entry in found.items():
        cells = ""
        for what in ("encode", "decode"):
            s = entry[what]
            span = f"({s['ms_min']:.1f} .. {s['ms_max']:.1f})"
            cells += f"  {s['ms']:7.1f} {span:18} {s['megapixels_per_second']:6.1f}"
        print(f"  {name:{wide}} {entry['quality']:3g} {entry['bpp']:6.3f} {entry['psnr-rgb']:6.2f}{cells}")
    for name, r in ratio.items():
        print(f"  {name}'s time / aecodec's: encode {r['encode']:.2f}, decode {r['decode']:.2f}")


def report_breakdown(found: dict[str, Any]) -> None:
    for what, parts in found.items():
        total = parts["total"]
        print(f"  {what}, where the milliseconds go:")
        for part, ms in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"    {part:34} {ms:8.2f}  {100 * ms / total:5.1f} %")


def report_entropy(found: dict[str, Any]) -> None:
    encode, decode = (found[what]["ms"] for what in ("encode", "decode"))
    print(f"  entropy coder alone, one thread: encode {encode:.2f} ms, decode {decode:.2f} ms", end="")
    print(f" for {found['symbols']} symbols, {found['bytes']} bytes")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=first)
    parser.add_argument("place", type=Path, help="a picture, or a folder (its first picture)")
    parser.add_argument("--threads", type=int, default=min(2, environment.cpus()))
    parser.add_argument("--quality", type=float, default=60, help="aecodec's (default %(default)s)")
    parser.add_argument("--model", help="bundle's name or folder; default: the default model")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument(
        "--learned", nargs="*", help=f"of {', '.join(MODELS)}; default: all, where there is torch"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--skip-graphs", action="store_true", help="no fractions of the machine's peak")
    parser.add_argument(
        "--sizes", nargs="*", default=(), help="of fast, std, hq: RANDOM weights, for speed only"
    )
    parser.add_argument("--skip-large", action="store_true", help="the picture itself only")
    parser.add_argument("--skip-cold", action="store_true", help="no whole processes, no memory")
    parser.add_argument("--out", type=Path, help="JSON file, written after every part")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    ours = f"aecodec:{options.model}" if options.model else "aecodec"
    try:
        path = pictures.find(options.place)[0]
        made = [codecs.make(name, options.threads) for name in (ours, *options.peers)]
        if options.learned:
            learned.check(options.learned)
        untrained.check(options.sizes)
    except ValueError as error:
        return environment.fail(str(error))
    used = {codec.name: codec for codec in made}
    own = made[0]
    if not isinstance(own, Aecodec):
        raise TypeError(f"{own.name} is not aecodec")
    picture = pictures.load(path)
    facts = environment.describe(options.model, options.threads)
    result: dict[str, Any] = {"format": FORMAT, "environment": facts, "picture": path.name, "pictures": {}}
    result["complete"] = False

    def save() -> None:
        if options.out:
            environment.write_json(options.out, result)

    size = len(own.encode(picture, options.quality))
    qualities = {codec.name: float(matching_quality(codec, picture, size)) for codec in made[1:]}
    peers = {name: qualities[codec.name] for name, codec in zip(options.peers, made[1:], strict=True)}
    qualities[own.name] = options.quality
    if own.precision != "fp32":
        plain = codecs.make(f"{ours}@fp32", options.threads)
        used, qualities[plain.name] = {own.name: own, plain.name: plain, **used}, options.quality
    print(f"{facts['cpu']}, {options.threads} threads, {own.version}")
    print(f"{own.name} computes in {own.precision}")
    todo = [picture] if options.skip_large else [picture, pictures.tiled(picture, *LARGE)]
    for image in todo:
        title = f"{image.width} x {image.height}"
        found = warm(used, qualities, image, options.rounds)
        ratio = ratios(found, own.name)
        parts = breakdown(own, image, options.quality, max(3, options.rounds // 2))
        coder = entropy_only(own, image, options.quality, options.rounds)
        report_warm(title, found, ratio)
        report_breakdown(parts)
        report_entropy(coder)
        result["pictures"][title] = {
            "codecs": found,
            "ratios": ratio,
            "breakdown_ms": parts,
            "entropy": coder,
        }
        save()
    titles = [f"{image.width} x {image.height}" for image in todo]
    if not options.skip_graphs:
        result["graphs"] = graphs.beside_peak(own.codec.bundle, todo[0].size, options.threads, options.rounds)
        save()
    if options.sizes:
        result["untrained"] = untrained.measure(
            options.sizes, todo, options.quality, options.threads, options.rounds
        )
        save()
    if not options.skip_cold:
        result["processes"], result["startup"] = {}, {}
        for title, image in zip(titles, todo, strict=True):
            used_up = processes.measure(
                image, options.quality, options.model, peers, options.threads, COLD_ROUNDS
            )
            result["processes"][title] = used_up
            processes.report(title, used_up)
            found = startup.parts(image, options.quality, options.model, options.threads, COLD_ROUNDS)
            result["startup"][title] = found
            startup.report(title, found)
            save()
    names = MODELS if options.learned is None and learned.has_torch() else options.learned or ()
    if options.learned is None and not names:
        print("\nlearned codecs: not timed, there is no torch (pip install torch)")
    if names:
        beside = learned.measure(own, options.quality, picture, list(names), options.threads, LEARNED_ROUNDS)
        result["learned"] = {titles[0]: beside}
        learned.report(titles[0], beside)
    result["complete"] = True
    save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
