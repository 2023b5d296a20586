"""A graph's bytes -> something that runs it. The only importer of onnxruntime.

onnxruntime is imported when the first session is made, so that everything that needs no network
(info, help, errors) works without it.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, Protocol, TypeAlias, cast
from weakref import WeakSet

from aecodec import forks
from aecodec.errors import DeviceError, ModelError, UsageError, is_lack_of_memory
from aecodec.limits import MOST_THREADS

Device = Literal["auto", "cpu", "cuda"]
DEVICES = ("auto", "cpu", "cuda")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
WHEELS = ("onnxruntime", "onnxruntime-gpu")
INSTALL = "pip install 'aecodec[cpu]'   or, with an NVIDIA GPU,   pip install 'aecodec[cuda]'"
BOTH_WHEELS = (
    "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; "
    "run: pip uninstall -y onnxruntime onnxruntime-gpu, then one of: " + INSTALL
)

TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""onnxruntime from 1.29 on reads it when it is imported. Without it, it gives the device a number and tells
Microsoft what it runs, and on what."""

FIRST_REGION = 512 << 20
"""Bytes that the shared arena asks for at first; what is not used of them takes no memory."""

SPIN = 1000
"""Microseconds that a session's thread waits for work before it sleeps; older versions do not know it."""

_lock = threading.RLock()
_ort: Any = None
_asked_for_memory = False
_shares_memory = False


class Session(Protocol):
    """The part of onnxruntime.InferenceSession that is used. run() may be called by several threads."""

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any]) -> list[Any]: ...

    def get_inputs(self) -> list[Any]: ...

    def get_providers(self) -> list[str]: ...


Run: TypeAlias = Callable[..., list[Any]]
"""Inputs of a graph by name -> its outputs."""


_opened: WeakSet[Session] = WeakSet()
_ran: WeakSet[Session] = WeakSet()
"""Those that were run at least once."""


class _State:
    """This module's, as an owner in the sense of forks."""

    def _renew(self) -> None:
        """The lock inside the shared arena may be held. And sessions would wait at their end for threads that
        only the parent has."""
        global _lock, _shares_memory
        _lock, _shares_memory = threading.RLock(), False
        if _opened:
            with contextlib.suppress(ImportError):
                import ctypes

                for session in _opened:  # one reference too many: they are not destroyed at the exit, either
                    ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


_state = _State()  # before whoever drops sessions when it is renewed
forks.renew_in_children(_state)


def runner(session: Session, model: str, graph: str) -> Run:
    """session.run() with a DeviceError that says which graph failed, or that the session is of another
    process: that would wait for its threads for ever. MemoryError where this machine has too little."""
    made = os.getpid()

    def run(**inputs: Any) -> list[Any]:
        if made != os.getpid():
            raise DeviceError(
                f"graph {graph} of model {model!r} was loaded before this process was forked; load it again"
            )
        try:
            if session in _ran:
                return session.run(None, inputs)
            with forks.undisturbed():
                _ran.add(session)
                return session.run(None, inputs)
        except Exception as error:  # onnxruntime raises its own types, which differ between versions
            if is_lack_of_memory(error) and CUDA not in session.get_providers():
                raise MemoryError(str(error)) from None
            raise DeviceError(f"graph {graph} of model {model!r} failed: {error}") from None

    return run


def check_threads(threads: int | None) -> None:
    """UsageError for anything but None and a number of threads."""
    if threads is not None and not (isinstance(threads, Integral) and 1 <= threads <= MOST_THREADS):
        raise UsageError(f"threads {threads!r}: a whole number from 1 to {MOST_THREADS} is needed, or None")


def wheels() -> dict[str, str]:
    """The onnxruntime distributions that are installed: {name: version}."""
    from importlib import metadata

    found = {}
    for name in WHEELS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _overwritten(ort: Any) -> bool:
    """Did both wheels write the package's folder? From the names beside it: importlib.metadata takes as long
    to load as onnxruntime itself."""
    names: set[str] = set()
    for folder in getattr(ort, "__path__", ()):
        with contextlib.suppress(OSError):  # in an archive
            names.update(os.listdir(os.path.dirname(folder)))
    installed = {name.partition("-")[0] for name in names if name.endswith(".dist-info")}
    return {wheel.replace("-", "_") for wheel in WHEELS} <= installed


