"""Compare two pictures: PSNR, MS-SSIM, largest difference, bits a pixel.

A and B are .aec files or any pictures that Pillow reads, '-' is stdin. Colours are compared as stored,
without their profiles, where both pictures show some: pixels whose alpha is 0 change neither PSNR nor MS-SSIM
nor the largest difference. What is to be shown turned is turned upright where the other one is not; the bits
a pixel are those of the whole files.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from aecodec.cli import common, files
from aecodec.errors import InputError, UsageError

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.metrics import Samples
    from aecodec.pixels import Picture

HELP = "PSNR, MS-SSIM and bits a pixel of two pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="picture or .aec file, or - for stdin")
    parser.add_argument("b", metavar="B", help="the other one")
    common.add_runtime_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON; what there is no number for is null")


def run(args: argparse.Namespace) -> int:
    if args.a == args.b == files.PIPE:
        raise UsageError("only one of the two pictures can come from stdin")
    from aecodec.cli.attempt import told

    with told(args, args.a, None, b=args.b):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    from aecodec.orientation import upright

    codec = common.codec_of(args)
    (a, size_a), (b, size_b) = _read(codec, args.a), _read(codec, args.b)
    if a.orientation != b.orientation:
        a, b = upright(a), upright(b)
    sides = [f"{p.pixels.shape[1]} x {p.pixels.shape[0]}" for p in (a, b)]
    if sides[0] != sides[1]:
        raise InputError(f"{args.a!r} has {sides[0]} pixels, {args.b!r} {sides[1]}: they cannot be compared")
    facts = {
        "a": _facts(args.a, a, size_a),
        "b": _facts(args.b, b, size_b),
        **_differences(a, b),
    }
    if args.json:
        print(json.dumps(facts))
    else:
        _print(facts)
    return 0


def _read(codec: Codec, name: str) -> tuple[Picture, int]:
    """-> the picture, the bytes of its file"""
    from aecodec import pixels
    from aecodec.container import MAGIC

    data = files.read_input(name)
    with files.about(name):
        if not data.startswith(MAGIC):
            return pixels.read_picture(data, codec.limits), len(data)
        return codec.decode_picture(data), len(data)


def _facts(name: str, picture: Picture, size: int) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    return {"file": name, "bytes": size, "bpp": 8 * size / (height * width), "notes": list(picture.notes)}


def _differences(a: Picture, b: Picture) -> dict[str, Any]:
    import numpy as np

    from aecodec import metrics

    x, y = _of_one_kind(a.array, b.array)
    seen = np.ones(x.shape[:2], np.bool_)
    for picture in (a, b):
        if picture.alpha is not None:
            seen &= picture.alpha > 0
    shown = (x, y) if seen.all() else (x[seen], y[seen])
    psnr, enough = metrics.psnr(*shown), min(x.shape[:2]) >= metrics.SHORTEST_SIDE
    facts: dict[str, Any] = {
        "width": x.shape[1],
        "height": x.shape[0],
        "compared": int(seen.sum()),
        "identical": math.isinf(psnr),
        "psnr": None if math.isinf(psnr) else psnr,
        "ms_ssim": metrics.ms_ssim(x, y, seen) if enough else None,
        "max_difference": metrics.max_difference(*shown),
        "max_difference_alpha": None,
        "same_profile": a.icc == b.icc,
    }
    if a.alpha is not None or b.alpha is not None:
        alphas = [np.invert(np.zeros_like(p.array[:, :, 0])) if p.alpha is None else p.alpha for p in (a, b)]
        facts["max_difference_alpha"] = metrics.max_difference(*_of_one_kind(*alphas))
        facts["identical"] = facts["identical"] and facts["max_difference_alpha"] == 0
    return facts


def _of_one_kind(x: Samples, y: Samples) -> tuple[Samples, Samples]:
    """Grey as three equal channels and 8 bits as 16, where the other one has them."""
    import numpy as np

    if x.shape != y.shape:
        x, y = (np.broadcast_to(p, (*p.shape[:2], 3)) for p in (x, y))
    if x.dtype != y.dtype:
        x, y = (p if p.dtype == np.uint16 else p.astype(np.uint16) * 257 for p in (x, y))
    return x, y


def _print(facts: dict[str, Any]) -> None:
    psnr, ms_ssim, alpha = facts["psnr"], facts["ms_ssim"], facts["max_difference_alpha"]
    compared, whole = facts["compared"], facts["width"] * facts["height"]
    equal = "the colours are equal" if compared else "no pixel shows in both"
    lines = {
        "size": f"{facts['width']} x {facts['height']}",
        **({"compared": f"{compared} of {whole} pixels, which show in both"} if compared < whole else {}),
        "PSNR": f"infinite ({equal})" if psnr is None else f"{psnr:.4f} dB",
        "MS-SSIM": "none (a side is below 176 pixels)" if ms_ssim is None else f"{ms_ssim:.6f}",
        "max difference": facts["max_difference"],
    }
    if alpha is not None:
        lines["in alpha"] = alpha
    for name in ("a", "b"):
        lines[f"{name.upper()}"] = f"{facts[name]['bytes']} bytes, {facts[name]['bpp']:.4f} bits per pixel"
    for name, value in lines.items():
        print(f"{name:16}{value}")
    for name in ("a", "b"):
        for text in facts[name]["notes"]:
            common.note(f"{facts[name]['file']!r}: {text}")
    if not facts["same_profile"]:
        common.note("the colour profiles differ; the colours were compared as they are stored")
