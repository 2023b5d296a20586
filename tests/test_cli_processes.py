"""The command as a process of its own: signals, closed pipes, missing packages, errors nobody expected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from batches import COMMAND
from conftest import DATA

CITY = DATA / "city.jpg"


def test_sigint_and_sigterm(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for number in (signal.SIGINT, signal.SIGTERM):
        command = [*COMMAND, "encode", fifo, tmp_path / "o.aec"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        with open(fifo, "wb"):  # opens once the command reads: it is past its start
            time.sleep(0.1)
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (130, "aecodec: interrupted\n")
        assert [p.name for p in tmp_path.iterdir()] == ["fifo"]


def test_closed_pipe(aec):
    process = subprocess.Popen([*COMMAND, "decode", aec, "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 141 and err == b""


def test_pipes_that_are_closed_from_the_start(tmp_path):
    """As under some daemons: Python has no sys.stdin or sys.stdout then."""
    for redirect, names, code, words in (
        ("<&-", ["-", tmp_path / "a.aec"], 3, "stdin is closed"),
        (">&-", [CITY, "-"], 9, "stdout is closed"),
    ):
        command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, "encode", *names]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code and words in done.stderr and done.stderr.count("\n") == 1, done
    assert not list(tmp_path.iterdir())


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
