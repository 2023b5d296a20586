"""Weights of a narrow model in a wider one, which computes the same at first.

Old channels keep their weights and see nothing of the new ones; the new ones start at random and see all, so
they have gradients from the first step (as in Net2WiderNet: Chen et al., Net2Net, ICLR 2016, with zeros
instead of copies).  New latents are 0 until the encoder learns to use them: there it is the encoder's rows
that are 0 and the decoder's columns that are not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .layers import LEVELS
from .model import SKIP, CodecModel, Size
from .scales import IntegerConv
from .transforms import SLOWEST
from .z_context import NeighbourPrior

QUIET = SKIP + 1.5
"""Index of new latents."""
QUIET_SCALE = -2.0
"""Logarithm of the scale of new hyper-latents."""
INDEX_UNIT = 8
"""Indices in a bias of 1: out_unit of the heads."""
LATENT_ROWS = (
    "g_a.head",
    "g_a.shortcut",
    "h_s.head",
    "context.head",
    "scales.head_first",
    "scales.head_second",
)
"""Layers whose outputs are latents or what is said of them; they go by halves of the checkerboard."""
LATENT_COLUMNS = ("g_s.patch", "g_s.shortcut", "h_a.patch")
SILENT_ROWS = ("g_a.head", "g_a.shortcut", "h_a.head", "h_s.head", "context.head")
"""Of these the rows of new latents and hyper-latents are 0."""
HEARD_COLUMNS = (*LATENT_COLUMNS, "h_s.up1", "scales.f1")
"""Of these their columns are not: or neither side would ever have a gradient."""


def widened(weights: Mapping[str, Tensor], old: Size, model: CodecModel) -> dict[str, Tensor]:
    """Weights of a model of size `old` -> those of `model`, its own where nothing is known of them.

    Layers that the weights do not have are left out.  ValueError where a layer of `model` is narrower, or
    where it could not start as the old one."""
    own, new = model.state_dict(), model.size
    if old != new and model.float_scales:
        raise ValueError("models with float_scales cannot be widened: they are for comparisons only")
    if old.n // 2 < min(SLOWEST, old.n) and new.n > old.n:
        raise ValueError(
            f"{old.n} latents cannot become more: of the {SLOWEST} that lap over, some would move"
        )
    found = {}
    for name, value in weights.items():
        if name not in own or own[name].shape == value.shape:
            found[name] = value
            continue
        if own[name].dim() != value.dim() or any(
            a < b for a, b in zip(own[name].shape, value.shape, strict=True)
        ):
            shapes = f"{list(value.shape)} does not fit into {list(own[name].shape)}"
            raise ValueError(f"{name}: {shapes}; a model can only grow")
        found[name] = _placed(name, value.float(), own[name].clone(), old, new)
    if new.n > old.n:
        for head in ("head_first", "head_second"):
            _quiet(found, f"scales.{head}", model.scales.get_submodule(head), old, new)
    if new.z > old.z:
        _quiet_z(found, old, new)
    return found


def _quiet(found: dict[str, Tensor], name: str, head: nn.Module, old: Size, new: Size) -> None:
    """New latents are expected to be 0, whatever the level: nearly free, and not yet skipped."""
    assert isinstance(head, IntegerConv) and head.level_bias is not None
    fresh = torch.ones(new.n, dtype=torch.bool)
    fresh[_places("latents", old.n, new.n, old, new)] = False
    knots = found[f"{name}.level_bias.knots"]
    level = torch.linspace(0, LEVELS - 1, len(knots))
    expected = head.level_bias.start + head.level_bias.slope * level
    found[f"{name}.weight"][fresh] = 0
    found[f"{name}.bias"][fresh] = 0
    knots[:, fresh] = (QUIET / INDEX_UNIT - expected)[:, None]


def _quiet_z(found: dict[str, Tensor], old: Size, new: Size) -> None:
    """The same for hyper-latents, of which the prior of the others must take no notice: it looks at a mean
    over all channels."""
    found["hyper_prior.scale.knots"][:, old.z :] = QUIET_SCALE
    if (spread := found.get("hyper_prior.neighbours.spread")) is None:
        return
    least, expected = NeighbourPrior.LEAST, NeighbourPrior.EXPECTED * math.exp(QUIET_SCALE)
    silent = math.log(least / (expected + least)) * (new.z - old.z)
    spread = spread.clone()
    spread[1:, 0] -= spread[1:, 2] * silent / old.z
    spread[:, 2] *= new.z / old.z
    found["hyper_prior.neighbours.spread"] = spread


def _placed(name: str, value: Tensor, into: Tensor, old: Size, new: Size) -> Tensor:
    layer = re.sub(r"(\.conv|\.level_bias)?\.(weight|bias|knots)$", "", name)
    if name.endswith("knots"):  # [knots, channels]
        into.zero_()
        into[:, _places(_kind(layer, True), value.shape[1], into.shape[1], old, new)] = value
        return into
    rows = _places(_kind(layer, True), value.shape[0], into.shape[0], old, new)
    if value.dim() == 1:
        into[rows] = value
        return into
    columns = _places(_kind(layer, False), value.shape[1], into.shape[1], old, new)
    if layer in SILENT_ROWS:
        silent = torch.ones(len(into), dtype=torch.bool)
        silent[rows] = False
        into[silent] = 0
    kept = into[rows]
    if layer not in HEARD_COLUMNS:
        kept.zero_()
    kept[:, columns] = value
    into[rows] = kept
    return into


def _kind(layer: str, rows: bool) -> str:
    """What the channels of an axis are."""
    if layer in ("gain", "inverse_gain", "hyper_gain") or (rows and layer in LATENT_ROWS):
        return "latents"
    if not rows and layer in LATENT_COLUMNS:
        return "latents"
    if layer == "scales.s1" and rows:
        return "pairs"
    if not rows and layer == "context.patch":
        return "width, latents"
    if not rows and layer == "scales.s2":
        return "features, pairs"
    return "plain"


def _places(kind: str, before: int, after: int, old: Size, new: Size) -> Tensor:
    """[before]: where each of the old channels stands among the `after` new ones."""
    half = torch.arange(old.n // 2)
    latents = torch.cat([half, new.n // 2 + half])
    pairs = (2 * latents[:, None] + torch.arange(2)).flatten()
    if kind == "latents":
        return latents
    if kind == "pairs":
        return pairs
    if kind == "width, latents":
        return torch.cat([torch.arange(old.width), new.width + latents])
    if kind == "features, pairs":
        return torch.cat([torch.arange(old.scale_width), new.scale_width + pairs])
    assert before <= after
    return torch.arange(before)
