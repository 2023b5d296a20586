"""Noisy pictures in, how near to the clean ones are the files, at how many bits?

    python -m benchmarks.denoise FOLDER [--sigmas 10 25 50] [--models nano nano-denoise] [--out FILE.json]

White Gaussian noise of each sigma is added to the pictures (one seed a picture; rounded, clipped to 8 bits).
Then every way is taken from the noisy picture to a file and back, over its qualities:

    aecodec:MODEL      encode with a model; a denoising one, or any other, which loses noise by being coarse
    avif-s6-psnr, ...  any other codec of benchmarks.codecs, on the noisy picture
    nlm+avif-s6-psnr   scikit-image's non-local means first, told sigma (Buades et al. 2005)
    bm3d+avif-s6-psnr  BM3D first, told sigma (Dabov et al. 2007); the package bm3d is not for commerce

PSNR is to the clean picture. It rises with the rate, and falls again where bits begin to go into noise: so
each way has a best point. Bits and PSNR are means over the pictures. BD-rate takes each curve up to its best
point.
Rows are kept in the result file, and measured again only where picture, codec, sigma or noise changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from aecodec import Codec, models
from aecodec.errors import ModelError
from benchmarks import codecs, environment, metrics, pictures, progress
from benchmarks.codecs.aecodec_codec import source_hash
from benchmarks.curves import increases

Pixels = NDArray[np.uint8]
Row = dict[str, Any]
SIGMAS = (10.0, 25.0, 50.0)
QUALITIES = (5, 15, 25, 35, 45, 55, 65, 75, 85, 95)
PEER_QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90)


def add_noise(clean: Pixels, sigma: float, seed: str) -> Pixels:
    """White Gaussian noise, the same for the same seed."""
    rng = np.random.default_rng(int(seed, 16))
    noisy = clean + rng.normal(0, sigma, clean.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def non_local_means(noisy: Pixels, sigma: float) -> Pixels:
    from skimage.restoration import denoise_nl_means

    found = denoise_nl_means(
        noisy / 255,
        patch_size=5,
        patch_distance=6,
        h=0.8 * sigma / 255,
        sigma=sigma / 255,
        fast_mode=True,
        channel_axis=2,
    )
    return np.clip(np.rint(found * 255), 0, 255).astype(np.uint8)


def block_matching(noisy: Pixels, sigma: float) -> Pixels:
    from bm3d import bm3d_rgb

    return np.clip(np.rint(bm3d_rgb(noisy / 255, sigma / 255) * 255), 0, 255).astype(np.uint8)


DENOISERS: dict[str, Callable[[Pixels, float], Pixels]] = {"nlm": non_local_means, "bm3d": block_matching}


class Model:
    """A model as `aecodec denoise` uses it: nothing is coded as pixels, which would keep the noise."""

    def __init__(self, model: str, threads: int | None) -> None:
        bundle = models.find(model)
        self.codec = Codec(bundle.path, device="cpu", threads=threads, pixel_blocks=False)
        self.name, self.qualities = f"aecodec:{bundle.name}", QUALITIES
        analysis = bundle.manifest["files"]["analysis.onnx"]["sha256"][:12]  # models may share their id
        self.version = f"{bundle.model_id.hex()} {analysis} {source_hash()}"

    def code(self, noisy: Pixels, quality: float) -> tuple[int, Pixels]:
        data = self.codec.encode(noisy, quality)
        return len(data), np.asarray(self.codec.decode(data))


class Peer:
    """Another codec, after a denoiser or without one."""

    def __init__(self, name: str, threads: int | None) -> None:
        before, _, after = name.rpartition("+")
        codec = codecs.make(after, threads)
        self.codec, self.name, self.version = codec, name, codec.version
        self.qualities = PEER_QUALITIES
        self.denoiser = before

    def code(self, picture: Pixels, quality: float) -> tuple[int, Pixels]:
        data = self.codec.encode(Image.fromarray(picture), quality)
        return len(data), self.codec.decode(data)


Way = Model | Peer


def ways(names: Sequence[str], peers: Sequence[str], threads: int | None) -> list[Way]:
    """ValueError for a name that is unknown."""
    try:
        found: list[Way] = [Model(name, threads) for name in names]
    except ModelError as error:
        raise ValueError(str(error)) from None
    for name in peers:
        before = name.rpartition("+")[0]
        if before and before not in DENOISERS:
            raise ValueError(f"{name!r}: the denoiser is none of {', '.join(DENOISERS)}")
        found.append(Peer(name, threads))
    return found


def measure(path: Path, sigma: float, chosen: Sequence[Way], known: dict[str, Row]) -> None:
    """Adds the rows of one picture with one noise to `known`, those that are not in it yet."""
    clean, seed = pictures.pixels(pictures.load(path)), pictures.fingerprint(path)
    noisy = add_noise(clean, sigma, seed)
    size = clean.shape[0] * clean.shape[1]
    denoised: dict[str, Pixels] = {"": noisy}
    for way in chosen:
        before = way.denoiser if isinstance(way, Peer) else ""
        todo = [q for q in way.qualities if _key(way, seed, sigma, q) not in known]
        if todo and before not in denoised:
            denoised[before] = DENOISERS[before](noisy, sigma)
        for quality in todo:
            count, decoded = way.code(denoised[before], quality)
            known[_key(way, seed, sigma, quality)] = {
                "way": way.name,
                "picture": path.name,
                "sigma": sigma,
                "quality": quality,
                "bpp": 8 * count / size,
                "psnr": metrics.psnr(clean, decoded),
                "psnr_input": metrics.psnr(clean, denoised[before]),
            }


def _key(way: Way, seed: str, sigma: float, quality: float) -> str:
    return f"{way.name} {way.version} {seed} {sigma:g} {quality:g}"


def curve(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Rows of one way and one sigma -> bpp, PSNR to the clean picture: means at each quality, by rate."""
    points = []
    for quality in sorted({row["quality"] for row in rows}):
        here = [row for row in rows if row["quality"] == quality]
        points.append(tuple(sum(row[key] for row in here) / len(here) for key in ("bpp", "psnr")))
    points.sort()
    return [bpp for bpp, _ in points], [psnr for _, psnr in points]


