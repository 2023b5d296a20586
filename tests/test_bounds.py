"""What large pictures take, in bytes a pixel: a second copy would be 2 to 8 more. All else stays the same."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image, ImageCms

from aecodec import conceal, datapath, deep, jpeg, modes, pixels, png, raster, tiff
from aecodec.cli import written
from aecodec.decoding import Band
from aecodec.errors import OutputError
from aecodec.networks import Groups
from aecodec.pixels import Picture

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


def ramp(side, channels, dtype):
    """Smooth, but with every bit in use."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint32)
    planes = [rows * (3 + c) + columns * 5 for c in range(channels)]
    return (np.stack(planes, 2) * (1 if dtype == np.uint8 else 37)).astype(dtype)


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


@pytest.fixture
def small_parts(monkeypatch):
    """Pictures of a few tiles are large ones."""
    monkeypatch.setattr(raster, "TILE", 32)
    monkeypatch.setattr(raster, "STRIP", 24)


def reference_fill(given, lost):
    """All levels of the whole picture."""
    weight = (~lost).astype(np.float32)[:, :, None]
    filled = np.rint(conceal._fill(given * weight, weight)).clip(0, np.iinfo(given.dtype).max)
    return np.where(lost[:, :, None], filled.astype(given.dtype), given)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(300, 333), (257, 512), (64, 17), (1, 90), (2, 2)])
def test_filled_by_tiles(monkeypatch, dtype, size):
    """Lost parts of one tile, of many, at the edges, all but one pixel: the values of whole levels."""
    monkeypatch.setattr(conceal, "TILE", 64)
    rng = np.random.default_rng(3)
    given = rng.integers(0, np.iinfo(dtype).max + 1, (*size, 3)).astype(dtype)
    height, width = size
    block, right, all_but_one = np.zeros((3, height, width), np.bool_)
    block[height // 4 : height // 2 + 1, width // 5 : width - width // 3] = True
    right[:, width // 3 + 1 :] = True
    all_but_one[:] = True
    all_but_one[0, -1] = False
    some = rng.random(size) < 0.4
    for lost in (mask for mask in (block, right, all_but_one, some) if not mask.all()):
        assert np.array_equal(conceal.fill(given, lost), reference_fill(given, lost))


def test_filling_holds_no_levels_of_the_whole(monkeypatch):
    monkeypatch.setattr(conceal, "TILE", 128)
    given = np.zeros((1800, 1500, 3), np.uint8)
    lost = np.zeros(given.shape[:2], np.bool_)
    lost[600:1100, 512:1024] = True
    peak = traced(lambda: conceal.fill_in_place(given, lost))
    assert peak < 6 * lost.size, "whole levels would take 130 bytes a pixel"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [1, 63, 64, 65, 200, 300])
def test_jpeg_in_parts(city, channels, height):
    """The bytes of a whole picture that Pillow writes with restart markers; its pixels are those without."""
    given, out, whole, plain = city[:height, :, :channels], io.BytesIO(), io.BytesIO(), io.BytesIO()
    metadata = {"dpi": (300, 300), "exif": Image.Exif().tobytes(), "icc_profile": bytes(70000)}
    parts = [given[:37], given[37:37], given[37:190], given[190:]]
    jpeg.write(out, (410, height), [part for part in parts if len(part) or height > 37], 95, **metadata)
    image = Image.fromarray(given if channels == 3 else given[:, :, 0])
    image.save(whole, "JPEG", quality=95, subsampling=0, restart_marker_rows=1, **metadata)
    assert out.getvalue() == whole.getvalue()
    image.save(plain, "JPEG", quality=95, subsampling=0)
    with Image.open(out) as opened, Image.open(plain) as wanted:
        assert np.array_equal(np.asarray(opened), np.asarray(wanted))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_in_rows(channels, dtype):
    """The bytes that Pillow writes, tags that need a place of their own included."""
    if dtype == np.uint16 and channels > 1:
        pytest.skip("Pillow has no such mode")
    given, out, whole = ramp(90, channels, dtype)[:, :70], io.BytesIO(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0131] = "a camera of seventeen letters and more"
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    metadata = {"dpi": (300, 300), "exif": exif, "icc_profile": bytes(range(200))}
    tiff.write(out, (70, 90), channels, 8 * given.itemsize, [given[:40], given[40:]], **metadata)
    Image.fromarray(given[:, :, 0] if channels == 1 else given).save(whole, "TIFF", **metadata)
    assert out.getvalue() == whole.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "PPM", "WEBP", "BMP"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_by_rows_is_at_once(monkeypatch, form, dtype, channels):
    """Pixels, mode, resolution, notes."""
    monkeypatch.setattr(written, "ROWS", 24)
    picture = Picture(ramp(90, channels, dtype)[:, :70], dpi=(300, 300))
    whole, said = written.at_once(picture, form)
    write, notes = written.by_rows(picture, written.rows_of(picture), form, 1)
    out = io.BytesIO()
    write(out)
    with Image.open(io.BytesIO(whole)) as a, Image.open(out) as b:
        assert (b.mode, b.size, b.info.get("dpi")) == (a.mode, a.size, a.info.get("dpi"))
        assert np.array_equal(np.asarray(a), np.asarray(b))
    assert np.array_equal(pixels.read_picture(whole).array, pixels.read_picture(out.getvalue()).array)
    assert notes == said


def test_what_a_format_cannot_hold(tmp_path):
    """Said before anything is written, and not by a file that nobody can read."""
    wide = Picture(np.broadcast_to(np.uint8(7), (2, 70000, 3)))
    vast = Picture(np.broadcast_to(np.uint8(7), (40000, 40000, 3)))
    for picture, form, said in ((wide, "JPEG", "65500"), (vast, "TIFF", "4 GB")):
        write, _ = written.by_rows(picture, iter(()), form, 1)
        out = io.BytesIO()
        with pytest.raises(OutputError, match=said):
            write(out)
        assert not out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "RGB with a transparent colour"])
