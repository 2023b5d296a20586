"""Codec: turns pictures into files and back.

model_loader.py loads the models, file_encoder.py encodes a picture that has been read, and datapath.py and
preview.py decode a file that has been taken apart.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from aecodec import container, datapath, pixels, preview, runtime
from aecodec import limits as bounds
from aecodec import thumbnail as thumbnails
from aecodec.container import Parsed
from aecodec.errors import UsageError
from aecodec.file_encoder import FileEncoder
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.loaded import Model
from aecodec.model_bundle import Bundle
from aecodec.model_loader import ModelLoader
from aecodec.networks import DECODING, ENCODING
from aecodec.notes import tell
from aecodec.options import NO_TARGET, Options, quality_of
from aecodec.orientation import upright
from aecodec.pixels import ImageInput, Picture, Pixels
from aecodec.precision import Precision
from aecodec.quality_search import Found
from aecodec.rate_control import Target
from aecodec.region import Region, plan, region_of
from aecodec.session import Device
from aecodec.source import Source, map_bytes, read_bytes


class Codec:
    """Encodes with one model, decodes with whatever installed model a file needs.

    Loads each bundle once; may be used by several threads at the same time, and in a process that was forked,
    which loads its own networks. Can be pickled and copied: what arrives is made from the same arguments.

        model    name or folder of a bundle; None: the default model
        device   "auto" (CUDA where it works), "cpu", or "cuda" (DeviceError where it does not work)
        threads  CPU threads of each network; None: onnxruntime decides
        limits   what is refused, checked before anything is allocated
        optimise False: graph optimisation off (slower; the symbols are the same)
        precision  of the float networks: "fp32", "int8" (CPU), "fp16" (CUDA), or "auto": int8 where the CPU
                 is made for it. A file decodes to the same symbols in all, and to nearly the same pixels
        pixel_blocks  False: everything is left to the networks, text and patterns too (see blocks.py)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        device: Device = "auto",
        threads: int | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        optimise: bool = True,
        pixel_blocks: bool = True,
        precision: Precision = "auto",
    ) -> None:
        runtime.check(device, threads, limits, precision)
        self._loader = ModelLoader(model, device, threads, optimise, precision)
        self.limits, self._pixel_blocks = limits, pixel_blocks

    def with_limits(self, limits: Limits) -> Codec:
        """The same with other limits; what is loaded, or will be, belongs to both."""
        bounds.check(limits)
        other = copy.copy(self)
        other.limits = limits
        return other

    @property
    def bundle(self) -> Bundle:
        """The model that encodes."""
        return self._loader.bundle

    @property
    def threads(self) -> int:
        """CPU threads of each network, and of what is done beside them."""
        return self._loader.threads

    def prepare(self, file: bytes | memoryview | None = None) -> None:
        """Loads in a thread what encode() needs, or decode() of this file, while the caller goes on reading.

        Errors of the networks come when they are used; those of decode() about the header, at once."""
        if file is None:
            self._loader.load(self.bundle).networks.prepare(ENCODING)
        else:
            self._loader.model_of(container.read_header(file, self.limits)).networks.prepare(DECODING)

    def encode(
        self,
        image: ImageInput,
        quality: float | None = None,
        *,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
        max_size: int | None = None,
        alpha: bool = True,
        alpha_quality: float | None = None,
        thumbnail: bool = False,
        effort: int = 0,
    ) -> bytes:
        """A picture -> the bytes of an .aec file.

        image: path, bytes or binary file of a picture; PIL image; uint8 or uint16 array [H, W] or
        [H, W, 1..4]. What had to be changed to code it (CMYK, a file's other frames) is a warning, and that a
        target was missed.
        quality: 0 (smallest) .. 100 (best); None is 60. Not beside a target that finds it.
        alpha: False leaves transparency out. alpha_quality: 0 .. 100 codes it with loss; None keeps it exact.
        thumbnail: adds the picture at 1/16, about 0.01 bits a pixel, which decodes without any network.
        effort: 0 .. 2, how often the encoder looks at what the decoder will make of its file, to mend it;
        from 1 on it adds a post-filter, too. Fewer bytes for the same quality; at one `quality` the file
        grows by 2 to 4 % and is 0.1 to 0.6 dB better.
        target_bpp, target_size (bytes), target_psnr (dB): find the quality instead; max_size (bytes): lower
        it where the file would be larger. At most one of the four; see rate_control.Target.
        Raises UsageError, InputError, LimitError, ModelError, DeviceError.
        """
        target = Target(target_bpp, target_size, target_psnr, max_size)
        options = Options(quality_of(quality, target), target, alpha_quality, thumbnail, effort)
        picture = pixels.open_picture(image, self.limits, alpha)
        for note in picture.notes:
            tell(note)
        found = self.encode_to(picture, options)
        if found.note:
            tell(found.note)
        return found.data

    def encode_to(self, picture: Picture, options: Options) -> Found:
        """A picture that has been read -> its file; with a target, the one nearest to it."""
        model = self._loader.load(self.bundle)
        return FileEncoder(model, picture, options, self._pixel_blocks, self.limits).run()

    def decode(
        self,
        data: Source,
        region: tuple[int, int, int, int] | None = None,
        *,
        scale: float = 1,
        apply_orientation: bool = False,
    ) -> Pixels:
        """A file (bytes, path, URL or file object) -> [H, W, 3], or [H, W] if grey; with alpha [H, W, 4] or
        [H, W, 2].

        The array is uint8, or uint16 where the file has 16 bits a channel.
        region: x, y, width, height of a part as stored; only what it needs is read.
        scale: 1, 1/2, 1/4, 1/8 or 1/16, not together with a region; sides are rounded up.
        apply_orientation: turns the picture upright; else pixels are as stored.
        Raises InputError, FormatError, CorruptError, LimitError, ModelError, DeviceError, UsageError (a
        region outside the picture, a scale that is not possible).
        """
        if region is not None or scale != 1 or apply_orientation:
            return np.ascontiguousarray(pixels.to_array(self.read(data, region, scale, apply_orientation)))
        model, parsed = self.parse(data)
        return datapath.decode_array(model, parsed, self.limits)

    def open(
        self,
        source: Source,
        region: tuple[int, int, int, int] | None = None,
        *,
        scale: float = 1,
        apply_orientation: bool = False,
    ) -> Image.Image:
        """decode(), as PIL image of mode L, LA, RGB, RGBA or I;16 (pixels.to_pil), its info with icc_profile,
        exif, xmp and dpi."""
        return pixels.to_pil(self.read(source, region, scale, apply_orientation))

    def read(
        self,
        source: Source,
        region: tuple[int, int, int, int] | None = None,
        scale: float = 1,
        apply_orientation: bool = False,
    ) -> Picture:
        """decode(), with alpha and metadata apart."""
        divisor = preview.divisor_of(scale)
        if region is not None and divisor > 1:
            raise UsageError("a region cannot be decoded at a smaller scale; leave one of the two out")
        if region is not None:
            picture = self.decode_region(source, region_of(region))
        else:
            picture = self.decode_picture(source, divisor)
        return upright(picture) if apply_orientation else picture

    def encode_picture(
        self,
        picture: Picture,
        quality: float = 60,
        alpha_quality: float | None = None,
        thumbnail: bool = False,
        effort: int = 0,
    ) -> bytes:
        """encode(), from a picture that has been read, without a target."""
        return self.encode_to(picture, Options(quality, NO_TARGET, alpha_quality, thumbnail, effort)).data

    def decode_picture(self, data: Source, divisor: int = 1) -> Picture:
        """The picture, or its means over divisor x divisor pixels, with alpha and metadata apart."""
        parsed = self._parsed(data)
        if divisor == thumbnails.DIVISOR and (small := thumbnails.unpack(parsed, self.limits)):
            return small  # for which no model is loaded
        model = self._loader.model_of(parsed.header)
        if divisor > 1:
            return preview.decode(model, parsed, self.limits, divisor)
        return datapath.decode(model, parsed, self.limits)[0]

    def stream(self, data: Source) -> tuple[Picture, Iterator[tuple[int, Pixels]]]:
        """decode_picture() in bounded memory: a picture with all colours 0, and its rows from the top down.

        Each item is the number of its first row and pixels [rows, W, C]. What decode() would raise for
        damaged symbols may come after the last of them: until then nothing that was read may be used."""
        model, parsed = self.parse(data)
        return datapath.stream(model, parsed, self.limits)

    def decode_region(self, data: Source, region: Region) -> Picture:
        """A part of the picture, with all its metadata; only the groups that it needs are looked at."""
        view = map_bytes(data, container.MAGIC)
        header = container.read_header(view, self.limits)
        region.check(header)
        model = self._loader.model_of(header)
        needed = plan(header, region, model.bundle.halo["synthesis"])
        parsed = container.read_file(view, self.limits, only=needed.groups)
        return datapath.decode_region(model, parsed, self.limits, region)

    def _parsed(self, data: Source, salvage: bool = False) -> Parsed:
        """salvage: damaged groups and sections are left out, as far as a picture is possible without them."""
        return container.read_file(read_bytes(data, container.MAGIC), self.limits, salvage=salvage)

    def parse(self, data: Source) -> tuple[Model, Parsed]:
        """A file taken apart, every checksum of the container verified -> the model it needs, its parts."""
        parsed = self._parsed(data)
        return self._loader.model_of(parsed.header), parsed

    def verify(self, data: Source) -> None:
        """Raises what decode() would, without computing pixels. Alpha and metadata are unpacked, too."""
        model, parsed = self.parse(data)
        datapath.verify(model, parsed, self.limits)

    def salvage(self, data: Source) -> tuple[Picture, list[int]]:
        """What can be had of a damaged file -> the picture, the numbers of the lost groups in raster order.

        Lost groups are filled from their surroundings. Damaged metadata and alpha are left out: Picture.lost
        names them, and a note; of bytes behind the end there is a note alone. All else must be whole.
        Raises what decode() does; CorruptError also when every group is lost."""
        parsed = self._parsed(data, salvage=True)
        picture, groups = datapath.decode(
            self._loader.model_of(parsed.header), parsed, self.limits, salvage=True
        )
        if parsed.behind:
            many = "a byte" if parsed.behind == 1 else f"{parsed.behind} bytes"
            note = f"left out: {many} behind the end of the file"
            picture = replace(picture, notes=(*picture.notes, note))
        return picture, groups
