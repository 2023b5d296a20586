"""Samples of WebDataset's tar files: .aec members <-> pictures.

    data = wds.WebDataset("train-{000..099}.tar").decode(decoder("rgb8"))
    with wds.TarWriter("train-000.tar", encoder=encoder(quality=50)) as tar:
        tar.write({"__key__": "0001", "aec": picture, "cls": 3})

Members are recognised by their first bytes, not by name. Both may be sent to worker processes: each process
loads the model once, when it meets the first picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from aecodec import api, models, runtime
from aecodec.errors import UsageError
from aecodec.options import Options, quality_of
from aecodec.rate_control import TARGETS, Target
from aecodec.session import Device

KINDS = ("pil", "l8", "rgb8", "l", "rgb")


@dataclass(frozen=True, slots=True)
class Decoder:
    """A handler for WebDataset.decode(); see decoder()."""

    kind: str
    device: Device
    threads: int | None

    def __call__(self, key: str, data: object) -> Any:
        """None for members that are no .aec files: the next handler is asked then."""
        from aecodec.container import MAGIC

        if not isinstance(data, bytes) or not data.startswith(MAGIC):
            return None
        import numpy as np

        from aecodec import pixels

        picture = api.shared(None, self.device, self.threads).read(data)
        if self.kind == "pil":
            return pixels.to_pil(picture)
        samples = np.array(pixels.in_mode(picture, "L" if self.kind.startswith("l") else "RGB"))
        return samples if self.kind.endswith("8") else samples.astype(np.float32) / np.float32(255)


def _is_ours(name: str) -> bool:
    """As TarWriter sees it: the last part of a member's extension, without .gz, says what it is."""
    return not name.startswith("_") and name.removesuffix(".gz").rpartition(".")[2].lower() == "aec"


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder for TarWriter; see encoder()."""

    quality: float | None
    model: str | None
    device: Device
    threads: int | None
    options: Mapping[str, Any]

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        from webdataset.writer import default_handlers, encode_based_on_extension

        # TarWriter stores str and bytes before it asks a handler: as text, a path would be.
        ours = {name: self._encode(value) if _is_ours(name) else value for name, value in sample.items()}
        encoded: dict[str, Any] = encode_based_on_extension(ours, default_handlers)
        return encoded

    def _encode(self, picture: Any) -> bytes:
        from aecodec.container import MAGIC

        if isinstance(picture, bytes | bytearray | memoryview) and bytes(picture[: len(MAGIC)]) == MAGIC:
            return bytes(picture)
        return api.encode(picture, self.quality, self.model, self.device, self.threads, **self.options)


def decoder(
    kind: str = "pil", device: Device = "auto", threads: int | None = 1
) -> Callable[[str, object], Any]:
    """What WebDataset.decode() takes.

    kind: "pil": PIL image with its metadata; "rgb8" or "l8": uint8 [H, W, 3] or [H, W]; "rgb" or "l": the
    same as float32 in 0..1. threads: of each worker process. Errors are those of Codec.decode. UsageError
    for another kind or device."""
    if kind not in KINDS:
        raise UsageError(f"kind {kind!r} is unknown; use one of {', '.join(KINDS)}")
    runtime.check(device, threads)
    return Decoder(kind, device, threads)


def encoder(
    quality: float | None = None,
    model: str | None = None,
    device: Device = "auto",
    threads: int | None = None,
    **options: Any,
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What TarWriter takes as `encoder`: "aec" members are coded here, all others as TarWriter does.

    A picture may be anything that Codec.encode takes, a path, say; bytes that are an .aec file are stored as
    they are. options: more of aecodec.encode, such as tune, effort or target_bpp. Errors are those of
    Codec.encode. UsageError for an unknown device or option, or one that makes no sense."""
    known = [name for name, p in signature(api.encode).parameters.items() if p.kind is p.KEYWORD_ONLY]
    if unknown := options.keys() - set(known):
        raise UsageError(f"option {min(unknown)!r} is unknown; there are {', '.join(known)}")
    target = Target(*(options.get(name) for name in TARGETS))
    effort = options.get("effort", 0)
    Options(quality_of(quality, target), target, options.get("alpha_quality"), effort=effort)
    runtime.check(device, threads, **{k: options[k] for k in ("limits", "precision") if k in options})
    models.tuned(model, options.get("tune"))
    return Encoder(quality, model, device, threads, options)
