"""aecodec: a learned image codec.

    data = aecodec.encode("photo.png", quality=60)      bytes of an .aec file
    pixels = aecodec.decode(data)                       uint8 [H, W, 3]
    picture = aecodec.open("photo.aec")                 PIL.Image
    facts = aecodec.info("photo.aec")                   dict; loads no model

Names are loaded when they are first used: `import aecodec` itself loads no numpy, Pillow or onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aecodec import errors as errors
    from aecodec import latents as latents
    from aecodec.api import decode as decode
    from aecodec.api import encode as encode
    from aecodec.api import open as open
    from aecodec.codec import Codec as Codec
    from aecodec.describe import info as info
    from aecodec.errors import AecodecError as AecodecError
    from aecodec.limits import Limits as Limits
    from aecodec.pillow_plugin import register as register

    __version__: str

_HOME = {
    "AecodecError": "errors",
    "Codec": "codec",
    "Limits": "limits",
    "decode": "api",
    "encode": "api",
    "info": "describe",
    "open": "api",
    "register": "pillow_plugin",
}

__all__ = [
    "AecodecError",
    "Codec",
    "Limits",
    "decode",
    "encode",
    "errors",
    "info",
    "latents",
    "open",
    "register",
]


def __getattr__(name: str) -> object:
    value: object
    if name in ("errors", "latents"):
        return import_module(f"aecodec.{name}")
    if name in _HOME:
        value = getattr(import_module(f"aecodec.{_HOME[name]}"), name)
    elif name == "__version__":
        value = import_module("aecodec.version").number()
    else:
        raise AttributeError(f"module 'aecodec' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
