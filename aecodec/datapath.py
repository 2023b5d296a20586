"""The data path of aecodec from one end to the other: encode() and decode().

    picture -> x -analysis-> y, z_hat -scales, context-> symbols, indices -rANS-> groups -> .aec
    .aec -> groups -rANS, scales-> z_hat, symbols -synthesis-> x_hat -> picture

encoding.py and decoding.py are the two halves in between, a shape beside each line; mode_decision.py says
which blocks are coded as pixels instead, and blocks.py codes those. H, W: sides of the picture padded to
multiples of 64; h = H/16, w = W/16: positions of y. N, Z: channels of y and z; S: of the features that both
scale networks share; e: side of a group in positions of y; vh, vw: the part of a group inside the picture;
G: groups run together. Only integers decide how bytes are read (docs/format.md), so every machine reads the
same symbols; the float networks only decide how the picture looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from aecodec import (
    blocks,
    conceal,
    container,
    filter_choice,
    mode_decision,
    pixels,
    planes,
    post_filter,
    sections,
)
from aecodec.container import Header, Parsed
from aecodec.decoding import Band, bands, pixel_bands
from aecodec.errors import CorruptError
from aecodec.groups import Groups, choose_edge
from aecodec.limits import Limits
from aecodec.loaded import Model
from aecodec.pixels import Picture
from aecodec.post_filter import Filter
from aecodec.region import BLOCK, Region, plan
from aecodec.sections import Extras

ALPHA = "alpha"
"""How notes call it."""


def encode(
    model: Model,
    picture: Picture,
    extras: dict[str, bytes],
    quality: int,
    pixel_blocks: bool = True,
    effort: int = 0,
    kept: Sequence[bytes] | None = None,
) -> bytes:
    """A picture -> a file.

    extras: payloads of the picture's other sections, by tag; quality: as stored, level * 256.
    pixel_blocks: may blocks be coded as pixels, where that costs less?
    effort: see encode_symbols; from 1 on the file has a post-filter where it pays.
    kept: pixel blocks of each group, which are taken whatever they cost; then there are no others."""
    raster = picture.pixels
    height, width, channels = raster.shape
    header = Header(
        width=width,
        height=height,
        channels=channels,
        bit_depth=picture.depth,
        quality=quality,
        model_id=model.bundle.model_id,
        orientation=picture.orientation,
    )
    header = header._replace(group_edge=choose_edge(header.latent_size, model.bundle.group))
    if kept is None and pixel_blocks:
        coded = mode_decision.cheapest(model, header, raster, effort)
    else:
        coded = mode_decision.with_blocks_of(model, header, raster, effort, kept or ())
    header = header._replace(symbols_crc=coded.symbols_crc)
    if effort and (found := filter_choice.choose(model, header, raster, coded)):
        extras = extras | {post_filter.TAG: found}
    return container.write_file(header, extras, coded.payloads, coded.blocks)


def encode_alpha(model: Model, alpha: pixels.Pixels, quality: int, pixel_blocks: bool, effort: int) -> bytes:
    """[H, W] -> the payload of section ALPC: a file of its own, grey; quality as stored."""
    return encode(model, Picture(alpha[:, :, None]), {}, quality, pixel_blocks, effort)


def decode(model: Model, parsed: Parsed, limits: Limits, salvage: bool = False) -> tuple[Picture, list[int]]:
    """A file taken apart -> its picture, and the numbers of the groups that are lost (only when salvaging).

    salvage: damaged groups are filled from their surroundings; damaged metadata and alpha are left out, which
    Picture.lost tells, and its notes in words. CorruptError when every group is lost."""
    header = parsed.header
    left_out = list(parsed.lost)
    extras = sections.unpack(parsed, limits, left_out if salvage else None)
    decoded, lost = _colours(model, parsed, extras.post_filter, salvage)
    lost |= _paste_blocks(parsed, decoded, salvage=salvage)
    if len(lost) == header.n_groups:
        raise CorruptError("no group of the picture is whole; nothing can be salvaged")
    if lost:
        conceal.fill_in_place(decoded, _lost_pixels(header, lost))
    try:
        alpha = _alpha(model, extras, limits)
    except CorruptError:
        if not salvage:
            raise
        alpha = None
        left_out.append(ALPHA)
    return _with_note(assemble(header, extras, decoded, alpha), left_out), sorted(lost)


def _with_note(picture: Picture, lost: list[str]) -> Picture:
    """The picture with a note about what is left out of a damaged file beside groups."""
    if not lost:
        return picture
    opaque = " (the picture is opaque)" if ALPHA in lost else ""
    note = f"damaged, and left out: {', '.join(lost)}{opaque}"
    return replace(picture, notes=(*picture.notes, note), lost=tuple(lost))


def decode_array(model: Model, parsed: Parsed, limits: Limits) -> pixels.Pixels:
    """pixels.to_array() of decode(); colours and alpha are never held beside it."""
    header = parsed.header
    if not header.has_alpha:
        return pixels.to_array(decode(model, parsed, limits)[0])
    blank, rows = stream(model, parsed, limits)
    out: pixels.Pixels = np.empty(
        (header.height, header.width, header.channels + 1), planes.kind_of(header.bit_depth)
    )
    assert blank.alpha is not None  # as the header says
    out[:, :, -1] = blank.alpha
    del blank
    for top, part in rows:
        out[top : top + part.shape[0], :, :-1] = part
    return out


def _colours(
    model: Model, parsed: Parsed, filtering: Filter | None, salvage: bool
) -> tuple[pixels.Pixels, frozenset[int]]:
    """-> pixels [H, W, C] without pixel blocks, the groups that are lost"""
    header, lost = parsed.header, set[int]()
    whole = sorted(set(range(header.n_groups)) - set(parsed.damaged)) if salvage else None

    def noted(coming: Iterator[Band]) -> Iterator[Band]:
        number = 0
        for band in coming:
            lost.update(number + i for i, symbols in enumerate(band.symbols) if symbols is None)
            number += len(band.symbols)
            yield band

    out: pixels.Pixels | None = None
    coming = noted(bands(model, header, parsed.groups, whole, salvage))
    hidden = covered(parsed, salvage)
    for top, part in pixel_bands(model, header, coming, covered=hidden, post_filter=filtering):
        if out is None:
            shape = header.height, header.width, header.channels
            out = part if part.shape == shape else np.empty(shape, part.dtype)
        if out is not part:
            out[top : top + part.shape[0]] = part
    assert out is not None  # a picture has a band at least
    return out, frozenset(lost)


def stream(
    model: Model, parsed: Parsed, limits: Limits
) -> tuple[Picture, Iterator[tuple[int, pixels.Pixels]]]:
    """decode() of a picture that is not held: a picture with all colours 0, and its rows from the top down.

    Each item is the number of its first row and its pixels [rows, W, C]. That a file is damaged may become
    known after the last of them only: until then nothing that was read may be used."""
    header = parsed.header
    extras = sections.unpack(parsed, limits)
    shape = header.height, header.width, header.channels
    blank: pixels.Pixels = np.broadcast_to(np.zeros((), planes.kind_of(header.bit_depth)), shape)
    return assemble(header, extras, blank, _alpha(model, extras, limits)), rows(model, parsed)


def rows(model: Model, parsed: Parsed) -> Iterator[tuple[int, pixels.Pixels]]:
    """The colours from the top down: the number of the first row, pixels [rows, W, C]. See stream()."""
    header = parsed.header
    groups = Groups.of(header).all
    coming, hidden = bands(model, header, parsed.groups), covered(parsed)
    filtering = sections.filter_of(parsed)
    for top, part in pixel_bands(model, header, coming, covered=hidden, post_filter=filtering):
        own = [n for n, group in enumerate(groups) if 0 <= 16 * group.top - top < part.shape[0]]
        blocks.paste(part, groups, parsed.blocks, (top, 0), numbers=own)
        yield top, part


def _alpha(model: Model, extras: Extras, limits: Limits) -> pixels.Pixels | None:
    """[H, W], however it is coded."""
    if extras.coded_alpha:
        return decode(model, extras.coded_alpha, limits)[0].array[:, :, 0]
    return extras.alpha


def assemble(header: Header, extras: Extras, colours: pixels.Pixels, alpha: pixels.Pixels | None) -> Picture:
    """Colours, alpha and what else a file has -> Picture."""
    return Picture(colours, alpha, extras.icc, extras.exif, extras.xmp, header.orientation, extras.dpi)


def decode_region(model: Model, parsed: Parsed, limits: Limits, region: Region) -> Picture:
    """The part of the picture; parsed.groups needs to hold the groups of its plan only."""
    header = parsed.header
    extras = sections.unpack(parsed, limits)
    needed = plan(header, region, model.networks.halo("synthesis"))
    shape = region.height, region.width, header.channels
    decoded: pixels.Pixels = np.empty(shape, planes.kind_of(header.bit_depth))
    left = region.x - BLOCK * needed.columns.start
    coming = bands(model, header, parsed.groups, needed.groups)
    hidden = covered(parsed, numbers=needed.groups)
    filtering = extras.post_filter
    for top, part in pixel_bands(model, header, coming, part=needed, covered=hidden, post_filter=filtering):
        begin, end = max(top, region.y), min(top + part.shape[0], region.y + region.height)
        cut = part[begin - top : end - top, left : left + region.width]
        decoded[begin - region.y : end - region.y] = cut
    _paste_blocks(parsed, decoded, (region.y, region.x), numbers=plan(header, region, 0).groups)
    alpha = extras.alpha
    if alpha is not None:
        alpha = alpha[region.y : region.y + region.height, region.x : region.x + region.width]
    if extras.coded_alpha:
        alpha = decode_region(model, extras.coded_alpha, limits, region).array[:, :, 0]
    return assemble(header, extras, decoded, alpha)


def covered(
    parsed: Parsed, salvage: bool = False, numbers: Sequence[int] | None = None
) -> blocks.Mask | None:
    """[H/64, W/64]: where pixel blocks come over what the networks make; None where no group has any.

    numbers: of the groups that are looked at."""
    if not any(parsed.blocks):
        return None
    groups = Groups.of(parsed.header).all
    return blocks.mask_of(parsed.blocks, groups, salvage, numbers)


def _paste_blocks(
    parsed: Parsed,
    decoded: pixels.Pixels,
    origin: tuple[int, int] = (0, 0),
    salvage: bool = False,
    numbers: Sequence[int] | None = None,
) -> frozenset[int]:
    """Pixel blocks into pixels [H, W, C] from `origin` (y, x) on -> groups whose blocks are lost.

    numbers: of the groups that are looked at."""
    header = parsed.header
    groups = Groups.of(header).all
    return blocks.paste(decoded, groups, parsed.blocks, origin, salvage, numbers=numbers)


def verify(model: Model, parsed: Parsed, limits: Limits) -> None:
    """Everything of decode() that can fail on a damaged file."""
    extras = sections.unpack(parsed, limits)
    if extras.coded_alpha:
        verify(model, extras.coded_alpha, limits)
    header = parsed.header
    for _ in bands(model, header, parsed.groups):
        pass
    if any(parsed.blocks):
        kind = planes.kind_of(header.bit_depth)
        _paste_blocks(parsed, np.empty((header.height, header.width, header.channels), kind))


def _lost_pixels(header: Header, lost: frozenset[int]) -> NDArray[np.bool_]:
    """[H, W], true inside the lost groups."""
    mask = np.zeros((header.height, header.width), np.bool_)
    groups = Groups.of(header)
    for group in (groups.all[number] for number in lost):
        bottom, right = group.top + group.height, group.left + group.width
        mask[16 * group.top : 16 * bottom, 16 * group.left : 16 * right] = True
    return mask