@pytest.mark.parametrize("keep_alpha", [True, False])
def test_large_16_bit_pictures_are_the_same(tmp_path, small_parts, monkeypatch, mode, keep_alpha):
    channels = {"LA": 2, "RGBA": 4}.get(mode, 3)
    given = np.random.default_rng(5).integers(0, 65536, (70, 90, channels), np.uint16)
    if channels in (2, 4):
        given[10:30, 5:50, -1] = 0
        given[30:, :, -1] = 65535
    path = tmp_path / "in.png"
    if "transparent" in mode:
        extra = {"transparency": tuple(int(value) for value in given[3, 4])}
        path.write_bytes(deep.png(given, **extra))
    else:
        path.write_bytes(deep.png(given))
    for source in (path, path.read_bytes()):
        large = pixels.open_picture(source, alpha=keep_alpha)
        if "transparent" not in mode:
            assert not isinstance(large.pixels, np.ndarray), "it is held"
        with monkeypatch.context() as small:
            small.setattr(raster, "TILE", 2048)
            wanted = pixels.open_picture(source, alpha=keep_alpha)
        colours = given[:, :, : channels - 1 + channels % 2]
        assert np.array_equal(pixels.read_picture(source, alpha=False).array, colours)
        window = slice(7, 55), slice(3, 80)
        seen = np.ones((70, 90), np.bool_) if wanted.alpha is None else wanted.alpha > 0
        assert np.array_equal(large.array[seen], wanted.array[seen])
        assert np.array_equal(large.pixels[window], large.array[window])
        assert (large.alpha is None) == (wanted.alpha is None)
        assert large.alpha is None or np.array_equal(large.alpha, wanted.alpha)


def test_no_room_for_temporary_files(tmp_path, small_parts, monkeypatch):
    given = np.random.default_rng(5).integers(0, 65536, (70, 90, 3), np.uint16)
    path = tmp_path / "in.png"
    path.write_bytes(deep.png(given))

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(raster.tempfile, "TemporaryFile", lambda **_: Full())
    assert np.array_equal(pixels.read_picture(path).array, given)


@pytest.mark.parametrize("mode", ["CMYK", "P", "YCbCr", "1", "I;16", "I"])
def test_conversion_in_strips(city, monkeypatch, mode):
    """Through a profile, too: any will do that CMYK can be read with."""
    image = Image.fromarray(city[:, :, 0].astype(np.uint16) * 200) if mode.startswith("I") else None
    image = image.convert("I") if mode == "I" else image or Image.fromarray(city).convert(mode)
    wanted = pixels.open_picture(image)
    monkeypatch.setattr(raster, "TILE", 32)
    monkeypatch.setattr(raster, "STRIP", 24)
    large = pixels.open_picture(image)
    assert np.array_equal(large.array, wanted.array) and large.notes == wanted.notes


def test_cmyk_without_a_working_profile_is_converted_plainly(city):
    image = Image.fromarray(city).convert("CMYK")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (b"", b"no profile", srgb):
        converted, left, _ = modes.to_eight_bits(image, icc, False)
        assert np.array_equal(np.asarray(converted), np.asarray(image.convert("RGB"))) and left == b""


@pytest.fixture
def without_networks(monkeypatch):
    """Decoding whose networks take no time, and no memory; group `lost` is damaged."""

    def make(lost=None):
        def bands(model, header, *_, **__):
            groups = Groups(header.latent_size, header.group_edge).all
            symbols = [None if number == lost else () for number in range(len(groups))]
            yield Band(groups, symbols, 0, header.latent_size[0] // 4)

        def pixel_bands(model, header, coming):
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


def test_salvaged_pictures_are_written_by_rows(cli, city, tmp_path, monkeypatch):
    """Turned upright, too: the pixels are those that are written at once."""
    source, coded = tmp_path / "in.png", tmp_path / "a.aec"
    image, exif = Image.fromarray(city), Image.Exif()
    exif[0x0112] = 6
    image.save(source, exif=exif)
    assert cli("encode", str(source), str(coded)).code == 0
    found = []
    for tile in (2048, 100):
        monkeypatch.setattr(raster, "TILE", tile)
        for option in ("--salvage", "--scale=1/2", "--region=3,5,390,290"):
            back = tmp_path / f"{tile}{len(found)}.jpg"
            done = cli("decode", str(coded), str(back), option, "--apply-orientation")
            assert done.code == 0, done.err
            with Image.open(back) as opened:
                found.append((opened.size, opened.getexif().get(0x0112, 1), np.asarray(opened).tobytes()))
    assert found[:3] == found[3:] and found[0][0] == (300, 410)
