"""`aecodec compare`, and the metrics behind it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from conftest import DATA
from PIL import Image, ImageOps
from synthetic import smooth

from aecodec import metrics, raster
from aecodec.cli import compare
from aecodec.errors import UsageError

CITY = DATA / "city.jpg"


@pytest.fixture(scope="module")
def noisy(city):
    rng = np.random.default_rng(3)
    return np.clip(city + rng.normal(0, 9, city.shape), 0, 255).astype(np.uint8)


def test_psnr(city, noisy):
    a = np.zeros((4, 5, 3), np.uint8)
    assert metrics.psnr(a, a + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr(a.astype(np.uint16), a.astype(np.uint16) + np.uint16(257)) == pytest.approx(
        48.1308, abs=1e-4
    )
    assert metrics.psnr(a, a) == math.inf
    assert metrics.psnr(city, noisy) == pytest.approx(raster.psnr(city, noisy), abs=1e-5)


def test_ssim_agrees_with_the_plain_definition():
    """One scale against five blurs written out, in float64."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 255, (40, 33))
    y = x + rng.normal(0, 20, x.shape)
    c1, c2 = (metrics.K1 * 255) ** 2, (metrics.K2 * 255) ** 2
    kernel = np.outer(metrics.KERNEL, metrics.KERNEL)
    assert kernel.sum() == pytest.approx(1)

    def blur(a):
        return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(a, (11, 11)), kernel)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    contrast = (2 * cov + c2) / (vx + vy + c2)
    ssim = contrast * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
    found = metrics._ssim(x.astype(np.float32), y.astype(np.float32), 255)
    assert found == pytest.approx((ssim.mean(), contrast.mean()), abs=1e-4)


def test_ms_ssim(city, noisy):
    by_channel = [metrics.ms_ssim(city[:, :, c], noisy[:, :, c]) for c in range(3)]
    assert metrics.ms_ssim(city, noisy) == pytest.approx(np.mean(by_channel))
    assert 0.8 < metrics.ms_ssim(city, noisy) < 0.995
    assert metrics.ms_ssim(city, city) == pytest.approx(1)
    deep = [a.astype(np.uint16) * 257 for a in (city, noisy)]
    assert metrics.ms_ssim(*deep) == pytest.approx(metrics.ms_ssim(city, noisy), abs=1e-5)


def test_ms_ssim_of_opposites(city):
    assert 0 <= metrics.ms_ssim(city, 255 - city) < 0.3


def test_max_difference():
    a = np.zeros((4, 5), np.uint8)
    b = a.copy()
    b[2, 3], b[0, 0] = 200, 100
    assert metrics.max_difference(a, b) == metrics.max_difference(b, a) == 200
    assert metrics.max_difference(a, a) == 0


def test_no_pixels():
    none = np.zeros((0, 3), np.uint8)
    assert metrics.psnr(none, none) == math.inf and metrics.max_difference(none, none) == 0


