"""The graphs with 8-bit layers, from a model and what its layers see.

In 8 bits are the branches of the blocks, the layers that read pixels, those between resolutions, most of the
means and the refinement.  In float stay the trunks that the branches add to, `down` and the projection of
the encoder, the decoder's linear transform, the layers at 1/32 and 1/64: docs/design.md has what each costs.
The scale networks are not here at all, so symbols of either precision decode everywhere."""

from __future__ import annotations

import onnx
from torch import Tensor, nn

from aecodec.training.model import CodecModel

from .calibration import collect
from .int8_builder import Int8Builder
from .int8_decoder import synthesis
from .int8_encoder import analysis
from .means import context
from .prune import blocks_of
from .trunk import Samples


def calibrated(model: CodecModel, activation: str, pictures: list[Tensor], crops: int = 48) -> Samples | None:
    """What the layers see that may become integers; None for models with another activation than ReLU, which
    integers cannot fold.

    pictures: uint8 [3, H, W] that the ranges are found on."""
    return collect(model, watched(model), pictures, crops) if activation == "relu" else None


def int8_graphs(model: CodecModel, samples: Samples) -> dict[str, onnx.ModelProto]:
    """Name -> graph."""
    return {
        "analysis": analysis(model, samples),
        "context": context(Int8Builder("context"), model, samples),
        "synthesis": synthesis(model, samples),
    }


def watched(m: CodecModel) -> dict[str, nn.Module]:
    """The layers whose inputs (or outputs, NAME:out) become integers."""
    layers: dict[str, nn.Module] = {"g_s.up": m.g_s.up}
    layers["g_s.control"] = m.g_s.refine.control  # which the head reads, too
    layers |= {"g_s.sense": m.g_s.refine.sense, "g_s.correct": m.g_s.refine.correct}
    layers |= {f"{name}:out": layers[name] for name in ("g_s.control", "g_s.sense", "g_s.correct")}
    layers |= {"g_a.patch": m.g_a.patch, "h_a.patch": m.h_a.patch}
    if m.g_a.shortcut is not None:
        layers["g_a.shortcut"] = m.g_a.shortcut
    layers |= {"h_s.up2": m.h_s.up2, "h_s.head": m.h_s.head}
    layers |= {"context.patch": m.context.patch, "context.head": m.context.head}
    if m.g_s.lapped is not None:
        layers["g_s.lapped"] = m.g_s.lapped
    for name, stage in _stages(m).items():
        for number, block in enumerate(blocks_of(stage)):
            branches = (block.mix_in, block.spatial, block.mix_out, block.expand, block.contract)
            kinds = ("mix_in", "spatial", "mix_out", "expand", "contract")
            found = zip(kinds, branches, strict=True)
            layers |= {f"{name}.{number}.{kind}": layer for kind, layer in found if layer is not None}
    return layers


def _stages(m: CodecModel) -> dict[str, nn.Module]:
    owners = {"g_a": m.g_a, "g_s": m.g_s}
    found = {f"{n}.{part}": getattr(o, part) for n, o in owners.items() for part in ("blocks", "deep")}
    found |= {"h_a.blocks1": m.h_a.blocks1, "h_s.blocks2": m.h_s.blocks2}
    return found | {"context.blocks": m.context.blocks}
