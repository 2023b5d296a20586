"""Pictures in Ray Data: columns of pictures <-> columns of .aec files, on all machines of a cluster.

    ds = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
    pool = ray.data.ActorPoolStrategy(size=8)
    coded = ds.map_batches(EncodeBatch, fn_constructor_kwargs={"quality": 50}, compute=pool, batch_size=32)
    coded.write_parquet("s3://bucket/coded")

Each actor has one Codec, which loads its model once. A picture that fails is a row with an error, and stops
nothing; its result is empty rather than None, so that columns have one type in every block and file.
`aecodec batch --engine ray` does whole folders without a line of Python.

Ray itself is not imported here: map_batches gets the classes, and calls them with columns as arrays.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

from aecodec import models, runtime
from aecodec.errors import AecodecError, DeviceError, InputError, UsageError
from aecodec.limits import DEFAULT_LIMITS, Limits
from aecodec.options import Options, quality_of
from aecodec.precision import Precision
from aecodec.rate_control import Target
from aecodec.session import Device

if TYPE_CHECKING:
    from aecodec.codec import Codec

Columns: TypeAlias = Mapping[str, Any]
"""A batch of n rows: arrays of length n by the columns' names, the form that map_batches gives by default."""


MODES = {"RGB": (0, 0, 3), "L": (0, 0), "RGBA": (0, 0, 4)}
"""Pillow's modes that pictures can be decoded to, and the shape of an empty one."""


class _Batch:
    """A Codec for each process that calls it, made when the first batch comes."""

    def __init__(
        self,
        column: str,
        model: str | os.PathLike[str] | None,
        device: Device,
        threads: int | None,
        limits: Limits,
        keep: bool,
        precision: Precision,
    ) -> None:
        runtime.check(device, threads, limits, precision)
        models.check(model)
        self._column, self._keep = column, keep
        self._arguments, self._precision = (model, device, threads, limits), precision
        self._codec: Codec | None = None

    def codec(self) -> Codec:
        if self._codec is None:
            from aecodec.codec import Codec

            self._codec = Codec(*self._arguments, precision=self._precision)
        return self._codec

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_codec": None}

    def _of(self, batch: Columns) -> Any:
        if self._column not in batch:
            raise UsageError(f"no column {self._column!r}; the batch has {', '.join(batch)}")
        return batch[self._column]

    def _kept(self, batch: Columns) -> dict[str, Any]:
        return {name: values for name, values in batch.items() if self._keep or name != self._column}


class EncodeBatch(_Batch):
    """Rows with pictures -> rows with .aec files.

    In: `column` (default: "bytes", as read_binary_files names it, or else "image"), the contents of picture
    files, or uint8 or uint16 arrays [H, W] or [H, W, 1..4], as read_images gives them.
    Out: the other columns, and
        aec     bytes; none where the picture failed
        bpp     float64, 8 * bytes / (H * W); NaN where it failed
        error   "", or "InputError: ..." with what is wrong

    quality, alpha, alpha_quality, thumbnail, effort and the targets are those of Codec.encode, tune that of
    aecodec.encode, precision that of Codec; keep: the column of pictures stays. threads: of each actor; give
    Ray as many with num_cpus.
    UsageError for a column that is not there or arguments that make no sense; DeviceError where no picture
    could be encoded at all."""

    def __init__(
        self,
        quality: float | None = None,
        *,
        column: str | None = None,
        model: str | None = None,
        device: Device = "auto",
        threads: int | None = 1,
        limits: Limits = DEFAULT_LIMITS,
        keep: bool = False,
        alpha: bool = True,
        alpha_quality: float | None = None,
        target_bpp: float | None = None,
        target_size: int | None = None,
        target_psnr: float | None = None,
        max_size: int | None = None,
        thumbnail: bool = False,
        effort: int = 0,
        tune: str | None = None,
        precision: Precision = "auto",
    ) -> None:
        super().__init__(column or "", models.tuned(model, tune), device, threads, limits, keep, precision)
        target = Target(target_bpp, target_size, target_psnr, max_size)
        quality = quality_of(quality, target)
        Options(quality, target, alpha_quality, thumbnail, effort)  # what makes no sense is told now
        self._options: dict[str, Any] = {
            "quality": quality,
            "alpha": alpha,
            "alpha_quality": alpha_quality,
            "target_bpp": target_bpp,
            "target_size": target_size,
            "target_psnr": target_psnr,
            "max_size": max_size,
            "thumbnail": thumbnail,
            "effort": effort,
        }

    def __call__(self, batch: Columns) -> dict[str, Any]:
        self._column = self._column or ("bytes" if "bytes" in batch else "image")
        rows = [_attempt(self._encode, picture) for picture in self._of(batch)]
        return self._kept(batch) | {
            "aec": _objects([row.result for row in rows]),
            "bpp": _floats([row.bpp for row in rows]),
            "error": _objects([row.error for row in rows]),
        }

    def _encode(self, picture: Any) -> tuple[bytes, float]:
        from aecodec import container

        if picture is None:
            raise InputError("no picture, the value is null")
        with warnings.catch_warnings():  # what a picture loses is a warning, and nobody reads an actor's
            warnings.simplefilter("ignore", UserWarning)
            data = self.codec().encode(picture, **self._options)
        header = container.read_header(data, self.codec().limits)
        return data, 8 * len(data) / (header.width * header.height)


