"""The EXIF orientation applied: pixels turned so that the picture is upright as stored."""

from __future__ import annotations

from dataclasses import replace

from aecodec.exif import IN_XMP, TURNED
from aecodec.pixels import Picture, Pixels


def upright(picture: Picture) -> Picture:
    """The picture with orientation 1: pixels, alpha and resolution turned, XMP corrected. No copy is made.

    EXIF is corrected where pixels.pil_info packs it."""
    kind = picture.orientation
    if kind == 1:
        return picture
    dpi = picture.dpi and (picture.dpi[::-1] if kind in TURNED else picture.dpi)
    alpha = None if picture.alpha is None else _turn(picture.alpha, kind)
    xmp = IN_XMP.sub(rb"\g<1>1", picture.xmp)
    return replace(picture, pixels=_turn(picture.array, kind), alpha=alpha, orientation=1, dpi=dpi, xmp=xmp)


def _turn(plane: Pixels, kind: int) -> Pixels:
    """[H, W, ...] -> a view: row 0 and column 0 of the stored array are where `kind` of EXIF says."""
    if kind in TURNED:
        plane = plane.swapaxes(0, 1)  # row 0 becomes the left side
    if kind in (3, 4, 7, 8):
        plane = plane[::-1]
    if kind in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return plane
