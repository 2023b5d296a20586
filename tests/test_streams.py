"""Outputs that are open already, and names that are those of folders."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pytest
from batches import COMMAND, PATIENCE
from PIL import Image
from synthetic import smooth
from test_cli import one_line_error

from aecodec.cli import streams

pytestmark = pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="this system has no such names")
FAST = ("--model", "nano", "--device", "cpu", "--threads", "1", "-q", "5")


@pytest.fixture
def place(tmp_path, monkeypatch, cli):
    """Here are a picture, a.png, and what becomes of it, a.aec."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(smooth(1, 24, 40)).save("a.png")
    assert cli("encode", "a.png", "a.aec", *FAST).code == 0
    return tmp_path


@contextmanager
def sent(number, path, how=os.O_TRUNC):
    """The stream of that number goes to a file, as a shell sends it."""
    before, there = os.dup(number), os.open(path, os.O_WRONLY | os.O_CREAT | how)
    os.dup2(there, number)
    os.close(there)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_the_file_behind_a_stream_is_written_into(place, cli, name):
    """It has what others wrote before, and gets what they write afterwards."""
    if name.startswith("/proc") and not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system has no such names")
    (place / "link").symlink_to("/dev/stdout")
    coded = (place / "a.aec").read_bytes()
    with sent(1, "out"):
        os.write(1, b"before\n")
        result = cli("encode", "a.png", name, *FAST)
        os.write(1, b"behind\n")
    assert result == (0, b"", "")
    assert (place / "out").read_bytes() == b"before\n" + coded + b"behind\n"
    with sent(1, "out", os.O_APPEND):
        assert cli("encode", "a.png", name, *FAST, "--json").err.startswith('{"input"')  # as with '-'
    assert (place / "out").read_bytes() == b"before\n" + coded + b"behind\n" + coded
    assert (place / "link").is_symlink()


def test_from_a_shell(place):
    line = (
        f'exec 5> out; echo a >&5; "$0" -m aecodec encode a.png /dev/fd/5 --json {" ".join(FAST)}; echo b >&5'
    )
    result = subprocess.run(["sh", "-c", line, sys.executable], capture_output=True, timeout=PATIENCE)
    assert b'"bpp"' in result.stdout and not result.stderr
    assert (place / "out").read_bytes() == b"a\n" + (place / "a.aec").read_bytes() + b"b\n"


def test_a_stream_gets_png(place, cli):
    with sent(1, "out"):
        assert cli("decode", "a.aec", "/dev/stdout", "--device", "cpu").code == 0
    with Image.open("out") as image:
        assert image.format == "PNG" and image.size == (40, 24)


def test_streams_that_take_nothing(place, cli):
    free = 1000 + max(map(int, os.listdir("/dev/fd")))  # nor does a thread open it meanwhile
    assert one_line_error(cli("encode", "a.png", f"/dev/fd/{free}", *FAST), 9, "is closed")
    reader, writer = os.pipe()
    try:
        assert one_line_error(cli("encode", "a.png", f"/dev/fd/{reader}", *FAST), 9, "cannot write")
        os.close(reader)
        assert cli("encode", "a.png", f"/dev/fd/{writer}", *FAST).code == 141  # who read it went away
    finally:
        os.close(writer)
    assert one_line_error(cli("index", "a.aec", "-o", "/dev/stdout"), 2, "an index is")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no such terminals")
def test_a_terminal_gets_no_bytes(place, cli):
    ends = os.openpty()
    try:
        assert one_line_error(cli("encode", "a.png", f"/dev/fd/{ends[1]}", *FAST), 2, "is a terminal")
    finally:
        for end in ends:
            os.close(end)


def test_ordinary_names_are_no_streams(place):
    (place / "fd").mkdir()
    (place / "loop").symlink_to("loop")
    (place / "link").symlink_to("a.aec")
    for name in (
        "1",
        "fd/1",
        "loop",
        "link",
        "a.aec",
        "none",
        "",
        "/",
        "/dev/null",
        "/proc/1/fd/1",
        "s3://b/1",
    ):
        assert not streams.is_stream(name), name


@pytest.mark.parametrize("name", ["none/", "none/.", "a.aec/", "none//"])
def test_the_name_of_a_folder_is_no_files(place, cli, name):
    for force in ((), ("--force",)):
        assert one_line_error(cli("encode", "a.png", name, *FAST, *force), 9, f"there is no folder '{name}'")
    assert sorted(os.listdir()) == ["a.aec", "a.png"]


