"""The data path of aecodec on one page: encode() and decode(), a shape beside each line.

    picture -> x -analysis-> y, z_hat -scales, context-> symbols, indices -rANS-> groups -> .aec
    .aec -> groups -rANS, scales-> z_hat, symbols -synthesis-> x_hat -> picture

H, W: sides of the picture padded to multiples of 64; h = H/16, w = W/16: positions of y. N, Z: channels
of y and z; e: side of a group in positions of y; vh, vw: the part of a group inside the picture; G: groups
run together. Only integers decide how bytes are read (docs/format.md), so every machine reads the same
symbols; the float networks only decide how the picture looks.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aecodec import container, entropy, models, pixels, rate_control
from aecodec.container import Header
from aecodec.describe import LEVELS_PER_QUALITY
from aecodec.entropy import CodingTables, GroupReader
from aecodec.errors import CorruptError, FormatError, UsageError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.models import Bundle
from aecodec.networks import Float, Group, Groups, Networks, valid
from aecodec.pixels import ImageInput, Picture, Pixels
from aecodec.rate_control import Found, Target
from aecodec.session import Device
from aecodec.source import Source, read_bytes

SYMBOL_MAX = 32767
Z_MAX = 127
"""The scale networks are proven exact up to here."""
BATCH = 8
"""Groups that go through the scale networks together."""


@dataclass(frozen=True, slots=True)
class _Model:
    bundle: Bundle
    tables: CodingTables
    networks: Networks
    rounding: Float
    """[64] what is added to a size before floor() rounds it, by scale index; -inf where it is skipped."""


class Codec:
    """Encodes with one model, decodes with whatever installed model a file needs.

    Loads each bundle once; may be used by several threads at the same time.

        model    name or folder of a bundle; None: the default model
        device   "auto" (CUDA where it works), "cpu", or "cuda" (DeviceError where it does not work)
        threads  CPU threads of each network; None: onnxruntime decides
        limits   what is refused, checked before anything is allocated
        optimise False: graph optimisation off (slower; the symbols are the same)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        device: Device = "auto",
        threads: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        optimise: bool = True,
    ) -> None:
        self._bundle = None if model is None else models.find(model)
        self._device, self._threads, self.limits, self._optimise = device, threads, limits, optimise
        self._models: dict[bytes, _Model] = {}
        self._lock = threading.Lock()

    @property
    def bundle(self) -> Bundle:
        """The model that encodes."""
        with self._lock:
            if self._bundle is None:
                self._bundle = models.find()
            return self._bundle

    def _load(self, bundle: Bundle) -> _Model:
        with self._lock:
            if bundle.model_id not in self._models:
                tables = entropy.load_tables(bundle.read("tables.bin"))
                networks = Networks(bundle, self._device, self._threads, self._optimise)
                self._models[bundle.model_id] = _Model(bundle, tables, networks, _rounding(bundle))
            return self._models[bundle.model_id]

    def _model_of(self, header: Header) -> _Model:
        """The model that a file was made with."""
        if header.bit_depth != 8:
            raise FormatError(f"a picture of {header.bit_depth} bits a channel: update aecodec to read it")
        with self._lock:
            known, own = self._models.get(header.model_id), self._bundle
        if known is None:
            is_own = own is not None and own.model_id == header.model_id
            known = self._load(own if own and is_own else models.find_id(header.model_id))
        if header.group_edge != known.bundle.group:
            name, edge = known.bundle.name, known.bundle.group
            raise FormatError(f"groups of {header.group_edge} positions; those of model {name!r} have {edge}")
        return known

    def encode(
        self,
        image: ImageInput,
        quality: float = 60,
        *,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
        max_size: int | None = None,
    ) -> bytes:
        """A picture -> the bytes of an .aec file.

        image: path, bytes or binary file of a picture; PIL image; uint8 array [H, W] or [H, W, 1..4].
        quality: 0 (smallest) .. 100 (best).
        target_bpp, target_size (bytes), target_psnr (dB): find the quality instead; max_size (bytes): lower
        it where the file would be larger. At most one of the four; see rate_control.Target.
        Raises UsageError, InputError, LimitError, ModelError, DeviceError.
        """
        target = Target(target_bpp, target_size, target_psnr, max_size)
        picture = pixels.read_picture(image, self.limits)
        return (
            self.encode_to(picture, target, quality).data if target else self.encode_picture(picture, quality)
        )

    def encode_to(self, picture: Picture, target: Target, quality: float = 60) -> Found:
        """A picture that has been read -> the file nearest to the target; `quality` is for max_size."""
        model, sections = self._load(self.bundle), _pack_sections(picture)
        x = pixels.to_network(picture.pixels)

        def psnr(data: bytes) -> float:
            return pixels.psnr(self.decode_picture(data).pixels, picture.pixels)

        def encode(stored: int) -> bytes:
            return _encode(model, picture, sections, x, stored)

        size = picture.pixels.shape[0] * picture.pixels.shape[1]
        return rate_control.reach(target, size, _stored_quality(quality), encode, psnr)

    def decode(self, data: Source) -> Pixels:
        """A file (bytes or path) -> uint8 [H, W, 3], or [H, W] if grey; with alpha [H, W, 4] or [H, W, 2]

        Pixels are as stored; the orientation is not applied. Raises InputError, FormatError, CorruptError,
        LimitError, ModelError, DeviceError.
        """
        return pixels.to_array(self.decode_picture(data))

    def open(self, source: Source) -> Image.Image:
        """A file -> PIL image of mode L, LA, RGB or RGBA, its info with icc_profile, exif and xmp."""
        return pixels.to_pil(self.decode_picture(source))

    def encode_picture(self, picture: Picture, quality: float = 60) -> bytes:
        """encode(), from a picture that has been read."""
        stored = _stored_quality(quality)
        model = self._load(self.bundle)
        return _encode(model, picture, _pack_sections(picture), pixels.to_network(picture.pixels), stored)

    def decode_picture(self, data: Source) -> Picture:
        """decode(), with alpha and metadata apart."""
        parsed = container.read_file(read_bytes(data), self.limits)  # checks every CRC of the container
        header = parsed.header
        model = self._model_of(header)
        alpha = None
        if header.has_alpha:
            alpha = pixels.unpack_alpha(parsed.sections["ALPH"], header.width, header.height)
        icc, exif, xmp = (_metadata(parsed, tag, self.limits) for tag in ("iCCP", "eXIF", "xMPd"))
        symbols, z_hat = _decode_symbols(model, header, parsed.groups)  # [1, N, h, w], [1, Z, h/4, w/4]
        x_hat = model.networks.synthesis(symbols, z_hat, _quality(header))  # [1, 3, H, W]
        decoded = pixels.from_network(x_hat, header.height, header.width, header.channels)
        return Picture(decoded, alpha, icc, exif, xmp, header.orientation)


