"""The five graphs of a model as callables.

    analysis        x [1, 3, H, W], quality            -> y [1, N, h, w], z_hat [1, Z, h/4, w/4]
    scales_first    z_hat [G, Z, a, b], level          -> index_first [G, N, 4a, 4b], features
    context         y, z_hat, quality, index_first     -> symbols_first, residual_second [1, N, h, w]
    scales_second   features, symbols_first, level     -> index_second [G, N, 4a, 4b]
    synthesis       symbols [1, N, h, w], z_hat, quality -> x_hat [1, 3, H, W]
    its head, and small_8, _16  the same               -> x_hat at 1/8, 1/16 (not in every bundle)

h = H/16; G: groups run together, of one shape. analysis, context and synthesis are ordinary float networks,
which see a large picture in windows; the scale networks are exact and see one group each (scale_networks.py).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from aecodec import scale_networks, windows
from aecodec.errors import AecodecError
from aecodec.forks import renew_in_children
from aecodec.model_bundle import SCALE_NETWORKS, Bundle
from aecodec.parallel import cpus
from aecodec.post_filter import Filter
from aecodec.precision import Precision, choose
from aecodec.scale_networks import Features, Form, Level, Symbols
from aecodec.session import Device, Session, open_session, runner, runtime
from aecodec.windows import Cut, Span

Float = NDArray[np.float32]
Post = Callable[[Float], Float]
Windows = Iterator[tuple[Span, list[Float]]]
"""Columns of a window in a band, and a network's results there."""
Index = NDArray[np.uint8]
Made = TypeVar("Made")

ENCODED = 768
"""Blocks of a window in the encoder, which has less memory left: beside it stands the picture."""
CHECKED = 512
"""And of one in which the encoder looks at what the decoder will make of its file."""
OVERLAP = 1
"""Blocks around the windows of feedback()."""
ENCODING = ("analysis", "scales_first", "context", "scales_second")
DECODING = ("scales_first", "scales_second", "synthesis")
"""What is needed, in the order in which it is needed."""


