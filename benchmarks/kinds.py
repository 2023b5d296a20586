"""python -m benchmarks.kinds FOLDER ...: what the command line makes of every kind of picture.

Every file below the folders goes through `aecodec encode` and `aecodec decode` into a PNG, which is then
compared with the original: mode, bits, size, profile, EXIF, XMP, resolution, alpha. A file that is refused
must be so in one line and with the exit code of its error. The result is a table by kind, in Markdown; the
exit code is 1 when something was wrong with any file, and the files are named.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aecodec import describe, errors, pixels
from aecodec.cli.main import main as command

REFUSALS = {
    error.exit_code: error.__name__.removesuffix("Error").lower()
    for error in (errors.InputError, errors.LimitError)
}
METADATA = {"icc_profile": "ICC", "exif": "EXIF", "xmp": "XMP"}


@dataclass
class Outcome:
    """What became of one file."""

    kind: str
    result: str
    kept: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@dataclass
class Run:
    code: int
    errors: str

    @property
    def notes(self) -> list[str]:
        return [
            line.removeprefix("aecodec: note: ") for line in self.errors.splitlines() if ": note: " in line
        ]


def run(*arguments: str) -> Run:
    """The command line in this process; a traceback would be an exception here."""
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        code = command(list(arguments))
    return Run(code, stderr.getvalue())


def kind_of(path: Path) -> str:
    """Format, mode and what is special about a file, as Pillow sees it."""
    try:
        with Image.open(path) as image:
            rawmode = " ".join(str(getattr(tile, "args", "")) for tile in image.tile)
            deep = "16" in rawmode and image.mode != "I;16"
            words = [
                image.format or "?",
                "LA" if "LA;16" in rawmode else image.mode,
                "16 bits" if deep else "",
            ]
            words.append("interlaced" if image.info.get("interlace") else "")
            words.append("progressive" if image.info.get("progressive") else "")
            words.append("tRNS" if "transparency" in image.info else "")
            words.append("animated" if getattr(image, "n_frames", 1) > 1 else "")
            words.append("wide gamut" if _is_wide(image.info.get("icc_profile", b"")) else "")
            return " ".join(word for word in words if word)
    except Exception:
        return "not readable"


def _is_wide(icc: bytes) -> bool:
    return any(name in icc for name in (b"Display P3", b"2020", "Display P3".encode("utf-16-be")))


def try_file(path: Path, options: list[str], folder: Path) -> Outcome:
    coded, back = folder / "a.aec", folder / "a.png"
    encoded = run("encode", str(path.absolute()), str(coded), "--force", *options)
    kind = kind_of(path)
    if encoded.code:
        lines = encoded.errors.splitlines()
        outcome = Outcome(kind, f"exit {encoded.code}, {REFUSALS.get(encoded.code, 'unexpected')}")
        if len(lines) != 1 or encoded.code not in REFUSALS:
            outcome.wrong.append(f"exit {encoded.code}: {encoded.errors.strip()}")
        return outcome
    decoded = run("decode", str(coded), str(back), "--force", *options)
    if decoded.code or decoded.errors:
        return Outcome(kind, "decoding failed", wrong=[f"exit {decoded.code}: {decoded.errors.strip()}"])
    facts = describe.info(coded)
    colours = ("grey" if facts["channels"] == 1 else "RGB") + (" + alpha" if facts["alpha"] else "")
    notes = "".join(f"; {note}" for note in encoded.notes if "of the PNG not kept" not in note)
    outcome = Outcome(kind, f"{colours}, {facts['depth']} bits{notes}")
    _compare(path, back, encoded.notes, outcome)
    return outcome


def _compare(path: Path, back: Path, notes: list[str], outcome: Outcome) -> None:
    """What came back against the original file, both as Pillow reads them."""
    wrong = outcome.wrong
    given, found = pixels.read_picture(path), pixels.read_picture(back)
    if (given.pixels.shape, given.depth) != (found.pixels.shape, found.depth):
        wrong.append(f"{given.pixels.shape} of {given.depth} bits became {found.pixels.shape}, {found.depth}")
    if (given.alpha is None) != (found.alpha is None) or not np.array_equal(
        given.alpha if given.alpha is not None else 0, found.alpha if found.alpha is not None else 0
    ):
        wrong.append("alpha differs")
    elif given.alpha is not None:
        outcome.kept.add("alpha")
    with Image.open(path) as image, Image.open(back) as again:
        image.load()  # PNG has metadata behind its pixels
        again.load()
        converted = any("converted" in note for note in notes)
        _compare_metadata(image, again, converted, outcome)
    if given.orientation != found.orientation:
        wrong.append("orientation differs")
    elif given.orientation != 1:
        outcome.kept.add("orientation")


def _compare_metadata(image: Image.Image, again: Image.Image, converted: bool, outcome: Outcome) -> None:
    for key, name in METADATA.items():
        before, after = _bytes(image.info, key), _bytes(again.info, key)
        if key == "icc_profile" and converted:
            if after:
                outcome.wrong.append("a converted picture has the old profile")
        elif image.format == "TIFF" and key == "exif":  # a TIFF's directory is not copied as it is
            continue
        elif before != after:
            outcome.wrong.append(f"{name} differs ({len(before)} bytes became {len(after)})")
        elif before:
            outcome.kept.add(name)
    before, after = (pixels.from_pil(i).dpi for i in (image, again))
    if (before is None) != (after is None) or (before and not np.allclose(before, after, atol=0.02)):
        outcome.wrong.append(f"resolution {before} became {after}")
    elif before:
        outcome.kept.add("resolution")


def _bytes(info: dict[str, Any], key: str) -> bytes:
    value = info.get(key) or (info.get("XML:com.adobe.xmp") if key == "xmp" else b"") or b""
    return value.encode() if isinstance(value, str) else bytes(value).removeprefix(b"Exif\0\0")


def files_below(places: list[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]


def table(outcomes: list[Outcome]) -> str:
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.kind, outcome.result), []).append(outcome)
    lines = ["| files | input | result | kept, byte for byte |", "|---|---|---|---|"]
    for (kind, result), members in sorted(rows.items()):
        kept = Counter(name for outcome in members for name in outcome.kept)
        text = ", ".join(name if n == len(members) else f"{name} ({n})" for name, n in sorted(kept.items()))
        lines.append(f"| {len(members)} | {kind} | {result} | {text} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kinds", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--largest", type=float, default=30, help="megapixels of a picture (default 30)")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    options = ["--device", "cpu", "--threads", str(args.threads)]
    outcomes, skipped = [], []
    with tempfile.TemporaryDirectory() as folder:
        for path in files_below(args.folders):
            if path.suffix in (".tsv", ".md") or path.name == "LICENSE":
                continue
            with contextlib.suppress(Exception), Image.open(path) as image:
                if args.largest < image.width * image.height / 1e6 < 1000:
                    skipped.append(path.name)
                    continue
            outcomes.append(try_file(path, options, Path(folder)))
            for text in outcomes[-1].wrong:
                print(f"WRONG {path}: {text}", file=sys.stderr)
    print(table(outcomes))
    bad = sum(bool(outcome.wrong) for outcome in outcomes)
    print(f"\n{len(outcomes)} files, {bad} of them wrong, {len(skipped)} left out as too large", *skipped)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
