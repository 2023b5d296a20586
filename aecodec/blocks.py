"""Blocks of 64 x 64 pixels that are coded as pixels, because that is the better bargain.

    pixels -candidates, choose-> mask [bh, bw] -pack-> a payload a group;   payload -unpack, paste-> pixels

The networks were made for photographs: sharp text, icons, one-pixel patterns and saturated detail cost them
many bits and still come out wrong, while a lossless coder takes few.  The encoder knows both costs as bits +
lambda * squared error, so each block takes the cheaper way, as with the palette modes of video codecs
(Xu et al., Overview of the Emerging HEVC Screen Content Coding Extension, 2016).

The payload is a lossless WebP (RFC 9649) of the blocks side by side; docs/format.md, section 6.3.  Before
that colours that are near to each other are merged, as far as lambda allows; the decoder need not know.
bh, bw: the picture's size in blocks, padded to whole ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from aecodec import conceal
from aecodec.colours import Colours
from aecodec.errors import CorruptError, FormatError
from aecodec.groups import Group
from aecodec.parallel import workers, worth
from aecodec.raster import Raster

Pixels = NDArray[np.uint8 | np.uint16]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]

BLOCK = 64
BILINEAR = Image.Resampling.BILINEAR
PER_ROW = 8
"""Blocks beside each other in the WebP."""


def hide(pixels: Pixels, mask: Mask) -> Pixels:
    """uint8 [H, W, C] -> what the networks see: the blocks of the mask go smoothly from the mean colours of
    those on one side to those on the other, which takes few bits; they are white if all are in it."""
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


def cut(values: NDArray[Any], group: Group) -> NDArray[Any]:
    """The part of [bh, bw] that belongs to a group (whose unit is 16 pixels)."""
    top, left = group.top // 4, group.left // 4
    return values[top : top + group.height // 4, left : left + group.width // 4]


def pack(
    pixels: Raster, mask: Mask, groups: Sequence[Group], tolerance: int = 0, threads: int = 1
) -> list[bytes]:
    """Each group's blocks of the mask [bh, bw] -> its payload; empty where there are none.

    tolerance: how far colours are merged (colours.py); 0 keeps every pixel."""

    def payload(group: Group) -> bytes:
        own = cut(mask, group)
        if not own.any():
            return b""
        top, left = group.top // 4, group.left // 4
        found = [block_at(pixels, top + int(row), left + int(column)) for row, column in np.argwhere(own)]
        return _payload(own, list(Colours(np.stack(found)).merged(tolerance)))

    with workers(worth(threads, len(groups))) as pool:
        return pool.map(payload, groups)


def block_at(pixels: Raster, row: int, column: int) -> Pixels:
    """[64, 64, C]; beyond the picture its last row and column are repeated."""
    height, width, _ = pixels.shape
    y, x = _place(row, column)
    block: Pixels = pixels[y.start : min(y.stop, height), x.start : min(x.stop, width)]
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
    """The blocks of all groups into pixels [H, W, C], whose first pixel is `origin` (y, x) of the picture.

    divisor: pixels are means over divisor x divisor, which divides 64.
    numbers: of the groups whose blocks are wanted.
    -> the groups whose blocks are lost, when salvaging; otherwise CorruptError."""
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
        for place, block in zip(_places(mask, group), blocks, strict=True):
            top, left = (axis.start // divisor - at for axis, at in zip(place, origin, strict=True))
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
    """What of a block at (top, left) lies inside."""
    (height, width), (high, wide) = pixels.shape[:2], block.shape[:2]
    y, x = slice(max(top, 0), min(top + high, height)), slice(max(left, 0), min(left + wide, width))
    if y.start < y.stop and x.start < x.stop:
        pixels[y, x] = block[y.start - top : y.stop - top, x.start - left : x.stop - left]


def unpack(payload: bytes | memoryview, group: Group, channels: int, number: int) -> tuple[Mask, Pixels]:
    """A payload that is not empty -> mask [rows, columns] of the group, blocks uint8 [k, 64, 64, C].

    CorruptError when it is not what `pack` writes; FormatError when this Pillow reads no WebP."""
    mask = _mask(payload, group, number)
    count = int(mask.sum())
    wide, high = min(count, PER_ROW), -(-count // PER_ROW)
    sheet = _read_webp(payload[-(-mask.size // 8) :], (BLOCK * wide, BLOCK * high), number)
    blocks = sheet.reshape(high, BLOCK, wide, BLOCK, 3).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK, 3)
    return mask, blocks[:count, :, :, :channels]


def _mask(payload: bytes | memoryview, group: Group, number: int) -> Mask:
    """The first bytes of a payload -> [rows, columns] of the group."""
    rows, columns = group.height // 4, group.width // 4
    bits = np.unpackbits(np.frombuffer(payload[: -(-rows * columns // 8)], np.uint8))
    mask, padding = bits[: rows * columns].astype(np.bool_), bits[rows * columns :]
    if len(bits) < rows * columns or padding.any() or not mask.any():
        raise CorruptError(f"group {number}: the mask of its pixel blocks is not valid")
    return mask.reshape(rows, columns)


def mixed(
    first: Sequence[bytes | memoryview],
    second: Sequence[bytes | memoryview],
    groups: Sequence[Group],
    share: float,
) -> list[bytes]:
    """Payloads of two files of a picture -> of a third. Of all places where either has a block, the share
    that comes first is coded as in the second file, the rest as in the first, as pixels or by networks."""
    places = mask_of(first, groups) | mask_of(second, groups)
    left = round(share * int(places.sum()))
    payloads = []
    for number, (a, b, group) in enumerate(zip(first, second, groups, strict=True)):
        own = np.argwhere(cut(places, group))
        if left <= 0 or left >= len(own):
            payloads.append(bytes(b if left > 0 else a))
        else:
            taken = [_by_place(p, group, number) for p in (a, b)]
            chosen = [taken[i < left].get((int(row), int(column))) for i, (row, column) in enumerate(own)]
            mask = np.zeros((group.height // 4, group.width // 4), np.bool_)
            mask[tuple(own.T)] = [block is not None for block in chosen]
            found = [block for block in chosen if block is not None]
            payloads.append(_payload(mask, found))
        left -= len(own)
    return payloads


def _by_place(payload: bytes | memoryview, group: Group, number: int) -> dict[tuple[int, int], Pixels]:
    """Row and column in the group -> [64, 64, 3]."""
    if not payload:
        return {}
    mask, blocks = unpack(payload, group, 3, number)
    return {(int(row), int(column)): b for (row, column), b in zip(np.argwhere(mask), blocks, strict=True)}


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

    numbers: of the groups that are looked at. CorruptError for a mask that is none, unless salvaging."""
    height, width = (max(getattr(g, at) + getattr(g, side) for g in groups) // 4
                     for at, side in (("top", "height"), ("left", "width")))  # fmt: skip
    mask = np.zeros((height, width), np.bool_)
    for number in range(len(groups)) if numbers is None else numbers:
        with contextlib.suppress(CorruptError) if salvage else contextlib.nullcontext():
            if payloads[number]:
                cut(mask, groups[number])[:] = _mask(payloads[number], groups[number], number)
    return mask


