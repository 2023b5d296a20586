"""What happens when the system fails, when many threads use one Codec, and when a program runs for long."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from batches import COMMAND, files_in
from conftest import DATA
from PIL import Image
from synthetic import smooth

from aecodec.cli.files import write_output
from aecodec.codec import Codec
from aecodec.errors import OutputError
from aecodec.region import Region

CITY = DATA / "city.jpg"
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /dev/full")


def on_a_full_disk(*arguments, size=1000):
    """Runs a command that can write no file of more than `size` bytes."""
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    command = [*COMMAND, *(str(a) for a in arguments)]
    # Python would leave a part of the compiled form of a module that is new to it, and fail on it later.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment)


@pytest.fixture
def pictures(tmp_path):
    """in/: one that becomes a small file, two that do not."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(smooth(1, 40, 56)).save(folder / "b-small.png")
    for name in ("a-large.jpg", "c-large.jpg"):
        (folder / name).write_bytes(CITY.read_bytes())
    return folder


def test_full_disk(pictures, tmp_path):
    run = on_a_full_disk("encode", pictures / "a-large.jpg", tmp_path / "o.aec", "--device", "cpu")
    assert run.returncode == 9 and run.stdout == ""
    assert run.stderr.startswith("aecodec: cannot write") and run.stderr.count("\n") == 1
    assert files_in(tmp_path) == ["in/a-large.jpg", "in/b-small.png", "in/c-large.jpg"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_full_disk_in_a_batch(pictures, tmp_path, jobs):
    out = tmp_path / "out"
    run = on_a_full_disk("encode", "-r", pictures, "--out-dir", out, "--jobs", jobs, "--device", "cpu")
    assert run.returncode == 9 and run.stderr.count("cannot write") == 2
    assert "1 of 3 done, 2 failed" in run.stderr and files_in(out) == ["b-small.aec"]
    again = subprocess.run(
        [*COMMAND, "encode", "-r", pictures, "--out-dir", out], capture_output=True, text=True
    )
    assert again.returncode == 0 and "2 of 3 done, 1 skipped" in again.stderr  # once there is room


@pytest.mark.parametrize("target", ["memory://full/a.png", "-"])
def test_full_disk_of_temporary_files(target):
    """For what goes out in one piece: streams, pipes and URLs."""

    def write(stream):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="cannot write a temporary file: No space left"):
        write_output(target, write, force=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_full_device(tmp_path, city_file):
    (tmp_path / "a.aec").write_bytes(city_file)
    for output in ("/dev/full", "-"):
        with open("/dev/full", "wb") as full:
            command = [*COMMAND, "decode", tmp_path / "a.aec", output, "--format", "png"]
            run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert run.returncode == 9 and "No space left" in run.stderr and run.stderr.count("\n") == 1
    small = tmp_path / "small.png"
    Image.fromarray(smooth(1, 40, 56)).save(small)
    for arguments in (("info", tmp_path / "a.aec"), ("verify", tmp_path / "a.aec"), ("encode", small, "-")):
        for unbuffered in ("", "1"):
            environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
            with open("/dev/full", "wb") as full:
                run = subprocess.run(
                    [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment
                )
            assert run.returncode == 9 and "cannot write to stdout: No space" in run.stderr, run
            assert run.stderr.count("\n") == 1


@linux
@pytest.mark.parametrize("command", ["encode", "decode", "info", "verify", "compare"])
def test_unreadable_files(cli, tmp_path, command):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    for name in ("dangling", "loop", "folder", "x" * 300, "/proc/self/mem"):
        out = tmp_path / ("out.aec" if command == "encode" else "out.png")
        names = [tmp_path / name]
        if command in ("encode", "decode", "compare"):
            names.append(out)
        result = cli(command, *names)
        assert result.code == 3, (name, result)
        assert Path(name).name[:200] in result.err + result.out.decode()
        assert not out.exists()


def test_forbidden_files(cli, pictures, tmp_path):
    (pictures / "b-small.png").chmod(0)
    if os.access(pictures / "b-small.png", os.R_OK):
        pytest.skip("this user may read everything")
    (pictures / "locked").mkdir(mode=0)
    result = cli("encode", "-r", pictures, "--out-dir", tmp_path / "out", "-q", "5")
    assert result.code == 3 and result.err.count("Permission denied") == 2 and "2 of 4 done" in result.err


def test_eight_threads(codec, city):
    """One Codec, everything it does at the same time: the same results as one after the other."""
    one = Codec(device="cpu", threads=2)
    pictures = [smooth(n, 64 + 16 * n, 300) for n in range(4)] + [city]
    files = [codec.encode(picture, 30) for picture in pictures]

    def work(number):
        picture, data = pictures[number % 5], files[number % 5]
        one.verify(data)
        return (
            one.encode(picture, 30),
            one.decode(data),
            one.decode_region(data, Region(8, 8, 40, 40)).pixels,
        )

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(24)))
    for number, (data, decoded, part) in enumerate(results):
        assert data == files[number % 5]
        assert np.array_equal(decoded, results[number % 5][1]) and np.array_equal(
            part, results[number % 5][2]
        )
    whole = codec.decode(files[4]).astype(int)
    assert np.abs(results[4][1] - whole).max() <= 1
    assert np.abs(results[4][2] - whole[8:48, 8:48]).max() <= 1


LEAKS = """
import ctypes, gc, resource, sys, tracemalloc
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: the system makes huge pages when it likes
import numpy as np
import aecodec
from aecodec.errors import CorruptError

rng = np.random.default_rng(1)
codec = aecodec.Codec(device="cpu", threads=1)
picture = np.kron(rng.integers(0, 256, (6, 8, 4), np.uint8), np.ones((16, 16, 1), np.uint8))

def once(number):
    data = codec.encode(picture, number % 100)
    codec.decode(data)
    codec.open(data, (3, 5, 50, 60))
    aecodec.info(data)
    broken = bytearray(data)
    broken[60 + number % (len(data) - 60)] ^= 1 << number % 8
    for act in (codec.decode, codec.salvage):
        try:
            act(broken)
        except CorruptError:
            pass

def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize()

def measure():
    gc.collect()
    return resident(), tracemalloc.get_traced_memory()[0]

tracemalloc.start()
for number in range(60):
    once(number)
before = measure()
for number in range(int(sys.argv[1])):
    once(number)
after = measure()
print(after[0] - before[0], after[1] - before[1])
"""


@linux
def test_no_leaks():
    """Files of all qualities, coded, shown, damaged: memory stays where it is once everything is loaded."""
    rounds = os.environ.get("AECODEC_LEAK_ROUNDS", "200")
    run = subprocess.run([sys.executable, "-c", LEAKS, rounds], capture_output=True, text=True, check=True)
    resident, traced = map(int, run.stdout.split())
    # A picture and its latents have 180 kB: to lose one a round would be 36 MB.
    assert resident < 6 << 20 and traced < 100_000, run.stdout
