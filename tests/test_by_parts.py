"""Large pictures read, filled and written by parts: the bytes and the pixels of those that are held whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from synthetic import ramp

from aecodec import conceal, deep, jpeg, modes, pixels, raster, tiff
from aecodec.cli import written
from aecodec.errors import OutputError
from aecodec.pixels import Picture


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
    tags = {0x0131: "a camera of seventeen letters and more"}
    metadata = {"dpi": (300, 300), "tiffinfo": tags, "icc_profile": bytes(range(200))}
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


@pytest.fixture
def small_parts(monkeypatch):
    """Pictures of a few tiles are large ones."""
    monkeypatch.setattr(raster, "TILE", 32)
    monkeypatch.setattr(raster, "STRIP", 24)


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

    def nowhere(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(raster.tempfile, "TemporaryFile", nowhere)
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
