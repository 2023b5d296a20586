"""What are the latents in .aec files good for without decoding pictures? Numbers, against features of pixels.

    python -m benchmarks.latents_files LABELLED --pictures FOLDER [--only search speed ...]

LABELLED is a folder with the archives that it finds: cifar10-small.npz, groceries-small.tar,
magnetic-tiles-small.tar (labelled.py says what is in them). FOLDER has photographs, for the speed and for
inpainting.

    search     recall@1 and @5 of the groceries by class: latents, pooled pixels, colour histograms of the
               decoded pictures; and whether a picture is found at another quality
    speed      an index of files from their latents, against decoding them all (or at 1/16) and pooling pixels
    classify   accuracy on CIFAR-10 of one linear classifier: latents, principal components, pixels
    anomaly    AUROC on the magnetic tiles, of whole pictures and of positions: patch memory, rate, error
    inpaint    PSNR in the holes that random strokes leave
    sheets     contact sheets of what the tools make of the photographs, into --sheets DIR
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: --threads are those of the networks

from aecodec import Codec
from benchmarks import environment, labelled, latents_pictures, latents_sheets, latents_vectors, pictures

PARTS = ("search", "speed", "classify", "anomaly", "inpaint", "sheets")


class Run:
    """One part after the other; results and pictures of each."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.codec = Codec(args.model, "cpu", threads=args.threads)
        self.plain = Codec(args.model, "cpu", threads=args.threads, pixel_blocks=False)
        self.results: dict[str, Any] = {}

    def take(self, part: str) -> None:
        parts: dict[str, Callable[[], Any]] = {
            "search": self.search,
            "speed": self.speed,
            "classify": self.classify,
            "anomaly": self.anomaly,
            "inpaint": self.inpaint,
            "sheets": self.draw,
        }
        found = parts[part]()
        self.results[part] = found
        print(f"\n{part}")
        print(json.dumps(found, indent=1))

    def search(self) -> Any:
        found = labelled.photographs(self.args.labelled / "groceries-small.tar")[:: self.args.every]
        result = latents_vectors.search(found, self.codec)
        return result

    def speed(self) -> Any:
        photographs = self._photographs()
        results = []
        for side in self.args.sides:
            some = list(labelled.crops(photographs, side, self.args.files))
            results.append(latents_vectors.speed(some, self.args.quality, self.codec))
            print(json.dumps(results[-1]), flush=True)
        return results

    def classify(self) -> Any:
        train, test = (max(20, count // self.args.every) for count in (5000, 2000))
        sets = labelled.small(self.args.labelled / "cifar10-small.npz", train, test)
        return latents_vectors.classes(*sets, self.plain)

    def anomaly(self) -> Any:
        found = labelled.surfaces(self.args.labelled / "magnetic-tiles-small.tar")[:: self.args.every]
        return latents_pictures.surfaces(found, self.plain)

    def inpaint(self) -> Any:
        return latents_pictures.holes(self._photographs()[:: self.args.every], self.plain)

    def draw(self) -> Any:
        made = latents_sheets.sheets(self._photographs(), self.codec, self.plain)
        for name, (shown, columns, width) in made.items():
            latents_sheets.write(self.args.sheets / f"latents-{name}.webp", shown, columns, width)
        return sorted(made)

    def _photographs(self) -> list[Any]:
        return [pictures.pixels(pictures.load(path)) for path in pictures.find(self.args.pictures)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latents_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("labelled", type=Path, help="folder with the labelled archives")
    parser.add_argument("--pictures", type=Path, help="folder of photographs, for speed and inpaint")
    parser.add_argument("--model", help="name of the model (default: that of the codec)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--every", type=int, default=1, help="only every so many pictures, for a quick look")
    parser.add_argument("--files", type=int, default=1000, help="files of the index that is timed")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 224], help="their sides in pixels")
    parser.add_argument("--quality", type=float, default=60, help="of these files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheets", type=Path, default=Path("benchmarks/results"), help="where they go")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/latents_files.json"))
    args = parser.parse_args(argv)
    if args.pictures is None and {"speed", "inpaint", "sheets"} & set(args.only):
        return environment.fail("speed, inpaint and sheets need --pictures FOLDER")
    run = Run(args)
    try:
        for part in args.only:
            run.take(part)
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    known = json.loads(args.out.read_text("utf-8"))["results"] if args.out.exists() else {}
    facts = environment.describe(args.model, args.threads)
    environment.write_json(args.out, {"environment": facts, "results": known | run.results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
