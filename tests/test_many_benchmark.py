"""benchmarks.many: its collection, what it calls a fault, its table; a run of the local engine."""

from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import descendants, many

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it reads /proc")


@pytest.fixture
def collection(tmp_path, folder):
    """Four JPEGs of 64 x 64, the last spoiled, in tmp_path/in."""
    many.make(tmp_path / "in", folder, 4, 64)
    return tmp_path / "in"


def test_collection(collection, folder):
    names = sorted(path.relative_to(collection).as_posix() for path in collection.rglob("*.jpg"))
    assert names == [f"00/{number:05}.jpg" for number in range(4)]
    sizes = [path.stat().st_size for path in sorted(collection.rglob("*.jpg"))]
    assert sizes[3] == 100 < min(sizes[:3])
    with Image.open(collection / names[0]) as image:
        assert image.size == (64, 64)
    before = {name: (collection / name).stat().st_mtime_ns for name in names}
    many.make(collection, folder, 4, 64)
    assert before == {name: (collection / name).stat().st_mtime_ns for name in names}, "made once"
    many.make(collection, folder, 2, 64)
    assert len(list(collection.rglob("*.jpg"))) == 2
    with pytest.raises(ValueError, match="500"):
        many.make(collection, folder, 2, 500)


@linux
def test_run_and_faults(collection, tmp_path):
    run = many.encode(collection, tmp_path / "out", ["-q", "5", "--device", "cpu"])
    assert run["exit_code"] == 3 and (run["results"], run["rows"], len(run["failures"])) == (3, 3, 1)
    assert run["cpu_seconds_each"] >= 0 and run["killed"] is None
    run["contents"] = many.contents(tmp_path / "out")
    assert len(run["contents"]) == 3 and many.faults({"local": run}, 4) == []
    other = copy.deepcopy(run)
    other["contents"]["00/00000.aec"] = "0"
    assert "not the bytes" in many.faults({"local": run, "ray": other}, 4)[0]
    assert "could be killed" in many.faults({"local": run, "one killed": run}, 4)[0]
    assert "3 results" in many.faults({"local": run}, 5)[0]
    assert "| local | 3 | 1 |" in many.table({"local": run}, [("x", 0.05)])


def test_price():
    assert many.price("a b=0.4/8") == ("a b, 0.4 $ an hour for 8 CPUs", 0.05)
    for wrong in ("a", "a=b/8", "a=1/0"):
        with pytest.raises(argparse.ArgumentTypeError):
            many.price(wrong)


@linux
def test_descendants():
    found = descendants.below(os.getpid())
    assert found[os.getpid()].parent == os.getppid() and "python" in found[os.getpid()].title
    assert descendants.below(1 << 30) == {}
