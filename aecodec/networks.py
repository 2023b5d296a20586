"""The five graphs of a model as callables, and pictures cut into groups for the two exact ones.

    analysis        x [1, 3, H, W], quality            -> y [1, N, h, w], z_hat [1, Z, h/4, w/4]
    scales_first    z_hat [G, Z, e/4, e/4], mask, level -> index_first [G, N, e, e], features [G, S, e, e]
    context         y, z_hat, quality, index_first      -> symbols_first, residual_second [1, N, h, w]
    scales_second   features, symbols_first, mask, level -> index_second [G, N, e, e]
    synthesis       symbols [1, N, h, w], z_hat, quality -> x_hat [1, 3, H, W]
    preview_8, _16  the same                            -> x_hat at 1/8, 1/16 (not in every bundle)

h = H/16; e: side of a group (32); G: groups run together. analysis, context and synthesis are ordinary
float networks, which see a large picture in windows; the scale networks are integers held in float32 and
see one group each.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import windows
from aecodec.errors import AecodecError, DeviceError
from aecodec.models import Bundle
from aecodec.precision import Precision, choose
from aecodec.session import Device, Session, open_session

Float = NDArray[np.float32]
Index = NDArray[np.uint8]

EXACT = ("scales_first", "scales_second")
"""They decide how bytes are read. They run on the CPU on every device: a GPU library may pick an
algorithm (Winograd, FFT, reduced precision) that is not exact."""

ENCODING = ("analysis", "scales_first", "context", "scales_second")
DECODING = ("scales_first", "scales_second", "synthesis")
"""What is needed, in the order in which it is needed."""

SMALL = 6000
"""Positions of y in a picture of 1.5 megapixels; below, a lost group is more."""
LEAST_EDGE = 24
"""Smaller groups would be mostly padding to the scale networks, which then take twice as long."""
RIM = 4
"""Positions, of both sides together, that a lost group spoils beyond its edges."""


class Networks:
    """The graphs of one bundle. Sessions are made when first used; calls may come from several threads."""

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
        self._largest = largest
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def prepare(self, graphs: Sequence[str]) -> None:
        """Makes sessions in a thread, while the caller does something else. Errors come when one is used."""

        def work() -> None:
            with contextlib.suppress(AecodecError):
                for graph in graphs:
                    self.session(graph)

        if not all(graph in self._sessions for graph in graphs):
            threading.Thread(target=work, name="aecodec-prepare").start()

    def session(self, graph: str) -> Session:
        if graph in self._sessions:  # without waiting for another one that is being made
            return self._sessions[graph]
        with self._lock:
            if graph not in self._sessions:
                device: Device = "cpu" if graph in EXACT else self._device
                precision = choose(self._precision, self._bundle, self._device)
                if precision == "int8":
                    device = "cpu"
                data = self._bundle.read(self._bundle.file_of(graph, precision))
                self._sessions[graph] = open_session(data, device, self._threads, self._optimise)
            return self._sessions[graph]

    def _run(self, graph: str, **inputs: NDArray[Any]) -> list[Any]:
        session = self.session(graph)
        try:
            return session.run(None, inputs)
        except Exception as error:  # onnxruntime raises its own types, which differ between versions
            raise DeviceError(f"graph {graph} of model {self._bundle.name!r} failed: {error}") from None

    def analysis(self, x: Float, quality: Float) -> tuple[Float, Float]:
        y, z_hat = windows.run(
            lambda x: self._run("analysis", x=x, quality=quality),
            inputs=[x],
            scales=[64],
            results=[(self._bundle.n, 4), (self._bundle.z, 1)],
            halo=self._bundle.halo["analysis"],
            largest=self._largest,
        )
        return y, z_hat

    def scales_first(self, z_hat: Float, mask: Float, level: NDArray[np.int64]) -> tuple[Index, Float]:
        index_first, features = self._run("scales_first", z_hat=z_hat, mask=mask, level=level)
        return index_first, features

    def context(self, y: Float, z_hat: Float, quality: Float, index_first: Index) -> tuple[Float, Float]:
        first, residual = windows.run(
            lambda y, z, i: self._run("context", y=y, z_hat=z, quality=quality, index_first=i),
            inputs=[y, z_hat, index_first],
            scales=[4, 1, 4],
            results=[(self._bundle.n, 4), (self._bundle.n, 4)],
            halo=self._bundle.halo["context"],
            largest=self._largest,
        )
        return first, residual

    def scales_second(
        self, features: Float, symbols_first: Float, mask: Float, level: NDArray[np.int64]
    ) -> Index:
        inputs = {"features": features, "symbols_first": symbols_first, "mask": mask}
        index: Index = self._run("scales_second", **inputs, level=level)[0]
        return index

    def synthesis(self, symbols: Float, z_hat: Float, quality: Float) -> Float:
        (x_hat,) = windows.run(
            lambda s, z: self._run("synthesis", symbols=s, z_hat=z, quality=quality),
            inputs=[symbols, z_hat],
            scales=[4, 1],
            results=[(3, 64)],
            halo=self._bundle.halo["synthesis"],
            largest=self._largest,
        )
        return x_hat

    def preview(self, divisor: int, symbols: Float, z_hat: Float, quality: Float) -> Float:
        """synthesis() at 1/divisor, where the bundle has a graph for it."""
        (x_hat,) = windows.run(
            lambda s, z: self._run(f"preview_{divisor}", symbols=s, z_hat=z, quality=quality),
            inputs=[symbols, z_hat],
            scales=[4, 1],
            results=[(3, 64 // divisor)],
            halo=self._bundle.halo["synthesis"],
            largest=self._largest,
        )
        return x_hat


def choose_edge(latent_size: tuple[int, int], side: int) -> int:
    """Side of the groups for a picture with y of this size, whose scale networks see side x side.

    Large groups take fewer bytes and less time. But in a picture of SMALL positions or more a lost group
    should be less than a tenth of it: where that is possible, together with the rim that its neighbours lose.
    """
    positions = latent_size[0] * latent_size[1]
    if positions < SMALL:
        return side
    return min(side, max(LEAST_EDGE, int((positions / 10) ** 0.5 - RIM) // 4 * 4))


@dataclass(frozen=True, slots=True)
class Group:
    """One group's place in y, in positions. z has a quarter of everything."""

    top: int
    left: int
    height: int
    """The valid part; the edge except at the right and the bottom."""
    width: int


