"""What is said of a picture that can be coded and will not come back as its user may expect.

Part of the first step of encoding; used by aecodec.pixels alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from aecodec.raster import STRIP, Raster

NARROW = 65536 // 16
"""Fewer values of 16 bits than this: errors of the networks are as large as what the picture shows."""
CICP = "cicp"
"""Where png_metadata.py puts the four bytes of this chunk, which Pillow does not read."""
SRGB_CODES = bytes((1, 13, 0, 1))
"""BT.709 primaries, the curve of sRGB, RGB, full range."""
LIKE_SRGB = (1, 2), (1, 2, 4, 6, 11, 12, 13, 14, 15)
"""Primaries and curves (ITU-T H.273) that are shown as those of sRGB: its own, none named, the curve of
video, which browsers take for it, and gamma 2.2. Old primaries of television are too far off."""
SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""White, red, green, blue."""
IPTC_RESOURCE, IPTC_TAG = 0x0404, 33723
"""Of Photoshop, in a JPEG or PSD; of TIFF."""
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
NOT_KEPT = " not kept"
SAME_GAMMA, SAME_POINTS = 0.02, 0.005
"""How near is sRGB: of the gamma, as a part of it; of each coordinate."""


def of_range(samples: Raster) -> tuple[str, ...]:
    """Of 16-bit colours [H, W, C]. Most pictures are looked at in their first rows alone."""
    height, width, _ = samples.shape
    low, high = 65535, 0
    if samples.dtype.itemsize == 1:
        return ()
    for top in range(0, height, STRIP):
        part = samples[top : min(top + STRIP, height), 0:width]
        low, high = min(low, int(part.min())), max(high, int(part.max()))
        if high - low >= NARROW:
            return ()
    if low == high:  # there is nothing to see
        return ()
    return (
        f"its 16-bit values are {low}..{high} only, less than 1/16 of 0..65535, and so small a range may "
        "come back with errors as large as it is: scale it up first, or keep it in a lossless format",
    )


def of_file(image: Image.Image, grey: bool, icc: bool, codes: bytes | None) -> tuple[str, ...]:
    """Of a file in Pillow, or an image of it.

    icc: a profile is kept. codes: see boxes.Colours."""
    notes = of_colours(image.info, grey, icc)
    if codes is not None and not icc:
        notes += of_codes(codes, grey, str(image.format))
    return notes + of_metadata(image)


def of_colours(info: Mapping[Any, Any], grey: bool, icc: bool) -> tuple[str, ...]:
    """Of a PNG in Pillow, its `info`: what tells how its colours look, and is not kept.

    cICP goes before a profile, that before sRGB, that before gAMA and cHRM (PNG, third edition, 11.3.2).
    icc: a profile is kept."""
    lost = []
    codes = info.get(CICP)
    if codes is not None:
        if codes != SRGB_CODES:
            lost.append(f"cICP {'/'.join(map(str, codes))}")
    elif not icc and "srgb" not in info:
        gamma, points = info.get("gamma"), info.get("chromaticity")
        if gamma and abs(2.2 * gamma - 1) > SAME_GAMMA:
            lost.append(f"gAMA {gamma:.5g}")
        if points and not grey:
            if any(abs(a - b) > SAME_POINTS for a, b in zip(points, SRGB_POINTS, strict=True)):
                lost.append("cHRM")
    if not lost:
        return ()
    return (_shown_as_srgb(" and ".join(lost), "PNG"),)


def of_codes(codes: bytes, grey: bool, form: str) -> tuple[str, ...]:
    """Of a file in boxes without a profile: its primaries and curve, where they are not like sRGB's."""
    primaries, curve = codes[:2]
    if (grey or primaries in LIKE_SRGB[0]) and curve in LIKE_SRGB[1]:
        return ()
    return (_shown_as_srgb(f"colours {'/'.join(map(str, codes))} (CICP)", form),)


def _shown_as_srgb(what: str, form: str) -> str:
    return f"{what} of the {form} not kept: its colours will be shown as those of sRGB"


def of_metadata(image: Image.Image) -> tuple[str, ...]:
    """What a file says in words that has no place in an .aec: captions as agencies write them, and the part
    of XMP that is too long for one segment of a JPEG, often another picture.

    Not comments, which mostly name a program."""
    info, segments = image.info, getattr(image, "applist", ())
    resources = info.get("photoshop") or {}
    lost = []
    if isinstance(resources, dict) and resources.get(IPTC_RESOURCE):
        lost.append("IPTC")
    elif any(name == IPTC_RESOURCE and data for name, _, data in getattr(image, "resources", ())):
        lost.append("IPTC")
    elif image.format == "TIFF" and getattr(image, "tag_v2", {}).get(IPTC_TAG):
        lost.append("IPTC")
    if any(name == "APP1" and data.startswith(EXTENDED_XMP) for name, data in segments):
        lost.append("extended XMP")
    if not lost:
        return ()
    return (" and ".join(lost) + NOT_KEPT,)


def without_metadata(notes: tuple[str, ...]) -> tuple[str, ...]:
    """For who wants no metadata, and so not to hear of it."""
    return tuple(note for note in notes if not note.endswith(NOT_KEPT))
