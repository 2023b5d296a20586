"""Numbers that are none: a run that diverges ends with an error, and nobody uses what it made."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from aecodec.errors import AecodecError

PATIENCE = 100
"""Steps on end whose gradient is not finite; a few are left out and forgotten."""
FEW = 2
"""Of them at the end of a run are too many."""


class Diverged(AecodecError):
    """The loss or the weights of a run are not finite any more."""


def not_finite(weights: Mapping[str, Tensor]) -> str:
    """Name of the first tensor with an infinite value or NaN; "" where there is none."""
    return next((name for name, value in weights.items() if not torch.isfinite(value).all()), "")


class Watch:
    """`skipped`: steps on end that were not finite, counted over the stops of a run."""

    def __init__(self) -> None:
        self.skipped = 0

    def step(self, finite: bool) -> None:
        """Diverged when it was one too many."""
        self.skipped = 0 if finite else self.skipped + 1
        if self.skipped >= PATIENCE:
            raise self._error()

    def end(self) -> None:
        """Diverged when the last steps were not finite."""
        if self.skipped >= FEW:
            raise self._error()

    def _error(self) -> Diverged:
        return Diverged(
            f"the run has diverged: no finite gradient for the last {self.skipped} steps; "
            "start anew with lower learning rates, or with the weights of before as 'init'"
        )