def rising(bpp: Sequence[float], psnr: Sequence[float]) -> tuple[list[float], list[float]]:
    """The curve up to its best point, without points that a cheaper one beats."""
    kept: list[tuple[float, float]] = []
    for point in zip(bpp, psnr, strict=True):
        if not kept or point[1] > kept[-1][1]:
            kept.append(point)
    assert increases([p for _, p in kept])
    return [b for b, _ in kept], [p for _, p in kept]


def psnr_at(bpp: Sequence[float], psnr: Sequence[float], rate: float) -> float | None:
    """The best PSNR at this rate or below, on the line through the points; None below the first one."""
    if rate < bpp[0]:
        return None
    b, p = rising(bpp, psnr)
    return float(np.interp(rate, b, p))


def summarise(rows: Sequence[Row], names: Sequence[str], anchor: str) -> dict[str, Any]:
    """One sigma: the best point of each way, PSNR at the anchor's best rate, BD-rate against the anchor."""
    curves = {name: curve([row for row in rows if row["way"] == name]) for name in names}
    ends = {name: rising(*points) for name, points in curves.items()}
    rate = ends[anchor][0][-1]
    return {
        name: {
            "bpp": curves[name][0],
            "psnr": curves[name][1],
            "best_bpp": ends[name][0][-1],
            "best_psnr": ends[name][1][-1],
            "psnr_at_anchor_rate": psnr_at(*curves[name], rate),
            "bd_rate": metrics.bd_rate(*ends[anchor], *ends[name]),
            "uncoded": _mean(row["psnr_input"] for row in rows if row["way"] == name),
        }
        for name in names
    }


def _mean(values: Any) -> float:
    found = list(values)
    return sum(found) / len(found)


def show(sigma: float, table: dict[str, Any], anchor: str) -> None:
    """Markdown."""
    noisy = table[anchor]["uncoded"]
    rate = table[anchor]["best_bpp"]
    print(f"\nsigma {sigma:g}: the noisy pictures have {noisy:.2f} dB\n")
    print(
        f"| way | best PSNR, dB | at bpp | at {rate:.3f} bpp, dB | BD-rate against {anchor} "
        "| before coding, dB |"
    )
    print("|---|---|---|---|---|---|")
    for name, row in table.items():
        here, change = row["psnr_at_anchor_rate"], row["bd_rate"]
        cells = [name, f"{row['best_psnr']:.2f}", f"{row['best_bpp']:.3f}"]
        cells += ["-" if here is None else f"{here:.2f}", "-" if change is None else f"{change:+.1f} %"]
        print("|", " | ".join([*cells, f"{row['uncoded']:.2f}"]), "|")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.denoise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="clean pictures")
    parser.add_argument("--sigmas", type=float, nargs="+", default=SIGMAS, help="of the noise, 0..255")
    parser.add_argument(
        "--models", nargs="+", help="bundles; the first is compared with (default: the default)"
    )
    parser.add_argument("--peers", nargs="*", default=["avif-s6-psnr", "nlm+avif-s6-psnr"], help="other ways")
    parser.add_argument("--pictures", type=int, help="only so many of them, evenly spread")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/denoise.json"))
    args = parser.parse_args(argv)
    try:
        found = pictures.find(args.folder)
        chosen = ways(args.models or [models.find().name], args.peers, args.threads)
    except (ValueError, ModelError) as error:
        return environment.fail(str(error))
    if args.pictures:
        found = [found[i] for i in np.linspace(0, len(found) - 1, args.pictures).round().astype(int)]
    known: dict[str, Row] = {}
    if args.out.exists():
        known = json.loads(args.out.read_text("utf-8"))["rows"]
    bar = progress.bar(len(found) * len(args.sigmas), "pictures")
    names, result = [way.name for way in chosen], {}
    for sigma in args.sigmas:
        for path in found:
            measure(path, sigma, chosen, known)
            bar.update()
            environment.write_json(args.out, {"rows": known})
        wanted = {
            _key(way, pictures.fingerprint(path), sigma, quality)
            for way in chosen
            for path in found
            for quality in way.qualities
        }
        rows = [row for key, row in known.items() if key in wanted]
        result[f"{sigma:g}"] = summarise(rows, names, names[0])
    bar.close()
    for text, table in result.items():
        show(float(text), table, names[0])
    facts = environment.describe(None, args.threads)
    environment.write_json(args.out, {"environment": facts, "sigmas": result, "rows": known})
    return 0


if __name__ == "__main__":
    sys.exit(main())
