"""ICC, EXIF and XMP in a file: the preset dictionary, old streams, and streams that are damaged."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms

from aecodec import metadata
from aecodec.errors import CorruptError, LimitError
from aecodec.limits import Limits

PROFILE = metadata.dictionary()[-3144:]
NEARLY = PROFILE[:4] + b"ADBE" + PROFILE[8:24] + struct.pack(">6H", 2007, 5, 11, 12, 0, 0) + PROFILE[36:]


def xmp(creator: str) -> bytes:
    """A short packet as editors write it."""
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 5.5.0">\n'
        b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        b'  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        b"   <dc:creator>" + creator.encode() + b"</dc:creator>\n"
        b'  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    )


def test_the_dictionary_is_the_one_of_the_format() -> None:
    known = metadata.dictionary()
    assert zlib.adler32(known) == metadata.DICTIONARY_ID == 0xE3BEC36B
    digest = "d54f4f0c8926bf519da9827fed757530ae5fcd0d56684bd0b9cb04028797f531"
    assert (len(known), hashlib.sha256(known).hexdigest()) == (3786, digest)


def test_its_profile_is_srgb() -> None:
    """To LittleCMS, which reads it and converts nearly nothing between it and its own sRGB."""
    (size,) = struct.unpack(">I", PROFILE[:4])
    assert size == len(PROFILE)
    found = ImageCms.ImageCmsProfile(io.BytesIO(PROFILE))
    assert ImageCms.getProfileDescription(found).strip() == "sRGB IEC61966-2.1"
    ramp = Image.linear_gradient("L")
    picture = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
    same = ImageCms.profileToProfile(picture, found, ImageCms.createProfile("sRGB"))
    assert same is not None
    pairs = zip(picture.tobytes(), same.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 2


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (PROFILE, 50),
        (NEARLY, 70),
        (xmp("Ada"), 150),
        (b"II*\0" * 9, 20),
        (b"", 9),
    ],
    ids=["profile", "nearly", "xmp", "exif", "empty"],
)
def test_round_trips_and_sizes(data: bytes, most: int) -> None:
    packed = metadata.pack(data)
    assert metadata.unpack("iCCP", packed) == metadata.unpack("iCCP", memoryview(packed)) == data
    assert len(packed) <= min(most, len(zlib.compress(data, 9)))


def test_streams_without_a_dictionary_are_read() -> None:
    assert metadata.unpack("iCCP", zlib.compress(PROFILE)) == PROFILE


def test_no_dictionary_where_it_saves_nothing() -> None:
    assert not metadata.pack(bytes(range(256)))[1] & metadata.PRESET


def test_another_dictionary_is_refused() -> None:
    stream = zlib.compressobj(9, zdict=b"another")
    with pytest.raises(CorruptError, match="section xMPd: .* another dictionary"):
        metadata.unpack("xMPd", stream.compress(b"another time") + stream.flush())


def test_damage_is_found_at_every_byte() -> None:
    packed = metadata.pack(PROFILE)
    assert packed[1] & metadata.PRESET
    for end in range(len(packed)):
        with pytest.raises(CorruptError, match="section iCCP"):
            metadata.unpack("iCCP", packed[:end])
    for at in range(len(packed)):
        for bit in range(8):
            bad = bytearray(packed)
            bad[at] ^= 1 << bit
            try:
                found = metadata.unpack("iCCP", bytes(bad), Limits(max_metadata=1 << 16))
            except (CorruptError, LimitError):
                continue
            assert (
                found == PROFILE
            )  # bits of the header or behind the last block that say nothing of the data
    with pytest.raises(CorruptError, match="does not end where the section ends"):
        metadata.unpack("iCCP", packed + b"\0")


def test_the_limit_counts_what_comes_out() -> None:
    packed = metadata.pack(PROFILE)
    assert metadata.unpack("iCCP", packed, Limits(max_metadata=3144)) == PROFILE
    with pytest.raises(LimitError, match="more than 3143 bytes"):
        metadata.unpack("iCCP", packed, Limits(max_metadata=3143))
