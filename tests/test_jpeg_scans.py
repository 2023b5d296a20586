"""JPEGs that end as they should and lack blocks: libjpeg fills them up without a word."""

from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import DATA
from PIL import Image

from aecodec.errors import InputError
from aecodec.pixels import read_picture

KINDS = [
    {},
    {"subsampling": 0, "quality": 95, "optimize": True},
    {"restart_marker_rows": 1},
    {"progressive": True},
    {"progressive": True, "quality": 95},
]
END = b"\xff\xd9"


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def photo():
    with Image.open(DATA / "city.jpg") as image:
        return image.convert("RGB")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_an_end_before_the_last_block(photo, mode, options):
    data = jpeg(photo.convert(mode), **options)
    assert read_picture(data).pixels.shape[:2] == (300, 410)
    found = []
    for share in (0.3, 0.6, 0.9, 0.98):
        at = int(share * len(data))
        for damaged in (data[:at] + END, data[:at] + b"\xff" + END, data[:at] + END + data[at + 2 :]):
            with pytest.raises(InputError, match="damaged or cut short") as error:
                read_picture(damaged)
            found.append("JPEG" in str(error.value))
    assert any(found)  # Pillow takes these, and refuses some by itself


def test_the_message_names_the_file(cli, tmp_path):
    data = (DATA / "city.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2] + END)
    done = cli("encode", tmp_path / "cut.jpg", tmp_path / "out.aec")
    assert done.code == 3 and "cut.jpg" in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "out.aec").exists()


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (17, 16), (200, 33)])
def test_grey_is_no_damage(size, options):
    """What ends in the grey of missing blocks, but has them."""
    grey = Image.new("RGB", size, (128, 128, 128))
    assert (read_picture(jpeg(grey, **options)).pixels == 128).all()
    rows = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    rows[-1] = 128
    assert read_picture(jpeg(Image.fromarray(rows), **options)).pixels.shape == rows.shape


def test_bytes_that_belong_to_no_block(photo):
    """Behind the last block of a scan, behind the end; a thumbnail with an end of its own in EXIF data."""
    grey = photo.copy()
    grey.paste((128, 128, 128), (0, 250, 410, 300))
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + jpeg(photo.resize((40, 30)))
    data = jpeg(grey, exif=exif)
    wanted = read_picture(data).pixels
    for odd in (data[:-2] + b"\x55" * 40 + END, data[:-2] + b"\xff\xff" + END, data + b"\xff\xda\0\4abc" * 9):
        assert np.array_equal(read_picture(odd).pixels, wanted)
