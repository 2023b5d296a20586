"""The command as a process of its own: signals, closed pipes, missing packages, errors nobody expected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from batches import COMMAND, PATIENCE
from conftest import DATA
from PIL import Image

CITY = DATA / "city.jpg"
HEARS = [
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
]
"""Before a command: where the tests run under nohup, it would inherit that SIGHUP is ignored."""


def test_signals_that_end_it(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        command = [*HEARS, *COMMAND, "encode", fifo, tmp_path / "o.aec"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with open(fifo, "wb"):  # opens once the command reads: it is past its start
            process.send_signal(number)
        # Closed: Python looks at a signal that comes just before it waits only when it waits no more.
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (130, "aecodec: interrupted\n")
        assert [p.name for p in tmp_path.iterdir()] == ["fifo"]


def test_nothing_is_left_when_the_terminal_goes(tmp_path):
    """SIGHUP in the middle of writing: the temporary file goes, too. Under nohup the command goes on."""
    code = (
        "import sys, os, signal\n"
        "from aecodec.cli import files, main\n"
        "def hang_up(stream):\n"
        "    stream.write(b'part'); os.kill(os.getpid(), signal.SIGHUP); stream.write(b' two')\n"
        "main.run = lambda argv: files.write_output(argv[0], hang_up, force=True) or 0\n"
        "sys.exit(main.main())\n"
    )
    for prefix, expected, left in ((HEARS, 130, []), (["nohup"], 0, ["out"])):
        command = [*prefix, sys.executable, "-c", code, tmp_path / "out"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        assert (done.returncode, [p.name for p in tmp_path.iterdir()]) == (expected, left), done
    assert (tmp_path / "out").read_bytes() == b"part two"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at, code", [("end", 0), ("end of an error", 3), ("report", 130), ("help", 0)])
def test_signals_when_all_is_done(tmp_path, number, at, code):
    """While Python ends, which takes a while, the exit code stays; while an error is told, it is that of a
    signal. There is never a traceback."""
    script = (
        "import atexit, os, sys\n"
        "from aecodec.cli import common, main\n"
        "def strike(*_):\n"
        f"    for _ in range(2): os.kill(os.getpid(), {int(number)})\n"
        "if sys.argv.pop() == 'report': common.tell = strike\n"
        "else: atexit.register(strike)\n"
        "sys.exit(main.main())\n"
    )
    names = ["none"] if at in ("end of an error", "report") else ["--help"] if at == "help" else []
    command = [*HEARS, sys.executable, "-c", script, "info" if names else "--version", *names, at]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
    assert done.returncode == code, done
    assert done.stderr.count("\n") == (at == "end of an error") and "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_something_is_freed(number):
    """Python would drop the interruption there, with a traceback, and go on: it comes again."""
    script = (
        "import os, sys, time\n"
        "from aecodec.cli import main\n"
        "class Session:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "def run(argv):\n"
        "    Session()\n"
        "    time.sleep(60)\n"
        "    return 0\n"
        "main.run = run\n"
        "sys.exit(main.main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (130, "aecodec: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_out_of_which_something_else_comes(number):
    """numpy's C part makes an ImportError of an interruption; code of ours, a DeviceError of that."""
    script = (
        "import os, sys\n"
        "from aecodec.cli import attempt, main, plan\n"
        "from aecodec.errors import DeviceError\n"
        "def work():\n"
        "    try:\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "        sys.stdin.read()\n"
        "    except KeyboardInterrupt:\n"
        "        raise {'ours': DeviceError}.get(kind, ImportError)('of\\nmany lines')\n"
        "def run(argv):\n"
        "    global kind\n"
        "    kind = argv[0]\n"
        "    if kind == 'one of many':\n"
        "        attempt.attempt(plan.Job('a', 'b'), work)\n"
        "        return 0\n"
        "    if kind == 'swallowed':\n"
        "        try: work()\n"
        "        except ImportError: pass\n"
        "        attempt.attempt(plan.Job('a', 'b'), sys.exit)\n"
        "    work()\n"
        "main.run = run\n"
        "sys.exit(main.main())\n"
    )
    for kind in ("theirs", "ours", "one of many", "swallowed"):
        command = [*HEARS, sys.executable, "-c", script, kind]
        done = subprocess.run(
            command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=PATIENCE
        )
        assert (done.returncode, done.stderr) == (130, "aecodec: interrupted\n"), kind


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_messages_that_nobody_takes(aec, tmp_path):
    """The exit code stays what it is where stderr is full."""
    Image.new("CMYK", (40, 30)).save(tmp_path / "note.jpg")
    for arguments, code in (
        (["info", tmp_path / "none"], 3),
        (["verify", aec], 0),
        (["encode", tmp_path / "note.jpg", tmp_path / "a.aec", "-q", "5"], 0),
        (["encode", tmp_path / "none", aec, "--out-dir", tmp_path / "o"], 3),
    ):
        with open("/dev/full", "w") as full:
            command = [*COMMAND, *arguments]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=full, timeout=PATIENCE)
        assert done.returncode == code, arguments


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero")
def test_what_has_no_end_is_not_read(aec, tmp_path):
    """The first bytes tell that it is no .aec file, and no index."""
    few_threads = {**os.environ, "OMP_NUM_THREADS": "1"}  # each CPU's would want a part of the address space
    for arguments, code in (
        (["info", "/dev/zero"], 4),
        (["info", "-"], 4),
        (["verify", "/dev/zero"], 4),
        (["decode", "/dev/zero", tmp_path / "a.png"], 4),
        (["decode", "/dev/zero", tmp_path / "a.png", "--region", "0,0,9,9"], 4),
        (["search", "/dev/zero", aec], 4),
        (["index", aec, "-o", "/dev/full", "--threads", "1"], 9),
    ):
        limited = ["sh", "-c", 'ulimit -v 8000000; exec "$@"', "sh", *COMMAND, *arguments]
        with open("/dev/zero", "rb") as zero:
            done = subprocess.run(limited, stdin=zero, capture_output=True, timeout=PATIENCE, env=few_threads)
        assert done.returncode == code, (arguments, done)


