"""The two exact networks of a model: integers -> the table row of every symbol.

    first    z_hat [G, Z, a, b]                  -> index_first [G, N, 4a, 4b], features [G, 4a, 4b, S]
    second   features, symbols of the first half -> index_second [G, N, 4a, 4b]

G: groups of one shape. Each network comes in two forms that compute the same (docs/format.md, "Scale
networks"): integers held in float32 on a square with a mask, which define the model, and bytes, which are
several times as fast. A form in bytes has to give a known answer when it is loaded; where it does not, or
where this onnxruntime has no operators for it, the other one is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aecodec import _core
from aecodec.errors import DeviceError, ModelError
from aecodec.model_bundle import Bundle
from aecodec.session import Run, Session, runner

Float = NDArray[np.float32]
Index = NDArray[np.uint8]
Features = NDArray[np.uint8]
Level = NDArray[np.int64]
"""[1]"""
Symbols = NDArray[np.int16]

LARGEST = 127
"""Sizes of symbols count as far as this."""
PROBE = (2, 3)
"""Positions of z of the group with the known answer."""


class Form(Protocol):
    """One of the networks, loaded. What it takes and gives is that of the module."""

    def first(self, z_hat: Float, level: Level) -> tuple[Index, Features]: ...

    def second(self, features: Features, symbols: Symbols, level: Level) -> Index: ...


class InBytes:
    """Groups as they are: the graphs of export/exact_int8.py."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def first(self, z_hat: Float, level: Level) -> tuple[Index, Features]:
        index, features = self._run(z_hat=z_hat, level=level)
        return index, features

    def second(self, features: Features, symbols: Symbols, level: Level) -> Index:
        index: Index = self._run(features=features, sizes=_sizes(symbols), level=level)[0]
        return index


class InFloats:
    """Groups in the upper left corner of a square, with zeros beside them."""

    def __init__(self, run: Run, side: int) -> None:
        self._run, self._side = run, side

    def first(self, z_hat: Float, level: Level) -> tuple[Index, Features]:
        height, width = (4 * n for n in z_hat.shape[2:])
        padded, mask = self._padded(z_hat, self._side // 4), self._mask(len(z_hat), height, width)
        index, features = self._run(z_hat=padded, mask=mask, level=level)
        cut: Features = features[:, :, :height, :width].transpose(0, 2, 3, 1).astype(np.uint8)
        return np.ascontiguousarray(index[:, :, :height, :width]), cut

    def second(self, features: Features, symbols: Symbols, level: Level) -> Index:
        height, width = symbols.shape[2:]
        inputs = {
            "features": self._padded(features.transpose(0, 3, 1, 2), self._side),
            "symbols_first": self._padded(symbols, self._side),
            "mask": self._mask(len(symbols), height, width),
        }
        index: Index = self._run(**inputs, level=level)[0]
        return np.ascontiguousarray(index[:, :, :height, :width])

    def _padded(self, a: NDArray[Any], side: int) -> Float:
        groups, channels, height, width = a.shape
        out = np.zeros((groups, channels, side, side), np.float32)
        out[:, :, :height, :width] = a
        return out

    def _mask(self, groups: int, height: int, width: int) -> Float:
        """[G, 1, e/4, e/4], 1 inside the groups."""
        return self._padded(np.ones((groups, 1, height // 4, width // 4)), self._side // 4)


def load(bundle: Bundle, graph: str, open_graph: Callable[[bytes], Session]) -> Form:
    """One of the scale networks, in bytes where that can be had. ModelError when its file is damaged."""
    if graph in bundle.exact:
        known = bundle.exact[graph]
        data = bundle.read(known.file)
        try:
            form = InBytes(runner(open_graph(data), bundle.name, graph))
            if known_answer(bundle, graph, form) == known.answer:
                return form
        except (DeviceError, ModelError):  # of an onnxruntime without such operators: the other form is whole
            pass
    session = open_graph(bundle.read(f"{graph}.onnx"))
    return InFloats(runner(session, bundle.name, graph), bundle.group)


def known_answer(bundle: Bundle, graph: str, form: Form) -> int:
    """CRC-32C of what a network gives for a small group with values of all sizes."""
    height, width = PROBE
    level = np.array([37], np.int64)
    if graph == "scales_first":
        z_hat = _drawn(bundle.z * height * width, 255).reshape(1, -1, height, width) - 127
        found: tuple[Index, ...] = form.first(z_hat.astype(np.float32), level)
    else:
        positions = 16 * height * width
        features = _drawn(bundle.s * positions, 128).reshape(1, 4 * height, 4 * width, -1)
        symbols = _drawn(bundle.n * positions, 301).reshape(1, -1, 4 * height, 4 * width) - 150
        found = (form.second(features.astype(np.uint8), symbols.astype(np.int16), level),)
    return _core.crc32c(b"".join(a.tobytes() for a in found))


def _drawn(count: int, below: int) -> NDArray[np.int64]:
    """The same integers everywhere, a third of them small."""
    values = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(29)
    wide = (values >> np.uint64(13)) % np.uint64(below)
    near = np.uint64(below // 2) + (values >> np.uint64(41)) % np.uint64(3)
    return np.where(values % np.uint64(3) == 0, near, wide).astype(np.int64)


def _sizes(symbols: Symbols) -> NDArray[np.uint8]:
    """|s| as far as LARGEST. -32768, whose size is no int16, is large as well."""
    sizes: NDArray[np.uint8] = np.minimum(np.abs(symbols).view(np.uint16), LARGEST).astype(np.uint8)
    return sizes
