"""Decompress an .aec file into a picture.

OUT's suffix chooses the format (.png, .jpg, .tif, .webp, ...); for '-' it is PNG. Colour profile, EXIF
(with the orientation), XMP and resolution are written where the format takes them; pixels are as stored.
16-bit colour needs .png, 16-bit grey .png or .tif; other formats get 8 bits.
"""

from __future__ import annotations

import argparse
import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

from aecodec.cli import common, files
from aecodec.errors import SALVAGED, OutputError, UsageError

if TYPE_CHECKING:
    from aecodec.pixels import Picture

HELP = ".aec -> picture"
OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
}
XMP_TAG = 700
"""Of TIFF."""
WITH_EXIF = {"JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"}
DEEP_GREY = {"PNG", "TIFF"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help=".aec file, or - for stdin")
    parser.add_argument("output", metavar="OUT", help="picture, or - for PNG on stdout")
    part = parser.add_mutually_exclusive_group()
    part.add_argument(
        "--region",
        type=common.region,
        metavar="X,Y,W,H",
        help="a part only, in pixels; reads only what it needs",
    )
    part.add_argument(
        "--salvage",
        action="store_true",
        help="of a damaged file give what is whole; exit code 10 if not all is",
    )
    part.add_argument(
        "--scale",
        type=common.scale,
        default=1,
        metavar="1/N",
        help="smaller: 1/2, 1/4, 1/8 or 1/16; the last two are fast where the model has previews",
    )
    parser.add_argument(
        "--apply-orientation", action="store_true", help="turn the picture upright as EXIF says"
    )
    common.add_runtime_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")


def run(args: argparse.Namespace) -> int:
    files.check_output(args.input, args.output, args.force)
    form = _format_of(args.output)
    from aecodec.codec import Codec
    from aecodec.orientation import upright

    codec = Codec(args.model, args.device, args.threads)
    data = args.input if args.region and args.input != files.PIPE else files.read_input(args.input)
    with files.about(args.input):
        lost: list[int] = []
        if args.salvage:
            picture, lost = codec.salvage(data)
        else:
            picture = codec.read(data, args.region, args.scale)
    if args.apply_orientation:
        picture = upright(picture)
    files.write_output(args.output, _pack(picture, form), args.force)
    if lost:
        numbers = ", ".join(map(str, lost))
        common.note(f"groups {numbers} of {args.input!r} are lost, and filled from their surroundings")
        return SALVAGED
    return 0


def _format_of(output: str) -> str:
    """Pillow's name of the format that OUT's suffix asks for."""
    from PIL import Image

    if output == files.PIPE:
        return "PNG"
    suffix = os.path.splitext(output)[1].lower()
    form = Image.registered_extensions().get(suffix)
    if form is None or form not in Image.SAVE or form == "AEC":
        raise UsageError(f"{output!r}: no format has the suffix {suffix!r}; use .png, .jpg, .tif or .webp")
    return form


def _pack(picture: Picture, form: str) -> bytes:
    from aecodec import deep, pixels

    grey = picture.pixels.shape[2] == 1 and picture.alpha is None
    if picture.depth == 16 and form != "PNG" and not (grey and form in DEEP_GREY):
        common.note(f"16 bits a channel reduced to 8 for {form}; .png keeps them")
        picture = pixels.shallow(picture)
    image = pixels.to_pil(picture)
    options: dict[str, Any] = dict(OPTIONS.get(form, {}))
    if "dpi" in image.info:
        options["dpi"] = image.info["dpi"]
    if form in WITH_EXIF:
        options |= {key: image.info[key] for key in ("exif", "icc_profile", "xmp") if key in image.info}
    elif image.getexif().get(0x0112, 1) != 1:
        common.note(f"{form} cannot say that the picture is to be shown turned or mirrored")
    if "xmp" in options and form in ("PNG", "TIFF"):
        _place_xmp(options, form)
    if picture.depth == 16 and not grey:
        return deep.png(pixels.to_array(picture), **options)
    out = BytesIO()
    try:
        image.save(out, form, **options)
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot write mode {image.mode} as {form}: {error}; use .png") from None
    return out.getvalue()


def _place_xmp(options: dict[str, Any], form: str) -> None:
    """Two of Pillow's writers have no option for XMP."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    xmp = options.pop("xmp")
    if form == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        return
    exif = Image.Exif()
    exif.load(options.get("exif", b""))
    exif[XMP_TAG] = xmp
    options["exif"] = exif