def _encode(model: _Model, picture: Picture, sections: dict[str, bytes], x: Float, quality: int) -> bytes:
    """x [1, 3, H, W]: the picture's pixels; quality as stored -> file."""
    height, width, channels = picture.pixels.shape
    header = Header(
        width=width,
        height=height,
        channels=channels,
        bit_depth=8,
        quality=quality,
        model_id=model.bundle.model_id,
        orientation=picture.orientation,
        group_edge=model.bundle.group,
    )
    payloads, crc = _encode_symbols(model, header, x)
    return container.write_file(replace(header, symbols_crc=crc), sections, payloads)


def _encode_symbols(model: _Model, header: Header, x: Float) -> tuple[list[bytes], int]:
    """x [1, 3, H, W] -> payloads in raster order of the groups, checksum of the symbols."""
    networks, tables = model.networks, model.tables
    quality, level = _quality(header), _level(header)
    groups = Groups(header.latent_size, header.group_edge)

    y, z_hat = networks.analysis(x, quality)  # [1, N, h, w], [1, Z, h/4, w/4]
    index_first = np.zeros(y.shape, np.uint8)  # [1, N, h, w]
    features = []  # [G, S, e, e] a batch
    for batch in groups.batches(BATCH):
        z_batch = groups.stack(z_hat[0], batch, of_z=True)  # [G, Z, e/4, e/4]
        index, found = networks.scales_first(z_batch, groups.mask(batch), level)  # [G, N, e, e], [G, S, e, e]
        features.append(found)
        for group, part in zip(batch, index, strict=True):
            groups.cut(index_first[0], group)[:] = valid(part, group)  # [N, vh, vw]

    first, residual = networks.context(y, z_hat, quality, index_first)  # rounded, and not: [1, N, h, w] both

    payloads, crc = [], 0
    for batch, found in zip(groups.batches(BATCH), features, strict=True):
        first_batch = groups.stack(first[0], batch)  # [G, N, e, e]
        index = networks.scales_second(found, first_batch, groups.mask(batch), level)  # [G, N, e, e]
        for group, part in zip(batch, index, strict=True):
            z = groups.cut(z_hat[0], group, of_z=True).astype(np.int16)  # [Z, vh/4, vw/4]
            s_first = groups.cut(first[0], group).astype(np.int16)  # [N, vh, vw], 0 on the second half
            i_first = np.ascontiguousarray(groups.cut(index_first[0], group))  # [N, vh, vw]
            i_second = valid(part, group)  # [N, vh, vw]
            s_second = _round(groups.cut(residual[0], group), i_second, model.rounding)  # [N, vh, vw]
            z_row = tables.z_row[header.level]  # [Z]
            payloads.append(entropy.encode_group(tables, z, z_row, s_first, i_first, s_second, i_second))
            crc = entropy.symbols_crc(crc, z, s_first + s_second)
    return payloads, crc


