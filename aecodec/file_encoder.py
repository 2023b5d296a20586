"""A picture that has been read -> its file: at one quality, or at the one that comes nearest to a target.

Picture -sections, thumbnail-> {tag: payload};   those, pixels, quality -datapath-> .aec
        rate_control tries qualities until size or PSNR of the file is what was asked for
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from aecodec import container, datapath, mode_decision, raster, rate_control, sections, thumbnail
from aecodec.errors import LimitError
from aecodec.limits import Limits
from aecodec.loaded import Model
from aecodec.options import Options, stored_quality
from aecodec.pixels import Picture
from aecodec.quality_search import Encode, Found


class FileEncoder:
    """One picture, which may be encoded several times. What no quality changes is coded once."""

    def __init__(
        self, model: Model, picture: Picture, options: Options, pixel_blocks: bool, limits: Limits
    ) -> None:
        """LimitError for metadata that decoders with the same limits would refuse."""
        self._model, self._picture, self._options = model, picture, options
        self._pixel_blocks, self._limits = pixel_blocks, limits
        self._sections = self._packed_sections()

    def run(self) -> Found:
        """The file; with a target, the one nearest to it. UsageError where no file is small enough."""
        stored, target = stored_quality(self._options.quality), self._options.target
        if not target:
            return Found(self.encoded(stored), stored, runs=1)
        height, width, _ = self._picture.pixels.shape
        return rate_control.reach(target, height * width, stored, self.encoded, self.psnr, self.keeping)

    def encoded(self, stored: int, kept: Sequence[bytes] | None = None) -> bytes:
        """The file at a quality as stored. kept: see datapath.encode."""
        return datapath.encode(
            self._model,
            self._picture,
            self._sections,
            stored,
            self._pixel_blocks,
            self._options.effort,
            kept,
        )

    def psnr(self, data: bytes) -> float:
        """Decibels of a file of this picture, of what shows of it."""
        rows = datapath.rows(self._model, container.read_file(data, self._limits))
        return raster.psnr_of_rows(rows, self._picture.pixels, self._picture.alpha)

    def keeping(self, first: bytes, second: bytes, share: float | None) -> Encode | None:
        """A kept_blocks.Keep."""
        one, other = (container.read_file(data, self._limits) for data in (first, second))
        kept = mode_decision.mixed_blocks(one, other, share or 0)
        return partial(self.encoded, kept=() if share is None else kept) if kept else None

    def _packed_sections(self) -> dict[str, bytes]:
        """Everything beside the colours, in the order in which files have it."""
        picture, options = self._picture, self._options
        self._check_metadata()
        packed = {thumbnail.TAG: thumbnail.pack(picture)} if options.thumbnail else {}
        if options.alpha_quality is None or picture.alpha is None:
            return packed | sections.pack(picture)
        coded = datapath.encode_alpha(
            self._model,
            picture.alpha,
            stored_quality(options.alpha_quality),
            self._pixel_blocks,
            options.effort,
        )
        return packed | sections.pack(replace(picture, alpha=None)) | {"ALPC": coded}

    def _check_metadata(self) -> None:
        picture, most = self._picture, self._limits.max_metadata
        for name, data in (("profile", picture.icc), ("EXIF data", picture.exif), ("XMP", picture.xmp)):
            if len(data) > most:
                raise LimitError(
                    f"the picture's {name}: {len(data)} bytes, the limit is {most} "
                    "(leave it out, or pass a larger max_metadata to encoder and decoder)"
                )
