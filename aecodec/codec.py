"""Codec: loads models, and turns pictures into files and back. The data path itself is datapath.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aecodec import container, datapath, models, pixels, preview, raster, rate_control, runtime, sections
from aecodec import thumbnail as thumbnails
from aecodec.container import Header, Parsed
from aecodec.datapath import Model
from aecodec.errors import LimitError, ModelError, UsageError
from aecodec.forks import renew_in_children
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.loaded import check_groups
from aecodec.models import Bundle
from aecodec.networks import DECODING, ENCODING, Networks
from aecodec.notes import tell
from aecodec.options import NO_TARGET, Options, stored_quality
from aecodec.orientation import upright
from aecodec.parallel import cpus
from aecodec.pixels import ImageInput, Picture, Pixels
from aecodec.precision import Precision
from aecodec.quality_search import Encode, Found
from aecodec.rate_control import Target
from aecodec.region import Region, plan, region_of
from aecodec.session import Device
from aecodec.source import Source, map_bytes, read_bytes
from aecodec.tables import load_tables

LOADED = ("_bundle", "_models", "_lock")
"""What a Codec does not take with it to another process."""


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
        self._precision, self._model = precision, model
        self._bundle = None if model is None else models.find(model)
        # A folder: where this is unpickled, too.
        if self._bundle and self._bundle.path == Path(str(model)).absolute():
            self._model = self._bundle.path.resolve()
        self._device, self._threads, self.limits, self._optimise = device, threads, limits, optimise
        self._pixel_blocks = pixel_blocks
        self._models: dict[bytes, Model] = {}
        self._renew()
        renew_in_children(self)

    def _renew(self) -> None:
        """In a process that was forked, whose parent's thread may have held the lock."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Without what is loaded; the model by the name or folder that was given."""
        return {name: value for name, value in vars(self).items() if name not in LOADED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """ModelError where the model is not installed."""
        vars(self).update(state, _models={})
        self._bundle = None if self._model is None else models.find(self._model)
        self._renew()
        renew_in_children(self)

    @property
    def bundle(self) -> Bundle:
        """The model that encodes."""
        with self._lock:
            if self._bundle is None:
                self._bundle = models.find()
            return self._bundle

    @property
    def threads(self) -> int:
        """CPU threads of each network, and of what is done beside them."""
        return self._threads or cpus()

    def _load(self, bundle: Bundle) -> Model:
        with self._lock:
            if bundle.model_id not in self._models:
                tables = load_tables(bundle.read("tables.bin"))
                if tables.z_row.shape[1] != bundle.z:
                    raise ModelError(
                        f"model {bundle.name!r}: tables.bin is for {tables.z_row.shape[1]} channels of z, "
                        f"the manifest says {bundle.z}; install the model again"
                    )
                networks = Networks(
                    bundle, self._device, self._threads, self._optimise, precision=self._precision
                )
                self._models[bundle.model_id] = Model(bundle, tables, networks, datapath.rounding_of(bundle))
            return self._models[bundle.model_id]

    def prepare(self, file: bytes | memoryview | None = None) -> None:
        """Loads in a thread what encode() needs, or decode() of this file, while the caller goes on reading.

        Errors of the networks come when they are used; those of decode() about the header, at once."""
        if file is None:
            self._load(self.bundle).networks.prepare(ENCODING)
        else:
            self._model_of(container.read_header(file, self.limits)).networks.prepare(DECODING)

    def _model_of(self, header: Header) -> Model:
        """The model that a file was made with."""
        with self._lock:
            known, own = self._models.get(header.model_id), self._bundle
        if known is None:
            is_own = own is not None and own.model_id == header.model_id
            known = self._load(own if own and is_own else models.find_id(header.model_id))
        check_groups(known.bundle, header)
        return known

    def encode(
        self,
        image: ImageInput,
        quality: float = 60,
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
        quality: 0 (smallest) .. 100 (best).
        alpha: False leaves transparency out. alpha_quality: 0 .. 100 codes it with loss; None keeps it exact.
        thumbnail: adds the picture at 1/16, about 0.01 bits a pixel, which decodes without any network.
        effort: 0 .. 2, how often the encoder looks at what the decoder will make of its file, to mend it.
        Fewer bytes for the same quality; at one `quality` the file grows by 1 to 3 % and is 0.1 to 0.3 dB
        better.
        target_bpp, target_size (bytes), target_psnr (dB): find the quality instead; max_size (bytes): lower
        it where the file would be larger. At most one of the four; see rate_control.Target.
        Raises UsageError, InputError, LimitError, ModelError, DeviceError.
        """
        target = Target(target_bpp, target_size, target_psnr, max_size)
        options = Options(quality, target, alpha_quality, thumbnail, effort)
        picture = pixels.open_picture(image, self.limits, alpha)
        for note in picture.notes:
            tell(note)
        found = self.encode_to(picture, options)
        if found.note:
            tell(found.note)
        return found.data

    def encode_to(self, picture: Picture, options: Options) -> Found:
        """A picture that has been read -> its file; with a target, the one nearest to it."""
        model = self._load(self.bundle)
        extras = self._extras(model, picture, options)

        def psnr(data: bytes) -> float:
            rows = datapath.rows(model, self._parsed(data))
            return raster.psnr_of_rows(rows, picture.pixels, picture.alpha)

        def encode(stored: int, kept: Sequence[bytes] | None = None) -> bytes:
            return datapath.encode(model, picture, extras, stored, self._pixel_blocks, options.effort, kept)

        def keep(first: bytes, second: bytes, share: float | None) -> Encode | None:
            parsed = [container.read_file(data, self.limits) for data in (first, second)]
            kept = datapath.mixed_blocks(parsed[0], parsed[1], share or 0)
            return partial(encode, kept=() if share is None else kept) if kept else None

        stored = stored_quality(options.quality)
        if not options.target:
            return Found(encode(stored), stored, runs=1)
        size = picture.pixels.shape[0] * picture.pixels.shape[1]
        return rate_control.reach(options.target, size, stored, encode, psnr, keep)

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

    def _extras(self, model: Model, picture: Picture, options: Options) -> dict[str, bytes]:
        for name, data in (("profile", picture.icc), ("EXIF data", picture.exif), ("XMP", picture.xmp)):
            if len(data) > self.limits.max_metadata:  # decoders would refuse it
                raise LimitError(
                    f"the picture's {name}: {len(data)} bytes, the limit is {self.limits.max_metadata} "
                    "(leave it out, or pass a larger max_metadata to encoder and decoder)"
                )
        small = {thumbnails.TAG: thumbnails.pack(picture)} if options.thumbnail else {}
        if options.alpha_quality is None or picture.alpha is None:
            return small | sections.pack(picture)
        stored = stored_quality(options.alpha_quality)
        coded = datapath.encode_alpha(model, picture.alpha, stored, self._pixel_blocks, options.effort)
        return small | sections.pack(replace(picture, alpha=None)) | {"ALPC": coded}

    def decode_picture(self, data: Source, divisor: int = 1) -> Picture:
        """The picture, or its means over divisor x divisor pixels, with alpha and metadata apart."""
        parsed = self._parsed(data)  # checks every CRC
        if divisor == thumbnails.DIVISOR and (small := thumbnails.unpack(parsed, self.limits)):
            return small
        if divisor > 1:
            return preview.decode(self._model_of(parsed.header), parsed, self.limits, divisor)
        return datapath.decode(self._model_of(parsed.header), parsed, self.limits)[0]

    def stream(self, data: Source) -> tuple[Picture, Iterator[tuple[int, Pixels]]]:
        """decode_picture() in bounded memory: a picture with all colours 0, and its rows from the top down.

        Each item is the number of its first row and pixels [rows, W, C]. What decode() would raise for
        damaged symbols may come after the last of them: until then nothing that was read may be used."""
        parsed = self._parsed(data)
        return datapath.stream(self._model_of(parsed.header), parsed, self.limits)

    def decode_region(self, data: Source, region: Region) -> Picture:
        """A part of the picture, with all its metadata; only the groups that it needs are looked at."""
        view = map_bytes(data, container.MAGIC)
        header = container.read_header(view, self.limits)
        region.check(header)
        model = self._model_of(header)
        needed = plan(header, region, model.bundle.halo["synthesis"])
        parsed = container.read_file(view, self.limits, only=needed.groups)
        return datapath.decode_region(model, parsed, self.limits, region)

    def _parsed(self, data: Source, salvage: bool = False) -> Parsed:
        return container.read_file(read_bytes(data, container.MAGIC), self.limits, salvage=salvage)

    def parse(self, data: Source) -> tuple[Model, Parsed]:
        """A file taken apart, every checksum of the container verified -> the model it needs, its parts."""
        parsed = self._parsed(data)
        return self._model_of(parsed.header), parsed

    def verify(self, data: Source) -> None:
        """Raises what decode() would, without computing pixels. Alpha and metadata are unpacked, too."""
        parsed = self._parsed(data)
        datapath.verify(self._model_of(parsed.header), parsed, self.limits)

    def salvage(self, data: Source) -> tuple[Picture, list[int]]:
        """What can be had of a damaged file -> the picture, the numbers of the lost groups in raster order.

        Lost groups are filled from their surroundings. Damaged metadata and alpha are left out: Picture.lost
        names them, and a note. All else must be whole.
        Raises what decode() does; CorruptError also when every group is lost."""
        parsed = self._parsed(data, salvage=True)
        return datapath.decode(self._model_of(parsed.header), parsed, self.limits, salvage=True)