def runtime() -> Any:
    """The onnxruntime module, which writes no log and tells nobody of its use.

    DeviceError with both pip lines when it is not there."""
    global _ort, _asked_for_memory
    if _ort is not None:
        return _ort
    with forks.undisturbed(), _lock:
        if _ort is None:
            os.environ.setdefault(TELEMETRY, "1")
            try:
                import onnxruntime
            except ImportError as error:
                if is_lack_of_memory(error):
                    raise MemoryError(str(error)) from None
                advice = BOTH_WHEELS if len(wheels()) > 1 else f"run: {INSTALL}"
                raise DeviceError(f"onnxruntime cannot be imported ({error}); {advice}") from None
            if _overwritten(onnxruntime):
                warnings.warn(BOTH_WHEELS, RuntimeWarning, stacklevel=2)
            if not hasattr(onnxruntime, "InferenceSession"):
                raise DeviceError(f"onnxruntime is broken: {BOTH_WHEELS}")
            onnxruntime.set_default_logger_severity(4)
            if os.environ[TELEMETRY] == "1" and hasattr(onnxruntime, "disable_telemetry_events"):
                onnxruntime.disable_telemetry_events()  # Windows knows no variable for it
            if not _asked_for_memory:  # a process that forked this one may have been in the middle of it
                _asked_for_memory = True
                _share_memory(onnxruntime)
            _ort = onnxruntime
        return _ort


def _share_memory(ort: Any) -> None:
    """One arena for the sessions of this module, which run one after the other for the most part.

    Each would keep a peak of its own. And in one large region freed tensors join up again: at 4 megapixels
    the synthesis of `nano` takes 75 bytes a pixel in it, and 154 in an arena that grows with it."""
    global _shares_memory
    sizes = {"max_mem": 0, "arena_extend_strategy": 0, "max_dead_bytes_per_chunk": -1}
    try:
        kind = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        arena = ort.OrtArenaCfg({**sizes, "initial_chunk_size_bytes": FIRST_REGION})
        ort.create_and_register_allocator(kind, arena)
    except Exception:  # another part of the process has registered one
        return
    _shares_memory = True


def providers() -> list[str]:
    """What this onnxruntime was built with; a provider may still fail to load."""
    return list(runtime().get_available_providers())


def _preload(ort: Any) -> None:
    """Finds the CUDA libraries that pip installed. Its prints must not reach a piped stdout."""
    if hasattr(ort, "preload_dlls"):
        with _lock, contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def _options(ort: Any, threads: int | None, optimise: bool) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
    if _shares_memory:
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False  # it asks for each run's memory as one more block
    # Each session has its own threads: without this the last graph's spin while the next one runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # And without this they spin for milliseconds when they are made, beside what makes the next session.
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN))
    return options


def open_session(
    graph: bytes, device: Device = "auto", threads: int | None = None, optimise: bool = True
) -> Session:
    """A session for one ONNX graph.

    device: "auto" takes CUDA where it works and the CPU otherwise; "cuda" fails rather than using the CPU.
    threads: None leaves the number to onnxruntime. optimise: False switches graph optimisation off.
    """
    if device not in DEVICES:
        raise UsageError(f"device {device!r} is unknown; use one of {', '.join(DEVICES)}")
    check_threads(threads)
    ort = runtime()
    with forks.undisturbed():
        session = _open(ort, graph, device, threads, optimise)
        _opened.add(session)
    return session


def _open(ort: Any, graph: bytes, device: Device, threads: int | None, optimise: bool) -> Session:
    options = _options(ort, threads, optimise)
    if device != "cpu" and CUDA in ort.get_available_providers():
        _preload(ort)
        session = _on_cuda(ort, graph, options)
        if session is not None:
            return session
        if device == "cuda":
            raise DeviceError(
                "device 'cuda': onnxruntime could not load its CUDA provider (driver, CUDA or cuDNN "
                "libraries are missing or of another version); see `aecodec doctor`, or use device 'cpu'"
            )
    elif device == "cuda":
        raise DeviceError(
            "device 'cuda': this onnxruntime has no CUDA provider; run: pip uninstall -y onnxruntime, "
            "then: pip install 'aecodec[cuda]', or use device 'cpu'"
        )
    return _on_cpu(ort, graph, options)


def _on_cuda(ort: Any, graph: bytes, options: Any) -> Session | None:
    """None when the provider does not load: onnxruntime then leaves it out quietly, or raises."""
    try:
        session = _session(ort, graph, options, [(CUDA, {"use_tf32": "0"}), (CPU, {})])
    except Exception:
        return None
    return session if CUDA in session.get_providers() else None


def _on_cpu(ort: Any, graph: bytes, options: Any) -> Session:
    try:
        return _session(ort, graph, options, [CPU])
    except Exception as error:  # onnxruntime raises its own types, which differ between versions
        if is_lack_of_memory(error):
            raise MemoryError(str(error)) from None
        raise ModelError(f"onnxruntime {ort.__version__} cannot load a graph of the model: {error}") from None


def _session(ort: Any, graph: bytes, options: Any, chosen: list[Any]) -> Session:
    # enable_fallback=0: its own way back to the CPU prints to stdout, and tries what has just failed.
    return cast(Session, ort.InferenceSession(graph, options, providers=chosen, enable_fallback=0))
