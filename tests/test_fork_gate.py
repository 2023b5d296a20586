"""Forks wait for what a child could not begin anew (aecodec/forks.py)."""

from __future__ import annotations

import subprocess
import sys

from forking import needs_fork, run

from aecodec import forks, session


@needs_fork
def test_fork_while_a_thread_imports_onnxruntime():
    """And opens its first sessions: a child that did not wait for that hangs in one of five."""
    run("""
forks.FORK_WAITS = forks.FORK_TAKES = 60
data = []
thread = threading.Thread(target=lambda: data.append(new().encode(picture)))
thread.start()
while "onnxruntime" not in sys.modules:
    time.sleep(0.0005)
in_child(lambda: new().encode(picture))
thread.join()
assert data
""")


@needs_fork
def test_a_child_that_ends_as_any_program_does():
    """Telemetry of onnxruntime waited there for a thread of the parent's."""
    run("""
codec = new(2)
data = codec.encode(picture)
child = os.fork()
assert codec.encode(picture) == data
if child:
    end = time.monotonic() + 200
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        assert time.monotonic() < end, os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    assert not ended[1]
""")


@needs_fork
def test_forks_wait_for_what_must_not_be_disturbed():
    run("""
forks.FORK_WAITS = forks.FORK_TAKES = 60
inside, working = [0], True

def work():
    while working:
        with forks.undisturbed(), forks.undisturbed():
            inside[0] += 1
            time.sleep(0.003)
            inside[0] -= 1

def fork():
    for _ in range(12):
        in_child(undisturbed)

def undisturbed():
    with forks.undisturbed():
        return inside == [0]

workers, forkers = ([threading.Thread(target=t) for _ in range(3)] for t in (work, fork))
failures = []
threading.excepthook = failures.append
for thread in workers + forkers:
    thread.start()
for thread in forkers:
    thread.join()
working = False
for thread in workers:
    thread.join()
assert not failures and not forks._busy and not forks._forks
""")


@needs_fork
def test_forks_do_not_wait_for_ever():
    run("""
began, ends = threading.Event(), threading.Event()

def work():
    with forks.undisturbed():
        began.set()
        ends.wait()

thread = threading.Thread(target=work)
thread.start()
began.wait()
start = time.monotonic()
in_child(lambda: 0.2 <= time.monotonic() - start < 20 and new().encode(picture))
ends.set()
thread.join()
forks.FORK_WAITS = 60
with forks.undisturbed():  # the thread that forks does not wait for itself
    start = time.monotonic()
    in_child(lambda: time.monotonic() - start < 30)
""")


@needs_fork
def test_a_signal_during_the_fork():
    """Between the hooks: the one after it is ended by KeyboardInterrupt."""
    code = """
import ctypes, functools, os, signal, sys, threading
interrupt = functools.partial(getattr(ctypes.CDLL(None), "raise"), signal.SIGINT)
os.register_at_fork(before=interrupt)  # hooks that came first are called last
from aecodec import forks
forks.FORK_TAKES = 0.5
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
assert forks._forks
inside = threading.Event()

def work():
    with forks.undisturbed():
        inside.set()

threading.Thread(target=work, daemon=True).start()
sys.exit(0 if inside.wait(60) else "a thread hangs")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "KeyboardInterrupt" in done.stderr, done.stderr


def test_sessions_are_opened_and_first_run_undisturbed(monkeypatch):
    busy = []

    class Fake:
        def run(self, names, inputs):
            busy.append(len(forks._busy))
            return []

    def opened(*arguments):
        busy.append(len(forks._busy))
        return Fake()

    monkeypatch.setattr(session, "_open", opened)
    graph = session.open_session(b"", "cpu")
    for _ in range(2):
        session.runner(graph, "model", "graph")()
    assert busy == [1, 1, 0] and not forks._busy
