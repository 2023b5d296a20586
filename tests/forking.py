"""Code that runs in a process of its own and forks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aecodec import model_folders

TINY = Path(__file__).parent / "data" / "bundles" / "tiny"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

START = """
import os, signal, sys, threading, time
import numpy as np
import aecodec
from aecodec import api, forks, session
from aecodec.codec import Codec

forks.FORK_WAITS = 0.2
picture = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)

def new(threads=1):
    return Codec(sys.argv[1], "cpu", threads)

def in_child(work):
    "Forks. Says what went wrong where work() is not true in the child, or takes too long."
    child, code = os.fork(), 1
    if not child:
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)  # as multiprocessing ends its children
    end = time.monotonic() + 30
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            sys.exit("a child hangs")
        time.sleep(0.01)
    if ended[1]:
        sys.exit(f"a child failed: {ended[1]}")
"""


def run(code):
    """START and the code, in a process of its own."""
    variables = {**os.environ, model_folders.PATH_VARIABLE: str(TINY.parent)}
    command = [sys.executable, "-W", "ignore", "-c", START + code, str(TINY)]
    done = subprocess.run(command, timeout=240, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
