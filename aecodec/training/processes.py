"""What the processes of one run tell each other: torchrun's, or this one alone, which has nobody to tell."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def process_count() -> int:
    """Of the run, known before they have joined."""
    return int(os.environ.get("WORLD_SIZE", 1))


class Processes:
    """`world` processes, of which this is number `rank`; `device` is this one's."""

    def __init__(self, device: str):
        self.rank, self.world = int(os.environ.get("RANK", 0)), process_count()
        if self.world > 1:
            dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
            if device.startswith("cuda"):
                device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        self.device = torch.device(device)

    def mean(self, value: Tensor) -> Tensor:
        """Over the processes; in place."""
        if self.world > 1:
            dist.all_reduce(value)
            value /= self.world
        return value

    def mean_gradients(self, model: nn.Module) -> None:
        if self.world == 1:
            return
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        flat = self.mean(torch.cat([g.flatten() for g in grads]))
        for g, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))

    def mean_values(self, values: dict[str, float]) -> dict[str, float]:
        """Of what is logged: each process has seen other pictures at other levels."""
        if self.world == 1:
            return values
        shared = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        return dict(zip(values, self.mean(shared).tolist(), strict=True))

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """All processes take what the first one has."""
        if self.world > 1:
            for value in tensors:
                dist.broadcast(value, 0)

    def clock(self, seconds: float) -> float:
        """The first process's: all must follow one schedule and stop after the same step."""
        shared = torch.tensor([seconds], dtype=torch.float64, device=self.device)
        self.follow_first([shared])
        return float(shared)

    def largest(self, value: int) -> int:
        """Of the processes'."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return int(shared)

    def end(self) -> None:
        if self.world > 1:
            dist.barrier()  # gloo's threads abort a process whose peer has left before it
            dist.destroy_process_group()
