"""A small ONNX graph writer: each method appends one node and returns the name of its output.

Writing nodes by hand keeps the graphs free of exporter artefacts: the arithmetic of the exact
networks is the list of operators docs/format.md prescribes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET = 17
IR_VERSION = 8

Array = np.ndarray


def to_numpy(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().float().numpy()


class GraphBuilder:
    """Collects nodes and weights; `finish` checks and returns the model."""

    domains: Sequence[tuple[str, int]] = (("", OPSET),)

    def __init__(self, name: str, mark: str = ""):
        """mark: what names of tensors begin with, where graphs are joined."""
        self.name, self._mark = name, mark
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.count = 0

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def const(self, value: Array | float | Sequence[int], kind: type = np.float32) -> str:
        self.count += 1
        name = f"{self._mark}w{self.count}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=kind), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        self.count += 1
        out = f"{self._mark}t{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def finish(self, outputs: dict[str, tuple[str, int, Sequence[int | str]]]) -> onnx.ModelProto:
        """outputs: public name -> (internal name, element type, shape)."""
        infos = []
        for public, (internal, kind, shape) in outputs.items():
            self.nodes.append(helper.make_node("Identity", [internal], [public]))
            infos.append(helper.make_tensor_value_info(public, kind, shape))
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, self.weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*domain) for domain in self.domains],
            producer_name="aecodec",
        )
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        return model

    # -- float layers ----------------------------------------------------------------------------

    def conv(
        self, x: str, weight: Array, bias: Array | None, stride: int = 1, pad: int = 0, groups: int = 1
    ) -> str:
        names = [x, self.const(weight)]
        if bias is not None:
            names.append(self.const(bias))
        k = weight.shape[2]
        return self.op(
            "Conv", *names, kernel_shape=[k, k], strides=[stride, stride], pads=[pad] * 4, group=groups
        )

    def conv1(self, x: str, layer: nn.Conv2d, scale: float = 1.0) -> str:
        bias = None if layer.bias is None else to_numpy(layer.bias) * scale
        return self.conv(x, to_numpy(layer.weight) * scale, bias)

    def patches(self, x: str, layer: nn.Conv2d, size: int, scale: float = 1.0, offset: float = 0.0) -> str:
        """1x1 convolution of pixel_unshuffle(x + offset, size), as one strided convolution."""
        weight = to_numpy(layer.weight) * scale
        c_out = weight.shape[0]
        bias = np.zeros(c_out, np.float32) if layer.bias is None else to_numpy(layer.bias) * scale
        bias = bias + offset * weight.reshape(c_out, -1).sum(1, dtype=np.float64)
        return self.conv(x, weight.reshape(c_out, -1, size, size), bias.astype(np.float32), stride=size)

    def shuffle(self, x: str, size: int, mode: str = "CRD") -> str:
        """CRD: F.pixel_shuffle; DCR: training.layers.depth_to_space."""
        return self.op("DepthToSpace", x, blocksize=size, mode=mode)

    def depthwise(self, x: str, layer: nn.Conv2d) -> str:
        return self.conv(x, to_numpy(layer.weight), to_numpy(layer.bias), pad=1, groups=layer.groups)

    def act(self, x: str, kind: str) -> str:
        if kind == "relu":
            return self.op("Relu", x)
        if kind == "leaky_relu":
            return self.op("LeakyRelu", x, alpha=0.01)
        if kind == "silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if kind == "gelu":
            half = self.op("Mul", x, self.const(0.5))
            erf = self.op("Erf", self.op("Mul", x, self.const(2**-0.5)))
            return self.op("Mul", half, self.op("Add", erf, self.const(1.0)))
        raise ValueError(f"no ONNX form for activation {kind!r}")

    def block(self, x: str, block: nn.Module, act: str) -> str:
        """A Block, or what prune.py left of it."""
        if block.mix_in is not None:
            h = self.act(self.conv1(x, block.mix_in), act)
            x = self.op("Add", x, self.conv1(self.depthwise(h, block.spatial), block.mix_out))
        if block.expand is not None:
            h = self.act(self.conv1(x, block.expand), act)
            x = self.op("Add", x, self.conv1(h, block.contract))
        constant = getattr(block, "constant", None)
        if constant is not None and constant.any():
            x = self.op("Add", x, self.const(to_numpy(constant)[:, None, None]))
        return x

    def blocks(self, x: str, blocks: nn.Module, act: str) -> str:
        """A chain of blocks, or one."""
        for block in blocks if isinstance(blocks, nn.Sequential) else [blocks]:
            x = self.block(x, block, act)
        return x

    # -- layout --------------------------------------------------------------------------------------
    # Depth to space is slow in NCHW: every value moves alone. In NHWC whole rows of channels move.

    def to_nhwc(self, x: str) -> str:
        return self.op("Transpose", x, perm=[0, 2, 3, 1])

    def to_nchw(self, x: str) -> str:
        return self.op("Transpose", x, perm=[0, 3, 1, 2])

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """0 keeps the side that the input has in this place, -1 takes what is left."""
        return self.op("Reshape", x, self.const(shape, np.int64))

    def spread(self, x: str, size: int, channels: int) -> str:
        """[1, h, w, size * size * channels] in order (i, j, c) -> [1, size h, size w, channels]."""
        rows = self.reshape(x, [0, 0, 0, size, size * channels])
        rows = self.op("Transpose", rows, perm=[0, 1, 3, 2, 4])
        rows = self.reshape(rows, [1, 1, -1, 0, size * channels])
        return self.op("Squeeze", self.reshape(rows, [1, 1, 0, -1, channels]), self.const([1], np.int64))

    def gather(self, x: str, size: int, channels: int) -> str:
        """[1, size h, size w, channels] -> [1, h, w, size * size * channels] in order (i, j, c)."""
        rows = self.reshape(x, [0, 0, -1, size * channels])
        rows = self.op("Transpose", self.reshape(rows, [-1, size, 0, 0]), perm=[0, 2, 1, 3])
        flat = self.reshape(rows, [0, 0, size * size * channels])
        return self.op("Unsqueeze", flat, self.const([0], np.int64))

    def quadruple(self, x: str) -> str:
        """F.pixel_shuffle(x, 2) of [1, 12, h, w] -> [1, 3, 2 h, 2 w]: columns, then rows."""
        columns = self.reshape(x, [6, 2, 0, 0])
        columns = self.reshape(self.op("Transpose", columns, perm=[0, 2, 3, 1]), [0, 0, -1])
        columns = self.op("Unsqueeze", columns, self.const([0], np.int64))
        rows = self.op("Transpose", self.reshape(columns, [3, 2, 0, 0]), perm=[0, 2, 1, 3])
        return self.reshape(rows, [1, 3, -1, 0])

    # -- quality and geometry ----------------------------------------------------------------------

    def by_quality(self, quality: str, vector: nn.Module, shape: Sequence[int] = (1, -1, 1, 1)) -> str:
        """[1, C, 1, 1] value of a QualityVector at a fractional level; `shape`: another one."""
        table = self.const(to_numpy(vector.table()))
        clipped = self.op("Clip", quality, self.const(0.0), self.const(63.0))
        below = self.op("Min", self.op("Floor", clipped), self.const(62.0))
        share = self.op("Reshape", self.op("Sub", clipped, below), self.const([1, 1], np.int64))
        index = self.op("Cast", below, to=TensorProto.INT64)
        low = self.op("Gather", table, index, axis=0)
        high = self.op("Gather", table, self.op("Add", index, self.const([1], np.int64)), axis=0)
        value = self.op("Add", low, self.op("Mul", share, self.op("Sub", high, low)))
        if vector.log:
            value = self.op("Exp", value)
        return self.reshape(value, shape)

    def checkerboard(self, like: str) -> str:
        """[2, 1, h, w] masks of the first half for a [1, C, h, w] tensor: first C / 2 channels, others."""
        shape = self.op("Shape", like)
        zero, one = self.const(np.int64(0), np.int64), self.const(np.int64(1), np.int64)
        sides = []
        for axis, view in ((2, [1, 1, -1, 1]), (3, [1, 1, 1, -1])):
            length = self.op("Gather", shape, self.const(np.int64(axis), np.int64), axis=0)
            sides.append(self.op("Reshape", self.op("Range", zero, length, one), self.const(view, np.int64)))
        start = self.const(np.array([1, 0]).reshape(2, 1, 1, 1), np.int64)
        total = self.op("Add", self.op("Add", *sides), start)
        return self.op("Cast", self.op("Mod", total, self.const(np.int64(2), np.int64)), to=TensorProto.FLOAT)

    def masked(self, x: str, mask: str, channels: int) -> str:
        """[1, C, h, w] x checkerboard: a mask of all channels would take as long to make as a layer."""
        halves = self.reshape(x, [2, channels // 2, 0, 0])
        return self.reshape(self.op("Mul", halves, mask), [1, channels, 0, 0])
