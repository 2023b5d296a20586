"""A small picture inside the file, for file managers: section tHMB, on request.

    Picture --pack--> WebP of the means over 16 x 16 pixels          Parsed --unpack--> Picture

It needs no model and no network: a hundredth of the time that a preview from the latents takes.
See docs/format.md, section 4.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
from PIL import Image, features

from aecodec import container, pixels, sections
from aecodec.container import Parsed
from aecodec.errors import InputError
from aecodec.limits import Limits
from aecodec.pixels import Picture
from aecodec.raster import STRIP

TAG = "tHMB"
DIVISOR = 16
QUALITY = 75
LONGEST = DIVISOR * 16383
"""Pixels, of what WebP holds."""
MODES = {False: "RGB", True: "RGBA"}


def pack(picture: Picture) -> bytes:
    """The section's payload. InputError where this Pillow writes no WebP, or the picture is too long."""
    if not features.check("webp"):
        raise InputError("a thumbnail needs a Pillow that writes WebP: install another one")
    height, width, _ = picture.pixels.shape
    if max(height, width) > LONGEST:
        raise InputError(f"a picture of {width} x {height} gets no thumbnail: {LONGEST} is the longest side")
    mode = MODES[picture.alpha is not None]
    small = Image.new(mode, (-(-width // DIVISOR), -(-height // DIVISOR)))
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height))
        alpha = None if picture.alpha is None else picture.alpha[rows]
        part = Picture(picture.pixels[rows, 0:width], alpha)
        image = pixels.in_mode(part, mode)
        small.paste(image.reduce(DIVISOR), (0, top // DIVISOR))
    out = BytesIO()
    small.save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def unpack(parsed: Parsed, limits: Limits) -> Picture | None:
    """The picture at 1/16, with its metadata; None where the file has none that can be used.

    None of 16 bits, of which it has 8: then the latents have more to give."""
    header = parsed.header
    payload = parsed.sections.get(TAG)
    if header.bit_depth != 8 or payload is None or (image := _read(payload, header)) is None:
        return None
    found = np.array(image)
    return Picture(
        np.ascontiguousarray(found[:, :, : header.channels]),
        np.ascontiguousarray(found[:, :, 3]) if header.has_alpha else None,
        *sections.metadata_of(parsed, limits),
        header.orientation,
        sections.resolution(parsed),
    )


def _read(payload: memoryview, header: container.Header) -> Image.Image | None:
    """What is no WebP of the size and mode that it should have is left alone, as other readers leave it."""
    size = -(-header.width // DIVISOR), -(-header.height // DIVISOR)
    try:
        with Image.open(BytesIO(payload), formats=["WEBP"]) as image:
            # An alpha that is opaque everywhere is not stored.
            if image.size != size or image.mode not in MODES.values():
                return None
            return image.convert(MODES[header.has_alpha])
    except MemoryError:
        raise
    except Exception:  # the WebP reader raises several types for damaged data
        return None


def fit(picture: Picture, side: int) -> Picture:
    """Both sides at most `side` pixels, with 8 bits a sample; smaller pictures stay as they are."""
    if max(picture.pixels.shape[:2]) <= side:
        return picture
    image = pixels.to_pil(pixels.shallow(picture))
    image.thumbnail((side, side))
    small = pixels.from_pil(image)
    return replace(small, notes=picture.notes)


def divisor_for(width: int, height: int, side: int, divisors: tuple[int, ...]) -> int:
    """The largest that leaves the longer side at nine tenths of `side` or more."""
    longer = max(width, height)
    return max((d for d in divisors if 10 * -(-longer // d) >= 9 * min(side, longer)), default=1)
