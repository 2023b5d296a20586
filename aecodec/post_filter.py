"""The post-filter: 5x5 taps from colours to colours, found for one picture, that take an error from what the
networks made.

    section fILT --unpack--> coefficients --Filter--> taps, offsets
    x_hat --taps, offsets--> x_hat with less of an error

A network knows pictures in general; how the fine detail of brightness and colour go together in this one is
told by some fifty bytes. Adaptive loop filters of video codecs do the same (Tsai et al., Adaptive Loop
Filtering for Video Coding, IEEE Journal of Selected Topics in Signal Processing, 2013).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aecodec import onnx_file
from aecodec.errors import CorruptError
from aecodec.onnx_file import FLOAT, Graph, Node

TAG = "fILT"
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Rows Y, Cb, Cr of JPEG's transform (ITU-T T.871), of R, G, B."""
RINGS = (
    ((0, 1), (0, -1)),
    ((1, 0), (-1, 0)),
    ((1, 1), (1, -1), (-1, 1), (-1, -1)),
    ((0, 2), (0, -2)),
    ((2, 0), (-2, 0)),
    ((1, 2), (1, -2), (-1, 2), (-1, -2)),
    ((2, 1), (2, -1), (-2, 1), (-2, -1)),
    ((2, 2), (2, -2), (-2, 2), (-2, -2)),
)
"""Rows and columns from a pixel to those that a contrast compares with it."""
KINDS = ((3, 1), (8, 1), (3, 4), (8, 4))
"""Contrasts of a plane, within 3x3 or 5x5; sets of coefficients: one, or one for each place in a square of
2x2, as networks draw pictures in such squares."""
REACH = 2
"""Pixels that it sees around one."""
FINEST = 12
"""A step is 2^-FINEST at least."""
ORDERS = 8
LARGEST = 1 << 15
"""Coefficients are below, in steps."""
LONGEST = 2 + 4 * 3 * 28 * 5
"""Bytes of a payload, none of whose coefficients has more than 33 bits."""
OFFSET = 0.25
"""What the last coefficient is multiplied by, 1 being white."""


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """Of the features of a pixel, for R, G, B: steps [sets, 3, F], F = 3 contrasts + 4, of 2^-shift each."""

    contrasts: int
    shift: int
    steps: NDArray[np.int64]

    @property
    def kind(self) -> int:
        return KINDS.index((self.contrasts, len(self.steps)))


def features(contrasts: int) -> int:
    """F: of Y, Cb and Cr the contrasts; then Y, Cb and Cr themselves, and a constant."""
    return 3 * contrasts + 4


def order_of(steps: NDArray[np.int64]) -> tuple[int, int]:
    """The order of the Exp-Golomb code that takes the fewest bits, and how many."""
    numbers = np.where(steps > 0, 2 * steps - 1, -2 * steps)
    bits = [
        int(2 * np.log2(numbers + (1 << k)).astype(int).sum()) + (1 - k) * steps.size for k in range(ORDERS)
    ]
    order = int(np.argmin(bits))
    return order, bits[order]


def size_of(found: Coefficients) -> int:
    """Bytes that pack() makes."""
    return 2 + -(-order_of(found.steps)[1] // 8)


def pack(found: Coefficients) -> bytes:
    """The payload of section fILT."""
    order, _ = order_of(found.steps)
    bits: list[int] = []
    for value in found.steps.ravel().tolist():
        number = (2 * value - 1 if value > 0 else -2 * value) + (1 << order)
        size = number.bit_length() - 1
        bits += [0] * (size - order) + [1] + [number >> i & 1 for i in range(size)]
    data = np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()
    return bytes([found.kind, found.shift | order << 4]) + data


def unpack(payload: bytes | memoryview) -> Coefficients:
    """CorruptError for what pack() does not make."""
    if len(payload) > LONGEST:
        raise CorruptError("section fILT goes on behind its coefficients")
    data = bytes(payload)
    if len(data) < 3 or data[0] >= len(KINDS) or data[1] & 15 > FINEST or data[1] >> 7:
        raise CorruptError("section fILT: not the beginning of a post-filter")
    (contrasts, sets), shift, order = KINDS[data[0]], data[1] & 15, data[1] >> 4
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=2), bitorder="little").tolist()
    values: list[int] = []
    at = 0
    try:
        while len(values) < sets * 3 * features(contrasts):
            size = order
            while not bits[at]:
                at, size = at + 1, size + 1
            if size > LARGEST.bit_length():
                raise CorruptError("section fILT: a coefficient is too large")
            number = (1 << size) + sum(bits[at + 1 + i] << i for i in range(size)) - (1 << order)
            at += size + 1
            values.append(number + 1 >> 1 if number & 1 else -(number >> 1))
    except IndexError:
        raise CorruptError("section fILT ends within its coefficients") from None
    if len(bits) - at >= 8 or any(bits[at:]):
        raise CorruptError("section fILT goes on behind its coefficients")
    return Coefficients(contrasts, shift, np.array(values, np.int64).reshape(sets, 3, -1))


