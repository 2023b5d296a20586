"""CompressAI's own networks with random weights: compress() and decompress(), its entropy coder included.

`pip install compressai`, with a torchvision that fits the torch beside it. Not among the codecs that rd.py
compares: random weights make no pictures, only times.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

MODELS = ("mbt2018-mean", "cheng2020-anchor", "elic2022")
"""At the widths of their high rates: N = 192, M = 320; N = 192; N = 192, M = 320."""


def makers(name: str) -> dict[str, Callable[[], Any]]:
    try:
        from compressai.models.sensetime import Elic2022Official  # since 1.2.5
        from compressai.zoo import cheng2020_anchor, mbt2018_mean
    except (ImportError, RuntimeError) as error:  # the latter: a torchvision built for another torch
        raise ValueError(f"CompressAI's {name}: pip install compressai torchvision ({error})") from None
    return {
        "mbt2018-mean": lambda: mbt2018_mean(8),
        "cheng2020-anchor": lambda: cheng2020_anchor(6),
        "elic2022": Elic2022Official,
    }


class Network:
    """encode(x float [1, 3, H, W] with sides multiples of 64) -> coded; decode(coded) -> x_hat"""

    def __init__(self, name: str) -> None:
        """ValueError where the package cannot be imported, or has no such network."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.model = makers(name)[name]().eval()
        self.model.update(force=True)  # the coder's tables
        self.torch = torch
        self.version = f"compressai {metadata.version('compressai')}, random weights"

    def encode(self, x: Any) -> Any:
        with self.torch.inference_mode():
            return self.model.compress(x)

    def decode(self, coded: Any) -> Any:
        with self.torch.inference_mode():
            return self.model.decompress(coded["strings"], coded["shape"])["x_hat"]
