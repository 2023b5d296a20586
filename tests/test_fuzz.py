"""The fuzzing corpora replayed, and the mutator of .aec files; without atheris.  See tests/fuzz/README.md."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz import mutator, seeds, targets

from aecodec import container
from aecodec.errors import CorruptError

CORPUS = Path(__file__).parent / "fuzz" / "corpus"


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_corpus(name):
    files = sorted((CORPUS / name).iterdir())
    assert len(files) >= 15
    accepted = [targets.TARGETS[name](path.read_bytes()) for path in files]
    assert any(accepted) and not all(accepted)


def test_size_of_the_corpus():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 200_000


def flip(data: bytes, most: int, rng: random.Random) -> bytes:
    """A byte changed, put in or left out."""
    changed = bytearray(data or b"\0")
    at = rng.randrange(len(changed))
    changed[at : at + rng.randrange(2)] = bytes([rng.randrange(256)] * rng.randrange(2))
    return bytes(changed[:most])


def test_mutations_reach_past_the_checksums():
    """A third and more of the files that are made from whole ones are read to the end; none is a finding."""
    rng, accepted, reasons = random.Random(5), 0, []
    whole = [mutator.WHOLE[k % len(mutator.WHOLE)] for k in range(120)]
    for seed, file in enumerate(whole):
        made = mutator.mutate(bytes([seed % 7]) + file, 1 << 15, seed, lambda d, most: flip(d, most, rng))
        accepted += targets.decode(made)
        try:
            container.read_file(made[1:], targets.LIMITS)
        except Exception as error:
            reasons.append(str(error))
    assert accepted >= 20
    assert sum("checksum" in reason for reason in reasons) <= 12


def test_a_finding_is_found(monkeypatch):
    """The targets would notice: an undocumented error, a disagreement."""
    file = bytes([targets.OPERATIONS.index("verify")]) + mutator.WHOLE[0]
    assert targets.decode(file)

    def fail(*arguments):
        raise KeyError("x")

    def refuse(*arguments):
        raise CorruptError("x")

    for broken, expected in ((fail, KeyError), (refuse, targets.Finding)):
        monkeypatch.setattr(targets.codec, "verify", broken, raising=False)
        with pytest.raises(expected):
            targets.decode(file)


def test_seeds():
    """Every format that Pillow writes here is read."""
    made = list(seeds.encode())
    assert len(made) > 50 and seeds.OPERATIONS == len(targets.OPERATIONS)
    assert sum(targets.encode(data) for data in made[::9]) >= len(made[::9]) - 3
