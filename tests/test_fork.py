"""Networks in processes that are forked in the middle of the work of threads."""

from __future__ import annotations

import pytest
from forking import needs_fork, run


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
    "codec": "codec._loader._lock",
    "networks": "codec._loader.load(codec.bundle).networks._lock",
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
def test_sessions_of_the_parent_are_not_run():
    run("""
codec = new(2)
codec.encode(picture)
networks = codec._loader.load(codec.bundle).networks
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
    return set(map(id, codec._loader.load(codec.bundle).networks._sessions.values()))

ours = sessions()

def decode(number):
    return codec.decode(data).tobytes() == wanted and not ours & sessions()

assert ours
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(decode, range(4)).get(60) == [True] * 4
""")
