"""What is said of TIFFs and PSDs that Pillow does not read: what stands out of them, and nothing untrue."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import InputError
from aecodec.pixels import read_picture


def tiff(photometric, samples, bits=16, extra=None, fill=1, order=b"II"):
    """4 x 4 pixels; a directory, then its values and the samples."""
    endian = "<" if order == b"II" else ">"
    depths = struct.pack(f"{endian}{samples}H", *[bits] * samples)
    size = 16 * samples * bits // 8
    short = [(259, 1), (262, photometric), (266, fill), (277, samples)] + [(338, extra)] * (extra is not None)
    count = len(short) + 6
    at = 8 + 2 + 12 * count + 4
    tags = {tag: struct.pack(endian + "HHIHxx", tag, 3, 1, value) for tag, value in short}
    for tag, value in ((256, 4), (257, 4), (273, at + len(depths)), (278, 4), (279, size)):
        tags[tag] = struct.pack(endian + "HHII", tag, 4, 1, value)
    inline = depths.ljust(4, b"\0") if len(depths) <= 4 else struct.pack(endian + "I", at)
    tags[258] = struct.pack(endian + "HHI", 258, 3, samples) + inline
    head = order + struct.pack(endian + "HIH", 42, 8, count) + b"".join(tags[tag] for tag in sorted(tags))
    return head + bytes(4) + depths + bytes(size)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"photometric": 0, "samples": 1, "order": b"MM"}, ["white as zero", "Interpretation 0", "first"]),
        ({"photometric": 1, "samples": 2, "extra": 2}, ["grey with alpha", "ExtraSamples 2"]),
        ({"photometric": 1, "samples": 2, "extra": 0}, ["grey with an extra channel", "ExtraSamples 0"]),
        ({"photometric": 8, "samples": 3}, ["CIE Lab", "PhotometricInterpretation 8"]),
        ({"photometric": 2, "samples": 3, "fill": 2}, ["FillOrder 2"]),
        ({"photometric": 2, "samples": 5, "extra": 0}, ["5 channels", "SamplesPerPixel"]),
        ({"photometric": 6, "samples": 3}, ["YCbCr"]),
        ({"photometric": 32803, "samples": 1}, ["a sensor", "32803"]),
        ({"photometric": 77, "samples": 1}, ["kind 77"]),
    ],
)
def test_what_stands_out_of_a_tiff(given, named):
    with pytest.raises(InputError) as told:
        read_picture(tiff(**given))
    for part in (*named, "16 bits", "without", "PNG"):
        assert part in str(told.value)
    assert "whole numbers" not in str(told.value) and "\n" not in str(told.value)


def test_depths_that_are_odd():
    with pytest.raises(InputError, match=r"1 sample of 64 bits .*whole numbers of 8 or 16"):
        read_picture(tiff(1, 1, 64))


@pytest.mark.parametrize(
    ("photometric", "samples", "extra"), [(1, 1, None), (0, 1, None), (2, 3, None), (2, 4, 2)]
)
def test_what_is_read(photometric, samples, extra):
    assert read_picture(tiff(photometric, samples, extra=extra)).depth == 16


def psd(bits=8, mode=3, channels=3, layers=0, resources=b""):
    """A merged picture of 3 x 2 pixels, and layers, each with a channel for each of RGB and of one pixel."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, 2, 3, bits, mode) + bytes(4)
    head += struct.pack(">I", len(resources)) + resources
    record = struct.pack(">4iH", 0, 0, 1, 1, 3) + b"".join(struct.pack(">HI", n, 3) for n in range(3))
    record += b"8BIMnorm\xff\0\0\0" + struct.pack(">I", 12) + bytes(8) + b"\3abc"
    info = struct.pack(">h", layers) + record * layers + b"\0\0\x09" * 3 * layers
    info += bytes(len(info) % 2)
    section = struct.pack(">I", len(info)) + info + bytes(4) if layers else b""
    return (
        head + struct.pack(">I", len(section)) + section + bytes(2) + bytes(range(6 * channels * bits // 8))
    )


def test_layers_are_no_frames():
    """What is taken is all of them together."""
    merged = np.arange(18, dtype=np.uint8).reshape(3, 2, 3).transpose(1, 2, 0)
    for layers in (0, 1, 2):
        data = psd(layers=layers)
        with Image.open(io.BytesIO(data)) as image:
            assert image.n_frames == layers
        picture = read_picture(data)
        assert np.array_equal(picture.array, merged) and not picture.notes


def test_captions_of_a_psd_are_told():
    caption = b"8BIM" + struct.pack(">H2xI", 0x0404, 10) + b"\x1c\x02\x78\x00\x05hello"
    assert read_picture(psd(resources=caption)).notes == ("IPTC not kept",)


def test_psd_of_16_bits():
    with pytest.raises(InputError, match="PSD of .* 8 bits a channel only.* has 16; save it as TIFF or PNG"):
        read_picture(psd(16))
    with pytest.raises(InputError, match="PSDs of RGB with 5 bits.*save it as"):
        read_picture(psd(5))
    with pytest.raises(InputError, match="not enough channels"):
        read_picture(psd(channels=2))
