"""SSIMULACRA2: how far apart do two pictures look? 100: identical, 90: not to be told apart, below 30: bad.

Sneyers 2022 (version 2.1), as the package `ssimulacra2` computes it. The package follows libjxl's tool in
colour space, maps, weights and final polynomial; it differs in what the blur sees beyond the borders
(libjxl: zeros all around; the package: zeros on two sides, mirrored pixels on the other two). Against vszip
23.1, which mirrors on all sides, its scores of 24 distorted Kodak pictures were 0.2 to 0.8 higher above
60, 1.1 to 1.6 from 40 to 60, 0 to 4.2 below. So these scores compare codecs with each other, not with
other tools' scores.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 225
"""The shortest side that keeps 8 positions at the coarsest of six scales. The weights belong to six scales:
with fewer they would meet the wrong maps, in every implementation."""


def check_installed() -> None:
    """ValueError with the command that installs the package."""
    try:
        import ssimulacra2  # noqa: F401
    except ImportError as error:
        raise ValueError(f"metric ssimulacra2: pip install ssimulacra2 ({error})") from None


def ssimulacra2(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """At most 100, without a lower end, between two uint8 arrays [H, W, 3] of one shape, taken as sRGB.

    Both sides must be at least SIDE; about a third of a second for a Kodak picture. The order of the
    arguments matters: a is the original.
    """
    check_installed()
    from ssimulacra2 import compute_ssimulacra2

    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        have = f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
        raise ValueError(f"ssimulacra2: two uint8 arrays of one shape are needed, not {have}")
    if min(a.shape[:2]) < SIDE:
        raise ValueError(f"ssimulacra2: both sides must be at least {SIDE}, not {a.shape[:2]}")
    files = []
    for picture in (a, b):  # the package reads files
        file = BytesIO()
        Image.fromarray(picture).save(file, "PPM")
        file.seek(0)
        files.append(file)
    return float(compute_ssimulacra2(*files))
