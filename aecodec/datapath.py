"""The data path of aecodec on one page: encode() and decode(), a shape beside each line.

    picture -> x -analysis-> y, z_hat -scales, context-> symbols, indices -rANS-> groups -> .aec
    .aec -> groups -rANS, scales-> z_hat, symbols -synthesis-> x_hat -> picture

H, W: sides of the picture padded to multiples of 64; h = H/16, w = W/16: positions of y. N, Z: channels
of y and z; e: side of a group in positions of y; vh, vw: the part of a group inside the picture; G: groups
run together. Only integers decide how bytes are read (docs/format.md), so every machine reads the same
symbols; the float networks only decide how the picture looks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aecodec import blocks, conceal, container, entropy, pixels, sections
from aecodec.container import Header, Parsed
from aecodec.entropy import CodingTables, GroupReader
from aecodec.errors import CorruptError
from aecodec.limits import Limits
from aecodec.models import Bundle
from aecodec.networks import Float, Group, Groups, Networks, choose_edge, valid
from aecodec.pixels import Picture
from aecodec.region import Region, plan
from aecodec.sections import Extras

SYMBOL_MAX = 32767
Z_MAX = 127
"""The scale networks are proven exact up to here."""
BATCH = 8
"""Groups that go through the scale networks together."""


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that is loaded."""

    bundle: Bundle
    tables: CodingTables
    networks: Networks
    rounding: Float
    """[64] what is added to a size before floor() rounds it, by scale index; -inf where it is skipped."""


def rounding_of(bundle: Bundle) -> Float:
    table = 0.5 - np.array(bundle.dead_zone, np.float32)
    table[: bundle.skip] = -np.inf
    return table


def encode(
    model: Model,
    picture: Picture,
    extras: dict[str, bytes],
    x: Float,
    quality: int,
    pixel_blocks: bool = True,
) -> bytes:
    """x [1, 3, H, W]: the picture's pixels; extras: its other sections; quality as stored -> file."""
    height, width, channels = picture.pixels.shape
    header = Header(
        width=width,
        height=height,
        channels=channels,
        bit_depth=picture.depth,
        quality=quality,
        model_id=model.bundle.model_id,
        orientation=picture.orientation,
    )
    header = replace(header, group_edge=choose_edge(header.latent_size, model.bundle.group))
    payloads, crc = encode_symbols(model, header, x)
    coded = []
    steps = _pixel_blocks(model, header, picture.pixels, payloads) if pixel_blocks else None  # [H/64, W/64]
    if steps is not None and steps.any():
        payloads, crc = encode_symbols(model, header, blocks.without(x, steps > 0))
        coded = blocks.pack(picture.pixels, steps, Groups(header.latent_size, header.group_edge).all)
    return container.write_file(replace(header, symbols_crc=crc), extras, payloads, coded)


def _pixel_blocks(
    model: Model, header: Header, original: pixels.Pixels, payloads: list[bytes]
) -> blocks.Steps | None:
    """[H/64, W/64]: blocks that cost less as pixels than in these payloads; see blocks.choose."""
    lmbda = model.bundle.lmbda(header.quality / 256)
    if header.bit_depth != 8 or not (found := blocks.candidates(original, lmbda)).any():
        return None
    symbols, z_hat, _ = decode_symbols(model, header, [memoryview(p) for p in payloads], checked=False)
    x_hat = model.networks.synthesis(symbols, z_hat, _quality(header))  # [1, 3, H, W]
    decoded = pixels.from_network(x_hat, header.height, header.width, header.channels)
    groups = Groups(header.latent_size, header.group_edge).all
    bits = blocks.bits_of(symbols[0], groups, [8 * len(payload) for payload in payloads])  # [H/64, W/64]
    return blocks.choose(original, decoded, found, bits, lmbda)


def encode_alpha(model: Model, alpha: pixels.Pixels, quality: int, pixel_blocks: bool) -> bytes:
    """[H, W] -> the payload of section ALPC: a file of its own, grey."""
    plane = Picture(alpha[:, :, None])
    return encode(model, plane, {}, pixels.to_network(plane.pixels), quality, pixel_blocks)


def encode_symbols(model: Model, header: Header, x: Float) -> tuple[list[bytes], int]:
    """x [1, 3, H, W] -> payloads in raster order of the groups, checksum of the symbols."""
    networks, tables = model.networks, model.tables
    quality, level = _quality(header), _level(header)
    groups = Groups(header.latent_size, header.group_edge, model.bundle.group)

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


def _round(residual: Float, index: NDArray[np.uint8], rounding: Float) -> entropy.Symbols:
    """Towards zero by the dead zone of each scale, which saves more bits than it costs quality."""
    size = np.floor(np.abs(residual) + rounding[index])
    rounded: Float = np.copysign(np.clip(size, 0, SYMBOL_MAX), residual)
    return rounded.astype(np.int16)


