"""GraphBuilder with 8-bit layers in NHWC: uint8 activations, int8 weights, a scale for each output channel.

Every channel of an integer tensor has its own range (calibration.Range). Its scale goes into the weights
before and after it, its zero into their biases: the graph itself sees one scale of 1 and zero of 0, for which
ONNX Runtime has its fast kernels (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
Correction, 2019, does the same between pairs of layers). ReLU is the cut at 0.

The nodes are ONNX Runtime's own fused operators (domain com.microsoft): what it makes of standard ones
between QuantizeLinear and DequantizeLinear keeps a transposition around nearly every layer."""

from __future__ import annotations

import numpy as np
from onnx import helper
from torch import nn

from .builder import OPSET, Array, GraphBuilder, to_numpy
from .calibration import Range

CONTRIB = "com.microsoft"
LARGEST = 127


class Int8Builder(GraphBuilder):
    """Tensors called q are uint8 [1, h, w, C]; all others are float [1, h, w, C] where not said otherwise."""

    domains = (("", OPSET), (CONTRIB, 1))

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
        """1x1 convolution, weight [O, I] -> q; values below and above `given` are cut."""
        kernel, steps = _integers(weight * seen.scale / given.scale[:, None])
        bias = bias / given.scale + given.zero - kernel.astype(np.float64) @ seen.zero * steps
        bias = bias + lost(weight * seen.scale / given.scale[:, None], kernel, steps, seen)
        return self._convolve(q, kernel[:, :, None, None], steps, bias, 0)

    def depthwise3(self, q: str, layer: nn.Conv2d, seen: Range, given: Range) -> str:
        """3x3 depthwise convolution -> q. seen.zero is 0, which is what the border is filled with."""
        weight = to_numpy(layer.weight) * (seen.scale / given.scale)[:, None, None, None]
        kernel, steps = _integers(weight)
        error = (weight - kernel * steps[:, None, None, None]).sum((1, 2, 3))
        bias = to_numpy(layer.bias) / given.scale + given.zero + error * seen.mean / seen.scale
        return self._convolve(q, kernel, steps, bias, 0, groups=len(kernel))

    def conv3(self, q: str, weight: Array, bias: Array, seen: Range, given: Range) -> str:
        """3x3 convolution, weight [O, I, 3, 3] -> q. All of seen.zero are the same."""
        weight = weight * seen.scale[None, :, None, None] / given.scale[:, None, None, None]
        kernel, steps = _integers(weight)
        bias = bias / given.scale + given.zero + lost(weight, kernel, steps, seen)
        return self._convolve(q, kernel, steps, bias, int(seen.zero[0]))

    def to_float(self, q: str, weight: Array, bias: Array, seen: Range) -> str:
        """1x1 convolution, weight [O, I] -> float: what it gives is not rounded."""
        kernel, steps = _integers(weight * seen.scale)
        bias = bias - kernel.astype(np.float64) @ seen.zero * steps
        bias = bias + lost(weight * seen.scale, kernel, steps, seen)
        one, zero = self.scalar(1.0), self.scalar(0, np.uint8)
        zeros = self.const(np.zeros(len(kernel)), np.int8)
        inputs = (self.const(kernel.T, np.int8), one, self.const(steps), zero, zeros, self.const(bias))
        return self.contrib("MatMulIntegerToFloat", q, *inputs)

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

    def add_relu(self, a: str, seen_a: Range, b: str, seen_b: Range) -> str:
        """max(a + b, 0) of two q whose ranges are the same for all channels -> q of scale 1 and zero 0."""
        inputs = []
        for q, seen in ((a, seen_a), (b, seen_b)):
            inputs += [q, self.scalar(seen.scale[0]), self.scalar(seen.zero[0], np.uint8)]
        return self.contrib("QLinearAdd", *inputs, self.scalar(1.0), self.scalar(0, np.uint8))

    def _convolve(self, q: str, kernel: Array, steps: Array, bias: Array, zero: int, groups: int = 1) -> str:
        integers = np.rint(bias / steps)
        if np.abs(integers).max() >= 2**30:
            raise ValueError(f"{self.name}: a bias of an int8 layer is beyond 32 bits; keep it in float")
        k = kernel.shape[2]
        one, nothing = self.scalar(1.0), self.scalar(0, np.uint8)
        zeros = self.const(np.zeros(len(kernel)), np.int8)
        return self.contrib(
            "QLinearConv",
            *(q, one, self.scalar(zero, np.uint8)),
            *(self.const(kernel, np.int8), self.const(steps), zeros),
            *(one, nothing, self.const(integers, np.int32)),
            kernel_shape=[k, k],
            pads=[k // 2] * 4,
            group=groups,
            channels_last=1,
        )


def lost(weight: Array, kernel: Array, steps: Array, seen: Range) -> Array:
    """What rounding the weights [O, I, ...] takes from the outputs' means, in their units: [O]. Inputs whose
    mean is far from 0 add all the small errors up (Nagel et al., the same paper, "bias correction")."""
    error = weight - kernel * steps.reshape(-1, *[1] * (weight.ndim - 1))
    return error.reshape(*weight.shape[:2], -1).sum(2) @ (seen.mean / seen.scale)


def _integers(weight: Array) -> tuple[Array, Array]:
    """[O, ...] -> -127 .. 127, and the step of each row."""
    largest = np.abs(weight.reshape(len(weight), -1)).max(1)
    steps = np.where(largest > 0, largest, 1) / LARGEST
    return np.rint(weight / steps.reshape(-1, *[1] * (weight.ndim - 1))), steps
