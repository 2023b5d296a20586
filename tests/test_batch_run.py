"""Many inputs while they run: errors on the way, threads, progress, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from batches import COMMAND, FAST, PATIENCE, files_in, lines, picture, tree
from PIL import Image
from synthetic import smooth

from aecodec.cli import unfinished
from aecodec.codec import Codec

__all__ = ["tree"]  # a fixture


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_goes_on_after_errors(cli, tree, tmp_path, jobs):
    aec = tmp_path / "a.aec"
    cli("encode", tree / "a.png", aec, *FAST)
    (tmp_path / "cut.aec").write_bytes(aec.read_bytes()[:-9])
    (tmp_path / "text.aec").write_text("hello")
    names = [tmp_path / "cut.aec", tmp_path / "none.aec", aec, tmp_path / "text.aec"]
    result = cli("decode", *names, "--out-dir", tmp_path / "out", "--jobs", jobs)
    assert result.code == 5  # of the first that failed, in the order of the inputs
    assert files_in(tmp_path / "out") == ["a.png"]
    told = result.err.splitlines()
    assert len(told) == 4 and all(line.startswith("aecodec: ") for line in told)
    for name in ("cut.aec", "none.aec", "text.aec"):
        assert sum(name in line for line in told) == 1
    assert told[-1] == "aecodec: 1 of 4 done, 3 failed"


def test_salvaged(cli, codec, tmp_path):
    data = bytearray(codec.encode(smooth(3, 40, 1100), 5))
    data[-40] ^= 1
    (tmp_path / "a.aec").write_bytes(data)
    result = cli("decode", tmp_path / "a.aec", "--salvage", "--json", "--out-dir", tmp_path / "out")
    assert result.code == 10 and lines(result)[0]["status"] == "salvaged"
    assert "groups" in lines(result)[0]["notes"][0] and "1 with parts missing" in result.err
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (1100, 40)


def test_threads_are_bounded(cli, tree, tmp_path, monkeypatch):
    made = []

    class Recorded(Codec):
        def __init__(self, model, device, threads, *rest, **options):
            made.append(threads)
            super().__init__(model, device, 1, *rest, **options)

    monkeypatch.setattr("aecodec.codec.Codec", Recorded)
    for cpus, jobs, expected in ((8, 3, 2), (2, 3, 1), (8, 1, None)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cpus: range(n), raising=False)
        made.clear()
        assert (
            cli("encode", "-r", tree, "--out-dir", tmp_path / f"{cpus}{jobs}", "--jobs", jobs, *FAST)[0] == 0
        )
        assert set(made) == {expected}
        assert len(made) == 1 if expected in (1, None) else len(made) <= 1 + jobs


def test_umask_is_read_safely():
    """Many threads at once must not leave the process with the umask of 0 that reading it sets."""
    before = os.umask(0o027)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        found = set()
        workers = [
            threading.Thread(
                target=lambda: found.update(unfinished.mode_of("/no/such/file") for _ in range(2000))
            )
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == {0o640}
    finally:
        sys.setswitchinterval(interval)
        assert os.umask(before) == 0o027


def test_umask_of_systems_that_do_not_tell(monkeypatch, tmp_path):
    """Linux before 4.7, and all that is no Linux."""
    (tmp_path / "status").write_text("Name: x\n")
    before = os.umask(0o027)
    try:
        for status in (tmp_path / "status", tmp_path / "none"):
            monkeypatch.setattr(unfinished, "STATUS", status)
            assert unfinished.mode_of("/no/such/file") == 0o640
    finally:
        assert os.umask(before) == 0o027


def test_unexpected_errors_stop_one_input_only(cli, tree, tmp_path, monkeypatch):
    real = Codec.encode_to

    def broken(self, picture, *rest):
        if picture.pixels.shape[0] == 33:
            raise RuntimeError("first\nsecond")
        return real(self, picture, *rest)

    monkeypatch.setattr(Codec, "encode_to", broken)
    Image.new("RGB", (20, 33)).save(tree / "odd.png")
    result = cli("encode", "-r", tree, "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 1 and "unexpected RuntimeError: first second" in result.err
    assert len(files_in(tmp_path / "out")) == 3


def test_no_device_stops_the_batch(tree, tmp_path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['encode', '-r', sys.argv[1], '--out-dir', sys.argv[2], '--jobs', sys.argv[3]]))\n"
    )
    for jobs in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, tree, tmp_path / "out", jobs], capture_output=True, text=True
        )
        assert run.returncode == 8 and "aecodec[cpu]" in run.stderr and "stopped" in run.stderr
        assert "0 of 3 done" in run.stderr and files_in(tmp_path) and "Traceback" not in run.stderr


def test_missing_model_is_said_once(cli, tree, tmp_path):
    result = cli("encode", "-r", tree, "--out-dir", tmp_path / "out", "--model", "nope")
    assert result.code == 7 and result.err.count("nope") == 1 and not (tmp_path / "out").exists()


def test_progress_only_on_a_terminal(tree, tmp_path):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    command = [*COMMAND, "encode", "-r", tree, *FAST, "--out-dir"]
    plain = subprocess.run([*command, tmp_path / "plain"], capture_output=True, text=True)
    assert plain.stderr == "aecodec: 3 of 3 done, 1 other files left alone\n" and plain.stdout == ""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen([*command, tmp_path / "tty"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how the end of a terminal looks on Linux
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.communicate(timeout=PATIENCE)[0] == b"" and process.returncode == 0
    assert b"/3 [" in shown and b"file" in shown and b"3 of 3 done" in shown


@pytest.fixture
def waiting(tmp_path):
    """A batch in a process of its own: a.png is done, then it waits for b.png, a pipe; c.png is left."""
    picture(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "b.png")
    picture(tmp_path / "in" / "c.png")
    processes = []

    def start(jobs):
        names = [tmp_path / "in" / f"{name}.png" for name in "abc"]
        command = [*COMMAND, "encode", *names, "--out-dir", tmp_path / "out", *FAST, "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*command, "--jobs", jobs], text=True, **pipes)
        processes.append(process)
        for _ in range(int(jobs)):  # a file that is there may not be counted yet
            assert json.loads(process.stdout.readline())["status"] == "done"
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_ctrl_c(waiting, tmp_path):
    process = waiting("1")
    with open(tmp_path / "in" / "b.png", "wb"):  # opens once it is read
        process.send_signal(signal.SIGINT)
    # Closed: Python looks at a signal that comes just before it waits only when it waits no more.
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err == "aecodec: 1 of 3 done, 2 not begun (the same command goes on)\naecodec: interrupted\n"
    assert files_in(tmp_path / "out") == ["a.aec"]  # no partial file under any name


def test_ctrl_c_finishes_what_runs(waiting, tmp_path):
    process = waiting("2")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("aecodec: finishing the pictures in progress")
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes())
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "3 of 3 done" in err
    assert files_in(tmp_path / "out") == ["a.aec", "b.aec", "c.aec"]


def test_second_ctrl_c(waiting, tmp_path):
    process = waiting("2")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("aecodec: finishing the pictures in progress")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert files_in(tmp_path / "out") == ["a.aec", "c.aec"]


def test_errors_of_many_inputs_name_theirs(cli, tree, tmp_path):
    result = cli("encode", "-r", tree, "--out-dir", tmp_path / "out", "--max-size", 1)
    lines = [line for line in result.err.splitlines() if "does not fit" in line]
    assert result.code == 2 and lines and all(str(tree) in line for line in lines)
