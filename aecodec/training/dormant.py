"""Hidden units that have stopped to act: found by their gradients, given a new start.

A ReLU whose input is below zero for every picture passes no gradient, so it stays that way.  Muon's steps
have a fixed size and share directions, and drive many units there: of the 8064 of the first `nano`, 1700
still acted at the end.  Now and then such a unit gets random incoming weights, scaled to what comes in, and
outgoing weights of zero, which changes nothing that the network computes (Sokar et al., The Dormant Neuron
Phenomenon in Deep Reinforcement Learning, ICML 2023)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers import Block
from .model import CodecModel

POSITIONS = 4096
"""Of a layer's inputs, so many are looked at."""


class Hidden(NamedTuple):
    """Names of a layer in front of a ReLU, of the one that reads its units, of what lies between them."""

    before: str
    after: str
    spatial: str = ""


def hidden_layers(model: nn.Module) -> Iterator[Hidden]:
    for name, block in model.named_modules():
        if isinstance(block, Block):
            yield Hidden(f"{name}.mix_in", f"{name}.mix_out", f"{name}.spatial")
            yield Hidden(f"{name}.expand", f"{name}.contract")


@torch.no_grad()
def layer_inputs(model: CodecModel, x: Tensor, level: Tensor) -> dict[str, Tensor]:
    """Name of a 1x1 convolution -> [C, P], some of the values it is given for x [B, 3, H, W], level [B]."""
    found: dict[str, Tensor] = {}

    def keeper(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            rows = given[0].transpose(0, 1).flatten(1)
            found[name] = rows[:, :: max(1, rows.shape[1] // POSITIONS)].float()

        return keep

    handles = [
        layer.register_forward_pre_hook(keeper(name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
    ]
    try:
        model(x, level, exact=True, hard=True)
    finally:
        for handle in handles:
            handle.remove()
    return found


class Dormant:
    """What has acted since the last look.  `acted`: name of a layer in front of a ReLU -> bool [C]."""

    def __init__(self, model: nn.Module):
        self.layers = list(hidden_layers(model))
        self.weights = dict(model.named_parameters())
        self.acted = {h.before: self._bias(h) != self._bias(h) for h in self.layers}

    def _bias(self, h: Hidden) -> Tensor:
        return self.weights[f"{h.before}.bias"]

    def watch(self) -> None:
        """After backward(): a unit that acted left a gradient at its bias.  Frozen layers count as acting."""
        for h in self.layers:
            grad = self._bias(h).grad
            self.acted[h.before] |= grad != 0 if grad is not None else torch.ones_like(self.acted[h.before])

    @torch.no_grad()
    def revive(
        self, inputs: dict[str, Tensor], averages: dict[str, Tensor], optimisers: list[torch.optim.Optimizer]
    ) -> tuple[int, int]:
        """Units that never acted start again -> how many, of how many; the next look begins.

        inputs: of `layer_inputs`; averages: EMA weights by name, which follow at once, since the average of
        an old and a new unit is neither.  Draws from torch's global generator."""
        count = total = 0
        for h in self.layers:
            silent = ~self.acted[h.before]
            total += len(silent)
            if silent.any() and h.before in inputs:
                count += int(silent.sum())
                incoming = incoming_weights(inputs[h.before], int(silent.sum()))
                spatial = torch.randn(len(incoming), 1, 3, 3, device=incoming.device) * 0.1
                spatial[:, :, 1, 1] += 1
                for weights in (self.weights, averages):
                    restart(h, silent, weights, incoming, spatial)
                for name in (h.before, h.after, h.spatial):
                    if name:
                        self._forget(name, silent, name == h.after, optimisers)
            self.acted[h.before].zero_()
        return count, total

    def _forget(
        self, layer: str, units: Tensor, columns: bool, optimisers: list[torch.optim.Optimizer]
    ) -> None:
        """The optimisers' moments of the weights that units have in a layer: rows, or columns."""
        for name in ("weight",) if columns else ("weight", "bias"):
            parameter = self.weights[f"{layer}.{name}"]
            for optimiser in optimisers:
                for value in optimiser.state.get(parameter, {}).values():
                    if isinstance(value, Tensor) and value.shape == parameter.shape:
                        (value.transpose(0, 1) if columns else value)[units] = 0


def incoming_weights(inputs: Tensor, count: int) -> Tensor:
    """inputs [C, P] -> [count, C, 1, 1]: random, orthogonal to the inputs' mean, outputs of variance 1."""
    mean = inputs.mean(1)
    drawn = torch.randn(count, inputs.shape[0], device=inputs.device)
    drawn -= (drawn @ mean)[:, None] * mean / mean.square().sum().clamp(min=1e-12)
    drawn /= (drawn @ inputs).std(1, keepdim=True).clamp(min=1e-6)
    return drawn[:, :, None, None]


def restart(
    h: Hidden, silent: Tensor, weights: Mapping[str, Tensor], incoming: Tensor, spatial: Tensor
) -> None:
    """Give the units `silent` [C] of a layer new incoming weights and outgoing ones of zero, in place."""
    out = weights[f"{h.after}.weight"]
    if h.spatial:  # the bias of its depthwise filter was all that a silent unit still gave
        bias = weights[f"{h.spatial}.bias"]
        weights[f"{h.after}.bias"] += out[:, silent, 0, 0] @ bias[silent]
        weights[f"{h.spatial}.weight"][silent] = spatial
        bias[silent] = 0
    out[:, silent] = 0
    weights[f"{h.before}.weight"][silent] = incoming
    weights[f"{h.before}.bias"][silent] = 0
