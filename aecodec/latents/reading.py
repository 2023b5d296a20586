"""A file, or a picture -> its latents, without the synthesis network.

    .aec --container, rANS, scale networks--> z_hat, symbols --head of synthesis (cutting.py)--> y_hat
    picture --encode--> .aec, and on as above: a picture has exactly the latents of its file

Where blocks are coded as pixels (blocks.py) a file has no latents of them. Such a picture is decoded after
all, and encoded anew without them.

Every checksum is verified on the way, that of the symbols too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec import api, cutting, datapath, decoding, pixels, windows
from aecodec.codec import Codec
from aecodec.container import MAGIC, Header, Parsed
from aecodec.encoding import encode_symbols
from aecodec.limits import Limits
from aecodec.loaded import Model, quality_of
from aecodec.pixels import ImageInput
from aecodec.session import runner
from aecodec.source import Source, read_bytes

Float = NDArray[np.float32]
ZIP = b"PK\3\4"
"""What .npz files begin with."""
QUALITY = 60.0
"""At which pictures are encoded when their latents are asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """What a file says, as numbers. N, Z: channels of y and z; h, w: positions, multiples of 4."""

    header: Header
    model: Model
    symbols: Float
    """[1, N, h, w] whole numbers; [1, N/2, h, w] from read_first()."""
    z_hat: Float
    """[1, Z, h/4, w/4] whole numbers."""
    notes: tuple[str, ...] = ()
    """What was changed to make a picture codable, in words for the user."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of y that hold some of the picture; what is beyond is padding."""
        return -(-self.header.height // 16), -(-self.header.width // 16)

    @property
    def size_z(self) -> tuple[int, int]:
        return -(-self.header.height // 64), -(-self.header.width // 64)

    def y_hat(self) -> Float:
        """[N, h, w] in the units of y: those of one quality compare with those of another."""
        run = self._head("latents", cutting.latents)
        (y,) = windows.run(
            lambda symbols, z_hat: run(symbols=symbols, z_hat=z_hat),
            inputs=[self.symbols, self.z_hat],
            scales=[4, 1],
            halo=self.model.bundle.halo["synthesis"],
            largest=windows.LARGEST,
        )
        found: Float = y[0]
        return found

    def first_half(self) -> Float:
        """[N/2, P], window by window: the first half of the channels of y_hat, at those of the picture's
        positions at which they are decoded first: where row + column is even.

        Takes the hyper-synthesis alone, whose last layers see these positions only: a third of the time of
        y_hat(), or less."""
        (rows, columns), (height, width) = self.size, self.z_hat.shape[2:]
        half, halo = self.model.bundle.n // 2, self.model.bundle.halo["synthesis"]
        run = self._head("anchors", lambda data: cutting.anchors(data, half))
        symbols, found = self.symbols[0, :half].reshape(half, -1), []
        for high, wide in windows.tiles(height, width, halo, windows.LARGEST):
            row = np.arange(4 * high.start, min(4 * high.stop, rows))[:, None]
            column = np.arange(4 * wide.start, min(4 * wide.stop, columns))
            even = (row + column) % 2 == 0
            inside = (row - 4 * high.first) * 4 * (wide.last - wide.first) + column - 4 * wide.first
            z_hat = np.ascontiguousarray(self.z_hat[:, :, high.outer(1), wide.outer(1)])
            mean, gain, factor = run(z_hat=z_hat, places=inside[even])
            there = symbols.take((row * 4 * width + column)[even], 1)
            found.append((mean[0, :, :, 0] * gain[0, :half, 0] + there) * factor[0, :half, 0])
        return np.concatenate(found, 1)

    def _head(self, name: str, cut: Callable[[bytes], bytes]) -> Callable[..., list[Any]]:
        """A graph that is cut from the synthesis: inputs by name, but for the quality -> its outputs."""
        session = self.model.networks.derived(name, "synthesis", cut)
        run = runner(session, self.model.bundle.name, "synthesis, up to the latents,")
        return partial(run, quality=quality_of(self.header))


def read(source: ImageInput, codec: Codec | None = None, quality: float = QUALITY) -> Latents:
    """An .aec file, or any picture that encode() takes -> its latents.

    quality: 0..100, for pictures; a file has its own. codec: None takes that of aecodec.encode(). What had
    to be changed to code a picture is in Latents.notes.
    Raises what decode() does for a file and what encode() does for a picture.
    """
    codec = codec or api.shared()
    data = bytes_of(source)
    if data is not None and data.startswith(MAGIC):
        return read_file(data, codec)
    picture = pixels.read_picture(source if data is None else data, codec.limits, alpha=False)
    return replace(read_file(codec.encode_picture(picture, quality), codec), notes=picture.notes)


def read_file(source: Source, codec: Codec) -> Latents:
    """An .aec file -> its latents. Raises what decode() does."""
    model, parsed = codec.parse(source)
    header, payloads = _payloads(model, parsed, codec.limits)
    symbols, z_hat, _ = decoding.decode_symbols(model, header, payloads)
    return Latents(header, model, symbols, z_hat)


def read_first(source: Source, codec: Codec) -> Latents:
    """An .aec file -> latents for first_half() alone, with the symbols that it needs.

    The checksum of the symbols is not verified, for it needs all of them; those of all bytes are. Raises what
    decode() does."""
    model, parsed = codec.parse(source)
    header, payloads = _payloads(model, parsed, codec.limits)
    symbols, z_hat = decoding.decode_first(model, header, payloads)
    return Latents(header, model, symbols, z_hat)


def _payloads(model: Model, parsed: Parsed, limits: Limits) -> tuple[Header, list[memoryview]]:
    """Groups that all of the picture is in: the file's, or new ones of the same quality and model."""
    if not any(parsed.blocks):
        return parsed.header, parsed.groups
    picture, _ = datapath.decode(model, parsed, limits)
    payloads, crc = encode_symbols(model, parsed.header, picture.pixels)
    return parsed.header._replace(symbols_crc=crc), [memoryview(payload) for payload in payloads]


def arrays_of(source: Source, what: str) -> tuple[bytes, str]:
    """The contents of an .npz file (of anything else only the beginning), and how messages call it."""
    where = repr(os.fspath(source)) if isinstance(source, str | os.PathLike) else what
    return read_bytes(source, ZIP), where


def bytes_of(source: ImageInput) -> bytes | None:
    """The contents of a file; None for a picture in memory."""
    if isinstance(source, bytes | bytearray | memoryview | str | os.PathLike) or hasattr(source, "read"):
        return read_bytes(source)
    return None
