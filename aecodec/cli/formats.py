"""What each of Pillow's formats holds of a picture: what its writer is told, and the user of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL.PngImagePlugin import PngInfo

from aecodec import exif, pixels
from aecodec.cli.files import UnfitError
from aecodec.pixels import Picture, Pixels

Options = dict[str, Any]
"""Of Image.save."""
Notes = list[str]


class Format(NamedTuple):
    """Where nothing else is said, what Pillow's writer takes, or refuses by itself."""

    options: Mapping[str, Any] = {}
    metadata: bool = False
    """ICC profile, EXIF data, with it the orientation, and XMP."""
    alpha: Literal["all", "whole", "none", "refused"] = "all"
    """whole: each pixel of a colour picture is seen or not. Pillow leaves the rest out without a word; where
    transparency is refused it writes no picture that has some."""
    deep: Literal["all", "grey", "none"] = "none"
    """Which pictures of 16 bits."""
    dpi: bool = False
    """Dots an inch."""
    whole_dpi: int = 0
    """The most dots an inch, where they are to be whole ones."""
    grey: bool = False
    """And no colours."""
    side: int = 0
    """Pixels of the longest, where there is a limit."""
    note: str = ""


JPEG = Format({"quality": 95, "subsampling": 0}, metadata=True, alpha="refused", dpi=True, whole_dpi=65535)
FORMATS = {
    "AVIF": Format({"quality": 95, "subsampling": "4:4:4"}, metadata=True),
    "BMP": Format(alpha="none", dpi=True),
    "DIB": Format(alpha="none", dpi=True),
    "EPS": Format(alpha="refused"),
    "GIF": Format(alpha="whole"),
    "ICNS": Format(note="ICNS holds the sizes of icons, to which the picture is scaled"),
    "ICO": Format(side=256),
    "JPEG": JPEG,
    "MPO": JPEG,
    "PCX": Format(alpha="refused"),
    "PDF": Format({"quality": 95, "subsampling": 0}, dpi=True),
    "PGM": Format(alpha="none", grey=True),
    "PNG": Format(metadata=True, deep="all", dpi=True),
    "PPM": Format(alpha="none"),
    "SPIDER": Format(alpha="none"),
    "TIFF": Format(metadata=True, deep="grey", dpi=True),
    "WEBP": Format({"lossless": True}, metadata=True),
}

SAVED_AS = {"PGM": "PPM"}
"""Names that Pillow does not know, and those by which it writes them."""
PALETTE = 256
"""Colours of a GIF."""
XMP_TAG = 700
"""Of TIFF."""


def depth_of(picture: Picture, name: str) -> int:
    """Bits a sample, 8 or 16, that the format holds of the picture's."""
    deep = FORMATS.get(name, Format()).deep
    grey = picture.pixels.shape[2] == 1 and picture.alpha is None
    return picture.depth if deep == "all" or (deep == "grey" and grey) else 8


def without_alpha(picture: Picture, name: str) -> Picture:
    """The picture, opaque where the format knows no transparency: its writer might refuse what has some."""
    none = FORMATS.get(name, Format()).alpha == "none"
    return replace(picture, alpha=None) if none else picture


def info_of(picture: Picture) -> dict[str, Any]:
    """Metadata under Pillow's names."""
    return pixels.pil_info(picture.icc, picture.exif, picture.xmp, picture.orientation, picture.dpi)


def options_of(picture: Picture, name: str, unseen: bool = False) -> tuple[Options, Notes]:
    """What Pillow's writer is told of the picture; what of it is lost. UnfitError when it is too large, has
    colours or has transparency, and the format does not take such a picture.

    unseen: its colours are not there yet."""
    form = FORMATS.get(name, Format())
    if form.grey and picture.pixels.shape[2] > 1:
        raise UnfitError(f"{name} holds grey alone, and the picture has colours; use .ppm or .png")
    if form.alpha == "refused" and picture.alpha is not None:
        raise UnfitError(
            f"{name} cannot hold transparency; use .png, or `aecodec decode --no-alpha` to leave it out"
        )
    options, notes = dict(form.options), Notes()
    depth = depth_of(picture, name)
    if depth < picture.depth:
        notes.append(f"16 bits a channel reduced to 8 for {name}; .png keeps them")
    if form.note:
        notes.append(form.note)
    if name == "GIF" and picture.pixels.shape[2] > 1 and (unseen or not _has_few_colours(picture)):
        notes.append(f"colours reduced to the {PALETTE} that GIF holds; .png keeps them")
    if picture.pixels.shape[2] == 1:  # AVIF would store colour planes
        options.pop("subsampling", None)
    if form.side:
        options["sizes"] = [_fitting(picture, name, form.side)]
    if picture.alpha is not None and not _holds(form, picture.alpha, picture.pixels.shape[2], depth):
        notes.append(f"transparency left out, which {name} cannot hold; .png keeps it")
    if picture.dpi is not None:
        if not form.dpi:
            notes.append(f"resolution left out, which {name} does not hold here; .png keeps it")
        elif form.whole_dpi and not all(1 <= round(dpi) <= form.whole_dpi for dpi in picture.dpi):
            notes.append(f"resolution left out: {name} holds whole dots an inch from 1 to {form.whole_dpi}")
        else:
            options["dpi"] = picture.dpi
    if form.metadata:
        options |= {key: value for key, value in info_of(picture).items() if key != "dpi"}
        notes += _place(options, name)
    else:
        if picture.orientation != 1:
            notes.append(f"{name} cannot say that the picture is to be shown turned or mirrored")
        if picture.icc:
            notes.append(f"colour profile left out, which {name} does not hold here; .png keeps it")
        for kind, data in (("EXIF", picture.exif), ("XMP", picture.xmp)):
            if data:
                notes.append(f"{kind} left out, which {name} does not hold here; .png keeps it")
    return options, notes


def _has_few_colours(picture: Picture) -> bool:
    image = pixels.in_mode(picture, "RGB")
    return image.getcolors(PALETTE) is not None


def _fitting(picture: Picture, name: str, side: int) -> tuple[int, int]:
    """Width and height."""
    height, width = picture.pixels.shape[:2]
    if max(width, height) > side:
        raise UnfitError(
            f"{name} holds {side} x {side} pixels at most, not {width} x {height}; use --fit {side}"
        )
    return width, height


def _holds(form: Format, alpha: Pixels, channels: int, depth: int) -> bool:
    if form.alpha == "whole":
        if depth == 8 and alpha.dtype == np.uint16:
            alpha = pixels.sixteen_to_eight(alpha)
        return channels == 3 and bool(np.isin(alpha, (0, np.iinfo(alpha.dtype).max)).all())
    return form.alpha == "all"


def _place(options: Options, name: str) -> Notes:
    """EXIF data and XMP as the writers of TIFF, AVIF and PNG take them."""
    notes = Notes()
    if name == "TIFF" and "exif" in options:
        options["exif"], told = exif.for_tiff(options["exif"].removeprefix(b"Exif\0\0"))
        notes += told
    if name == "AVIF" and "exif" in options:
        if exif.load(options["exif"]) is None:
            del options["exif"]
            notes.append("damaged EXIF data left out, which AVIF cannot hold")
        else:
            options["exif"] = exif.Unchanged(options["exif"])
    if name == "TIFF" and "xmp" in options:
        options["tiffinfo"] = {XMP_TAG: options.pop("xmp")}
    if name == "PNG" and "xmp" in options:
        try:
            text = options.pop("xmp").decode()
        except UnicodeDecodeError:
            notes.append("XMP left out: it is not UTF-8, as PNG wants it")
        else:
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
    return notes
