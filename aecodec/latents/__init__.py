"""What latents are good for without decoding pictures: numpy and ONNX graphs, no torch.

    vector = aecodec.latents.features("photo.aec")      float32 [D]; a picture is encoded first

Search, classification, anomaly maps, denoising and inpainting are in the modules of these names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecodec.latents.reading import Latents as Latents
    from aecodec.latents.reading import read as read
    from aecodec.latents.vectors import features as features

_HOME = {"Latents": "reading", "features": "vectors", "read": "reading"}

__all__ = ["Latents", "features", "read"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'aecodec.latents' has no attribute {name!r}")
    module = import_module(f"aecodec.latents.{_HOME[name]}")
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
