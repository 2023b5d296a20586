"""A file, or a picture -> its latents, without the synthesis network.

    .aec --container, rANS, scale networks--> z_hat, symbols --head of synthesis (cutting.py)--> y_hat
    picture --encode--> .aec, and on as above: a picture has exactly the latents of its file

Every checksum is verified on the way, that of the symbols too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import api, decoding, pixels, windows
from aecodec.codec import Codec
from aecodec.container import MAGIC, Header
from aecodec.errors import DeviceError
from aecodec.latents import cutting
from aecodec.loaded import Model
from aecodec.pixels import ImageInput
from aecodec.source import Source, read_bytes

Float = NDArray[np.float32]
QUALITY = 60.0
"""At which pictures are encoded when their latents are asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """What a file says, as numbers. N, Z: channels of y and z; h, w: positions, multiples of 4."""

    header: Header
    model: Model
    symbols: Float
    """[1, N, h, w] whole numbers."""
    z_hat: Float
    """[1, Z, h/4, w/4] whole numbers."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of y that hold some of the picture; what is beyond is padding."""
        return -(-self.header.height // 16), -(-self.header.width // 16)

    @property
    def size_z(self) -> tuple[int, int]:
        return -(-self.header.height // 64), -(-self.header.width // 64)

    def y_hat(self) -> Float:
        """[N, h, w] in the units of y: those of one quality compare with those of another."""
        return self._head("latents")

    def first_half(self) -> tuple[Float, Float]:
        """y_hat of the picture's positions that are decoded first: [N/2, P] of the first channels, [N/2, Q]
        of the others, which have the other colour of the checkerboard.

        Takes the hyper-synthesis alone, a third of what y_hat() takes. A picture of one row or column of
        positions has those of its padding, too."""
        y = self._head("anchors")
        rows, columns = self.size
        if min(rows, columns) > 1:
            y = y[:, :rows, :columns]
        even = np.add.outer(np.arange(y.shape[1]), np.arange(y.shape[2])) % 2 == 0
        half = len(y) // 2
        return y[:half, even], y[half:, ~even]

    def _head(self, name: str) -> Float:
        networks, bundle = self.model.networks, self.model.bundle
        cut = {"latents": cutting.latents, "anchors": cutting.anchors}[name]
        names: list[str] = []

        def change(data: bytes) -> bytes:
            made = cut(data)
            names.extend(made.outputs)
            return made.graph

        session = networks.derived(name, "synthesis", change)
        quality = np.array([self.header.quality / 256], np.float32)
        wanted = {i.name for i in session.get_inputs()}

        def run(symbols: Float, z_hat: Float) -> list[Float]:
            feed = {"symbols": symbols, "z_hat": z_hat, "quality": quality}
            try:
                found: list[Any] = session.run(None, {k: v for k, v in feed.items() if k in wanted})
            except Exception as error:  # onnxruntime raises its own types, which differ between versions
                raise DeviceError(f"the head of model {bundle.name!r} failed: {error}") from None
            return [found[0] * found[1] if len(found) == 2 else found[0]]

        (y,) = windows.run(
            run,
            inputs=[self.symbols, self.z_hat],
            scales=[4, 1],
            halo=bundle.halo["synthesis"],
            largest=windows.LARGEST,
        )
        found_y: Float = y[0]
        return found_y


def read(source: ImageInput, codec: Codec | None = None, quality: float = QUALITY) -> Latents:
    """An .aec file, or any picture that encode() takes -> its latents.

    quality: 0..100, for pictures; a file has its own. codec: None takes that of aecodec.encode().
    Raises what decode() does for a file and what encode() does for a picture.
    """
    codec = codec or api.shared()
    data = _bytes_of(source)
    if data is None or not data.startswith(MAGIC):
        picture = pixels.read_picture(source if data is None else data, codec.limits, alpha=False)
        data = codec.encode_picture(picture, quality)
    return read_file(data, codec)


def read_file(source: Source, codec: Codec) -> Latents:
    """An .aec file -> its latents. Raises what decode() does."""
    model, parsed = codec.parse(source)
    symbols, z_hat, _ = decoding.decode_symbols(model, parsed.header, parsed.groups)
    return Latents(parsed.header, model, symbols, z_hat)


def read_first(source: Source, codec: Codec) -> Latents:
    """An .aec file -> latents for first_half() alone: the symbols of the second half are 0.

    The checksum of the symbols is not verified, for it needs both halves; those of all bytes are. Raises what
    decode() does."""
    model, parsed = codec.parse(source)
    symbols, z_hat = decoding.decode_first(model, parsed.header, parsed.groups)
    return Latents(parsed.header, model, symbols, z_hat)


def _bytes_of(source: ImageInput) -> bytes | None:
    """The contents of a file; None for a picture in memory."""
    if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike) or hasattr(source, "read"):
        return read_bytes(source)
    return None
