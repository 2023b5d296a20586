"""Which numbers the float networks compute with: a wish, the bundle, the machine -> "fp32", "int8" or "fp16".

Only how the picture looks depends on it, by fractions of a grey level: the symbols of a file are read by the
exact networks, which are the same in all precisions. Loads nothing until it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from aecodec.errors import DeviceError, ModelError, UsageError

if TYPE_CHECKING:
    from aecodec.model_bundle import Bundle
    from aecodec.session import Device

Precision = Literal["auto", "fp32", "int8", "fp16"]
PRECISIONS = ("auto", "fp32", "int8", "fp16")
SATURATES, FAST = 0, 1
"""What _core.dot_product() says of this CPU."""
AVX2 = 1
"""Of _core.simd_available()."""


def check(wanted: str, device: Device) -> None:
    """UsageError for what no machine can do."""
    from aecodec.session import DEVICES

    if device not in DEVICES:
        raise UsageError(f"device {device!r} is unknown; use one of {', '.join(DEVICES)}")
    if wanted not in PRECISIONS:
        raise UsageError(f"precision {wanted!r} is unknown; use one of {', '.join(PRECISIONS)}")
    if wanted == "fp16" and device != "cuda":
        raise UsageError("precision 'fp16' needs device 'cuda'; on a CPU use int8, fp32 or auto")
    if wanted == "int8" and device == "cuda":
        raise UsageError("precision 'int8' is for the CPU; on device 'cuda' use fp32, fp16 or auto")


def choose(wanted: Precision, bundle: Bundle, device: Device) -> str:
    """-> the precision of a bundle's float networks.

    auto: int8 where the bundle has such graphs and the CPU multiplies bytes exactly and faster than floats
    (VNNI, Arm's dot product, AVX2 where the weights leave room for its 16-bit sums), else fp32, as wherever
    CUDA may be used. fp16 is made of the graphs in float32 (half.py), so every bundle has it.
    ModelError when the bundle has no int8 graphs; DeviceError for int8 on an x86 CPU without VNNI whose
    16-bit sums would spoil the picture.
    """
    from aecodec import _core

    if wanted == "auto":
        fast = "int8" in bundle.precisions and _multiplies_fast(bundle)
        return "int8" if fast and not _may_use_cuda(device) else "fp32"
    if wanted == "int8" and wanted not in bundle.precisions:
        raise ModelError(f"model {bundle.name!r} has no int8 graphs; use precision fp32 or auto")
    if wanted == "int8" and _core.dot_product() == SATURATES and not bundle.fits_16_bits:
        raise DeviceError(
            f"precision 'int8': this CPU has no VNNI and would cut sums of model {bundle.name!r} to 16 bits; "
            "use precision fp32 or auto"
        )
    return wanted


def _multiplies_fast(bundle: Bundle) -> bool:
    from aecodec import _core

    dot = _core.dot_product()
    return dot == FAST or (dot == SATURATES and bundle.fits_16_bits and _core.simd_available() == AVX2)


def _may_use_cuda(device: Device) -> bool:
    from aecodec import session

    return device == "cuda" or (device == "auto" and session.CUDA in session.providers())