class Groups:
    """The latents of one picture as groups of edge x edge, in raster order.

    side: e of the scale networks, at least edge; smaller groups are padded to it as those at a border are.
    """

    def __init__(self, latent_size: tuple[int, int], edge: int, side: int | None = None) -> None:
        self.latent_size, self.edge, self.side = latent_size, edge, side or edge
        height, width = latent_size
        self.all = [
            Group(top, left, min(edge, height - top), min(edge, width - left))
            for top in range(0, height, edge)
            for left in range(0, width, edge)
        ]

    def batches(self, size: int) -> list[list[Group]]:
        """Groups that go through the scale networks together; bounds the memory they take."""
        return [self.all[i : i + size] for i in range(0, len(self.all), size)]

    def mask(self, batch: Sequence[Group]) -> Float:
        """-> [G, 1, e/4, e/4], 1 inside the picture."""
        side = self.side // 4
        mask = np.zeros((len(batch), 1, side, side), np.float32)
        for g, group in enumerate(batch):
            mask[g, :, : group.height // 4, : group.width // 4] = 1
        return mask

    def stack(self, a: Float, batch: Sequence[Group], of_z: bool = False) -> Float:
        """[C, h, w] -> [G, C, e, e], zero outside the picture; z: [C, h/4, w/4] -> [G, C, e/4, e/4]."""
        return self.pad([self.cut(a, group, of_z) for group in batch], of_z)

    def pad(self, parts: Sequence[NDArray[Any]], of_z: bool = False) -> Float:
        """Valid parts [C, vh, vw] -> [G, C, e, e], zero outside."""
        side = self.side // 4 if of_z else self.side
        out = np.zeros((len(parts), parts[0].shape[0], side, side), np.float32)
        for g, part in enumerate(parts):
            out[g, :, : part.shape[1], : part.shape[2]] = part
        return out

    def cut(self, a: NDArray[Any], group: Group, of_z: bool = False) -> NDArray[Any]:
        """A view of one group's part of [C, h, w] (of z: [C, h/4, w/4])."""
        k = 4 if of_z else 1
        bottom, right = group.top + group.height, group.left + group.width
        return a[:, group.top // k : bottom // k, group.left // k : right // k]


def valid(index: Index, group: Group) -> Index:
    """[N, e, e] -> [N, vh, vw]: what is inside the picture."""
    return np.ascontiguousarray(index[:, : group.height, : group.width])
