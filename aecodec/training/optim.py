"""Muon for matrices, Adam for the rest; the moving average of the weights.

Muon (Jordan et al., 2024): the momentum of each matrix is replaced by its nearest orthogonal matrix,
found with a few Newton-Schulz steps.  Matrices of one shape are stacked and orthogonalised together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from .arithmetic import multiplies_bfloat16
from .config import Config
from .soap import Soap

DENSE_LAYERS: dict[str, tuple[str, ...]] = {
    "all": ("",),
    "float": ("g_a", "g_s", "h_a", "h_s", "context"),
    "transforms": ("g_a", "g_s"),
}
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(g: Tensor, steps: int = 5) -> Tensor:
    """g [K, rows, cols] -> matrices with the same singular vectors and singular values near 1."""
    a, b, c = NEWTON_SCHULZ
    wide = g.shape[1] <= g.shape[2]
    x = (g if wide else g.mT).to(torch.bfloat16 if multiplies_bfloat16(g.device) else torch.float32)
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).to(x.dtype)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(g.dtype)


class Muon(torch.optim.Optimizer):
    """lr is the spectral norm of a step (times sqrt(rows / cols) for tall matrices); Nesterov momentum.
    weight_decay is decoupled: each step multiplies the weights by 1 - lr * weight_decay.

    biases: weight -> bias of its layer.  Where `centre` has been told the mean m of a layer's inputs, the
    matrix steps as in W (x - m) + c, so that its steps leave the mean of every output alone and the bias is
    what moves it.  Otherwise a step of fixed size along m moves all outputs at once, many of them for ever
    below the zero of the ReLU behind."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.05,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        biases: dict[Tensor, Tensor] | None = None,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.biases = biases or {}

    @torch.no_grad()
    def centre(self, weight: Tensor, mean: Tensor) -> None:
        """mean [cols] of what the layer with this weight is given; kept with the optimiser's state."""
        if weight in self.biases:
            self.state[weight]["centre"] = mean.clone()

    def _nesterov(self, p: Tensor, momentum: float) -> Tensor:
        assert p.grad is not None
        grad = p.grad
        if "centre" in self.state[p]:
            bias_grad = self.biases[p].grad
            assert bias_grad is not None
            grad = grad - torch.outer(bias_grad, self.state[p]["centre"]).view_as(grad)
        if "momentum_buffer" not in self.state[p]:
            self.state[p]["momentum_buffer"] = torch.zeros_like(p.grad)
        buffer = self.state[p]["momentum_buffer"]
        buffer.lerp_(grad, 1 - momentum)
        return grad.lerp(buffer, momentum)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape[0], p[0].numel()].append(p)
            for (rows, cols), params in by_shape.items():
                updates = [self._nesterov(p, group["momentum"]).reshape(rows, cols) for p in params]
                step = orthogonalise(torch.stack(updates)) * max(1.0, rows / cols) ** 0.5
                for p, update in zip(params, step, strict=True):
                    change = update * -group["lr"] - p.flatten(1) * (group["lr"] * group["weight_decay"])
                    p.add_(change.view_as(p))
                    if "centre" in self.state[p]:
                        self.biases[p].sub_(change @ self.state[p]["centre"])


def make_optimisers(model: nn.Module, cfg: Config) -> list[torch.optim.Optimizer]:
    """Muon (or what `cfg.optimiser` names) on dense 1x1 weights, Adam on everything else; the KLT shortcut
    moves ten times slower, since it starts as a good answer with small weights.

    ValueError naming the setting that is unknown."""
    for key, value, known in (
        ("optimiser", cfg.optimiser, ("muon", "soap", "adam")),
        ("dense_layers", cfg.dense_layers, tuple(DENSE_LAYERS)),
    ):
        if value not in known:
            raise ValueError(f"setting {key!r}: {value!r} is unknown; known: {', '.join(known)}")
    matrices: list[Tensor] = []
    slow: list[Tensor] = []
    rest: list[Tensor] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if "shortcut" in name:
            slow.append(p)
        elif p.dim() == 4 and p.shape[2] == 1 and min(p.shape[0], p.shape[1]) > 1:
            chosen = cfg.optimiser != "adam" and name.startswith(DENSE_LAYERS[cfg.dense_layers])
            (matrices if chosen else rest).append(p)
        else:
            rest.append(p)
    groups = [{"params": rest, "lr": cfg.adam_lr}, {"params": slow, "lr": 0.1 * cfg.adam_lr}]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-10)
    if not matrices:
        return [adam]
    if cfg.optimiser == "soap":
        return [Soap(matrices, lr=cfg.soap_lr, weight_decay=cfg.weight_decay), adam]
    taken = set(matrices)
    biases: dict[Tensor, Tensor] = {
        m.weight: m.bias
        for m in model.modules()
        if isinstance(m, nn.Conv2d) and m.bias is not None and m.weight in taken
    }
    return [Muon(matrices, cfg.muon_lr, cfg.muon_momentum, cfg.weight_decay, biases), adam]


def restore(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """The state that a run has saved, under the settings of now: torch would take the saved ones, too."""
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups]
    optimiser.load_state_dict(saved)
    for group, now in zip(optimiser.param_groups, settings, strict=True):
        group.update(now)


class Ema:
    """Exponential moving average of the weights, its horizon growing from the first step."""

    def __init__(self, model: torch.nn.Module, decay: float):
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module, step: int) -> None:
        keep = min(self.decay, (step + 1) / (step + 10))
        state = model.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [state[k] for k in self.weights], 1 - keep)
