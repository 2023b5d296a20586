"""Both coders as jobs for `benchmarks.entropy`: aecodec's own and constriction, from the same tables.

constriction is called in the ways its Python interface is fastest:
  by row   all symbols of one table row together, with one fixed model: a call codes thousands of symbols.
           It is not usable as a codec's layout without sorting; sorting is not timed.
  each     a probability vector for every symbol, in coding order; making the vectors is not timed.
It codes only the 16-letter codes; the raw bits of large values, the skipped symbols and the writing of
results to their places are in aecodec's time and not in constriction's. All of this favours constriction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import _core
from aecodec.tables import CodingTables
from benchmarks.entropy_symbols import TOTAL, Work, frequencies
from benchmarks.timing import Job

EACH_CAP = 400_000
"""Symbols that constriction codes with a vector each: the vectors take 64 bytes a symbol."""
WORD = 4
"""Bytes of a word that constriction puts out."""

Symbols = NDArray[Any]
Probability = NDArray[np.float32]


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
    for name in list(jobs)[1:]:
        jobs[name]()
        for group, out in zip(work.groups, outputs, strict=True):
            _compare(name, group.symbols, out)
    return jobs, sum(map(len, payloads))


def peer_jobs(work: Work, tables: CodingTables) -> tuple[dict[str, Job], dict[str, int], dict[str, int]]:
    """constriction -> {name: job}, {name: symbols in it}, {coder: bytes of the codes, by row}."""
    probability = (frequencies(tables) / TOTAL).astype(np.float32)  # [rows, 16], exact: 15 bits
    by_row, sizes = _jobs_by_row(work, probability)
    each, count = _jobs_each(work, probability)
    counts = dict.fromkeys(by_row, len(work.code)) | dict.fromkeys(each, count)
    return by_row | each, counts, sizes


def _jobs_by_row(work: Work, probability: Probability) -> tuple[dict[str, Job], dict[str, int]]:
    """-> {name: job}, {coder: bytes}"""
    import constriction

    model, queue, stack = constriction.stream.model, constriction.stream.queue, constriction.stream.stack
    rows = [r for r in range(len(probability)) if (work.row == r).any()]
    models = [model.Categorical(probability[r], perfect=False) for r in rows]
    codes = [np.ascontiguousarray(work.code[work.row == r]) for r in rows]

    def ans_encode() -> Any:
        coder = stack.AnsCoder()
        for symbols, m in zip(reversed(codes), reversed(models), strict=True):  # last in, first out
            coder.encode_reverse(symbols, m)
        return coder.get_compressed()

    def range_encode() -> Any:
        coder = queue.RangeEncoder()
        for symbols, m in zip(codes, models, strict=True):
            coder.encode(symbols, m)
        return coder.get_compressed()

    def decoder(make: Callable[[Any], Any], words: Any) -> Callable[[], list[Any]]:
        def decode() -> list[Any]:
            coder = make(words)
            return [coder.decode(m, len(symbols)) for symbols, m in zip(codes, models, strict=True)]

        return decode

    ans_words, range_words = ans_encode(), range_encode()
    ans_decode = decoder(stack.AnsCoder, ans_words)
    range_decode = decoder(queue.RangeDecoder, range_words)
    _compare("constriction ANS", codes, ans_decode())
    _compare("constriction range", codes, range_decode())
    jobs: dict[str, Job] = {
        "constriction ANS encode, by row": ans_encode,
        "constriction ANS decode, by row": ans_decode,
        "constriction range encode, by row": range_encode,
        "constriction range decode, by row": range_decode,
    }
    return jobs, {"ANS": WORD * len(ans_words), "range": WORD * len(range_words)}


def _jobs_each(work: Work, probability: Probability) -> tuple[dict[str, Job], int]:
    """-> {name: job}, symbols in each"""
    import constriction

    model, stack = constriction.stream.model, constriction.stream.stack
    family = model.Categorical(perfect=False)
    codes = np.ascontiguousarray(work.code[:EACH_CAP])
    vectors = np.ascontiguousarray(probability[work.row[:EACH_CAP]])  # [symbols, 16]

    def encode() -> Any:
        coder = stack.AnsCoder()
        coder.encode_reverse(codes, family, vectors)
        return coder.get_compressed()

    words = encode()
    jobs: dict[str, Job] = {
        "constriction ANS encode, each": encode,
        "constriction ANS decode, each": lambda: stack.AnsCoder(words).decode(family, vectors),
    }
    return jobs, len(codes)


def _compare(name: str, wanted: Sequence[Symbols], found: Sequence[Symbols]) -> None:
    """RuntimeError unless a decoder gives back what went in."""
    if any((a != b).any() for a, b in zip(wanted, found, strict=True)):
        raise RuntimeError(f"{name}: the symbols that came back differ")
