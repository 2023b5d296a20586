"""What the benchmarks ask of a codec, and the part that Pillow's formats share."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

Pixels = NDArray[np.uint8]


class ImageCodec(Protocol):
    name: str
    """What the command line and the result files call it."""
    version: str
    """Everything that its bytes depend on; rows of another version are measured again."""
    qualities: Sequence[float]
    """The default sweep, worst first."""

    def encode(self, image: Image.Image, quality: float) -> bytes: ...

    def decode(self, data: bytes) -> Pixels:
        """-> uint8 [H, W, 3]"""
        ...


class PillowCodec:
    """One of Pillow's formats with fixed options."""

    def __init__(
        self, name: str, kind: str, library: str, qualities: Sequence[float], **options: Any
    ) -> None:
        if not features.check(library):
            raise ValueError(f"codec {name}: this Pillow was built without {library}")
        self.name, self.kind, self.qualities, self.options = name, kind, qualities, options
        wrapped = features.version("libjpeg_turbo" if library == "jpg" else library)
        self.version = f"Pillow {features.version('pil')}, {library} {wrapped}"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        out = BytesIO()
        image.save(out, self.kind, quality=round(quality), **self.options)
        return out.getvalue()

    def decode(self, data: bytes) -> Pixels:
        with Image.open(BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
