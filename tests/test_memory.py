"""Large pictures: bounded memory, the same files and pictures as when they are held whole."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aecodec import container, decoding, encoding, parallel, pixels, png, raster, windows
from aecodec.codec import Codec
from aecodec.errors import CorruptError
from aecodec.groups import Groups

SIDE = 4900
"""Of the picture whose memory is measured: 24 megapixels."""
PEAK = 900e6
"""Bytes, for one of any size. Held whole, a picture takes about 60 bytes a pixel: 1.4 GB at this size."""

COMMAND = """
import sys
from aecodec.cli.main import main
code = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def photograph(city, height, width, noise=3):
    """city side by side with its mirror images; the noise keeps blocks from being coded as pixels."""
    wide = np.concatenate([city, city[:, ::-1]], 1)
    tile = np.concatenate([wide, wide[::-1]], 0)
    times = -(-height // tile.shape[0]), -(-width // tile.shape[1]), 1
    picture = np.tile(tile, times)[:height, :width]
    grain = np.random.default_rng(7).integers(-noise, noise + 1, (199, 211, 3), np.int16)
    for top in range(0, height, 199):
        row = picture[top : top + 199]
        grains = np.tile(grain, (1, -(-width // 211), 1))[: row.shape[0], :width]
        row[:] = (row.astype(np.int16) + grains).clip(0, 255)
    return picture


def peak_of(*arguments):
    run = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    _, kilobytes, _ = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return 1024 * int(kilobytes)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_peak_memory(city, tmp_path):
    source, coded, back = (tmp_path / name for name in ("in.ppm", "out.aec", "back.png"))
    Image.fromarray(photograph(city, SIDE, SIDE)).save(source)
    limits = "--threads", 2, "--device", "cpu"
    peaks = {
        "encode": peak_of("encode", source, coded, *limits),
        "decode": peak_of("decode", coded, back, *limits),
    }
    assert all(peak < PEAK for peak in peaks.values()), peaks
    with Image.open(back) as image:
        assert image.size == (SIDE, SIDE)


@pytest.fixture
def small_windows(monkeypatch):
    """Windows, bands and tiles so small that pictures of a few blocks have many."""

    def make(threads, largest=140):
        codec = Codec(device="cpu", threads=threads)
        codec._loader.load(codec.bundle).networks.largest = largest
        return codec

    monkeypatch.setattr(parallel, "FEW", 1)
    monkeypatch.setattr(encoding, "WIDEST", 100)
    monkeypatch.setattr("aecodec.decoding.WIDEST", 100)
    monkeypatch.setattr("aecodec.decoding.ENCODED_WIDEST", 100)
    return make


def symbols_of(codec, data):
    parsed = container.read_file(data)
    return decoding.decode_symbols(codec._loader.model_of(parsed.header), parsed.header, parsed.groups)[:2]


def test_bands_equal_the_whole(codec, small_windows, city):
    picture = photograph(city, 1700, 700)
    banded = small_windows(2)
    whole, parts = codec.encode(picture, 60), banded.encode(picture, 60)
    header = container.read_header(parts)
    height, width = (side // 4 for side in header.latent_size)
    tall = windows.band_height(height, width, 2, 140, 100)
    assert len(Groups.of(header).bands(tall)) > 2
    for a, b in zip(symbols_of(codec, whole), symbols_of(codec, parts), strict=True):
        assert (a != b).mean() < 1e-4, "only a value on the edge of rounding may fall either way"
    for a, b in zip(symbols_of(codec, whole), symbols_of(banded, whole), strict=True):
        assert np.array_equal(a, b)
    difference = np.abs(codec.decode(whole).astype(int) - banded.decode(whole))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    part = banded.decode(whole, region=(130, 900, 333, 500))
    assert np.abs(part.astype(int) - codec.decode(whole)[900:1400, 130:463]).max() <= 1


def test_threads_change_nothing(small_windows, city):
    """One thread has no pool at all."""
    picture = photograph(city, 1100, 600)
    picture[200:420, 60:400] = 255
    picture[230:400:7, 80:300:3] = 0  # blocks that are coded as pixels
    files, decoded = [], []
    for threads in (1, 2, 5):
        codec = small_windows(threads)
        files.append(codec.encode(picture, 50))
        decoded.append(codec.decode(files[0]))
    assert len(set(files)) == 1
    assert any(container.read_file(files[0]).blocks)
    assert all(np.array_equal(decoded[0], other) for other in decoded)


def test_stream_gives_what_decode_gives(small_windows, city):
    picture = photograph(city, 1300, 500)
    picture[600:900, 100:300] = 255
    picture[620:880:5, 100:300:2] = 9
    alpha = np.full((1300, 500, 1), 255, np.uint8)
    alpha[:700, :90] = 40
    codec = small_windows(2)
    data = codec.encode(np.concatenate([picture, alpha], 2), 50)
    assert any(container.read_file(data).blocks)
    blank, rows = codec.stream(data)
    whole = codec.decode(data)
    assert blank.pixels.shape == (1300, 500, 3) and np.array_equal(blank.alpha, whole[:, :, 3])
    tops, parts = zip(*rows, strict=True)
    assert len(parts) > 1 and tops == tuple(np.cumsum([0, *(len(part) for part in parts[:-1])]))
    assert np.array_equal(np.concatenate(parts), whole[:, :, :3])


def test_stream_ends_with_the_checksum(small_windows, city):
    codec = small_windows(2)
    data = codec.encode(photograph(city, 1100, 300), 30)
    header = container.read_header(data)
    wrong = bytearray(data)
    wrong[32] ^= 1
    wrong[37:41] = container._core.crc32c(bytes(wrong[:37])).to_bytes(4, "little")
    assert container.read_header(bytes(wrong)).symbols_crc != header.symbols_crc
    _, rows = codec.stream(bytes(wrong))
    with pytest.raises(CorruptError, match="checksum"):
        list(rows)


def test_damaged_output_does_not_appear(cli, city, tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "TILE", 100)
    source, coded, back = (str(tmp_path / name) for name in ("in.png", "a.aec", "back.png"))
    Image.fromarray(city).save(source)
    assert cli("encode", source, coded).code == 0
    data = bytearray((tmp_path / "a.aec").read_bytes())
    data[32] ^= 1
    data[37:41] = container._core.crc32c(bytes(data[:37])).to_bytes(4, "little")
    (tmp_path / "a.aec").write_bytes(data)
    failed = cli("decode", coded, back)
    assert failed.code == CorruptError.exit_code and "a.aec" in failed.err
    assert not list(tmp_path.glob("back*")) and not list(tmp_path.glob(".aecodec*"))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
@pytest.mark.parametrize("form", ["png", "ppm", "tif", "jpg"])
def test_rows_written_equal_the_picture(cli, city, tmp_path, monkeypatch, mode, form):
    """Every format, when the picture counts as large, holds what it holds otherwise."""
    if form in ("ppm", "jpg") and mode.endswith("A"):
        pytest.skip("the format has no alpha")
    source, coded = tmp_path / "in.png", tmp_path / "out.aec"
    image = Image.fromarray(city).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(source, dpi=(300, 300))
    results = []
    for tile, name in ((2048, "small"), (100, "large")):
        monkeypatch.setattr(raster, "TILE", tile)
        assert cli("encode", source, coded, "--force").code == 0
        back = tmp_path / f"{name}.{form}"
        assert cli("decode", coded, back).code == 0
        with Image.open(back) as opened:
            results.append((coded.read_bytes(), opened.mode, opened.info.get("dpi"), np.asarray(opened)))
    small, large = results
    assert small[1:3] == large[1:3]
    assert small[0] == large[0] or mode.endswith("A")  # hidden colour is filled tile by tile
    assert np.abs(small[3].astype(int) - large[3]).max() <= (60 if mode.endswith("A") else 0)


def test_rasters_give_the_same_pixels(city, tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "TILE", 100)
    path = tmp_path / "in.ppm"
    Image.fromarray(city).save(path)
    window = slice(37, 219), slice(5, 402)
    opened = pixels.open_picture(path)
    assert isinstance(opened.pixels, raster.FileRaster)
    assert np.array_equal(opened.pixels[window], city[window])
    loaded = pixels.open_picture(Image.fromarray(city))
    assert isinstance(loaded.pixels, raster.ImageRaster)
    assert np.array_equal(loaded.pixels[window], city[window])
    assert np.array_equal(pixels.read_picture(path).pixels, city)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match="cut short"):
        pixels.open_picture(path)


def test_hidden_colour_is_the_same_however_it_is_asked_for(city, monkeypatch):
    monkeypatch.setattr(raster, "TILE", 128)
    alpha = np.full(city.shape[:2], 255, np.uint8)
    alpha[40:200, 100:330] = 0
    hidden = raster.HiddenRaster(city, alpha)
    whole = hidden[0 : city.shape[0], 0 : city.shape[1]]
    assert np.array_equal(whole[alpha > 0], city[alpha > 0])
    assert not np.array_equal(whole[alpha == 0], city[alpha == 0])
    assert np.array_equal(hidden[100:259, 90:300], whole[100:259, 90:300])


def test_hidden_colour_is_made_once_for_many_looks(monkeypatch):
    """Blocks are read one by one, from left to right."""
    monkeypatch.setattr(raster, "TILE", 128)
    made = []
    fill = raster.conceal.fill
    monkeypatch.setattr(raster.conceal, "fill", lambda *a: made.append(1) or fill(*a))
    alpha = np.full((320, 448), 255, np.uint8)
    alpha[::7, ::7] = 0
    hidden = raster.HiddenRaster(np.zeros((320, 448, 3), np.uint8), alpha)
    for top in range(0, 320, 64):
        for left in range(0, 448, 64):
            hidden[top : top + 64, left : left + 64]
    assert len(made) == 3 * 4


def test_psnr_by_strips():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 256, (2, 700, 30, 3), np.uint8)
    error = np.mean((a.astype(float) - b) ** 2)
    wanted = pytest.approx(10 * np.log10(255**2 / error), abs=1e-9)
    assert raster.psnr(a, b) == raster.psnr_of_rows([(0, a[:90]), (90, a[90:])], b) == wanted
    assert raster.psnr(a, a) == np.inf


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_psnr_of_what_is_seen(dtype):
    """Some strips of it show in part, one of them nowhere."""
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, np.iinfo(dtype).max, (2, 800, 30, 3), dtype, True)
    alpha = np.zeros((800, 30), dtype)
    alpha[100:200, 7:] = 1
    alpha[600:, ::3] = np.iinfo(dtype).max
    error = np.mean((a[alpha > 0].astype(float) - b[alpha > 0]) ** 2)
    wanted = pytest.approx(10 * np.log10(float(np.iinfo(dtype).max) ** 2 / error), abs=1e-9)
    rows = [(0, a[:90]), (90, a[90:650]), (650, a[650:])]
    assert raster.psnr(a, b, alpha) == raster.psnr_of_rows(rows, b, alpha) == wanted
    b[alpha == 0] = a[alpha == 0]
    assert raster.psnr(a, b, alpha) == wanted and raster.psnr(a, b) > raster.psnr(a, b, alpha) + 3
    assert raster.psnr(a, b, np.maximum(alpha, 1)) == raster.psnr(a, b)
    assert raster.psnr(a, b, np.zeros_like(alpha)) == np.inf


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("threads", [1, 3])
def test_png_in_parts(dtype, threads, monkeypatch):
    """Parts of a few rows, each deflated on its own, are one valid stream."""
    monkeypatch.setattr(png, "PART", 4000)
    rng = np.random.default_rng(1)
    ramp = np.add.outer(np.arange(301) * 3, np.arange(97) * 2)[:, :, None] + rng.integers(0, 9, (301, 97, 3))
    given = (ramp % 256).astype(np.uint8) if dtype == np.uint8 else (ramp * 41 % 65536).astype(np.uint16)
    out = io.BytesIO()
    png.write(out, (97, 301), 3, 8 * given.itemsize, [given[:100], given[100:101], given[101:]], threads)
    back = pixels.to_array(pixels.read_picture(out.getvalue()))
    assert back.dtype == dtype and np.array_equal(back, given)
    if dtype == np.uint8:
        plain = io.BytesIO()
        Image.fromarray(given).save(plain, "PNG")
        assert len(out.getvalue()) < 1.3 * len(plain.getvalue()), "its filters work"


def test_ahead_passes_errors_on():
    def items():
        yield 1
        yield 2
        raise ValueError("three")

    for threads in (1, 2):
        seen = []
        with pytest.raises(ValueError, match="three"):
            for item in parallel.ahead(items(), threads):
                seen.append(item)
        assert seen == [1, 2]
