"""Why a plugin of Pillow's does not read a file that looks like its format, and what to do. Used by
aecodec.opening."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

NUMBERS = {1: "whole numbers", 2: "numbers with a sign", 3: "floating point", 5: "complex", 6: "complex"}
"""Kinds of a TIFF's samples."""
BITS, PHOTOMETRIC, FILL_ORDER, SAMPLES, EXTRA, KIND = 258, 262, 266, 277, 338, 339
"""Tags of a TIFF."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
COLOURS = {
    WHITE_IS_ZERO: 1,
    BLACK_IS_ZERO: 1,
    RGB: 3,
    PALETTE: 1,
    MASK: 1,
    CMYK: 4,
    YCBCR: 3,
    8: 3,
    9: 3,
    10: 3,
}
"""Samples of a pixel beside extra ones."""
NAMES = {
    PALETTE: "a palette", MASK: "a mask", CMYK: "CMYK", YCBCR: "YCbCr", 8: "CIE Lab", 9: "ICC Lab",
    10: "ITU Lab", 32803: "raw data of a sensor", 32844: "LogL", 32845: "LogLuv", 34892: "linear raw data",
}  # fmt: skip
PSD_COLOURS = {
    0: "a bitmap",
    1: "grey",
    2: "a palette",
    3: "RGB",
    4: "CMYK",
    7: "multichannel",
    8: "duotone",
    9: "Lab",
}


def of(name: str, stream: BinaryIO, prefix: bytes, error: Exception) -> str:
    """name: of the format; prefix: the file's first bytes."""
    reason = str(error) or type(error).__name__
    try:
        if name == "TIFF" and "mode" in reason:
            return _tiff(stream, prefix)
        if name == "PSD" and isinstance(error.__cause__, KeyError):  # of bits and colours
            return _psd(stream)
    except Exception:  # it is damaged, too
        pass
    return reason


def _tiff(stream: BinaryIO, prefix: bytes) -> str:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2(prefix[: 16 if 43 in prefix[2:4] else 8])
    stream.seek(directory.next)
    directory.load(stream)
    bits, kind = directory.get(BITS, (1,)), directory.get(KIND, (1,))[0]
    if kind == 1 and set(bits) in ({8}, {16}) and (odd := _odd(directory, bits[0], prefix[:2] == b"MM")):
        return f"Pillow does not read {odd} in a TIFF of {bits[0]} bits; store it without, as TIFF or PNG"
    return (
        f"Pillow does not read {len(bits)} sample{'s' * (len(bits) > 1)} of {bits[0]} bits a pixel "
        f"({NUMBERS.get(kind, 'of an unknown kind')}); store whole numbers of 8 or 16 bits"
    )


def _odd(directory: ImageFileDirectory_v2, bits: int, big_endian: bool) -> str:
    """What stands out of a TIFF whose samples are whole numbers of 8 or of 16 bits, the rarest first."""
    photometric, samples = directory.get(PHOTOMETRIC, WHITE_IS_ZERO), directory.get(SAMPLES, 1)
    extra = samples - COLOURS.get(photometric, samples)
    if directory.get(FILL_ORDER, 1) == 2:
        return "bits in reverse order (FillOrder 2)"
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        return (
            NAMES.get(photometric, f"colours of kind {photometric}")
            + f" (PhotometricInterpretation {photometric})"
        )
    if extra > 1:
        return f"{samples} channels (SamplesPerPixel)"
    if extra == 1:
        kind = directory.get(EXTRA, (0,))[0]
        alpha = "alpha" if kind else "an extra channel"
        return f"{'RGB' if photometric == RGB else 'grey'} with {alpha} (ExtraSamples {kind})"
    if photometric == WHITE_IS_ZERO:
        order = ", most significant byte first" * (bits > 8 and big_endian)
        return f"white as zero (PhotometricInterpretation 0{order})"
    return ""


def _psd(stream: BinaryIO) -> str:
    """ "Adobe Photoshop File Formats", the file header section: depth and colours at 22 and 24."""
    stream.seek(22)
    head = stream.read(4)
    bits, colours = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
    if bits > 8:
        return (
            f"Pillow reads PSDs of 8 bits a channel only, and this has {bits}; save it as TIFF or PNG of 16"
        )
    what = PSD_COLOURS.get(colours, f"mode {colours}")
    return (
        f"Pillow does not read PSDs of {what} with {bits} bits a channel; save it as RGB, or as TIFF or PNG"
    )