class Networks:
    """The graphs of one bundle. Sessions are made when first used; calls may come from several threads.

    A forked process makes its own."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device,
        threads: int | None,
        optimise: bool = True,
        largest: int = windows.LARGEST,
        precision: Precision = "auto",
    ) -> None:
        self._precision = precision
        self._bundle, self._device, self._threads, self._optimise = bundle, device, threads, optimise
        self.largest = largest
        self.threads = cpus() if threads is None else max(1, threads)
        self._renew()
        renew_in_children(self)

    def _renew(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._exact: dict[str, Form] = {}
        self._lock = threading.Lock()

    def prepare(self, graphs: Sequence[str]) -> None:
        """Makes sessions in a thread, while the caller does something else. Errors come when one is used.

        onnxruntime itself is imported before: it holds the interpreter's lock, and nothing runs beside it."""

        def work() -> None:
            with contextlib.suppress(AecodecError, MemoryError):
                for graph in graphs:
                    self.exact(graph) if graph in SCALE_NETWORKS else self.session(graph)

        if not all(graph in self._sessions or graph in self._exact for graph in graphs):
            with contextlib.suppress(AecodecError, MemoryError):
                runtime()
            with contextlib.suppress(RuntimeError):  # no memory for a thread
                threading.Thread(target=work, name="aecodec-prepare").start()

    def _once(self, made: dict[str, Made], key: str, make: Callable[[], Made]) -> Made:
        if key in made:  # without waiting for another one that is being made
            return made[key]
        with self._lock:
            if key not in made:
                made[key] = make()
            return made[key]

    def session(self, graph: str) -> Session:
        return self._once(self._sessions, graph, lambda: self._open(graph, self._precision))

    def exact(self, graph: str) -> Form:
        """One of the scale networks. They decide how bytes are read, and run on the CPU on every device:
        a GPU library may pick an algorithm (Winograd, FFT, reduced precision) that is not exact."""
        return self._once(
            self._exact, graph, lambda: scale_networks.load(self._bundle, graph, self._open_on_cpu)
        )

    def _open_on_cpu(self, data: bytes) -> Session:
        return open_session(data, "cpu", self._threads, self._optimise)

    def derived(
        self, key: str, graph: str, change: Callable[[bytes], bytes], precision: Precision = "fp32"
    ) -> Session:
        """A session for what `change` makes of one of the graphs; made once for each key."""
        return self._once(self._sessions, key, lambda: self._open(graph, precision, change))

    def _open(
        self, graph: str, wanted: Precision, change: Callable[[bytes], bytes] = lambda data: data
    ) -> Session:
        precision = choose(wanted, self._bundle, self._device)
        device: Device = "cpu" if precision == "int8" else self._device
        data = change(self._bundle.read(self._bundle.file_of(graph, precision)))
        if precision == "fp16":
            from aecodec.half import halved

            data = halved(data)
        return open_session(data, device, self._threads, self._optimise)

    def _run(self, graph: str, **inputs: NDArray[Any]) -> list[Any]:
        return runner(self.session(graph), self._bundle.name, graph)(**inputs)

    def _bands(
        self,
        name: str,
        call: windows.Network,
        cut: Cut,
        rows: Span,
        width: int,
        most: int = windows.LARGEST,
        columns: Span | None = None,
        needed: NDArray[np.bool_] | None = None,
    ) -> Windows:
        """most: blocks of a window where a band has several."""
        largest = self.largest
        wide = columns.last - columns.first if columns else width
        if (rows.last - rows.first) * wide > largest:
            largest = min(largest, most)
        return windows.band(call, cut, rows, width, self.halo(name), largest, columns, needed)

    def _whole(self, name: str, call: windows.Network, inputs: list[NDArray[Any]], scales: list[int]) -> Any:
        return windows.run(call, inputs, scales, self.halo(name), self.largest)

    def halo(self, name: str) -> int:
        """Blocks that analysis, context or synthesis sees beyond its own."""
        return self._bundle.halo[name]

    def analysis(self, x: Float, quality: Float) -> tuple[Float, Float]:
        y, z_hat = self._whole("analysis", self._analysis(quality), [x], [64])
        return y, z_hat

    def analysis_band(
        self, cut: Cut, rows: Span, width: int, quality: Float, needed: NDArray[np.bool_] | None = None
    ) -> Windows:
        """analysis() of one band of windows (windows.band); cut gives [x]."""
        return self._bands("analysis", self._analysis(quality), cut, rows, width, ENCODED, needed=needed)

    def _analysis(self, quality: Float) -> windows.Network:
        return lambda x: self._run("analysis", x=x, quality=quality)

    def scales_first(self, z_hat: Float, level: Level) -> tuple[Index, Features]:
        return self.exact("scales_first").first(z_hat, level)

    def context(self, y: Float, z_hat: Float, quality: Float, index_first: Index) -> tuple[Float, Float]:
        inputs: list[NDArray[Any]] = [y, z_hat, index_first]
        first, residual = self._whole("context", self._context(quality), inputs, [4, 1, 4])
        return first, residual

    def context_band(
        self, cut: Cut, rows: Span, width: int, quality: Float, needed: NDArray[np.bool_] | None = None
    ) -> Windows:
        """context() of one band; cut gives [y, z_hat, index_first]."""
        return self._bands("context", self._context(quality), cut, rows, width, ENCODED, needed=needed)

    def _context(self, quality: Float) -> windows.Network:
        return lambda y, z, i: self._run("context", y=y, z_hat=z, quality=quality, index_first=i)

    def scales_second(self, features: Features, symbols_first: Symbols, level: Level) -> Index:
        return self.exact("scales_second").second(features, symbols_first, level)

    def synthesis(self, symbols: Float, z_hat: Float, quality: Float) -> Float:
        (x_hat,) = self._whole("synthesis", self._synthesis(quality), [symbols, z_hat], [4, 1])
        found: Float = x_hat
        return found

    def synthesis_band(
        self,
        cut: Cut,
        rows: Span,
        width: int,
        quality: Float,
        encoding: bool = False,
        divisor: int = 1,
        columns: Span | None = None,
        post: Post | None = None,
    ) -> Windows:
        """synthesis() of one band, or of some of its columns; cut gives [symbols, z_hat].

        encoding: with less memory, in more time. divisor: each pixel is the mean of a square, by the bundle's
        graph for it or of the whole. post: of post(), but for the bundle's small pictures."""
        most = CHECKED if encoding else windows.LARGEST
        call = self._synthesis(quality, divisor, post)
        return self._bands("synthesis", call, cut, rows, width, most, columns)

    def post(self, post_filter: Filter | None) -> Post | None:
        """What a file's filter does to x_hat [1, 3, H, W]."""
        if post_filter is None:
            return None
        run = runner(self._open_on_cpu(post_filter.graph), self._bundle.name, "post-filter")
        return lambda x_hat: cast(Float, run(x_hat=x_hat)[0])

    def _synthesis(self, quality: Float, divisor: int = 1, post: Post | None = None) -> windows.Network:
        if divisor in self._bundle.previews:
            run = self._preview(divisor)
            return lambda symbols, z_hat: run(symbols=symbols, z_hat=z_hat, quality=quality)

        def whole(symbols: Float, z_hat: Float) -> list[Float]:
            (x_hat,) = self._run("synthesis", symbols=symbols, z_hat=z_hat, quality=quality)
            if post:
                x_hat = post(x_hat)
            return [x_hat if divisor == 1 else means(x_hat, divisor)]

        return whole

    def _preview(self, divisor: int) -> Callable[..., list[Any]]:
        """The head of synthesis, and behind it the bundle's graph for small pictures."""
        from aecodec import cutting

        name, bundle = f"small_{divisor}", self._bundle

        def change(synthesis: bytes) -> bytes:
            return cutting.preview(synthesis, bundle.read(f"{name}.onnx"))

        return runner(self.derived(name, "synthesis", change, self._precision), bundle.name, name)

    def feedback(self, symbols: Float, z_hat: Float, quality: Float, kept: Callable[[Float], Float]) -> Float:
        """What analysis() misses in the picture that the decoder will make: y_hat less y of kept(x_hat),
        [1, N, h, w] in quantiser steps.  kept: what of x_hat, changed in place, a file holds.

        Windows overlap by less than the networks see, as nothing needs to be exact here."""
        from aecodec.cutting import with_steps

        session = self.derived("feedback", "synthesis", with_steps, self._precision)
        decode = runner(session, self._bundle.name, "synthesis")
        analyse = self._analysis(quality)

        def look(symbols: Float, z_hat: Float) -> list[Float]:
            x_hat, y_hat = decode(symbols=symbols, z_hat=z_hat, quality=quality)
            y, _ = analyse(kept(x_hat))
            return [y_hat - y]

        (found,) = windows.run(look, [symbols, z_hat], [4, 1], OVERLAP, min(self.largest, CHECKED))
        return found


def means(x: Float, divisor: int) -> Float:
    """[1, C, H, W] -> means over divisor x divisor, [1, C, H/divisor, W/divisor]."""
    _, channels, height, width = x.shape
    squares = x.reshape(1, channels, height // divisor, divisor, width // divisor, divisor)
    found: Float = squares.mean((3, 5), dtype=np.float32)
    return found
