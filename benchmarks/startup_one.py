"""One `aecodec encode` in a process of its own that says where its milliseconds went. Started by startup.py.

    python benchmarks/startup_one.py BEGIN ARGUMENTS...

BEGIN: time.monotonic() of the process that starts this one. The last line printed is JSON: "parts", what
the main thread did one after the other, in seconds; "beside", what the thread that makes sessions did
meanwhile; "end", time.monotonic().
"""

import time

STARTED = time.monotonic()

import json  # noqa: E402
import sys  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from importlib import import_module  # noqa: E402
from pathlib import Path  # noqa: E402
from threading import current_thread, main_thread  # noqa: E402
from typing import Any  # noqa: E402

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.tracing import Label, Stopwatch, wrapped  # noqa: E402

IMPORTS = {
    "command line imported": ["aecodec.cli.main", "aecodec.cli.encode"],
    "numpy imported": ["numpy"],
    "Pillow imported": ["PIL.Image"],
    "onnxruntime imported": ["onnxruntime"],
    "codec imported": ["aecodec.codec"],
}


def main(begin: float, arguments: list[str]) -> int:
    watch, parts = Stopwatch(), {"Python itself": STARTED - begin}
    for label, names in IMPORTS.items():
        at = time.monotonic()
        for name in names:
            import_module(name)
        if label == "command line imported":
            sys.modules["aecodec.cli.common"].one_thread_for_matrices()  # as the command does before numpy
        parts[label] = time.monotonic() - at

    from aecodec import container, entropy, model_bundle, networks, pixels
    from aecodec.cli import files
    from aecodec.cli.main import main as command

    def by_thread(here: str, beside: str) -> Label:
        return lambda *_: here if current_thread() is main_thread() else "beside " + beside

    made = by_thread("sessions made", "sessions made")
    waiting = by_thread("waiting for sessions", "waiting")
    watched: list[tuple[Any, str, Label]] = [
        (model_bundle.Bundle, "read", by_thread("model files read, hashed", "model files read, hashed")),
        (networks, "open_session", made),
        (networks.Networks, "session", waiting),
        (networks.Networks, "exact", waiting),
        *((networks.Networks, name, "networks") for name in ("_run", "scales_first", "scales_second")),
        (pixels, "open_picture", "picture read"),
        (entropy, "encode_group", "entropy coder"),
        (container, "write_file", "container"),
        (files, "write_output", "file written"),
    ]
    with ExitStack() as stack:
        for owner, name, label in watched:
            stack.enter_context(wrapped(owner, name, watch.watch(label)))
        at = time.monotonic()
        status = command(arguments)
        spent = time.monotonic() - at
    beside = {k.removeprefix("beside "): s for k, s in watch.seconds.items() if k.startswith("beside ")}
    here = {label: s for label, s in watch.seconds.items() if not label.startswith("beside ")}
    parts |= here | {"rest": spent - sum(here.values())}
    print(json.dumps({"parts": parts, "beside": beside, "end": time.monotonic()}))
    return status


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1]), sys.argv[2:]))
