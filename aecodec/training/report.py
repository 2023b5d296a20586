"""What a training run says: lines of log.jsonl, the terminal, TensorBoard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .processes import Processes

Rows = list[dict[str, float]]


class Report:
    """Means since the last line.  Of several processes the first one writes; all have to call `line`."""

    def __init__(self, out: Path, processes: Processes, tensorboard: bool):
        self.processes = processes
        self.log = (out / "log.jsonl").open("a", encoding="utf-8") if processes.rank == 0 else None
        self.board: Any = None
        if tensorboard and self.log:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(out)
        self._forget()

    def _forget(self) -> None:
        self.sums, self.steps = {"loss": 0.0, "bpp": 0.0, "psnr": 0.0}, 0

    def add(self, loss: float, bpp: Tensor, mse: Tensor) -> None:
        """One step: bpp and mse (on the 0..255 scale) are [B]."""
        self.sums["loss"] += loss
        self.sums["bpp"] += float(bpp.mean())
        self.sums["psnr"] += float((10 * torch.log10(255**2 / mse)).mean())
        self.steps += 1

    def line(self, step: int, seconds: float, done: float, **more: int) -> None:
        """The means since the last line; `done`: the share of the run that is behind it."""
        means = self.processes.mean_values({k: v / self.steps for k, v in self.sums.items()})
        self._forget()
        if not self.log:
            return
        row = {k: round(v, 5) for k, v in means.items()} | {"step": step, "seconds": round(seconds, 1)} | more
        self._write(row)
        if self.board:
            for key in self.sums:
                self.board.add_scalar(key, row[key], step)
        left = seconds * (1 / max(done, 1e-9) - 1) / 60
        print(
            f"[{'#' * int(20 * done):<20}] step {step} loss {row['loss']:.4f} bpp {row['bpp']:.3f} "
            f"psnr {row['psnr']:.2f} {left:.0f} min left",
            flush=True,
        )

    def evaluation(self, step: int, found: dict[str, Rows]) -> None:
        """found: rows of `evaluate` by the pictures' name."""
        self._write({"step": step, **found})
        for name, rows in found.items():
            text = "  ".join(f"q{r['level']:.0f} {r['bpp']:.3f}bpp {r['psnr']:.2f}dB" for r in rows)
            mean = math.fsum(r["loss"] for r in rows) / len(rows)
            print(f"\nstep {step}, {name}: {text}  mean loss {mean:.4f}", flush=True)

    def _write(self, row: dict[str, Any]) -> None:
        if self.log:
            self.log.write(json.dumps(row) + "\n")
            self.log.flush()

    def close(self) -> None:
        if self.log:
            self.log.close()