def decode(model: Model, parsed: Parsed, limits: Limits, salvage: bool = False) -> tuple[Picture, list[int]]:
    """A file taken apart -> its picture, and the groups that are lost (only when salvaging)."""
    header = parsed.header
    extras = sections.unpack(parsed, limits)
    whole = sorted(set(range(header.n_groups)) - set(parsed.damaged)) if salvage else None
    symbols, z_hat, lost = decode_symbols(model, header, parsed.groups, whole, salvage)
    if len(lost) == header.n_groups:
        raise CorruptError("no group of the picture is whole; nothing can be salvaged")
    x_hat = model.networks.synthesis(symbols, z_hat, _quality(header))  # [1, 3, H, W]
    decoded = pixels.from_network(x_hat, header.height, header.width, header.channels, header.bit_depth)
    lost |= _paste_blocks(parsed, decoded, salvage=salvage)
    if lost:
        decoded = conceal.fill(decoded, _lost_pixels(header, lost))
    alpha = extras.alpha
    if extras.coded_alpha:
        alpha = decode(model, extras.coded_alpha, limits)[0].pixels[:, :, 0]
    return assemble(header, extras, decoded, alpha), sorted(lost)


def assemble(header: Header, extras: Extras, colours: pixels.Pixels, alpha: pixels.Pixels | None) -> Picture:
    """Colours, alpha and what else a file has -> Picture."""
    return Picture(colours, alpha, extras.icc, extras.exif, extras.xmp, header.orientation, extras.dpi)


def decode_region(model: Model, parsed: Parsed, limits: Limits, region: Region) -> Picture:
    """The part of the picture; parsed.groups needs to hold the groups of its plan only."""
    header, halo = parsed.header, model.bundle.halo["synthesis"]
    extras = sections.unpack(parsed, limits)
    needed = plan(header, region, halo)
    symbols, z_hat, _ = decode_symbols(model, header, parsed.groups, needed.groups)
    rows, columns = needed.rows, needed.columns
    x_hat = model.networks.synthesis(
        np.ascontiguousarray(symbols[:, :, rows.outer(4), columns.outer(4)]),
        np.ascontiguousarray(z_hat[:, :, rows.outer(1), columns.outer(1)]),
        _quality(header),
    )
    top, left = region.y - 64 * rows.first, region.x - 64 * columns.first
    part = np.ascontiguousarray(x_hat[:, :, top : top + region.height, left : left + region.width])
    decoded = pixels.from_network(part, region.height, region.width, header.channels, header.bit_depth)
    _paste_blocks(parsed, decoded, (region.y, region.x))
    alpha = extras.alpha
    if alpha is not None:
        alpha = alpha[region.y : region.y + region.height, region.x : region.x + region.width]
    if extras.coded_alpha:
        alpha = decode_region(model, extras.coded_alpha, limits, region).pixels[:, :, 0]
    return assemble(header, extras, decoded, alpha)


def _paste_blocks(
    parsed: Parsed, decoded: pixels.Pixels, origin: tuple[int, int] = (0, 0), salvage: bool = False
) -> frozenset[int]:
    """Pixel blocks into pixels [H, W, C] from `origin` (y, x) on -> groups whose blocks are lost."""
    header = parsed.header
    groups = Groups(header.latent_size, header.group_edge).all
    return blocks.paste(decoded, groups, parsed.blocks, origin, salvage)


def verify(model: Model, parsed: Parsed, limits: Limits) -> None:
    """Everything of decode() that can fail on a damaged file."""
    extras = sections.unpack(parsed, limits)
    if extras.coded_alpha:
        verify(model, extras.coded_alpha, limits)
    decode_symbols(model, parsed.header, parsed.groups)
    header = parsed.header
    if any(parsed.blocks):
        kind = np.uint8 if header.bit_depth == 8 else np.uint16
        _paste_blocks(parsed, np.empty((header.height, header.width, header.channels), kind))


