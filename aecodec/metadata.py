"""ICC profiles, EXIF and XMP in a file: zlib streams with a preset dictionary (docs/format.md, section 4.1).

Many pictures carry the same sRGB profile of 3,144 bytes, 2,594 deflated: half of the file of a small picture.
With the dictionary it takes 46.  Its bytes are made here from what the profile says; beside them the
dictionary has what XMP packets begin with."""

from __future__ import annotations

import struct
import sys
import zlib
from functools import cache

from aecodec.errors import CorruptError, LimitError
from aecodec.limits import DEFAULT_LIMITS, Limits

DICTIONARY_ID = 0xE3BEC36B
"""Adler-32 of the dictionary."""
PRESET = 0x20
"""The bit of a zlib header's second byte that says so: FDICT."""
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">\n'
    b' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
    b'  <rdf:Description rdf:about=""\n'
    b'    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
    b'    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
    b'    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"\n'
    b'    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"\n'
    b'    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"\n'
    b'    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"\n'
    b'    xmlns:exif="http://ns.adobe.com/exif/1.0/"\n'
    b"   </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    b'<?xpacket end="w"?>'
)


def pack(data: bytes) -> bytes:
    """The payload of iCCP, eXIF or xMPd."""
    stream = zlib.compressobj(9, zdict=dictionary())
    packed = stream.compress(data) + stream.flush()
    plain = zlib.compress(data, 9)  # the header is 4 bytes shorter
    return packed if len(packed) < len(plain) else plain


def unpack(tag: str, payload: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The inflated payload; never more than limits.max_metadata bytes are produced.

    tag: iCCP, eXIF or xMPd, for messages.  CorruptError where it is no such stream or does not end with the
    section, LimitError where it is too long."""
    stream = zlib.decompressobj(zdict=dictionary())
    if len(payload) > 5 and payload[1] & PRESET and bytes(payload[2:6]) != DICTIONARY_ID.to_bytes(4, "big"):
        raise CorruptError(f"section {tag}: a zlib stream with another dictionary than that of the format")
    try:
        data = stream.decompress(payload, min(limits.max_metadata, sys.maxsize - 1) + 1)
    except zlib.error as error:
        raise CorruptError(f"section {tag}: not a valid zlib stream ({error})") from None
    if len(data) > limits.max_metadata:
        raise LimitError(f"section {tag}: more than {limits.max_metadata} bytes after inflation")
    if not stream.eof or stream.unused_data:
        raise CorruptError(f"section {tag}: the zlib stream does not end where the section ends")
    return data


@cache
def dictionary() -> bytes:
    """What streams may refer back to as if it stood before them (RFC 1950, FDICT)."""
    return XMP + _profile()


def _profile() -> bytes:
    """sRGB as a display profile of ICC version 2 (ICC.1:2001-04)."""
    curve = b"curv" + struct.pack(">II1024H", 0, 1024, *(_linear(i / 1023) for i in range(1024)))
    shared = (b"rTRC", b"gTRC", b"bTRC")
    tags = {
        b"cprt": b"text\0\0\0\0Copyright (c) 1998 Hewlett-Packard Company\0",
        b"desc": _described(b"sRGB IEC61966-2.1"),
        b"wtpt": _numbers(b"XYZ ", 0xF351, 0x10000, 0x116CC),
        b"bkpt": _numbers(b"XYZ ", 0, 0, 0),
        b"rXYZ": _numbers(b"XYZ ", 0x6FA2, 0x38F5, 0x0390),
        b"gXYZ": _numbers(b"XYZ ", 0x6299, 0xB785, 0x18DA),
        b"bXYZ": _numbers(b"XYZ ", 0x24A0, 0x0F84, 0xB6CF),
        b"dmnd": _described(b"IEC http://www.iec.ch"),
        b"dmdd": _described(b"IEC 61966-2.1 Default RGB colour space - sRGB"),
        b"vued": _described(b"Reference Viewing Condition in IEC61966-2.1"),
        b"view": _numbers(b"view", 0x13A4FE, 0x145F2E, 0x10CF14, 0x3EDCC, 0x4130B, 0x35C9E, 1),
        b"lumi": _numbers(b"XYZ ", 0x4C0956, 0x500000, 0x571FE7),
        b"meas": _numbers(b"meas", 1, 0, 0, 0, 0, 0x28F, 2),
        b"tech": b"sig \0\0\0\0CRT ",
    }
    start = 132 + 12 * (len(tags) + len(shared))
    table, body = b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    for tag in shared:
        table += tag + struct.pack(">II", start + len(body), len(curve))
    size = start + len(body) + len(curve)
    header = struct.pack(">I4sI", size, b"Lino", 0x02100000) + b"mntrRGB XYZ "
    header += struct.pack(">6H", 1998, 2, 9, 6, 49, 0)
    header += b"acspMSFT" + struct.pack(">I4s4s3I", 0, b"IEC ", b"sRGB", 0, 0, 0)
    header += struct.pack(">3I4s", 0xF6D6, 0x10000, 0xD32D, b"HP  ") + bytes(44)
    return header + struct.pack(">I", len(tags) + len(shared)) + table + body + curve


def _linear(v: float) -> int:
    """The transfer function of IEC 61966-2-1, in 16 bits."""
    return round(65535 * (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4))


def _described(text: bytes) -> bytes:
    """textDescriptionType: ASCII, no Unicode, and the same for the Macintosh in 67 bytes."""
    size = struct.pack(">I", len(text) + 1)
    return b"desc\0\0\0\0" + size + text + bytes(11) + size[3:] + text.ljust(67, b"\0")


def _numbers(kind: bytes, *values: int) -> bytes:
    return kind + struct.pack(f">{1 + len(values)}I", 0, *values)
