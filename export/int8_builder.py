"""GraphBuilder with 8-bit layers in NHWC: uint8 activations, int8 weights, a scale for each output channel.

Every channel of an integer tensor has its own range (calibration.Range). Its scale goes into the weights
before and after it, its zero into their biases: the graph itself sees one scale of 1 and zero of 0, for which
ONNX Runtime has its fast kernels (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
Correction, 2019, does the same between pairs of layers). ReLU is the cut at 0.

The nodes are ONNX Runtime's own fused operators (domain com.microsoft): what it makes of standard ones
between QuantizeLinear and DequantizeLinear keeps a transposition around nearly every layer."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from aecodec.training.layers import LEVELS

from .builder import OPSET, Array, GraphBuilder
from .calibration import CLASSES, Range
from .rounding import bias_correction, least_error, nearest

CONTRIB = "com.microsoft"


class Int8Builder(GraphBuilder):
    """Tensors called q are uint8 [1, h, w, C]; all others are float [1, h, w, C] where not said otherwise."""

    domains = (("", OPSET), (CONTRIB, 1))
    row = ""
    """Number of the class of qualities, once `quality_class` made it."""

    def quality_class(self, quality: str) -> None:
        """From here on biases may be [CLASSES, O]: rows by quality.  (ONNX Runtime's fastest convolution, for
        inputs of zero 0, wants constant ones.)"""
        number = self.op("Mul", quality, self.const(CLASSES / LEVELS))
        number = self.op("Clip", number, self.const(0.0), self.const(CLASSES - 1.0))
        self.row = self.reshape(self.op("Cast", number, to=TensorProto.INT64), [])

    def chosen(self, values: Array, kind: type = np.float32) -> str:
        """A constant [O], or the row for this quality of [CLASSES, O]; of [CLASSES, 1] a scalar."""
        if values.ndim == 1:
            return self.const(values, kind)
        if not self.row:
            raise ValueError(f"{self.name}: values by quality before quality_class()")
        table = self.const(values[:, 0] if values.shape[1] == 1 else values, kind)
        return self.op("Gather", table, self.row, axis=0)

    def contrib(self, kind: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        out = f"t{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=CONTRIB, **attributes))
        return out

    def scalar(self, value: float, kind: type = np.float32) -> str:
        """const() makes vectors of one value of them, which some operators refuse."""
        name = self.const([value], kind)
        del self.weights[-1].dims[:]
        return name

    def quantise(self, x: str, given: Range) -> str:
        """-> q; the range has one scale and zero for all channels."""
        scale, zero = self.scalar(given.scale[0]), self.scalar(given.zero[0], np.uint8)
        return self.op("QuantizeLinear", x, scale, zero)

    def dequantise(self, q: str, seen: Range) -> str:
        scale, zero = self.scalar(seen.scale[0]), self.scalar(seen.zero[0], np.uint8)
        return self.op("DequantizeLinear", q, scale, zero)

    def pointwise(self, q: str, weight: Array, bias: Array, seen: Range, given: Range) -> str:
        """1x1 convolution, weight [O, I] and bias [O] or [CLASSES, O] -> q, cut to `given`."""
        weight = weight * seen.scale / given.scale[:, None]
        kernel, steps = least_error(weight, seen)
        bias = bias / given.scale + given.zero - kernel.astype(np.float64) @ seen.zero * steps
        bias = bias + bias_correction(weight, kernel, steps, seen)
        return self._convolve(q, kernel[:, :, None, None], steps, bias, 0)

    def depthwise3(self, q: str, weight: Array, seen: Range, given: Range) -> str:
        """3x3 depthwise convolution without bias, weight [C, 1, 3, 3] -> q. seen.zero is 0, which is what the
        border is filled with."""
        weight = weight * (seen.scale / given.scale)[:, None, None, None]
        kernel, steps = nearest(weight)
        error = (weight - kernel * steps[:, None, None, None]).sum((1, 2, 3))
        bias = given.zero + error * seen.mean / seen.scale
        return self._convolve(q, kernel, steps, bias, 0, groups=len(kernel))

    def conv3(self, q: str, weight: Array, bias: Array, seen: Range, given: Range) -> str:
        """3x3 convolution, weight [O, I, 3, 3] -> q. All of seen.zero are the same. ValueError for an odd I,
        whose last input would make a pair with the first one at the next place (rounding.py)."""
        if weight.shape[1] % 2:
            raise ValueError(f"{self.name}: a 3x3 layer of {weight.shape[1]} inputs; take an even number")
        weight = weight * seen.scale[None, :, None, None] / given.scale[:, None, None, None]
        kernel, steps = nearest(weight)
        bias = bias / given.scale + given.zero + bias_correction(weight, kernel, steps, seen)
        return self._convolve(q, kernel, steps, bias, int(seen.zero[0]))

    def to_float(self, q: str, weight: Array, bias: Array, seen: Range, swing: Array | None = None) -> str:
        """1x1 convolution, weight [O, I] -> float: what it gives is not rounded.

        swing [CLASSES]: real values are larger than `seen` says by this factor."""
        weight = weight * seen.scale
        kernel, steps = least_error(weight, seen)
        moved = bias_correction(weight, kernel, steps, seen) - kernel.astype(np.float64) @ seen.zero * steps
        larger = self.scalar(1.0) if swing is None else self.chosen(swing[:, None])
        bias = bias + (moved if swing is None else moved * swing[:, None])
        return self._multiplied(q, kernel, steps, self.chosen(bias), larger)

    def linear(self, x: str, weight: Array, bias: Array | None = None) -> str:
        """1x1 convolution in float, weight [O, I]."""
        out = self.op("MatMul", x, self.const(weight.T))
        return out if bias is None else self.op("Add", out, self.const(bias))

    def neighbours(self, q: str, zero: int) -> str:
        """[1, h, w, C] -> [1, h, w, 9 C]: the 3x3 positions around each, raster order, `zero` outside."""
        pads = self.const([0, 1, 1, 0, 0, 1, 1, 0], np.int64)
        padded = self.op("Pad", q, pads, self.scalar(zero, np.uint8))
        axes, end = self.const([1, 2], np.int64), np.iinfo(np.int64).max
        shifted = []
        for i in range(3):
            for j in range(3):
                stops = [k - 2 if k < 2 else end for k in (i, j)]
                limits = (self.const([i, j], np.int64), self.const(stops, np.int64))
                shifted.append(self.op("Slice", padded, *limits, axes))
        return self.op("Concat", *shifted, axis=3)

    def add_relu(self, a: str, seen_a: Range, b: str, seen_b: Range, swing: Array) -> str:
        """max(a + swing b, 0) of two q whose ranges are the same for all channels -> q of scale 1 and zero 0.

        swing: [CLASSES]."""
        scales = (self.scalar(seen_a.scale[0]), self.chosen(swing[:, None] * seen_b.scale[0]))
        inputs = []
        for q, scale, seen in ((a, scales[0], seen_a), (b, scales[1], seen_b)):
            inputs += [q, scale, self.scalar(seen.zero[0], np.uint8)]
        return self.contrib("QLinearAdd", *inputs, self.scalar(1.0), self.scalar(0, np.uint8))

    def _multiplied(self, q: str, kernel: Array, steps: Array, bias: str, larger: str) -> str:
        """kernel [O, I] of integers, steps [O] times the scalar `larger`, bias [O] -> float"""
        zero, zeros = self.scalar(0, np.uint8), self.const(np.zeros(len(kernel)), np.int8)
        inputs = (self.const(kernel.T, np.int8), larger, self.const(steps), zero, zeros, bias)
        return self.contrib("MatMulIntegerToFloat", q, *inputs)

    def _convolve(self, q: str, kernel: Array, steps: Array, bias: Array, zero: int, groups: int = 1) -> str:
        integers = np.rint(bias / steps)
        if not np.abs(integers).max() < 2**30:  # NaN, too
            raise ValueError(f"{self.name}: a bias of an int8 layer is beyond 32 bits; keep it in float")
        k = kernel.shape[2]
        one, nothing = self.scalar(1.0), self.scalar(0, np.uint8)
        zeros = self.const(np.zeros(len(kernel)), np.int8)
        return self.contrib(
            "QLinearConv",
            *(q, one, self.scalar(zero, np.uint8)),
            *(self.const(kernel, np.int8), self.const(steps), zeros),
            *(one, nothing, self.chosen(integers, np.int32)),
            kernel_shape=[k, k],
            pads=[k // 2] * 4,
            group=groups,
            channels_last=1,
        )
