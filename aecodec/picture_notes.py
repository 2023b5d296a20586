"""What is said of a picture that can be coded and will not come back as its user may expect.

Part of the first step of encoding; used by aecodec.pixels alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aecodec.raster import STRIP, Raster

NARROW = 65536 // 16
"""Fewer values of 16 bits than this: errors of the networks are as large as what the picture shows."""
CICP = "cicp"
"""Where png_metadata.py puts the four bytes of this chunk, which Pillow does not read."""
SRGB_CODES = bytes((1, 13, 0, 1))
"""BT.709 primaries, the curve of sRGB, RGB, full range."""
SRGB_POINTS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""White, red, green, blue."""
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
    return (f"{' and '.join(lost)} of the PNG not kept: its colours will be shown as those of sRGB",)