class DecodeBatch(_Batch):
    """Rows with .aec files -> rows with pictures.

    In: `column` (default "aec"), bytes. Out: the other columns, and
        image   uint8 [H, W, 3] in mode "RGB", [H, W] in mode "L", [H, W, 4] in mode "RGBA"; with 0 rows and
                columns where the file failed
        error   "", or "CorruptError: ..." with what is wrong

    An error that the row has already, as EncodeBatch's failures do, stays.

    format: "png", "tiff", "webp", ...: not an array but the bytes of such a file, none where it failed. mode
    None, which needs a format, leaves pictures as they are stored: grey, with transparency. scale: that of
    Codec.decode. The others are as for EncodeBatch."""

    def __init__(
        self,
        *,
        column: str = "aec",
        mode: str | None = "RGB",
        format: str | None = None,
        scale: float = 1,
        device: Device = "auto",
        threads: int | None = 1,
        limits: Limits = DEFAULT_LIMITS,
        keep: bool = False,
        precision: Precision = "auto",
    ) -> None:
        super().__init__(column, None, device, threads, limits, keep, precision)
        if mode not in MODES and not (mode is None and format):
            known = ", ".join(MODES)
            raise UsageError(f"mode {mode!r} is unknown; use one of {known}, or None together with a format")
        if format is not None:
            _check_format(format)
        self._mode, self._format, self._scale = mode, format, scale

    def __call__(self, batch: Columns) -> dict[str, Any]:
        before = batch.get("error", ())
        rows = [_attempt(self._decode, data) for data in self._of(batch)]
        rows = [
            _Row(error=old) if isinstance(old, str) and old else row for old, row in zip_longest(before, rows)
        ]
        return self._kept(batch) | {
            "image": _objects([self._nothing() if row.error else row.result for row in rows]),
            "error": _objects([row.error for row in rows]),
        }

    def _decode(self, data: Any) -> tuple[Any, float]:
        import numpy as np

        if not isinstance(data, bytes):
            raise InputError(f"bytes of an .aec file are needed, not {type(data).__name__}")
        from aecodec import pixels

        picture = self.codec().read(data, scale=self._scale)
        image = pixels.to_pil(picture) if self._mode is None else pixels.in_mode(picture, self._mode)
        if self._format is None:
            return np.array(image), math.nan
        out = io.BytesIO()
        image.save(out, self._format)
        return out.getvalue(), math.nan

    def _nothing(self) -> Any:
        import numpy as np

        return b"" if self._format else np.zeros(MODES[str(self._mode)], np.uint8)


def _check_format(name: str) -> None:
    """UsageError for what Pillow writes no files of."""
    from PIL import Image, ImageFile

    Image.init()
    stubs = {  # of which Pillow has the name alone
        one
        for one, (factory, _) in Image.OPEN.items()
        if isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
    }
    known = sorted(set(Image.SAVE) - stubs)
    if not isinstance(name, str) or name.upper() not in known:
        raise UsageError(f"format {name!r} is unknown; use one of {', '.join(known).lower()}")


@dataclass(frozen=True, slots=True)
class _Row:
    result: Any = b""
    bpp: float = math.nan
    error: str = ""


def _attempt(do: Callable[[Any], tuple[Any, float]], value: Any) -> _Row:
    """DeviceError goes on: it would be the same for every row."""
    try:
        result, bpp = do(value)
    except DeviceError:
        raise
    except (AecodecError, MemoryError) as error:
        return _Row(error=f"{type(error).__name__}: {error}")
    except Exception as error:
        if os.environ.get("AECODEC_DEBUG", "") not in ("", "0"):
            raise
        return _Row(error=f"unexpected {type(error).__name__}: {error}")
    return _Row(result, bpp)


def _objects(values: list[Any]) -> Any:
    """An array of objects, one a row, whatever their shapes are."""
    import numpy as np

    found = np.empty(len(values), object)
    for number, value in enumerate(values):
        found[number] = value
    return found


def _floats(values: list[float]) -> Any:
    import numpy as np

    return np.array(values, np.float64)
