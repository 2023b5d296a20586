"""Work in threads, also where no thread can be had any more."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from aecodec.parallel import Workers, ahead, workers

TOO_LATE = """
import sys, threading
import aecodec, numpy as np

codec = aecodec.Codec(sys.argv[2], "cpu", 2, pixel_blocks=False)
picture = np.zeros((1024, 2048, 3), np.uint8)
picture[::3] = 200
expected = codec.encode(picture, 20) if sys.argv[1] == "begun" else None

def late():
    threading.main_thread().join()
    data = codec.encode(picture, 20)
    assert expected in (None, data)
    print(codec.decode(data).shape)

threading.Thread(target=late).start()
"""


TINY = Path(__file__).parent / "data" / "bundles" / "tiny"


class Refusing:
    """A pool after the interpreter's end has begun."""

    def submit(self, *_):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")


@pytest.mark.parametrize("before", ["begun", "nothing"])
def test_threads_that_outlive_the_main_one(before):
    command = [sys.executable, "-c", TOO_LATE, before, str(TINY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["(1024,", "2048,", "3)"], "")


@pytest.mark.parametrize("pool", [None, Refusing()])
def test_work_without_threads(pool):
    own = Workers(pool)
    assert own.map(str, range(3)) == ["0", "1", "2"]
    assert own.submit(int, "7")() == 7
    with pytest.raises(ValueError, match="x"):
        own.submit(int, "x")()


@pytest.mark.parametrize("threads", [1, 3])
def test_order_and_errors(threads):
    with workers(threads) as pool:
        assert pool.map(lambda n: int(np.sum(np.arange(n))), range(50)) == [
            n * (n - 1) // 2 for n in range(50)
        ]
    with pytest.raises(ZeroDivisionError), workers(threads) as pool:
        pool.map(lambda n: 1 // n, range(2))
    assert list(ahead(iter(range(5)), threads)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_threads_that_cannot_be_had(failing, monkeypatch):
    """The pool has put the work into its queue by then: a thread that comes later must not do it again."""
    start, tries, done = threading.Thread.start, [], []

    def refused(thread):
        tries.append(thread)
        if len(tries) == failing:
            raise RuntimeError("can't start new thread")
        start(thread)

    def work(n):
        time.sleep(0.01)
        done.append(n)
        return n

    monkeypatch.setattr(threading.Thread, "start", refused)
    with workers(4) as pool:
        assert pool.map(work, range(6)) == [0, 1, 2, 3, 4, 5]
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    tries.clear()
    assert list(ahead(iter(range(8)), 2)) == [0, 1, 2, 3, 4, 5, 6, 7]