def test_regions_of_pipes(aec, city_file, codec, tmp_path):
    """A pipe has no size, and opened again it is empty."""
    expected = codec.decode(city_file, (0, 0, 64, 64))
    pipes = [tmp_path / "pipe.aec", tmp_path / "other.aec"]
    for pipe in pipes:
        os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: [pipe.write_bytes(city_file) for pipe in pipes], daemon=True)
    feeder.start()
    np.testing.assert_array_equal(codec.decode(pipes[0], (0, 0, 64, 64)), expected)
    command = [*COMMAND, "decode", pipes[1], tmp_path / "a.png", "--region", "0,0,64,64", "--device=cpu"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    feeder.join()
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (64, 64)


def test_closed_pipe(aec):
    process = subprocess.Popen([*COMMAND, "decode", aec, "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(PATIENCE) == 141 and err == b""


def test_pipes_that_are_closed_from_the_start(tmp_path):
    """As under some daemons: Python has no sys.stdin or sys.stdout then."""
    for redirect, names, code, words in (
        ("<&-", ["-", tmp_path / "a.aec"], 3, "stdin is closed"),
        (">&-", [CITY, "-"], 9, "stdout is closed"),
    ):
        command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, "encode", *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == code and words in done.stderr and done.stderr.count("\n") == 1, done
    assert not list(tmp_path.iterdir())


def test_facts_never_go_into_the_picture(aec, tmp_path):
    """JSON that stderr cannot take is lost, where stdout has the coded data."""
    wanted = subprocess.run([*COMMAND, "decode", aec, "-"], capture_output=True, timeout=PATIENCE).stdout
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "decode", aec, "-", "--json"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, wanted)


def test_unexpected_errors_are_one_line(aec, tmp_path):
    code = (
        "import sys, aecodec.describe\n"
        "def broken(*_): raise RuntimeError('first\\nsecond')\n"
        "aecodec.describe.info = broken\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['info', sys.argv[1]]))\n"
    )
    for debug in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", code, aec],
            capture_output=True,
            text=True,
            env={**os.environ, "AECODEC_DEBUG": debug},
        )
        assert run.returncode == 1
        assert ("Traceback" in run.stderr) == (debug == "1")
        if debug == "0":
            message = "aecodec: unexpected RuntimeError: first second (AECODEC_DEBUG=1 shows where)\n"
            assert run.stderr == message


def test_no_onnxruntime_exit_code(tmp_path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['encode', sys.argv[1], sys.argv[2]]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, CITY, tmp_path / "o.aec"], capture_output=True, text=True
    )
    assert run.returncode == 8 and "aecodec[cpu]" in run.stderr and "aecodec[cuda]" in run.stderr


def test_train_without_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['train', '--help']))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2 and "aecodec[train]" in run.stderr and "Traceback" not in run.stderr
