"""Pillow's Image.open and Image.save for .aec, after aecodec.register().

Opening reads the container and verifies its checksums (no network runs, no onnxruntime is loaded);
pixels are decoded when Pillow loads them. Errors are OSError, as Pillow's users expect, with the
AecodecError as their cause.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import IO, Any

from PIL import Image, ImageFile

from aecodec import container, pixels
from aecodec.errors import AecodecError, FormatError

FORMAT = "AEC"
MAGIC = container.MAGIC
MIME = "image/x-aec"
MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA"}

METADATA = {"iCCP": "icc", "eXIF": "exif", "xMPd": "xmp"}


class AecImageFile(ImageFile.ImageFile):
    format = FORMAT
    format_description = "aecodec learned image codec"
    _data: bytes | None = None

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            parsed = container.read_file(data)
            found = {name: _metadata(parsed, tag) for tag, name in METADATA.items()}
        except FormatError as error:
            raise SyntaxError(str(error)) from error
        except AecodecError as error:
            raise OSError(str(error)) from error
        header = parsed.header
        self._size = header.width, header.height
        self._mode = MODES[header.channels, header.has_alpha]
        self.info.update(pixels.pil_info(orientation=header.orientation, **found))
        self._data = data
        # A tile says that there is something to load; load() below gives it its bytes.
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

    def load(self) -> Any:
        if self.tile and self._data is not None:
            from aecodec.api import shared

            try:
                decoded = pixels.to_array(shared().decode_picture(self._data))
            except AecodecError as error:
                raise OSError(str(error)) from error
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = BytesIO(decoded.tobytes())
            self._data = None
        return super().load()

    def load_seek(self, pos: int) -> None:
        """The one tile begins at the start of the bytes that load() made."""


def _metadata(parsed: container.Parsed, tag: str) -> bytes:
    payload = parsed.sections.get(tag)
    return b"" if payload is None else container.unpack_metadata(tag, payload)


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """Image.save(path, quality=0..100, model=None, device="auto", threads=None, icc_profile, exif, xmp)."""
    from aecodec.api import shared

    options: dict[str, Any] = getattr(image, "encoderinfo", {})
    try:
        picture = _with_options(pixels.from_pil(image), options)
        codec = shared(options.get("model"), options.get("device", "auto"), options.get("threads"))
        stream.write(codec.encode_picture(picture, options.get("quality", 60)))
    except AecodecError as error:
        raise OSError(str(error)) from error


def _with_options(picture: pixels.Picture, options: dict[str, Any]) -> pixels.Picture:
    """Metadata given to save() replaces the image's own; an empty value drops it."""
    if "icc_profile" in options:
        picture = replace(picture, icc=options["icc_profile"] or b"")
    if "xmp" in options:
        picture = replace(picture, xmp=options["xmp"] or b"")
    if "exif" in options:
        exif = options["exif"] or b""
        data = exif.tobytes() if isinstance(exif, Image.Exif) else bytes(exif)
        found = Image.Exif()
        found.load(data)
        orientation = found.get(0x0112, 1)
        known = orientation if orientation in range(1, 9) else 1
        picture = replace(picture, exif=data.removeprefix(b"Exif\0\0"), orientation=known)
    return picture


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def register() -> None:
    """Makes Pillow open and save .aec files. Calling it again does nothing."""
    Image.register_open(FORMAT, AecImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".aec")
    Image.register_mime(FORMAT, MIME)
