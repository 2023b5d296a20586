"""Blocks of 64 x 64 pixels that are coded as pixels, because that is the better bargain.

    pixels, mask [bh, bw] -pack-> a payload a group -unpack-> mask, blocks -paste-> pixels

The networks were made for photographs: sharp text, icons, one-pixel patterns and saturated detail cost them
many bits and still come out wrong, while a lossless coder takes few.  The encoder knows both costs as bits +
lambda * squared error, so each block takes the cheaper way (mode_decision.py), as with the palette modes of
video codecs (Xu et al., Overview of the Emerging HEVC Screen Content Coding Extension, 2016).

The payload is a mask and a lossless WebP of the blocks (block_sheet.py); docs/format.md, section 6.3.  Before
that colours that are near to each other are merged, as far as lambda allows; the decoder need not know.
bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from aecodec import block_sheet, conceal
from aecodec.block_sheet import BLOCK, Pixels, beside, webp
from aecodec.colours import Colours
from aecodec.errors import CorruptError, FormatError
from aecodec.groups import Group
from aecodec.parallel import workers, worth
from aecodec.raster import Raster

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

POSITIONS = 4
"""Of y, along the side of a block."""
BILINEAR = Image.Resampling.BILINEAR


def hide(pixels: Pixels, mask: Mask) -> Pixels:
    """uint8 [H, W, C], mask [bh, bw] -> what the networks see, [H, W, C].

    The blocks of the mask go smoothly from the mean colours of those on one side to those on the other, which
    takes few bits; they are white if all are in it."""
    if not mask.any():
        return pixels
    if mask.all():
        return np.full_like(pixels, 255)
    height, width, channels = pixels.shape
    means = np.asarray(_image(pixels).reduce(BLOCK)).reshape(*mask.shape, channels)
    wide = _image(conceal.fill(means, mask)).resize((BLOCK * mask.shape[1], BLOCK * mask.shape[0]), BILINEAR)
    smooth = np.asarray(wide).reshape(BLOCK * mask.shape[0], -1, channels)[:height, :width]
    return np.where(mask.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width, None], smooth, pixels)


def _image(pixels: Pixels) -> Image.Image:
    """uint8 [H, W, C], C = 1 or 3"""
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _in_blocks(group: Group) -> Group:
    """A group's place in blocks, instead of positions of y."""
    sides = (group.top, group.left, group.height, group.width)
    return Group(*(side // POSITIONS for side in sides))


def cut(values: NDArray[Any], group: Group) -> NDArray[Any]:
    """The part of [bh, bw] that belongs to a group: a view."""
    own = _in_blocks(group)
    return values[own.top : own.top + own.height, own.left : own.left + own.width]


def pack(
    pixels: Raster, mask: Mask, groups: Sequence[Group], tolerance: int = 0, threads: int = 1
) -> list[bytes]:
    """uint8 [H, W, C]: each group's blocks of the mask [bh, bw] -> its payload; empty where there are none.

    tolerance: how far colours are merged (colours.py); 0 keeps every pixel."""

    def payload(group: Group) -> bytes:
        own = cut(mask, group)
        if not own.any():
            return b""
        at = _in_blocks(group)
        places = np.argwhere(own) + (at.top, at.left)
        found = [block_at(pixels, row, column) for row, column in places.tolist()]
        return _payload(own, list(Colours(np.stack(found)).merged(tolerance)))

    with workers(worth(threads, len(groups))) as pool:
        return pool.map(payload, groups)


def block_at(pixels: Raster, row: int, column: int) -> Pixels:
    """[64, 64, C]; beyond the picture its last row and column are repeated. row, column: in blocks."""
    height, width, _ = pixels.shape
    top, left = BLOCK * row, BLOCK * column
    block: Pixels = pixels[top : min(top + BLOCK, height), left : min(left + BLOCK, width)]
    return padded(block)


def paste(
    pixels: Pixels,
    groups: Sequence[Group],
    payloads: Sequence[memoryview],
    origin: tuple[int, int] = (0, 0),
    salvage: bool = False,
    divisor: int = 1,
    numbers: Collection[int] | None = None,
) -> frozenset[int]:
    """The blocks of all groups into pixels [H, W, C], in place -> the groups whose blocks are lost.

    origin: (y, x) of the first pixel in the picture.
    salvage: blocks that are damaged are left out; without it, CorruptError.
    divisor: pixels are means over divisor x divisor, which divides 64; origin counts them.
    numbers: of the groups whose blocks are wanted; None is all."""
    lost = set()
    for number in range(len(groups)) if numbers is None else numbers:
        group, payload = groups[number], payloads[number]
        if not payload:
            continue
        if pixels.dtype != np.uint8:
            raise CorruptError(f"group {number} has pixel blocks, which only pictures of 8 bits may have")
        try:
            mask, blocks = unpack(payload, group, pixels.shape[2], number)
        except CorruptError:
            if not salvage:
                raise
            lost.add(number)
            continue
        at, side = _in_blocks(group), BLOCK // divisor
        for (row, column), block in zip(np.argwhere(mask).tolist(), blocks, strict=True):
            top, left = side * (at.top + row) - origin[0], side * (at.left + column) - origin[1]
            _write(pixels, _reduced(block, divisor), top, left)
    return frozenset(lost)


def _reduced(block: Pixels, divisor: int) -> Pixels:
    """[64, 64, C] -> rounded means [64 / divisor, 64 / divisor, C]."""
    if divisor == 1:
        return block
    side = BLOCK // divisor
    means = np.rint(block.reshape(side, divisor, side, divisor, -1).mean((1, 3)))
    reduced: Pixels = means.astype(np.uint8)
    return reduced


def _write(pixels: Pixels, block: Pixels, top: int, left: int) -> None:
    """What of a block at (top, left), which may be below 0, lies inside."""
    (height, width), (high, wide) = pixels.shape[:2], block.shape[:2]
    y, x = slice(max(top, 0), min(top + high, height)), slice(max(left, 0), min(left + wide, width))
    if y.start < y.stop and x.start < x.stop:
        pixels[y, x] = block[y.start - top : y.stop - top, x.start - left : x.stop - left]


def unpack(payload: bytes | memoryview, group: Group, channels: int, number: int) -> tuple[Mask, Pixels]:
    """A payload that is not empty -> mask [rows, columns] of the group, blocks uint8 [k, 64, 64, C].

    channels: C; number: of the group, for messages.
    CorruptError when it is not what `pack` writes; FormatError when this Pillow reads no WebP."""
    mask = _mask(payload, group, number)
    if not features.check("webp"):
        raise FormatError(
            "the file has blocks in WebP, and this Pillow cannot read WebP: install another one"
        )
    blocks = block_sheet.read(payload[-(-mask.size // 8) :], int(mask.sum()), number)
    return mask, blocks[:, :, :, :channels]


def _mask(payload: bytes | memoryview, group: Group, number: int) -> Mask:
    """The first bytes of a payload -> [rows, columns] of the group."""
    own = _in_blocks(group)
    count = own.height * own.width
    bits = np.unpackbits(np.frombuffer(payload[: -(-count // 8)], np.uint8))
    mask, padding = bits[:count].astype(np.bool_), bits[count:]
    if len(bits) < count or padding.any() or not mask.any():
        raise CorruptError(f"group {number}: the mask of its pixel blocks is not valid")
    return mask.reshape(own.height, own.width)


def mixed(
    first: Sequence[bytes | memoryview],
    second: Sequence[bytes | memoryview],
    groups: Sequence[Group],
    share: float,
) -> list[bytes]:
    """Payloads of two files of a picture -> of a third, one a group.

    Of all places where either has a block, the share (0..1) that comes first, group by group, is coded as in
    the second file, the rest as in the first, as pixels or by networks."""
    places = mask_of(first, groups) | mask_of(second, groups)
    left = round(share * int(places.sum()))
    payloads = []
    for number, (a, b, group) in enumerate(zip(first, second, groups, strict=True)):
        own = cut(places, group)
        at: list[tuple[int, int]] = [(row, column) for row, column in np.argwhere(own).tolist()]
        if left <= 0 or left >= len(at):
            payloads.append(bytes(b if left > 0 else a))
        else:
            old, new = (_by_place(payload, group, number) for payload in (a, b))
            taken = {place: new.get(place) for place in at[:left]} | {p: old.get(p) for p in at[left:]}
            mask = np.zeros(own.shape, np.bool_)
            mask[own] = [block is not None for block in taken.values()]
            payloads.append(_payload(mask, [block for block in taken.values() if block is not None]))
        left -= len(at)
    return payloads


def _by_place(payload: bytes | memoryview, group: Group, number: int) -> dict[tuple[int, int], Pixels]:
    """Row and column in the group -> [64, 64, 3]."""
    if not payload:
        return {}
    mask, blocks = unpack(payload, group, 3, number)
    return {(row, column): b for (row, column), b in zip(np.argwhere(mask).tolist(), blocks, strict=True)}


def _payload(mask: Mask, found: list[Pixels]) -> bytes:
    """Of a group: blocks [64, 64, C] where the mask is true, in raster order; empty where there are none."""
    return np.packbits(mask.ravel()).tobytes() + webp(beside(found)) if found else b""


def mask_of(
    payloads: Sequence[bytes | memoryview],
    groups: Sequence[Group],
    salvage: bool = False,
    numbers: Collection[int] | None = None,
) -> Mask:
    """The payloads of all groups of a picture -> [bh, bw], true where a block is coded as pixels.

    numbers: of the groups that are looked at; None is all. CorruptError for a mask that is none, unless
    salvaging: then none of the group's blocks is in it."""
    last = _in_blocks(groups[-1])  # in raster order
    mask = np.zeros((last.top + last.height, last.left + last.width), np.bool_)
    for number in range(len(groups)) if numbers is None else numbers:
        with contextlib.suppress(CorruptError) if salvage else contextlib.nullcontext():
            if payloads[number]:
                cut(mask, groups[number])[:] = _mask(payloads[number], groups[number], number)
    return mask


def unseen(mask: Mask, groups: Sequence[Group], halo: int) -> frozenset[int]:
    """Numbers of the groups whose symbols show nowhere: all blocks around them are in the mask [bh, bw].

    halo: blocks that the synthesis sees beyond a block."""
    bare = ~mask
    found = set()
    for number, group in enumerate(groups):
        own = _in_blocks(group)
        rows = slice(max(0, own.top - halo), own.top + own.height + halo)
        columns = slice(max(0, own.left - halo), own.left + own.width + halo)
        if not bare[rows, columns].any():
            found.add(number)
    return frozenset(found)


def padded(values: NDArray[Any]) -> NDArray[Any]:
    """[H, W, C] -> whole blocks: the last row and column repeated."""
    height, width = values.shape[:2]
    return np.pad(values, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode="edge")