def decode_symbols(
    model: Model,
    header: Header,
    payloads: list[memoryview],
    numbers: Collection[int] | None = None,
    salvage: bool = False,
    checked: bool = True,
) -> tuple[Float, Float, frozenset[int]]:
    """Payloads -> symbols [1, N, h, w], z_hat [1, Z, h/4, w/4], the groups left out, whose latents are 0.

    numbers: the groups to decode; None is all of them, and then the checksum of the symbols is verified,
    unless `checked` is False.
    salvage: groups that cannot be decoded are left out, too, instead of raising CorruptError.
    """
    groups = Groups(header.latent_size, header.group_edge, model.bundle.group)
    (h, w), crc = header.latent_size, 0
    symbols = np.zeros((1, model.bundle.n, h, w), np.float32)  # [1, N, h, w]
    z_hat = np.zeros((1, model.bundle.z, h // 4, w // 4), np.float32)  # [1, Z, h/4, w/4]
    every = range(len(groups.all))
    wanted = sorted(every if numbers is None else numbers)
    lost = frozenset(every) - frozenset(wanted)
    size = 1 if salvage else BATCH  # one that fails must not take others with it
    for batch in (wanted[i : i + size] for i in range(0, len(wanted), size)):
        try:
            decoded = _decode_groups(model, header, groups, batch, payloads)
        except CorruptError:
            if not salvage:
                raise
            lost |= set(batch)
            continue
        for number, (z, y) in zip(batch, decoded, strict=True):
            groups.cut(symbols[0], groups.all[number])[:] = y
            groups.cut(z_hat[0], groups.all[number], of_z=True)[:] = z
            crc = entropy.symbols_crc(crc, z, y)
    if checked and crc != header.symbols_crc and not lost:
        raise CorruptError(
            f"the decoded symbols have checksum {crc:08x}, the header says {header.symbols_crc:08x}: "
            "the file is damaged, or was not made by the model that it names"
        )
    return symbols, z_hat, lost


def _decode_groups(
    model: Model, header: Header, groups: Groups, numbers: list[int], payloads: list[memoryview]
) -> list[tuple[entropy.Symbols, entropy.Symbols]]:
    """The symbols of some groups: z [Z, vh/4, vw/4] and y [N, vh, vw] of each."""
    networks, level = model.networks, _level(header)
    batch = [groups.all[number] for number in numbers]
    readers = [_reader(model, header, g, payloads[n]) for g, n in zip(batch, numbers, strict=True)]
    z = [_checked_z(r.z(), n) for r, n in zip(readers, numbers, strict=True)]  # [Z, vh/4, vw/4] each
    z_batch, mask = groups.pad(z, of_z=True), groups.mask(batch)  # [G, Z, e/4, e/4], [G, 1, e/4, e/4]
    index, features = networks.scales_first(z_batch, mask, level)  # [G, N, e, e], [G, S, e, e]
    members = zip(readers, index, batch, strict=True)
    first = [reader.first(valid(part, group)) for reader, part, group in members]  # [N, vh, vw] each
    index = networks.scales_second(features, groups.pad(first), mask, level)  # [G, N, e, e]
    members = zip(readers, index, batch, strict=True)
    second = [reader.second(valid(part, group)) for reader, part, group in members]  # [N, vh, vw] each
    for reader in readers:
        reader.finish()
    return [(z[i], first[i] + second[i]) for i in range(len(batch))]  # the halves do not overlap


def decode_first(model: Model, header: Header, payloads: list[memoryview]) -> tuple[Float, Float]:
    """Payloads -> symbols of the first half [1, N, h, w], 0 elsewhere, and z_hat [1, Z, h/4, w/4].

    The second half, to which most of the scale networks' work belongs, is not read, so that the checksum of
    the symbols cannot be verified; those of all bytes have been when the file was taken apart."""
    networks, level = model.networks, _level(header)
    groups = Groups(header.latent_size, header.group_edge, model.bundle.group)
    (h, w), number = header.latent_size, 0
    symbols = np.zeros((1, model.bundle.n, h, w), np.float32)  # [1, N, h, w]
    z_hat = np.zeros((1, model.bundle.z, h // 4, w // 4), np.float32)  # [1, Z, h/4, w/4]
    for batch in groups.batches(BATCH):
        numbers = range(number, number + len(batch))
        readers = [_reader(model, header, g, payloads[n]) for g, n in zip(batch, numbers, strict=True)]
        z = [_checked_z(r.z(), n) for r, n in zip(readers, numbers, strict=True)]  # [Z, vh/4, vw/4] each
        index, _ = networks.scales_first(groups.pad(z, of_z=True), groups.mask(batch), level)  # [G, N, e, e]
        for group, reader, of_z, part in zip(batch, readers, z, index, strict=True):
            groups.cut(symbols[0], group)[:] = reader.first(valid(part, group))  # [N, vh, vw]
            groups.cut(z_hat[0], group, of_z=True)[:] = of_z
        number += len(batch)
    return symbols, z_hat


def _lost_pixels(header: Header, lost: frozenset[int]) -> NDArray[np.bool_]:
    """[H, W], true inside the lost groups."""
    mask = np.zeros((header.height, header.width), np.bool_)
    groups = Groups(header.latent_size, header.group_edge)
    for group in (groups.all[number] for number in lost):
        bottom, right = group.top + group.height, group.left + group.width
        mask[16 * group.top : 16 * bottom, 16 * group.left : 16 * right] = True
    return mask


def _reader(model: Model, header: Header, group: Group, payload: memoryview) -> GroupReader:
    z_row = model.tables.z_row[header.level]  # [Z]
    return GroupReader(model.tables, payload, z_row, (group.height // 4, group.width // 4))


def _checked_z(z: entropy.Symbols, number: int) -> entropy.Symbols:
    if z.size and max(int(z.max()), -int(z.min())) > Z_MAX:
        raise CorruptError(f"group {number}: a symbol of z is outside -{Z_MAX}..{Z_MAX}")
    return z


def _quality(header: Header) -> Float:
    """The fractional level that the float networks take: [1]."""
    return np.array([header.quality / 256], np.float32)


def _level(header: Header) -> NDArray[np.int64]:
    """The whole level that the scale networks and the tables take: [1]."""
    return np.array([header.level], np.int64)