class Filter:
    """What a file's coefficients do to a picture."""

    def __init__(self, found: Coefficients) -> None:
        sets = [_taps(scaled, found.contrasts) for scaled in found.steps / (1 << found.shift)]
        places = [(row, column, sets[(2 * row + column) % len(sets)]) for row in (0, 1) for column in (0, 1)]
        self.taps = np.zeros((4, 3, 3, 6, 6), np.float32)
        """[places of a square, to R, G, B, from R, G, B, rows, columns], the square in the middle of 6x6."""
        for place, (row, column, (taps, _)) in enumerate(places):
            self.taps[place, :, :, row : row + 5, column : column + 5] = taps
        self.offsets = np.array([offsets for _, _, (_, offsets) in places], np.float32)
        """[places, 3]"""

    @cached_property
    def graph(self) -> bytes:
        """x_hat [1, 3, H, W] in 0..1 -> the same, filtered; beyond its edges is the nearest pixel."""
        weights = {
            "pads": onnx_file.integers("pads", 0, 0, REACH, REACH, 0, 0, REACH, REACH),
            "taps": onnx_file.tensor("taps", FLOAT, self.taps.tobytes(), (12, 3, 6, 6)),
            "offsets": onnx_file.tensor("offsets", FLOAT, self.offsets.tobytes(), (12,)),
            "least": onnx_file.tensor("least", FLOAT, struct.pack("<f", 0)),
            "most": onnx_file.tensor("most", FLOAT, struct.pack("<f", 1)),
        }
        nodes = (
            Node("Pad", ("x_hat", "pads"), ("padded",), onnx_file.text_attribute("mode", "edge")),
            Node("Conv", ("padded", "taps", "offsets"), ("squares",), onnx_file.attributes("strides", 2, 2)),
            Node("DepthToSpace", ("squares",), ("summed",), onnx_file.attribute("blocksize", 2)),
            Node("Clip", ("summed", "least", "most"), ("filtered",)),
        )
        inputs = {"x_hat": onnx_file.of_any_size("x_hat", FLOAT, 4)}
        return Graph(nodes, weights, inputs, ("filtered",), *onnx_file.around()).pack()


def _taps(scaled: NDArray[np.float64], contrasts: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients [3, F] -> taps [3, 3, 5, 5] to R, G, B from R, G, B in 0..1, and offsets [3]."""
    of_planes = np.zeros((3, 3, 5, 5))  # from Y, Cb, Cr
    for ring, places in enumerate(RINGS[:contrasts]):
        weights = scaled[:, ring : 3 * contrasts : contrasts]
        for row, column in places:
            of_planes[:, :, REACH + row, REACH + column] += weights
            of_planes[:, :, REACH, REACH] -= weights
    own = scaled[:, 3 * contrasts : 3 * contrasts + 3]
    of_planes[:, :, REACH, REACH] += own
    taps = np.einsum("opyx,pi->oiyx", of_planes, TO_YCC)
    taps[:, :, REACH, REACH] += np.eye(3)
    # Planes count from the grey in the middle of their range.
    return taps, OFFSET * scaled[:, -1] - own @ TO_YCC.sum(1) / 2
