"""How many symbols a second does the entropy coder code, and how far is it from the ideal size?

    python -m benchmarks.entropy FOLDER [--model NAME] [--qualities 20 60 90] [--out FILE.json]

Real latents: the codec encodes every picture of the folder, and what it hands to its coder (symbols and
table rows of every group) is kept. Then, on one thread and in alternating rounds, these groups are coded
again and again by aecodec (the encoder has one path; the decoder is timed scalar and AVX2) and by
constriction, a Rust library, with the same integer tables.

constriction is called in the ways its Python interface is fastest:
  by row   all symbols of one table row together, with one fixed model: a call codes thousands of symbols.
           It is not usable as a codec's layout without sorting; sorting is not timed.
  each     a probability vector for every symbol, in coding order; making the vectors is not timed.
It codes only the 16-letter codes; the raw bits of large values, the skipped symbols and the writing of
results to their places are in aecodec's time and not in constriction's. All of this favours constriction.
Speeds count coded symbols; a skipped one (never written, known to be 0) counts in no speed. Time is the
process's CPU time, so that other programs disturb less; ratios are of medians and of the fastest rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import aecodec
from aecodec import _core, entropy
from aecodec.tables import CodingTables
from benchmarks import environment, pictures
from benchmarks.tracing import rotations, wrapped

TOTAL = 1 << 15
ESCAPE = 15
EACH_CAP = 400_000
"""Symbols that constriction codes with a vector each: the vectors take 64 bytes a symbol."""


class GroupData(NamedTuple):
    """What the coder gets for one group: z, first half, second half."""

    symbols: list[NDArray[np.int16]]
    rows: list[NDArray[np.uint8]]
    """Their indices."""


class Work(NamedTuple):
    """The symbols of many groups as the coder sees them."""

    groups: list[GroupData]
    row: NDArray[np.uint8]
    """Table row of every coded symbol."""
    code: NDArray[np.int32]
    """0..15, of every coded symbol."""
    raw_bits: int
    skipped: int
    """Latent values that are coded by saying nothing: index below skip, on the active half."""


def record(
    codec: aecodec.Codec, images: Iterable[Image.Image], quality: float
) -> tuple[list[GroupData], CodingTables]:
    """Encodes pictures and keeps every call of the group coder."""
    groups: list[GroupData] = []
    seen: list[CodingTables] = []

    def keep(original: Callable[..., bytes]) -> Callable[..., bytes]:
        def call(tables: CodingTables, z: Any, z_row: Any, *halves: Any) -> bytes:
            first, index_first, second, index_second = halves
            z_symbols, z_index = entropy.symbols_of_z(tables, z, z_row)
            of_z = z_index >= tables.skip  # in the order in which they are coded
            symbols = [np.array(part, np.int16).ravel() for part in (z_symbols[of_z], first, second)]
            index = [np.array(part, np.uint8).ravel() for part in (z_index[of_z], index_first, index_second)]
            groups.append(GroupData(symbols, index))
            seen.append(tables)
            return original(tables, z, z_row, *halves)

        return call

    with wrapped(entropy, "encode_group", keep):
        for image in images:
            codec.encode(image, quality)
    return groups, seen[0]


def prepare(groups: list[GroupData], tables: CodingTables) -> Work:
    """Symbols -> 16-letter codes, by the rules of the format."""
    symbols = np.concatenate([part for group in groups for part in group.symbols]).astype(np.int64)
    row = np.concatenate([part for group in groups for part in group.rows])
    coded = row >= tables.skip
    values = sum(group.symbols[0].size + group.symbols[1].size for group in groups)
    symbols, row = symbols[coded], row[coded]
    shift = tables.shifts[row].astype(np.int64)
    high = (symbols + ((1 << shift) >> 1)) >> shift
    size = np.abs(high)
    code = np.where(size > 7, ESCAPE, np.where(high > 0, 2 * high - 1, -2 * high))
    tail = size[size > 7] - 8
    raw = int(shift.sum()) + int((2 * np.floor(np.log2(tail + 1)) + 2).sum())  # Exp-Golomb and a sign
    return Work(groups, row, code.astype(np.int32), raw, values - len(symbols))


def ideal_bytes(work: Work, tables: CodingTables) -> float:
    """Information content of the codes under the integer tables, and the raw bits."""
    frequency = frequencies(tables)[work.row, work.code]
    return (float(np.sum(15 - np.log2(frequency))) + work.raw_bits) / 8


def frequencies(tables: CodingTables) -> NDArray[np.int64]:
    starts = tables.rows.astype(np.int64)
    return np.diff(np.concatenate([starts, np.full((len(starts), 1), TOTAL)], axis=1), axis=1)


Job = Callable[[], object]


def our_jobs(work: Work, tables: CodingTables) -> tuple[dict[str, Job], int]:
    """-> {name: job}, coded bytes. Group by group, in three decoder calls, as the codec does it."""
    joined = [(np.concatenate(g.symbols), np.concatenate(g.rows)) for g in work.groups]
    payloads = [_core.encode_group(tables.core, symbols, index) for symbols, index in joined]
    outputs = [[np.empty_like(part) for part in group.symbols] for group in work.groups]

    def encode() -> None:
        for symbols, index in joined:
            _core.encode_group(tables.core, symbols, index)

    def decoder(simd: int) -> Job:
        def decode() -> None:
            for group, payload, out in zip(work.groups, payloads, outputs, strict=True):
                reader = _core.GroupDecoder(tables.core, payload, simd=simd)
                for index, part in zip(group.rows, out, strict=True):
                    reader.decode(index, part)
                reader.finish()

        return decode

    jobs: dict[str, Job] = {"aecodec encode": encode, "aecodec decode, scalar": decoder(0)}
    if _core.simd_available():
        jobs["aecodec decode, AVX2"] = decoder(1)
    for name in list(jobs)[1:]:  # both decoders must give back what went in
        jobs[name]()
        for group, out in zip(work.groups, outputs, strict=True):
            if any((a != b).any() for a, b in zip(group.symbols, out, strict=True)):
                raise RuntimeError(f"{name}: the symbols that came back differ")
    return jobs, sum(map(len, payloads))


def peer_jobs(work: Work, tables: CodingTables) -> tuple[dict[str, Job], dict[str, int], dict[str, int]]:
    """constriction -> {name: job}, {name: symbols in it}, {coder: bytes of the codes}."""
    import constriction

    model, queue, stack = (getattr(constriction.stream, name) for name in ("model", "queue", "stack"))
    probability = (frequencies(tables) / TOTAL).astype(np.float32)  # exact: 15 bits
    rows = [r for r in range(len(probability)) if (work.row == r).any()]
    fixed = [model.Categorical(probability[r], perfect=False) for r in rows]
    codes = [np.ascontiguousarray(work.code[work.row == r]) for r in rows]
    family = model.Categorical(perfect=False)
    each_code = np.ascontiguousarray(work.code[:EACH_CAP])
    each_vector = np.ascontiguousarray(probability[work.row[:EACH_CAP]])

    def ans_encode() -> Any:
        coder = stack.AnsCoder()
        for symbols, m in zip(reversed(codes), reversed(fixed), strict=True):  # a stack: last in, first out
            coder.encode_reverse(symbols, m)
        return coder.get_compressed()

    def range_encode() -> Any:
        coder = queue.RangeEncoder()
        for symbols, m in zip(codes, fixed, strict=True):
            coder.encode(symbols, m)
        return coder.get_compressed()

    def each_encode() -> Any:
        coder = stack.AnsCoder()
        coder.encode_reverse(each_code, family, each_vector)
        return coder.get_compressed()

    ans_words, range_words, each_words = ans_encode(), range_encode(), each_encode()

    def by_row(make: Callable[[Any], Any], words: Any) -> Callable[[], list[Any]]:
        def decode() -> list[Any]:
            coder = make(words)
            return [coder.decode(m, len(symbols)) for symbols, m in zip(codes, fixed, strict=True)]

        return decode

    decoders = {"ANS": by_row(stack.AnsCoder, ans_words), "range": by_row(queue.RangeDecoder, range_words)}
    for name, decode in decoders.items():
        if any((a != b).any() for a, b in zip(decode(), codes, strict=True)):
            raise RuntimeError(f"constriction {name}: the symbols that came back differ")
    jobs: dict[str, Job] = {
        "constriction ANS encode, by row": ans_encode,
        "constriction ANS decode, by row": decoders["ANS"],
        "constriction range encode, by row": range_encode,
        "constriction range decode, by row": decoders["range"],
        "constriction ANS encode, each": each_encode,
        "constriction ANS decode, each": lambda: stack.AnsCoder(each_words).decode(family, each_vector),
    }
    counts = {name: len(each_code) if name.endswith("each") else len(work.code) for name in jobs}
    return jobs, counts, {"ANS": 4 * len(ans_words), "range": 4 * len(range_words)}


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