@pytest.mark.parametrize("name", ["ghost/../a", "./ghost/../new.aec", "a.aec/../a"])
def test_a_folder_that_is_not_there_leads_nowhere(place, cli, name):
    """Else the picture would be replaced by its own file."""
    (place / "a.png").rename("a")
    before = (place / "a").read_bytes()
    done = cli("encode", "a", name, *FAST, "--force")
    assert one_line_error(done, 9, "there is no folder")
    assert sorted(os.listdir()) == ["a", "a.aec"] and (place / "a").read_bytes() == before


def test_a_folder_is_no_output(place, cli):
    (place / "out").mkdir()
    for name in ("out", "out/", "out/.", "out/.."):
        assert one_line_error(cli("encode", "a.png", name, *FAST), 9, "is a folder")
    assert os.listdir("out") == []


UNBUFFERED = [{}, {"PYTHONUNBUFFERED": "1"}]
"""Images of containers set it: then Python's own stdout drops what is not taken at once."""


def through_a_pipe(command, variables, stream="stdout"):
    """What arrives at the end of a pipe that does not block, and is smaller than what is written."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen(command, **{stream: writer}, env=os.environ | variables)
    os.close(writer)
    with open(reader, "rb") as end:
        arrived = end.read()
    assert process.wait(PATIENCE) == 0
    return arrived


@pytest.mark.parametrize("variables", UNBUFFERED)
def test_pipes_that_do_not_block(aec, tmp_path, cli, variables):
    assert cli("decode", aec, tmp_path / "a.png").code == 0
    png = (tmp_path / "a.png").read_bytes()
    assert len(png) > 1 << 17 and through_a_pipe([*COMMAND, "decode", aec, "-"], variables) == png


@pytest.mark.parametrize("variables", UNBUFFERED)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_lines_for_pipes_that_do_not_block(variables, stream):
    write = {"stdout": "print(text)", "stderr": "common.tell(text)"}[stream]
    code = (
        "import sys\n"
        "from aecodec.cli import common, main\n"
        "text = 'x' * 400_000\n"
        f"main.run = lambda argv: {write} or 0\n"
        "sys.exit(main.main())\n"
    )
    assert through_a_pipe([sys.executable, "-c", code], variables, stream) == b"x" * 400_000 + b"\n"


LIMITED = [
    sys.executable,
    "-c",
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\n"
    "os.execv(sys.argv[2], sys.argv[2:])",
]
"""Before a command: no file that it writes is longer than so many bytes."""


@pytest.mark.parametrize("variables", UNBUFFERED)
def test_a_disk_that_takes_all_but_the_end(aec, tmp_path, cli, variables):
    """A file cut short there would pass for whole."""
    assert cli("decode", aec, tmp_path / "a.png").code == 0
    size = (tmp_path / "a.png").stat().st_size
    for most, arguments in ((size - 9, ["decode", aec, "-"]), (99, ["info", aec, "--json"])):
        command = [*LIMITED, str(most), *COMMAND, *arguments]
        with open(tmp_path / "out", "wb") as out:
            done = subprocess.run(
                command, stdout=out, stderr=subprocess.PIPE, timeout=PATIENCE, env=os.environ | variables
            )
        assert done.returncode == 9 and done.stderr.startswith(b"aecodec: cannot write to stdout: ")
        assert done.stderr.count(b"\n") == 1 and (tmp_path / "out").stat().st_size == most


def held_by(reader):
    """Bytes in a pipe."""
    number = array.array("i", [0])
    fcntl.ioctl(reader, termios.FIONREAD, number)
    return number[0]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_where_nobody_reads(number, blocking):
    """As by a pager that is stopped: nothing that is left to tell keeps a command from ending."""
    code = (
        "import sys\n"
        "from aecodec.cli import main\n"
        "main.run = lambda argv: [print('x' * 1000) for _ in range(1000)]\n"
        "sys.exit(main.main())\n"
    )
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    try:
        end, held = time.monotonic() + PATIENCE, -1
        while held != (held := held_by(reader)) or not held:  # until it is full
            assert time.monotonic() < end
            time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == b"aecodec: interrupted\n"
    finally:
        os.close(reader)
        process.kill()
        process.communicate()
