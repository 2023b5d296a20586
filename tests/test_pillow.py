"""The Pillow plugin: opening, lazy loading, saving, modes, metadata, errors."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import psnr
from PIL import Image, ImageOps, UnidentifiedImageError

import aecodec
from aecodec.errors import AecodecError


@pytest.fixture(autouse=True)
def registered():
    aecodec.register()
    aecodec.register()


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "AEC", device="cpu", **options)
    return out.getvalue()


def test_registered_once():
    assert Image.ID.count("AEC") == 1
    assert Image.registered_extensions()[".aec"] == "AEC" and Image.MIME["AEC"] == "image/x-aec"


def test_open(city, city_file, tmp_path):
    (tmp_path / "no suffix").write_bytes(city_file)
    with Image.open(tmp_path / "no suffix") as image:
        assert (image.format, image.mode, image.size) == ("AEC", "RGB", (410, 300))
        image.verify()
    with Image.open(tmp_path / "no suffix") as image:
        assert np.array_equal(np.asarray(image), aecodec.decode(city_file))
        assert image.copy().resize((41, 30)).size == (41, 30)
        assert psnr(np.asarray(image), city) > 20


def test_opening_is_lazy(city_file, tmp_path):
    path = tmp_path / "a.aec"
    path.write_bytes(city_file)
    code = (
        "import sys, aecodec; from PIL import Image\n"
        "aecodec.register(); image = Image.open(sys.argv[1])\n"
        "print(image.size, 'onnxruntime' in sys.modules)\n"
        "image.load(); print('onnxruntime' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["(410, 300) False", "True"]


def test_save(budgie, tmp_path):
    image = Image.fromarray(budgie)
    image.save(tmp_path / "a.aec", quality=80)
    image.save(tmp_path / "b.aec", quality=10)
    assert (tmp_path / "b.aec").stat().st_size < (tmp_path / "a.aec").stat().st_size
    assert aecodec.info(tmp_path / "a.aec")["quality"] == pytest.approx(80, abs=0.01)
    with Image.open(tmp_path / "a.aec") as back:
        assert psnr(np.asarray(back), budgie) > 20


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_modes(mode, budgie):
    result = "RGB" if mode == "P" else mode
    image = Image.fromarray(budgie).convert(mode)
    with Image.open(io.BytesIO(saved(image))) as back:
        assert back.mode == result
        back.load()
        assert back.mode == result and back.size == image.size


def test_metadata(budgie):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    data = saved(Image.fromarray(budgie), exif=exif, icc_profile=b"profile", xmp=b"<x/>")
    assert aecodec.info(data)["orientation"] == 6
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == b"profile" and image.info["xmp"] == b"<x/>"
        assert image.getexif()[0x010F] == "maker"
        assert ImageOps.exif_transpose(image).size == (200, 240)
    with Image.open(io.BytesIO(data)) as image:
        again = saved(image)
        dropped = saved(image, exif=b"", icc_profile=None, xmp=None)
    with Image.open(io.BytesIO(again)) as image:
        assert image.getexif()[0x0112] == 6 and image.info["icc_profile"] == b"profile"
    with Image.open(io.BytesIO(dropped)) as image:
        assert not image.info and not image.getexif()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dpi": (72.5, 1e9)}, "dpi"),
        ({"dpi": (float("nan"), 1)}, "dpi"),
        ({"dpi": "72"}, "dpi"),
        ({"dpi": 300}, "dpi"),
        ({"dpi": (0, 0)}, "dpi"),
        ({"icc_profile": "profile"}, "icc_profile"),
        ({"exif": "Exif"}, "exif"),
        ({"xmp": 5}, "xmp"),
        ({"quality": "60"}, "quality"),
        ({"target_size": "40k"}, "target size"),
        ({"target_size": 900, "target_bpp": 1}, "bpp and size"),
    ],
)
def test_options_that_cannot_be_are_named(options, words):
    with pytest.raises(OSError, match=words):
        saved(Image.new("L", (8, 8)), **options)


@pytest.mark.parametrize("info", [{"dpi": (72,)}, {"dpi": "x"}, {"dpi": (1e12, 1)}])
def test_a_resolution_that_is_none_is_left_out(info):
    image = Image.new("L", (8, 8))
    image.info.update(info)
    with Image.open(io.BytesIO(saved(image))) as back:
        assert "dpi" not in back.info


@pytest.mark.parametrize("key", ["icc_profile", "exif"])
def test_metadata_that_is_no_bytes_is_named(key):
    image = Image.new("L", (8, 8))
    image.info[key] = "text"
    with pytest.raises(OSError, match=f"{key} of the image"):
        saved(image)


def test_targets(budgie):
    image = Image.fromarray(budgie)
    plain = saved(image)
    assert len(saved(image, max_size=len(plain) // 2)) <= len(plain) // 2
    assert abs(len(saved(image, target_size=3000)) / 3000 - 1) < 0.01
    bits = image.width * image.height
    assert abs(8 * len(saved(image, target_bpp=0.5)) / bits / 0.5 - 1) < 0.01
    assert len(saved(image, target_psnr=30)) < len(saved(image, target_psnr=34))
    with pytest.warns(UserWarning, match="quality 100 does not reach"):
        saved(image, target_psnr=70)


@pytest.mark.parametrize("options", [{"dpi": ()}, {"icc_profile": ""}, {"exif": ""}, {"xmp": ""}])
def test_empty_metadata_is_none(options, budgie):
    image = Image.fromarray(budgie)
    image.info.update({"dpi": (72, 72), "icc_profile": b"profile", "xmp": b"<x/>"})
    (key,) = options
    with Image.open(io.BytesIO(saved(image, **options))) as back:
        assert key not in back.info and len(back.info) == 3 - (key in image.info)
    image.info.update(options)
    with Image.open(io.BytesIO(saved(image))) as back:
        assert key not in back.info


def test_errors(city_file):
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"\x89AEC\r\n\x1a\n\x09" + city_file[9:]))
    for damaged in (
        city_file[:-1],
        city_file[:60],
        city_file[:200] + bytes([city_file[200] ^ 1]) + city_file[201:],
    ):
        with pytest.raises(OSError) as caught:
            Image.open(io.BytesIO(damaged))
        assert isinstance(caught.value.__cause__, AecodecError)
    with pytest.raises(OSError, match="quality"):
        saved(Image.new("L", (8, 8)), quality=200)
    with pytest.raises(OSError, match="mode"):
        saved(Image.new("F", (8, 8)))


def test_threads(city_file):
    def load(_):
        with Image.open(io.BytesIO(city_file)) as image:
            return np.asarray(image).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(load, range(8)))) == 1


def test_what_has_to_be_changed_is_a_warning():
    with pytest.warns(UserWarning, match="CMYK converted to sRGB"):
        saved(Image.new("CMYK", (8, 8)))