def test_ssim_of_what_is_seen_agrees_with_the_plain_definition():
    """Windows one by one: weighted means over the pixels that are seen, in float64."""
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 255, (24, 29))
    y = x + rng.normal(0, 20, x.shape)
    seen = rng.uniform(size=x.shape) < 0.1
    seen[:12, :14] = False
    c1, c2 = (metrics.K1 * 255) ** 2, (metrics.K2 * 255) ** 2
    kernel = np.outer(metrics.KERNEL, metrics.KERNEL).astype(float)
    found, counts = [], []
    for top in range(14):
        for left in range(19):
            window = slice(top, top + 11), slice(left, left + 11)
            counts.append((kernel * seen[window]).sum())
            if not counts[-1]:
                found.append((0, 0))
                continue
            weights, a, b = kernel * seen[window] / counts[-1], x[window], y[window]
            ma, mb = (weights * a).sum(), (weights * b).sum()
            da, db = a - ma, b - mb
            va, vb, cov = ((weights * d).sum() for d in (da * da, db * db, da * db))
            contrast = (2 * cov + c2) / (va + vb + c2)
            found.append((contrast * (2 * ma * mb + c1) / (ma**2 + mb**2 + c1), contrast))
    assert counts[0] == 0 < max(counts)
    planes = [p.astype(np.float32) for p in (x, y, seen)]
    assert metrics._ssim(*planes[:2], 255, planes[2]) == pytest.approx(
        np.average(found, axis=0, weights=counts), abs=1e-4
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ms_ssim_of_what_is_seen(city, noisy, dtype):
    """That of the part that is seen, whatever the rest is; noise on equal pixels would be flattered."""
    a, b = (p.astype(dtype) * dtype(np.iinfo(dtype).max // 255) for p in (city, noisy))
    seen = np.zeros(city.shape[:2], bool)
    seen[60:260, 101:311] = True
    wanted = metrics.ms_ssim(a[60:260, 101:311], b[60:260, 101:311])
    equal = np.where(seen[:, :, None], b, a)
    assert metrics.ms_ssim(a, equal) > wanted + 0.02
    found = metrics.ms_ssim(a, equal, seen)
    assert found == pytest.approx(wanted, abs=0.008)
    assert found == metrics.ms_ssim(a, b, seen) == metrics.ms_ssim(a, np.where(seen[:, :, None], b, 7), seen)
    assert metrics.ms_ssim(a, b, np.ones_like(seen)) == metrics.ms_ssim(a, b)
    assert metrics.ms_ssim(a, b, ~np.eye(*seen.shape, dtype=bool)) == pytest.approx(
        metrics.ms_ssim(a, b), abs=1e-3
    )
    assert metrics.ms_ssim(a, b, np.zeros_like(seen)) == 1
    corner = np.zeros_like(seen)
    corner[0, 0] = True
    assert 0 <= metrics.ms_ssim(a, b, corner) <= 1
    with pytest.raises(UsageError, match="seen"):
        metrics.ms_ssim(a, b, seen[1:])


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ms_ssim, metrics.max_difference])
def test_other_arrays_are_refused(metric):
    a = np.zeros((200, 200, 3), np.uint8)
    for b in (a[:-1], a[:, :, 0], a.astype(np.uint16), a.astype(np.float32)):
        with pytest.raises(UsageError, match="one shape"):
            metric(a, b)


def test_ms_ssim_of_small_pictures():
    with pytest.raises(UsageError, match="176"):
        metrics.ms_ssim(np.zeros((175, 300), np.uint8), np.zeros((175, 300), np.uint8))


def test_of_a_file_and_its_source(cli, tmp_path, city, codec, city_file):
    (tmp_path / "a.aec").write_bytes(city_file)
    result = cli("compare", CITY, tmp_path / "a.aec", "--json", "--device", "cpu", "--threads", "2")
    facts, decoded = json.loads(result.out), codec.decode(city_file)
    assert result.code == 0 and (facts["width"], facts["height"]) == (410, 300)
    assert facts["psnr"] == pytest.approx(raster.psnr(city, decoded), abs=1e-4)
    assert facts["ms_ssim"] == pytest.approx(metrics.ms_ssim(city, decoded), abs=1e-5)
    assert facts["max_difference"] == np.abs(city.astype(int) - decoded).max()
    assert facts["max_difference_alpha"] is None and not facts["identical"]
    assert facts["a"]["bytes"] == CITY.stat().st_size and facts["b"]["bytes"] == len(city_file)
    assert facts["b"]["bpp"] == pytest.approx(8 * len(city_file) / (410 * 300))
    text = cli("compare", CITY, "-", stdin=city_file).out.decode()
    assert f"{facts['psnr']:.4f} dB" in text and f"{facts['b']['bpp']:.4f} bits per pixel" in text


def test_equal_pictures(cli, tmp_path):
    Image.fromarray(smooth(1)).save(tmp_path / "a.png")
    Image.fromarray(smooth(1)).save(tmp_path / "b.tif")
    result = cli("compare", tmp_path / "a.png", tmp_path / "b.tif", "--json")
    facts = json.loads(result.out)
    assert facts["identical"] and facts["psnr"] is None and facts["max_difference"] == 0
    assert facts["ms_ssim"] is None  # 96 x 112 is too small
    text = cli("compare", tmp_path / "a.png", tmp_path / "b.tif").out
    assert b"infinite" in text and b"below 176" in text


def test_grey_and_alpha(cli, tmp_path):
    grey = smooth(1)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    alpha = np.full_like(grey, 255)
    alpha[3, 4] = 250
    Image.fromarray(np.dstack([grey, grey, grey, alpha])).save(tmp_path / "rgba.png")
    facts = json.loads(cli("compare", tmp_path / "grey.png", tmp_path / "rgba.png", "--json").out)
    assert (facts["psnr"], facts["max_difference"], facts["max_difference_alpha"]) == (None, 0, 5)
    assert not facts["identical"]
    assert b"in alpha        5" in cli("compare", tmp_path / "grey.png", tmp_path / "rgba.png").out


@pytest.fixture(scope="module")
def cut_out(city):
    """uint8 [300, 410, 4] of which a quarter shows."""
    alpha = np.zeros(city.shape[:2], np.uint8)
    alpha[60:210, 100:305] = 200
    return np.dstack([city, alpha])


@pytest.mark.parametrize("turned", [False, True])
def test_only_what_shows_is_compared(cli, tmp_path, codec, cut_out, turned):
    seen = cut_out[:, :, 3] > 0
    image = Image.fromarray(cut_out)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    (tmp_path / "a.aec").write_bytes(codec.encode(tmp_path / "a.png", 30))
    decoded = codec.decode(tmp_path / "a.aec")
    if turned:
        with Image.open(tmp_path / "a.png") as stored:
            ImageOps.exif_transpose(stored).save(tmp_path / "a.png")
    facts = json.loads(cli("compare", tmp_path / "a.png", tmp_path / "a.aec", "--json").out)
    a, b = cut_out[seen][:, :3], decoded[seen][:, :3]
    assert facts["psnr"] == pytest.approx(metrics.psnr(a, b), abs=1e-4)
    assert facts["max_difference"] == metrics.max_difference(a, b)
    assert facts["compared"] == seen.sum() and not facts["identical"]
    wanted = metrics.ms_ssim(cut_out[:, :, :3], decoded[:, :, :3], seen)
    # Halves of an odd number of pixels fall elsewhere when it is turned.
    assert facts["ms_ssim"] == pytest.approx(wanted, abs=0.003 if turned else 1e-6)
    text = cli("compare", tmp_path / "a.png", tmp_path / "a.aec").out
    assert f"compared        {150 * 205} of {300 * 410} pixels".encode() in text


def test_alpha_of_one_of_them(cli, tmp_path, cut_out):
    """Against its own colours, 16 bits against 8; and hidden everywhere, there is nothing to compare."""
    shown = np.where(cut_out[:, :, 3:] > 0, cut_out[:, :, :3], 0).astype(np.uint8)
    Image.fromarray(shown).save(tmp_path / "opaque.png")
    Image.fromarray(cut_out).save(tmp_path / "cut.png")
    Image.fromarray(np.dstack([shown, np.zeros_like(shown[:, :, 0])])).save(tmp_path / "hidden.png")
    for names in (("opaque.png", "cut.png"), ("cut.png", "opaque.png")):
        facts = json.loads(cli("compare", *(tmp_path / name for name in names), "--json").out)
        assert (facts["psnr"], facts["max_difference"], facts["max_difference_alpha"]) == (None, 0, 255)
        assert facts["ms_ssim"] == pytest.approx(1) and not facts["identical"]
    result = cli("compare", tmp_path / "opaque.png", tmp_path / "hidden.png")
    assert (
        result.code == 0 and b"no pixel shows in both" in result.out and b"in alpha        255" in result.out
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned(cli, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.dstack([smooth(1), smooth(2)[:, :, 0]]))
    image.save(tmp_path / "stored.png", exif=exif)
    with Image.open(tmp_path / "stored.png") as stored:
        ImageOps.exif_transpose(stored).save(tmp_path / "upright.png")
    facts = json.loads(cli("compare", tmp_path / "stored.png", tmp_path / "upright.png", "--json").out)
    assert facts["identical"] and facts["max_difference_alpha"] == 0


def test_depths():
    eight = smooth(1)
    deep = eight.astype(np.uint16) * 257
    x, y = compare._of_one_kind(eight, deep)
    assert x.dtype == np.uint16 and np.array_equal(x, y)


def test_errors(cli, tmp_path):
    Image.new("RGB", (20, 30)).save(tmp_path / "a.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    result = cli("compare", tmp_path / "a.png", tmp_path / "b.png")
    assert result.code == 3 and "20 x 30" in result.err and "30 x 20" in result.err
    assert cli("compare", "-", "-").code == 2
    assert cli("compare", tmp_path / "a.png", tmp_path / "none.png").code == 3
    (tmp_path / "cut.aec").write_bytes(b"\x89AEC\r\n\x1a\n\x01")
    result = cli("compare", tmp_path / "a.png", tmp_path / "cut.aec")
    assert result.code == 5 and "cut.aec" in result.err


def test_profiles(cli, tmp_path):
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(smooth(1)).save(tmp_path / "a.png", icc_profile=icc)
    Image.fromarray(smooth(1)).save(tmp_path / "b.png")
    result = cli("compare", tmp_path / "a.png", tmp_path / "b.png")
    assert result.code == 0 and "profiles differ" in result.err
