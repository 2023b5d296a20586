"""python -m benchmarks.targets FOLDER: how near a target the files come, and what the search for it costs.

Every picture is coded with each target; then the file itself is measured: its bytes, and the PSNR of what
decodes from it. Network runs are counted where they are made. --max-size begins at --quality. The table has
a line for each target, --each one for each picture; the exit code is 1 when a file exceeds --max-size, or
misses another target by more than a percent without a note that says so.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from aecodec import raster
from aecodec.codec import Codec
from aecodec.errors import AecodecError, UsageError
from aecodec.networks import Networks
from aecodec.options import Options
from aecodec.pixels import Picture
from aecodec.rate_control import Target
from benchmarks import environment, pictures
from benchmarks.tracing import wrapped

TOLERANCE = 0.01


@dataclass(frozen=True)
class Row:
    """One picture, one target."""

    picture: str
    target: str
    wanted: float
    reached: float | None
    """None where even the smallest file is too large."""
    error: float | None
    """Relative; of max_size 0 where the file with the quality asked for is small enough."""
    encodings: int
    analysis: int
    synthesis: int
    seconds: float
    level: float
    note: str

    @property
    def wrong(self) -> bool:
        if self.reached is None or self.error is None:
            return False
        if self.target == "max size":
            return self.reached > self.wanted
        return abs(self.error) > TOLERANCE and not self.note


def measure(codec: Codec, name: str, picture: Picture, kind: str, wanted: float, quality: float) -> Row:
    whole = int(wanted) if "size" in kind else wanted
    target = Target(**{kind.replace("max size", "max_size"): whole})
    runs: Counter[str] = Counter()

    def counting(run: Callable[..., Any]) -> Callable[..., Any]:
        def counted(networks: Networks, graph: str, **inputs: Any) -> Any:
            runs[graph] += 1
            return run(networks, graph, **inputs)

        return counted

    begin = time.perf_counter()
    try:
        with wrapped(Networks, "_run", counting):
            found = codec.encode_to(picture, Options(quality, target))
    except UsageError as error:
        counts = {graph: runs[graph] for graph in ("analysis", "synthesis")}
        spent = time.perf_counter() - begin
        return Row(name, kind, wanted, None, None, 0, **counts, seconds=spent, level=0, note=str(error))
    seconds = time.perf_counter() - begin
    height, width = picture.pixels.shape[:2]
    if kind == "psnr":
        reached = raster.psnr(codec.decode_picture(found.data).array, picture.pixels, picture.alpha)
    else:
        reached = len(found.data) * (8 / (height * width) if kind == "bpp" else 1)
    error = 0.0 if kind == "max size" and found.runs == 1 else reached / wanted - 1
    counts = {graph: runs[graph] for graph in ("analysis", "synthesis")}
    return Row(
        picture=name,
        target=kind,
        wanted=wanted,
        reached=round(reached, 4),
        error=round(error, 5),
        encodings=found.runs,
        seconds=round(seconds, 3),
        level=found.quality / 256,
        note=found.note,
        **counts,
    )


def table(rows: list[Row]) -> str:
    lines = [
        "| target | pictures | median error | largest error | missed, with a note | out of reach "
        "| encodings: mean, most | analysis: mean, most | synthesis: mean, most |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for target, wanted in dict.fromkeys((row.target, row.wanted) for row in rows):
        members = [row for row in rows if (row.target, row.wanted) == (target, wanted)]
        found = [row for row in members if row.error is not None]
        errors = [abs(row.error or 0) for row in found if not row.note] or [math.nan]
        told = " | ".join(
            f"{statistics.mean(c):.1f}, {max(c)}"
            for name in ("encodings", "analysis", "synthesis")
            for c in [[getattr(row, name) for row in found] or [0]]
        )
        lines.append(
            f"| {target} {wanted:g} | {len(members)} | {statistics.median(errors):.2%} | {max(errors):.2%} "
            f"| {sum(bool(row.note) for row in found)} | {len(members) - len(found)} | {told} |"
        )
    return "\n".join(lines)


HEAD = (
    "| picture | target | reached | error | encodings | analysis | synthesis | note |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(row: Row) -> str:
    reached = "-" if row.reached is None else f"{row.reached:g}"
    error = "-" if row.error is None else f"{row.error:+.2%}"
    return (
        f"| {row.picture} | {row.target} {row.wanted:g} | {reached} | {error} "
        f"| {row.encodings} | {row.analysis} | {row.synthesis} | {row.note} |"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--bpp", type=float, nargs="*", default=[0.25])
    parser.add_argument("--size", type=int, nargs="*", default=[40000], help="bytes")
    parser.add_argument("--psnr", type=float, nargs="*", default=[34.0])
    parser.add_argument("--max-size", type=int, nargs="*", default=[20000], help="bytes")
    parser.add_argument("--quality", type=float, default=60, help="which --max-size may lower (default 60)")
    parser.add_argument("--model", help="name or folder of a bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--each", action="store_true", help="a line for each picture, too")
    parser.add_argument("--out", type=Path, help="JSON file for all rows")
    args = parser.parse_args(arguments)
    targets = [("bpp", v) for v in args.bpp] + [("size", v) for v in args.size]
    targets += [("psnr", v) for v in args.psnr] + [("max size", v) for v in args.max_size]
    try:
        found = [path for folder in args.folders for path in pictures.find(folder)]
        codec = Codec(args.model, device="cpu", threads=args.threads)
        rows = []
        for path in found:
            picture = Picture(np.asarray(pictures.load(path)))
            for kind, wanted in targets:
                rows.append(measure(codec, path.name, picture, kind, wanted, args.quality))
                if args.each:
                    print(*([HEAD] if len(rows) == 1 else []), line(rows[-1]), sep="\n", flush=True)
                if rows[-1].wrong:
                    print(f"WRONG {rows[-1]}", file=sys.stderr)
    except (AecodecError, ValueError, OSError) as error:
        return environment.fail(str(error))
    print(*([""] if args.each else []), table(rows), sep="\n")
    if args.out:
        facts = {"environment": environment.describe(args.model, args.threads)}
        environment.write_json(args.out, facts | {"rows": [asdict(row) for row in rows]})
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
