"""python tests/fuzz/seeds.py decode|encode FOLDER: where a new campaign begins.

decode: every golden file of tests/conformance with every operation.  encode: small pictures in the formats
and modes that Pillow writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

TESTS = Path(__file__).parents[1]
OPERATIONS = 7
FORMATS = {
    "1": ("PNG", "TIFF", "PCX", "PPM"),
    "L": ("PNG", "JPEG", "TIFF", "GIF", "TGA"),
    "LA": ("PNG", "TIFF"),
    "P": ("PNG", "GIF", "BMP", "TIFF"),
    "RGB": ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "ICO", "SGI", "QOI", "JPEG2000", "AVIF"),
    "RGBA": ("PNG", "WEBP", "TIFF", "TGA", "DDS", "ICNS"),
    "CMYK": ("JPEG", "TIFF"),
    "I;16": ("PNG", "TIFF"),
    "F": ("TIFF",),
}


def decode() -> Iterator[bytes]:
    for folder in ("valid", "invalid"):
        for path in sorted((TESTS / "conformance" / folder).glob("*.aec")):
            file = path.read_bytes()
            for operation in range(OPERATIONS if folder == "valid" else 1):
                yield bytes([operation]) + file


def encode() -> Iterator[bytes]:
    y, x = np.mgrid[:20, :24]
    base = Image.fromarray(np.stack([x * 10, y * 12, (x * y) % 256], 2).astype(np.uint8))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "x"
    for mode, forms in FORMATS.items():
        image = Image.fromarray((x * 2000 + y).astype(np.uint16)) if mode == "I;16" else base.convert(mode)
        for form in forms:
            for options in ({}, {"icc_profile": profile, "exif": exif, "dpi": (72, 72), "progressive": True}):
                out = BytesIO()
                try:
                    image.save(out, form, **options)
                except (OSError, KeyError, ValueError):  # a format that this Pillow does not write
                    continue
                yield b"\x28" + out.getvalue()
                yield b"\x80" + out.getvalue()
    frames = BytesIO()
    base.save(frames, "GIF", save_all=True, append_images=[base.rotate(90)])
    yield b"\0" + frames.getvalue()


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate({"decode": decode, "encode": encode}[name]()):
        (folder / f"seed_{number:04}").write_bytes(data)


if __name__ == "__main__":
    main()
