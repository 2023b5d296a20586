"""The integer layers of an Int8Builder in float32, for machines without fast kernels for bytes."""

from __future__ import annotations

import numpy as np

from .builder import Array
from .calibration import TOP, Range
from .int8_builder import Int8Builder


class FloatForm(Int8Builder):
    """Writes what Int8Builder does with standard operators.  Tensors called q are float32 that hold 0 .. 255.

    A sum of 500 products of two bytes stays below 2^24 and is exact; what is rounded comes from the same
    operations in the same order, so both forms round alike.  Only the layers that means are made of are here:
    quantise, pointwise, depthwise3 and to_float."""

    domains = Int8Builder.domains[:1]

    def quantise(self, x: str, given: Range) -> str:
        steps = self.op("Round", self.op("Div", x, self.const(given.scale[:1])))
        return self._cut(self.op("Add", steps, self.const(given.zero[:1])))

    def _multiplied(self, q: str, kernel: Array, steps: Array, bias: str, larger: str) -> str:
        steps_by = self.op("Mul", larger, self.const(steps))
        return self.op("Add", self.op("Mul", self.op("MatMul", q, self.const(kernel.T)), steps_by), bias)

    def _convolve(self, q: str, kernel: Array, steps: Array, bias: Array, zero: int, groups: int = 1) -> str:
        if zero:
            raise ValueError(f"{self.name}: a layer whose input has a zero of {zero} has no float form")
        whole = self.chosen(np.rint(bias / steps))
        if kernel.shape[2] == 1:
            sums = self.op("MatMul", q, self.const(kernel[:, :, 0, 0].T))
        else:
            sums = self.to_nhwc(self.conv(self.to_nchw(q), kernel, None, pad=1, groups=groups))
        return self._cut(self.op("Round", self.op("Mul", self.op("Add", sums, whole), self.const(steps))))

    def _cut(self, x: str) -> str:
        return self.op("Clip", x, self.const(0.0), self.const(TOP))
