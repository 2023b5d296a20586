"""A Codec in other processes: forked in the middle of the work of threads, and pickled."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecodec import forks, models, session
from aecodec.codec import Codec
from aecodec.errors import ModelError
from aecodec.limits import Limits

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
    variables = {**os.environ, models.PATH_VARIABLE: str(TINY.parent)}
    command = [sys.executable, "-W", "ignore", "-c", START + code, str(TINY)]
    done = subprocess.run(command, timeout=240, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr


@needs_fork
def test_fork_while_threads_decode():
    run("""
codec = new()
data = codec.encode(picture)
wanted = codec.decode(data).tobytes()
assert aecodec.decode(data, "cpu", 1).tobytes() == wanted
ways = (lambda: new().decode(data), lambda: codec.decode(data), lambda: aecodec.decode(data, "cpu", 1))
working = True

def work():
    while working:
        codec.decode(data)

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
try:
    for way in 4 * ways:
        in_child(lambda: way().tobytes() == wanted)
finally:
    working = False
    for thread in threads:
        thread.join()
in_child(lambda: codec.encode(picture) == data)
""")


LOCKS = {
    "session": "session._lock",
    "api": "api._shared_lock",
    "codec": "codec._lock",
    "networks": "codec._load(codec.bundle).networks._lock",
}


@needs_fork
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_lock_that_is_held_during_the_fork(lock):
    run(f"""
data = new().encode(picture)
codec = api.shared(sys.argv[1], "cpu", 2)
wanted = codec.decode(data).tobytes()
lock, held, ends = {lock}, threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        ends.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
try:
    for way in (lambda: codec, lambda: new(2), lambda: api.shared(sys.argv[1], "cpu", 2)):
        in_child(lambda: way().encode(picture) == data and way().decode(data).tobytes() == wanted)
finally:
    ends.set()
    holder.join()
assert codec.decode(data).tobytes() == wanted
""")


@needs_fork
def test_children_leave_the_arena_of_their_parent_alone():
    run("""
def shares():
    return "session.use_env_allocators" in session._options(Options, 1, True).entries

class Options:
    "What _options() needs of onnxruntime."
    class GraphOptimizationLevel:
        ORT_ENABLE_ALL = 1
    class SessionOptions:
        def __init__(self):
            self.entries = {}
        def add_session_config_entry(self, name, value):
            self.entries[name] = value

def own():
    session.runtime()
    return shares()

in_child(own)  # of a parent that has not loaded onnxruntime
assert own()
in_child(lambda: not own())
assert own()
""")


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


@needs_fork
def test_sessions_of_the_parent_are_not_run():
    run("""
codec = new(2)
codec.encode(picture)
networks = codec._load(codec.bundle).networks
run = session.runner(networks.session("analysis"), "tiny", "analysis")

def refused():
    try:
        run()
    except aecodec.errors.DeviceError as error:
        return "forked" in str(error)

in_child(refused)
in_child(lambda: not networks._sessions and networks.session("analysis"))
""")


@needs_fork
def test_rows_that_were_begun_before_the_fork():
    run("""
from aecodec.parallel import ahead

rows = ahead(iter(range(9)), 2)
assert next(rows) == 0

def refused():
    try:
        next(rows)
    except RuntimeError as error:
        return "forked" in str(error)

in_child(refused)
in_child(lambda: rows.close() is None)
assert list(rows) == list(range(1, 9))
""")


@needs_fork
def test_pool_of_forked_processes():
    run("""
import multiprocessing

codec = new(2)
data = codec.encode(picture)
wanted = codec.decode(data).tobytes()

def sessions():
    return set(map(id, codec._load(codec.bundle).networks._sessions.values()))

ours = sessions()

def decode(number):
    return codec.decode(data).tobytes() == wanted and not ours & sessions()

assert ours
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(decode, range(4)).get(60) == [True] * 4
""")


@pytest.fixture
def tiny():
    return Codec(TINY, "cpu", 1, Limits(max_metadata=5000), pixel_blocks=False)


@pytest.mark.parametrize("twin", [lambda c: pickle.loads(pickle.dumps(c)), copy.copy, copy.deepcopy])
def test_copies_before_and_after_use(twin, tiny, city):
    part = city[:96, :80]
    unused = twin(tiny)
    data = tiny.encode(part, 50)
    for other in (unused, twin(tiny)):
        assert other.encode(part, 50) == data and np.array_equal(other.decode(data), tiny.decode(data))
        assert other.limits == tiny.limits and other.bundle == tiny.bundle
        assert other._models is not tiny._models and other._lock is not tiny._lock
        assert {**vars(other), "_models": 0, "_lock": 0} == {**vars(tiny), "_models": 0, "_lock": 0}


def test_pickled_with_the_model_that_was_asked_for(monkeypatch):
    default = Codec(device="cpu")
    assert default.bundle
    assert pickle.loads(pickle.dumps(default))._bundle is None  # it looks for the default of its own machine
    monkeypatch.setenv(models.PATH_VARIABLE, str(TINY.parent))
    named = pickle.dumps(Codec(TINY.name, "cpu"))
    assert pickle.loads(named).bundle.path == TINY
    monkeypatch.delenv(models.PATH_VARIABLE)
    with pytest.raises(ModelError, match="tiny"):
        pickle.loads(named)
    for folder in (Path(TINY.name), f"./{TINY.name}", TINY.name):
        monkeypatch.chdir(TINY.parent)
        named = pickle.dumps(Codec(folder, "cpu"))
        monkeypatch.chdir(TINY)
        assert pickle.loads(named).bundle.path == TINY


def test_pool_of_spawned_processes(tiny, city):
    data = tiny.encode(city[:64, :64])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(tiny.decode, (data,)).get(100)
    assert np.array_equal(found, tiny.decode(data))
