"""Pillow's Image.open and Image.save for .aec, after aecodec.register().

Opening reads the container and verifies its checksums (no network runs, no onnxruntime is loaded);
pixels are decoded when Pillow loads them. Errors are OSError, as Pillow's users expect, with the
AecodecError as their cause. Image.save opens its file, and so empties one that exists, before it asks the
plugin: save into a BytesIO where an old file must outlive an error.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import IO, Any

from PIL import Image, ImageFile

from aecodec import container, pixels, sections
from aecodec.decoding import size_at
from aecodec.errors import AecodecError, FormatError, UsageError
from aecodec.exif import load, orientation_in
from aecodec.modes import MAX_DPI, MIN_DPI, bytes_of, resolution
from aecodec.notes import tell
from aecodec.preview import DIVISORS

FORMAT = "AEC"
MAGIC = container.MAGIC
MIME = "image/x-aec"
MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA"}
DEEP_GREY = "I;16"
"""16-bit grey; Pillow has no other 16-bit mode, the rest comes with 8 bits."""


class AecImageFile(ImageFile.ImageFile):
    format = FORMAT
    format_description = "aecodec learned image codec"
    _data: bytes | None = None
    _divisor = 1

    def _open(self) -> None:
        assert self.fp is not None
        data = self.fp.read()
        try:
            parsed = container.read_file(data)
            metadata = sections.metadata_of(parsed)
            dpi = sections.resolution(parsed)
        except FormatError as error:
            raise SyntaxError(str(error)) from error
        except AecodecError as error:
            raise OSError(str(error)) from error
        header = parsed.header
        self._size = header.width, header.height
        self._mode = MODES[header.channels, header.has_alpha]
        if header.bit_depth == 16 and self._mode == "L":
            self._mode = DEEP_GREY
        self.info.update(pixels.pil_info(*metadata, header.orientation, dpi))
        self._data = data
        self._set_tile()

    def _set_tile(self) -> None:
        """A tile says that there is something to load; load() below gives it its bytes."""
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """The smallest of 1/2 .. 1/16 that is at least `size` is what will be loaded; thumbnail() asks so."""
        if size is None or self._data is None or self._divisor != 1:
            return None
        width, height = self.size
        fitting = [d for d in DIVISORS if width >= d * size[0] and height >= d * size[1]]
        divisor = max(fitting, default=1)
        if divisor == 1:
            return None
        self._divisor = divisor
        self._size = size_at(width, height, divisor)
        self._set_tile()
        return self.mode, (0, 0, width / divisor, height / divisor)

    def load(self) -> Any:
        if self.tile and self._data is not None:
            from aecodec.api import shared

            try:
                decoded = pixels.to_pil(shared().decode_picture(self._data, self._divisor))
            except AecodecError as error:
                raise OSError(str(error)) from error
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = BytesIO(decoded.tobytes())
            self._data = None
        return super().load()

    def load_seek(self, pos: int) -> None:
        """The one tile begins at the start of the bytes that load() made."""


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """Image.save(path, quality=0..100, alpha_quality=None, thumbnail=False, effort=0, tune=None,
    target_bpp=None, target_size=None, target_psnr=None, max_size=None, model=None, device="auto",
    threads=None, icc_profile, exif, xmp, dpi)."""
    from aecodec import models
    from aecodec.api import shared
    from aecodec.options import Options, quality_of
    from aecodec.rate_control import TARGETS, Target

    options: dict[str, Any] = getattr(image, "encoderinfo", {})
    try:
        picture = _with_options(pixels.from_pil(image), options)
        model = models.tuned(options.get("model"), options.get("tune"))
        codec = shared(model, options.get("device", "auto"), options.get("threads"))
        target = Target(*(options.get(key) for key in TARGETS))
        coding = Options(
            quality_of(options.get("quality"), target),
            target,
            options.get("alpha_quality"),
            bool(options.get("thumbnail")),
            options.get("effort", 0),
        )
        found = codec.encode_to(picture, coding)
        for note in (*picture.notes, found.note):
            if note:
                tell(note)
        stream.write(found.data)
    except AecodecError as error:
        raise OSError(str(error)) from error


def _with_options(picture: pixels.Picture, options: dict[str, Any]) -> pixels.Picture:
    """Metadata given to save() replaces the image's own; an empty value drops it."""
    if "icc_profile" in options:
        picture = replace(picture, icc=bytes_of(options["icc_profile"], "icc_profile"))
    if "xmp" in options:
        picture = replace(picture, xmp=bytes_of(options["xmp"], "xmp"))
    if "dpi" in options:
        dpi = options["dpi"]
        picture = replace(picture, dpi=resolution(dpi))
        if dpi and not picture.dpi:
            raise UsageError(f"dpi {dpi!r}: two numbers from {MIN_DPI} to {MAX_DPI:.0f} are needed")
    if "exif" in options:
        exif = options["exif"]
        data = exif.tobytes() if isinstance(exif, Image.Exif) else bytes_of(exif, "exif")
        orientation = orientation_in(load(data))
        picture = replace(picture, exif=data.removeprefix(b"Exif\0\0"), orientation=orientation)
    return picture


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def register() -> None:
    """Makes Pillow open and save .aec files. Calling it again does nothing."""
    Image.register_open(FORMAT, AecImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".aec")
    Image.register_mime(FORMAT, MIME)