def _rounding(bundle: Bundle) -> Float:
    table = 0.5 - np.array(bundle.dead_zone, np.float32)
    table[: bundle.skip] = -np.inf
    return table


def _round(residual: Float, index: NDArray[np.uint8], rounding: Float) -> entropy.Symbols:
    """Towards zero by the dead zone of each scale, which saves more bits than it costs quality."""
    size = np.floor(np.abs(residual) + rounding[index])
    rounded: Float = np.copysign(np.clip(size, 0, SYMBOL_MAX), residual)
    return rounded.astype(np.int16)


def _decode_symbols(model: _Model, header: Header, payloads: list[memoryview]) -> tuple[Float, Float]:
    """Payloads -> symbols [1, N, h, w], z_hat [1, Z, h/4, w/4], verified. CorruptError."""
    networks, level = model.networks, _level(header)
    groups = Groups(header.latent_size, header.group_edge)
    (h, w), crc, done = header.latent_size, 0, 0
    symbols = np.zeros((1, model.bundle.n, h, w), np.float32)  # [1, N, h, w]
    z_hat = np.zeros((1, model.bundle.z, h // 4, w // 4), np.float32)  # [1, Z, h/4, w/4]
    for batch in groups.batches(BATCH):
        readers = [_reader(model, header, g, p) for g, p in zip(batch, payloads[done:], strict=False)]
        z = [_checked_z(r.z(), done + i) for i, r in enumerate(readers)]  # [Z, vh/4, vw/4] each
        z_batch, mask = groups.pad(z, of_z=True), groups.mask(batch)  # [G, Z, e/4, e/4], [G, 1, e/4, e/4]
        index, features = networks.scales_first(z_batch, mask, level)  # [G, N, e, e], [G, S, e, e]
        members = zip(readers, index, batch, strict=True)
        first = [reader.first(valid(part, group)) for reader, part, group in members]  # [N, vh, vw] each
        index = networks.scales_second(features, groups.pad(first), mask, level)  # [G, N, e, e]
        for i, (reader, group) in enumerate(zip(readers, batch, strict=True)):
            y = first[i] + reader.second(valid(index[i], group))  # [N, vh, vw], both halves
            reader.finish()
            groups.cut(symbols[0], group)[:] = y
            groups.cut(z_hat[0], group, of_z=True)[:] = z[i]
            crc = entropy.symbols_crc(crc, z[i], y)
        done += len(batch)
    if crc != header.symbols_crc:
        raise CorruptError(
            f"the decoded symbols have checksum {crc:08x}, the header says {header.symbols_crc:08x}: "
            "the file is damaged, or was not made by the model that it names"
        )
    return symbols, z_hat


def _reader(model: _Model, header: Header, group: Group, payload: memoryview) -> GroupReader:
    z_row = model.tables.z_row[header.level]  # [Z]
    return GroupReader(model.tables, payload, z_row, (group.height // 4, group.width // 4))


def _checked_z(z: entropy.Symbols, number: int) -> entropy.Symbols:
    if z.size and max(int(z.max()), -int(z.min())) > Z_MAX:
        raise CorruptError(f"group {number}: a symbol of z is outside -{Z_MAX}..{Z_MAX}")
    return z


def _stored_quality(quality: float) -> int:
    if not 0 <= quality <= 100:
        raise UsageError(f"quality {quality} is outside 0..100")
    return round(quality * LEVELS_PER_QUALITY * 256)


def _quality(header: Header) -> Float:
    """The fractional level that the float networks take: [1]."""
    return np.array([header.quality / 256], np.float32)


def _level(header: Header) -> NDArray[np.int64]:
    """The whole level that the scale networks and the tables take: [1]."""
    return np.array([header.level], np.int64)


def _pack_sections(picture: Picture) -> dict[str, bytes]:
    metadata = {"iCCP": picture.icc, "eXIF": picture.exif, "xMPd": picture.xmp}
    sections = {tag: container.pack_metadata(data) for tag, data in metadata.items() if data}
    if picture.alpha is not None:
        sections["ALPH"] = pixels.pack_alpha(picture.alpha)
    return sections


def _metadata(parsed: container.Parsed, tag: str, limits: Limits) -> bytes:
    payload = parsed.sections.get(tag)
    return b"" if payload is None else container.unpack_metadata(tag, payload, limits)
