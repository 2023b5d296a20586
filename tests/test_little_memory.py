"""Where the machine has too little memory: one exit code, one line, and nothing on stdout but results."""

from __future__ import annotations

import subprocess

import pytest
from batches import COMMAND, PATIENCE
from test_cli import CITY, one_line_error

from aecodec import session
from aecodec.errors import DeviceError, ModelError, OutputError, is_lack_of_memory

SAID = (
    "std::bad_alloc",
    "bad allocation",
    "env.cc:327 PosixThread pthread_create failed, error code: 11",
    "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 4194304",
    "libonnxruntime.so: failed to map segment from shared object: Cannot allocate memory",
)


class Broken:
    """An onnxruntime whose sessions cannot be made, or cannot run."""

    __version__ = "1"

    def __init__(self, message, providers=(session.CPU,)):
        self.message, self.providers, self.made = message, providers, []

    def InferenceSession(self, graph, options, **named):
        self.made.append(named)
        raise RuntimeError(self.message)

    def get_providers(self):
        return list(self.providers)

    def run(self, *_):
        raise RuntimeError(self.message)


@pytest.mark.parametrize("said", SAID)
def test_what_onnxruntime_says_of_it(said):
    ort = Broken(said)
    with pytest.raises(MemoryError):
        session._on_cpu(ort, b"", None)
    (named,) = ort.made
    assert named["enable_fallback"] == 0  # it would print on stdout
    with pytest.raises(MemoryError):
        session.runner(Broken(said), "m", "g")()


def test_other_errors_of_onnxruntime():
    with pytest.raises(ModelError, match="no such operator"):
        session._on_cpu(Broken("no such operator"), b"", None)
    with pytest.raises(DeviceError, match="graph g of model 'm' failed: no such shape"):
        session.runner(Broken("no such shape"), "m", "g")()
    with pytest.raises(DeviceError, match="Failed to allocate memory"):  # the GPU's: the device's matter
        session.runner(Broken(SAID[3], (session.CUDA, session.CPU)), "m", "g")()


def test_other_names_of_it():
    assert is_lack_of_memory(MemoryError()) and is_lack_of_memory(RuntimeError("can't start new thread"))
    assert not is_lack_of_memory(OutputError("cannot write 'bad_alloc'"))
    assert not is_lack_of_memory(ValueError("other"))


@pytest.mark.parametrize("jobs", [[], ["--out-dir"]], ids=["one", "many"])
def test_command(cli, monkeypatch, tmp_path, jobs):
    """The limit's exit code, for one input as for one of many."""

    def too_little(*_, **__):
        raise RuntimeError("std::bad_alloc")

    monkeypatch.setattr("aecodec.pixels.open_picture", too_little)
    result = cli("encode", CITY, *jobs, tmp_path / "a.aec")
    assert one_line_error(result, 6, "not enough memory")


def test_stdout_has_nothing_but_the_picture(aec):
    """Less address space than the networks need."""
    for size in (450_000, 600_000):
        limited = ["sh", "-c", f'ulimit -v {size}; exec "$@"', "sh", *COMMAND, "decode", aec, "-"]
        done = subprocess.run(
            [*limited, "--device=cpu", "--threads=2"], capture_output=True, timeout=PATIENCE
        )
        ended = done.returncode in (0, 6) or b"memory" in done.stderr  # the linker's own end of a process
        assert ended and (done.stdout == b"" or done.returncode == 0), done
        assert done.returncode != 0 or done.stdout.startswith(b"\x89PNG"), done.stdout[:100]
        assert b"EP Error" not in done.stderr and b"Traceback" not in done.stderr
