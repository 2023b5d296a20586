"""What large pictures take, in bytes a pixel: a second copy would be 2 to 8 more."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from synthetic import ramp

from aecodec import conceal, datapath, png
from aecodec.decoding import Band
from aecodec.groups import Groups

SIDE = 2400
"""Of pictures of which the whole process is measured, Pillow's images included: 5.8 megapixels."""

PEAK = """
import sys
import numpy as np
from PIL import Image
from aecodec import pixels
from aecodec.cli import written
from aecodec.pixels import Picture

def peak():
    status = open("/proc/self/status").read()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

def work(name, width, height):
    if name == "read":
        with open(sys.argv[2] + (".small" if height < 1000 else ""), "rb") as file:
            return pixels.open_picture(file.name)
    row = np.arange(width * 3, dtype=np.uint8).reshape(1, width, 3)
    picture = Picture(np.broadcast_to(row, (height, width, 3)))
    write, _ = written.by_rows(picture, written.rows_of(picture), name, 1)
    with open(sys.argv[2], "wb") as file:
        write(file)

side = int(sys.argv[3])
work(sys.argv[1], 700, 600)  # what is loaded once, and what parts take
before = peak()
held = work(sys.argv[1], side, side)
print((peak() - before) / side**2)
"""
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


def bytes_a_pixel(*arguments):
    run = [sys.executable, "-c", PEAK, *map(str, arguments), str(SIDE)]
    return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


def traced(work):
    """Bytes of numpy and Python at the peak."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def save(path, kind, side):
    """A picture of this kind, of the suffix's format."""
    if kind == "16":
        with open(path, "wb") as out:
            png.write(out, (side, side), 3, 16, [ramp(side, 3, np.uint16)])
        return
    if kind == "I;16":
        Image.fromarray(ramp(side, 1, np.uint16)[:, :, 0]).save(path, "PNG", compress_level=1)
        return
    image = Image.fromarray(ramp(side, 3, np.uint8))
    options = {"PNG": {"compress_level": 1}}
    form = {"P": "PNG", "CMYK": "JPEG"}.get(kind, kind)
    image = image if form == kind else image.convert(kind)
    image.save(path, form, **options.get(form, {}))


@linux_only
@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("PNG", 5),  # Pillow's image, 4
        ("JPEG", 5),
        ("TIFF", 5),
        ("CMYK", 8),  # and what is made of it, 3
        ("P", 5),  # 1 and 3
        ("16", 5),  # one half of the samples at a time; before, 23
        ("I;16", 5),  # 2 and 2
    ],
)
def test_reading(tmp_path, kind, most):
    path = tmp_path / "in"
    save(path, kind, SIDE)
    save(tmp_path / "in.small", kind, 600)
    assert bytes_a_pixel("read", path) < most


@linux_only
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "PPM"])
def test_writing(tmp_path, form):
    assert bytes_a_pixel(form, tmp_path / "out") < 2.5, "parts take their share; Pillow's image would be 4"


def test_filling_holds_no_levels_of_the_whole(monkeypatch):
    monkeypatch.setattr(conceal, "TILE", 128)
    given = np.zeros((1800, 1500, 3), np.uint8)
    lost = np.zeros(given.shape[:2], np.bool_)
    lost[600:1100, 512:1024] = True
    peak = traced(lambda: conceal.fill_in_place(given, lost))
    assert peak < 6 * lost.size, "whole levels would take 130 bytes a pixel"


@pytest.fixture
def without_networks(monkeypatch):
    """Decoding whose networks take no time, and no memory; group `lost` is damaged."""

    def make(lost=None):
        def bands(model, header, *_, **__):
            groups = Groups.of(header).all
            symbols = [None if number == lost else () for number in range(len(groups))]
            yield Band(groups, symbols, 0, header.latent_size[0] // 4)

        def pixel_bands(model, header, coming, covered=None, post_filter=None):
            list(coming)
            for top in range(0, header.height, 64):
                rows = min(64, header.height - top)
                yield top, np.full((rows, header.width, header.channels), top % 251, np.uint8)

        monkeypatch.setattr(datapath, "bands", bands)
        monkeypatch.setattr(datapath, "pixel_bands", pixel_bands)

    return make


def tiled(city, channels):
    """[1200, 1230, C], of which no block is coded as pixels."""
    alpha = np.full((300, 410, 1), 200, np.uint8)
    return np.tile(np.concatenate([city, alpha], 2)[:, :, :channels], (4, 3, 1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_are_decoded_in_place(codec, without_networks, city, channels):
    """One array; beside it no more than a plane of alpha."""
    picture = tiled(city, channels)
    data = codec.encode(picture, 0)
    without_networks()
    found = []
    peak = traced(lambda: found.append(codec.decode(data)))
    assert found[0].squeeze().shape == picture.squeeze().shape and (found[0][70].ravel()[0] == 64).all()
    assert peak < (channels + (channels == 4) + 0.7) * picture[:, :, 0].size


def test_salvaging_holds_the_picture_once(codec, without_networks, city, monkeypatch):
    """And which of its pixels are lost."""
    monkeypatch.setattr(conceal, "TILE", 64)
    picture = tiled(city, 3)
    data = codec.encode(picture, 0)
    without_networks(lost=2)
    found = []
    peak = traced(lambda: found.extend(codec.salvage(data)))
    assert found[1] == [2] and found[0].pixels.shape == picture.shape
    assert peak < 5.5 * picture[:, :, 0].size
