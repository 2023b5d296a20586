"""python tests/fuzz/run.py decode|encode [libFuzzer options] FOLDER...: atheris on one of the targets.

The first FOLDER takes what is found to be new; see README.md beside this script.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["aecodec"]):
    from fuzz import mutator, targets


def _mutate_decode(data: bytes, most: int, seed: int) -> bytes:
    return mutator.mutate(bytes(data), most, seed, lambda part, size: bytes(atheris.Mutate(part, size)))


def _again(name: str) -> str:
    """To merge corpora libFuzzer starts itself again, by one word: a script that does so."""
    script = Path(tempfile.mkdtemp()) / "fuzz"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).absolute()}" {name} "$@"\n')
    script.chmod(0o755)
    return str(script)


def main() -> None:
    name = sys.argv.pop(1)
    if any("merge" in argument for argument in sys.argv):
        sys.argv[0] = _again(name)
    target = targets.TARGETS[name]

    counts = {True: 0, False: 0}

    def run(data: bytes) -> None:
        counts[target(bytes(data))] += 1
        if sum(counts.values()) % 1000 == 0:
            print(f"{counts[True]} accepted, {counts[False]} refused", file=sys.stderr)

    options = {"custom_mutator": _mutate_decode} if name == "decode" else {}
    atheris.Setup(sys.argv, run, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