def unseen(mask: Mask, groups: Sequence[Group], halo: int) -> frozenset[int]:
    """Groups whose symbols show nowhere: all blocks around them, as far as networks see, are in the mask.

    halo: blocks that the synthesis sees beyond a block."""
    bare = ~mask
    found = set()
    for number, group in enumerate(groups):
        top, left = group.top // 4, group.left // 4
        rows = slice(max(0, top - halo), top + group.height // 4 + halo)
        columns = slice(max(0, left - halo), left + group.width // 4 + halo)
        if not bare[rows, columns].any():
            found.add(number)
    return frozenset(found)


def _place(row: int, column: int, top: int = 0, left: int = 0) -> tuple[slice, slice]:
    """Rows and columns of a block, in pixels of the padded picture; top, left: of its group."""
    y, x = top + BLOCK * int(row), left + BLOCK * int(column)
    return slice(y, y + BLOCK), slice(x, x + BLOCK)


def _places(own: Mask, group: Group) -> Iterator[tuple[slice, slice]]:
    """Where the blocks of a group's mask are, in raster order."""
    for row, column in np.argwhere(own):
        yield _place(row, column, 16 * group.top, 16 * group.left)


def padded(values: NDArray[Any]) -> NDArray[Any]:
    """[H, W, C] -> whole blocks: the last row and column repeated."""
    height, width = values.shape[:2]
    return np.pad(values, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode="edge")


def beside(blocks: list[Pixels]) -> Pixels:
    """Blocks in rows of PER_ROW; the rest of the last row has the last block's last pixel."""
    wide = min(len(blocks), PER_ROW)
    filler = np.broadcast_to(blocks[-1][-1, -1], blocks[-1].shape)
    blocks = blocks + [filler] * (-len(blocks) % wide)
    return np.concatenate([np.concatenate(blocks[i : i + wide], 1) for i in range(0, len(blocks), wide)])


def _know_webp() -> None:
    """Pillow would load all its plugins to find this one."""
    from PIL import WebPImagePlugin  # noqa: F401


def webp(pixels: Pixels, effort: int = 100, method: int = 4) -> bytes:
    """uint8 [H, W, 1 or 3] -> lossless WebP; effort 0..100, method 0..6: those of libwebp."""
    _know_webp()
    out = BytesIO()
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    Image.fromarray(rgb).save(out, "WEBP", lossless=True, quality=effort, method=method)
    return out.getvalue()


def _read_webp(data: bytes | memoryview, size: tuple[int, int], number: int) -> Pixels:
    """-> uint8 [H, W, 3]"""
    if not features.check("webp"):
        raise FormatError(
            "the file has blocks in WebP, and this Pillow cannot read WebP: install another one"
        )
    if bytes(data[12:16]) != b"VP8L":
        raise CorruptError(f"group {number}: its pixel blocks are no lossless WebP")
    whole, chunk = (int.from_bytes(data[at : at + 4], "little") for at in (4, 16))
    if not len(data) == whole + 8 == 20 + chunk + chunk % 2:  # libwebp leaves the rest alone
        raise CorruptError(
            f"group {number}: its pixel blocks are not a valid WebP: its one chunk does not end where they do"
        )
    _know_webp()
    try:
        with Image.open(BytesIO(data), formats=["WEBP"]) as image:
            if image.size != size or image.mode != "RGB":
                raise CorruptError(
                    f"group {number}: its pixel blocks are a WebP of {image.size[0]} x {image.size[1]}, "
                    f"mode {image.mode}; {size[0]} x {size[1]}, mode RGB is needed"
                )
            return np.array(image)
    except (CorruptError, MemoryError):
        raise
    except Exception as error:  # the WebP reader raises several types for damaged data
        raise CorruptError(f"group {number}: its pixel blocks are not a valid WebP: {error}") from None
