"""How many symbols a second does the entropy coder code, and how far is it from the ideal size?

    python -m benchmarks.entropy FOLDER [--model NAME] [--qualities 20 60 90] [--out FILE.json]

Real latents: the codec encodes every picture of the folder, and what it hands to its coder (symbols and
table rows of every group) is kept. Then, on one thread and in alternating rounds, these groups are coded
again and again by aecodec (the encoder has one path; the decoder is timed scalar and AVX2) and by
constriction, a Rust library, with the same integer tables; entropy_coders.py says how, and that what is not
alike favours constriction.

Speeds count coded symbols; a skipped one (never written, known to be 0) counts in no speed. Time is the
process's CPU time, so that other programs disturb less; ratios are of medians and of the fastest rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import aecodec
from aecodec.tables import CodingTables
from benchmarks import environment, pictures
from benchmarks.entropy_coders import our_jobs, peer_jobs
from benchmarks.entropy_symbols import Work, ideal_bytes, prepare, record
from benchmarks.tracing import rotations


def run(work: Work, tables: CodingTables, rounds: int) -> dict[str, Any]:
    """Speeds (million coded symbols a second: median, slowest, fastest round), sizes and ratios."""
    ours, our_bytes = our_jobs(work, tables)
    theirs, counts, their_bytes = peer_jobs(work, tables)
    jobs = ours | theirs
    counts |= dict.fromkeys(ours, len(work.code))
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for name in rotations(jobs, rounds + 1):
        begin = time.process_time()  # every job is one thread
        jobs[name]()
        times[name].append(time.process_time() - begin)
    speeds = {}
    for name, found in times.items():
        rates = [counts[name] / seconds / 1e6 for seconds in found[1:]]  # the first round warms up
        speeds[name] = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}

    def ratios(what: str) -> dict[str, dict[str, float]]:
        best = max((n for n in ours if n.startswith(f"aecodec {what}")), key=lambda n: speeds[n]["median"])
        peers = [n for n in theirs if f" {what}, " in n]
        return {n: {k: speeds[best][k] / speeds[n][k] for k in ("median", "max")} for n in peers}

    ideal = ideal_bytes(work, tables)
    return {
        "coded_symbols": len(work.code),
        "skipped_symbols": work.skipped,
        "groups": len(work.groups),
        "raw_bits": work.raw_bits,
        "million_symbols_per_second": speeds,
        "ratios_encode": ratios("encode"),
        "ratios_decode": ratios("decode"),
        "bytes": {
            "ideal": ideal,
            "aecodec": our_bytes,
            # Codes from constriction; the raw bits are added, which any coder would have to send.
            **{f"constriction {k}": v + work.raw_bits / 8 for k, v in their_bytes.items()},
        },
    }


def report(quality: float, found: dict[str, Any]) -> None:
    coded, skipped = found["coded_symbols"], found["skipped_symbols"]
    speeds = found["million_symbols_per_second"]
    print(f"\nquality {quality:g}: {coded} coded and {skipped} skipped symbols in {found['groups']} groups")
    print(f"  {found['raw_bits'] / coded:.3f} raw bits a coded symbol (low bits and large values)")
    print("  million coded symbols a second, one thread".ljust(46), "median      min      max")
    for name, speed in speeds.items():
        print(f"  {name:42} {speed['median']:8.1f} {speed['min']:8.1f} {speed['max']:8.1f}")
    decode = max(v["median"] for n, v in speeds.items() if n.startswith("aecodec decode"))
    both = decode * (1 + skipped / coded)
    print(f"  coded and skipped together, aecodec decodes {both:.1f} million a second")
    for what in ("encode", "decode"):
        for name, ratio in found[f"ratios_{what}"].items():
            print(f"  aecodec is {ratio['median']:5.2f} x {name} (fastest rounds: {ratio['max']:.2f} x)")
    ideal = found["bytes"]["ideal"]
    for name, size in found["bytes"].items():
        print(f"  {name:20} {size:12.0f} bytes  {100 * (size / ideal - 1):+.3f} %")


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.entropy", description=first)
    parser.add_argument("folder", type=Path, help="folder of pictures, or one picture")
    parser.add_argument("--model", help="bundle's name or folder; default: the default model")
    parser.add_argument("--qualities", nargs="+", type=float, default=[20, 60, 90])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    try:
        import constriction  # noqa: F401  needed below, said before minutes of work

        paths = pictures.find(options.folder)
    except ImportError:
        return environment.fail("constriction is not installed; run: pip install 'aecodec[bench]'")
    except ValueError as error:
        return environment.fail(str(error))
    codec = aecodec.Codec(model=options.model, device="cpu")
    results = {}
    for quality in options.qualities:
        groups, tables = record(codec, map(pictures.load, paths), quality)
        found = run(prepare(groups, tables), tables, options.rounds)
        results[f"{quality:g}"] = found
        report(quality, found)
    if options.out:
        facts = environment.describe(options.model, 1)
        environment.write_json(options.out, {"format": 1, "environment": facts, "qualities": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
