"""PNG files whose colour profile or texts are beyond Pillow's own limits, which are global to the process.

Pillow inflates 1 MB of each and refuses the file where there is more. Here max_metadata is the limit, and
texts that are no metadata of a picture are not inflated at all. Used by aecodec.opening.
"""

from __future__ import annotations

import sys
import zlib
from typing import IO, BinaryIO

from PIL import ImageFile
from PIL.PngImagePlugin import PngImageFile, PngStream

from aecodec.errors import LimitError
from aecodec.limits import Limits
from aecodec.modes import EXIF_AS_TEXT
from aecodec.picture_notes import CICP

XMP = "XML:com.adobe.xmp"
PROFILE, CODES, TEXTS = b"iCCP", b"cICP", (b"tEXt", b"zTXt", b"iTXt")
KEPT = {EXIF_AS_TEXT.encode(): "EXIF data", XMP.encode(): "XMP"}
"""Keywords of texts that are metadata, and of what."""
RAW_EXIF = b"exif\0"
"""How a tEXt chunk begins that Pillow takes for EXIF data as it is."""
DIGITS = 3
"""Bytes of text for each of EXIF data in hexadecimal digits, at most: two, and line ends."""


class Png(PngImageFile):
    """What Pillow's own class is. LimitError where metadata is larger than the limits allow."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._most = limits.max_metadata
        super().__init__(stream, "")

    @property
    def png(self) -> PngStream | None:  # type: ignore[override]
        return self._chunks

    @png.setter
    def png(self, chunks: PngStream | None) -> None:
        """Pillow's reader gives itself one of its own when it begins, and none at the end."""
        self._chunks = None if chunks is None or chunks.fp is None else Chunks(chunks.fp, self._most)


class Chunks(PngStream):
    def __init__(self, stream: IO[bytes], most: int) -> None:
        super().__init__(stream)
        self._most = most
        self._large: set[str] = set()
        """What has been inflated here; a second one would be work for nothing."""

    def call(self, cid: bytes, pos: int, length: int) -> bytes:
        assert self.fp is not None
        if cid in TEXTS:
            body = self.fp.read(length)
            if body.partition(b"\0")[0] not in KEPT and not (cid == TEXTS[0] and body.startswith(RAW_EXIF)):
                return body  # its checksum is looked at next
            self.fp.seek(pos)
        if cid == CODES:
            codes = ImageFile._safe_read(self.fp, length)
            self.im_info[CICP] = codes[:4]
            return codes
        try:
            return super().call(cid, pos, length)
        except ValueError:
            if cid != PROFILE and cid not in TEXTS:
                raise
        self.fp.seek(pos)
        body = self.fp.read(length)
        self._take(cid, body)
        return body

    def _take(self, cid: bytes, body: bytes) -> None:
        """A chunk too large for Pillow. What needs no inflating it took before it complained."""
        keyword, _, rest = body.partition(b"\0")
        name = "icc_profile" if cid == PROFILE else keyword.decode("latin-1")
        if name in self._large:
            return
        self._large.add(name)
        if cid == PROFILE:
            self.im_info[name] = self._inflated(rest[1:], "colour profile", self._most)
        elif cid == b"zTXt":
            text = self._inflated(rest[1:], KEPT[keyword], DIGITS * self._most)
            self.im_info[name] = text.decode("latin-1")
        elif cid == b"iTXt" and rest[:1] == b"\1":
            text = self._inflated(rest[2:].split(b"\0", 2)[2], KEPT[keyword], DIGITS * self._most)
            self.im_info[name] = text.decode("utf-8", "replace")
            if name == XMP:
                self.im_info["xmp"] = text

    def _inflated(self, data: bytes, what: str, most: int) -> bytes:
        """No more is made of it than the limit allows; nothing, as by Pillow, where it is damaged."""
        try:
            found = zlib.decompressobj().decompress(data, min(most, sys.maxsize - 1) + 1)
        except zlib.error:
            return b""
        if len(found) > most:
            raise LimitError(
                f"the picture's {what}: more than {self._most} bytes, which is the limit "
                "(pass a larger max_metadata to encoder and decoder)"
            )
        return found
