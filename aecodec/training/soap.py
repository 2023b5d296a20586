"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., ICLR 2025), for matrices.

For a gradient G [rows, cols], L and R are running means of G G^T and G^T G, with eigenvectors Q_L and Q_R.
Adam runs on Q_L^T G Q_R, whose entries are less correlated than G's; its step is turned back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Soap(torch.optim.Optimizer):
    """lr and betas as Adam's; `every`: steps between two updates of the eigenvectors, each one power
    iteration with a QR decomposition.  Weight decay is decoupled."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 0.0,
        every: int = 10,
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "every": every})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._step_one(p, p.grad.float().flatten(1), group)

    def _step_one(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        fast, slow = group["betas"]
        if not state:
            state |= {"count": 0, "left": g @ g.T, "right": g.T @ g}
            state |= {f"q_{side}": torch.linalg.eigh(state[side])[1].flip(1) for side in ("left", "right")}
            state |= {"mean": torch.zeros_like(g), "square": torch.zeros_like(g)}
            return  # the first gradient only gives the basis
        state["count"] += 1
        left, right = state["q_left"], state["q_right"]
        turned = left.T @ g @ right
        state["mean"].lerp_(g, 1 - fast)
        state["square"].lerp_(turned.square(), 1 - slow)
        mean = left.T @ (state["mean"] / (1 - fast ** state["count"])) @ right
        step = left @ (mean / ((state["square"] / (1 - slow ** state["count"])).sqrt() + 1e-8)) @ right.T
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(step.view_as(p), alpha=-group["lr"])
        state["left"].lerp_(g @ g.T, 1 - slow)
        state["right"].lerp_(g.T @ g, 1 - slow)
        if state["count"] % group["every"] == 0:
            self._turn(state)

    @staticmethod
    def _turn(state: dict[str, Any]) -> None:
        """One power iteration towards the eigenvectors of `left` and `right`, sorted by eigenvalue."""
        for side in ("left", "right"):
            q = state[f"q_{side}"]
            order = (q.T @ state[side] @ q).diagonal().argsort(descending=True)
            axis = 0 if side == "left" else 1
            state["square"] = state["square"].index_select(axis, order)
            state[f"q_{side}"] = torch.linalg.qr(state[side] @ q[:, order])[0]
