"""The benchmarks measure right: metrics against known values, rd.py from end to end on two small pictures."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import codecs, curves, metrics, pictures, rd, tracing

DATA = Path(__file__).parent / "data"
BPP = [0.1, 0.2, 0.45, 0.9, 1.6]
PSNR = [26.0, 29.1, 32.4, 35.0, 38.2]


def photo() -> np.ndarray:
    with Image.open(DATA / "city.jpg") as image:
        return np.asarray(image.convert("RGB"))


def noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def test_psnr_of_a_known_error() -> None:
    a = np.full((20, 30, 3), 100, np.uint8)
    assert metrics.psnr(a, a + np.uint8(1)) == pytest.approx(20 * math.log10(255))
    b = a.copy()
    b[:, :, 1] -= np.uint8(6)  # one channel of three: mse 12
    assert metrics.psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 12))
    assert metrics.psnr(a, a) == math.inf
    assert metrics.psnr(a * 0, a * 0 + np.uint8(255)) == 0  # differences do not wrap


def test_psnr_wants_equal_shapes() -> None:
    with pytest.raises(ValueError, match="one shape"):
        metrics.psnr(np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 3), np.uint8))


def test_ms_ssim_of_identical_pictures_is_one_and_falls_with_noise() -> None:
    picture = photo()
    values = [metrics.ms_ssim(picture, noisy(picture, sigma)) for sigma in (0, 2, 5, 10, 20, 40)]
    assert values[0] == pytest.approx(1, abs=1e-6)
    assert all(b < a for a, b in zip(values, values[1:], strict=False))
    assert values[-1] > 0.3


def test_ms_ssim_follows_its_formula() -> None:
    """Two flat pictures: structure is 1 at every scale, luminance counts at the last one."""
    a, b = np.full((176, 176), 100, np.uint8), np.full((176, 176), 110, np.uint8)
    c1 = (0.01 * 255) ** 2
    luminance = (2 * 100 * 110 + c1) / (100**2 + 110**2 + c1)
    assert metrics.ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-6)


def test_ms_ssim_agrees_with_the_plain_definition() -> None:
    """One scale against five blurs written out, in float64."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 255, (40, 33))
    y = x + rng.normal(0, 20, x.shape)
    kernel = np.outer(metrics._KERNEL, metrics._KERNEL)
    assert kernel.sum() == pytest.approx(1)

    def blur(a: np.ndarray) -> np.ndarray:
        return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(a, (11, 11)), kernel)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    contrast = (2 * cov + metrics.C2) / (vx + vy + metrics.C2)
    ssim = contrast * (2 * mx * my + metrics.C1) / (mx**2 + my**2 + metrics.C1)
    found = metrics._ssim_and_contrast(x.astype(np.float32), y.astype(np.float32))
    assert found == pytest.approx((ssim.mean(), contrast.mean()), abs=1e-4)


def test_ms_ssim_refuses_small_pictures_and_takes_odd_ones() -> None:
    small = np.zeros((175, 300, 3), np.uint8)
    with pytest.raises(ValueError, match="176"):
        metrics.ms_ssim(small, small)
    odd = photo()[:177, :203]
    assert metrics.ms_ssim(odd, odd) == pytest.approx(1, abs=1e-6)


def test_bd_rate_of_known_curves() -> None:
    assert metrics.bd_rate(BPP, PSNR, BPP, PSNR) == pytest.approx(0, abs=1e-9)
    cheaper = [0.8 * rate for rate in BPP]
    assert metrics.bd_rate(BPP, PSNR, cheaper, PSNR) == pytest.approx(-20, abs=1e-9)
    assert metrics.bd_rate(cheaper, PSNR, BPP, PSNR) == pytest.approx(25, abs=1e-9)


def test_bd_rate_takes_any_order_and_only_the_overlap() -> None:
    assert metrics.bd_rate(BPP[::-1], PSNR[::-1], BPP, PSNR) == pytest.approx(0, abs=1e-9)
    straight = [math.exp(value / 5) for value in PSNR]  # log-rate is linear: exact on any range
    inner = [30.0, 31.0, 33.5]
    half = [0.5 * math.exp(value / 5) for value in inner]
    assert metrics.bd_rate(straight, PSNR, half, inner) == pytest.approx(-50, abs=1e-9)


def test_bd_rate_without_overlap_is_none() -> None:
    assert metrics.bd_rate(BPP, PSNR, BPP, [value + 50 for value in PSNR]) is None
    assert metrics.bd_rate(BPP[:1], PSNR[:1], BPP, PSNR) is None


def test_bd_rate_agrees_with_other_implementations() -> None:
    other_bpp, other_psnr = [0.15, 0.3, 0.7, 1.1], [27.7, 31.0, 34.0, 36.0]
    ours = metrics.bd_rate(BPP, PSNR, other_bpp, other_psnr)
    judge = pytest.importorskip("bjontegaard")
    theirs = judge.bd_rate(
        BPP, PSNR, other_bpp, other_psnr, "pchip", require_matching_points=False, min_overlap=0
    )
    assert ours == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in codecs.REGISTRY if n != "aecodec"])
def test_peers_code_pictures(name: str) -> None:
    try:
        codec = codecs.make(name, 1)
    except ValueError as error:
        pytest.skip(str(error))
    image = Image.fromarray(photo()[:100, :120])
    low, high = (codec.encode(image, q) for q in (codec.qualities[0], codec.qualities[-1]))
    assert len(low) < len(high)
    assert metrics.psnr(pictures.pixels(image), codec.decode(high)) > 30


def test_unknown_codec() -> None:
    with pytest.raises(ValueError, match="avif-s6"):
        codecs.make("jpg")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures; one is too small for MS-SSIM."""
    place = tmp_path / "pictures"
    place.mkdir()
    Image.fromarray(photo()[:192, :192]).save(place / "a.png")
    Image.fromarray(photo()[100:164, 200:296]).save(place / "b.png")
    return place


def run_rd(folder: Path, out: Path, *more: str) -> dict:
    arguments = [
        str(folder),
        "--codecs",
        "aecodec",
        "jpeg",
        "--qualities",
        "20",
        "50",
        "80",
        "--out",
        str(out),
    ]
    assert rd.main([*arguments, *more]) == 0
    return json.loads(out.read_text())


def test_rd_from_end_to_end(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, anchors = tmp_path / "rd.json", tmp_path / "anchors.json"
    first = run_rd(folder, out)
    assert len(first["rows"]) == 2 * (5 + 3)  # aecodec at q 0 and 100, too
    for row in first["rows"]:
        assert row["bytes"] * 8 == pytest.approx(
            row["bpp"] * (192 * 192 if row["picture"] == "a.png" else 64 * 96)
        )
        assert (row["ms-ssim-rgb"] is None) == (row["picture"] == "b.png")
    jpeg = first["codecs"]["jpeg"]["results"]
    assert jpeg["quality"] == [20, 50, 80] and jpeg["ms-ssim-rgb"] == [None] * 3
    by_hand = [row["psnr-rgb"] for row in first["rows"] if (row["codec"], row["quality"]) == ("jpeg", 50)]
    assert jpeg["psnr-rgb"][1] == pytest.approx(sum(by_hand) / 2)
    assert first["codecs"]["aecodec"]["dial"]["bpp_at_q0"] < first["codecs"]["aecodec"]["results"]["bpp"][0]
    assert first["bd_rate"]["jpeg (here)"]["jpeg"] == pytest.approx(0, abs=1e-9)
    for key in ("commit", "model_id", "cpu", "threads", "versions"):
        assert key in first["environment"]
    assert str(tmp_path) not in out.read_text()

    cheaper = {"results": {**jpeg, "bpp": [rate * 0.8 for rate in jpeg["bpp"]]}}
    anchors.write_text(json.dumps({"cheap JPEG": cheaper}))
    capsys.readouterr()
    second = run_rd(folder, out, "--anchors", str(anchors))
    assert "0 rows measured, 16 from" in capsys.readouterr().out
    assert second["rows"] == first["rows"]
    assert second["bd_rate"]["cheap JPEG"]["jpeg"] == pytest.approx(25, abs=1e-6)
    assert set(curves.read_curves(out)) == {"aecodec", "jpeg"}  # a result file can be an anchor


def test_rd_leaves_other_files_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "notes.json"
    out.write_text('{"mine": 1}')
    assert rd.main([str(folder), "--out", str(out)]) == 2
    assert "no result file" in capsys.readouterr().err
    assert out.read_text() == '{"mine": 1}'


def test_rd_without_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rd.main([str(tmp_path), "--out", str(tmp_path / "rd.json")]) == 2
    assert "no picture" in capsys.readouterr().err


def test_entropy_runs_and_counts(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("constriction")
    entropy = importlib.import_module("benchmarks.entropy")
    out = tmp_path / "entropy.json"
    assert entropy.main([str(folder), "--qualities", "60", "--rounds", "2", "--out", str(out)]) == 0
    found = json.loads(out.read_text())["qualities"]["60"]
    sizes = found["bytes"]
    assert found["groups"] == 2 and found["coded_symbols"] > 0
    assert sizes["constriction range"] == pytest.approx(sizes["ideal"], rel=0.01)
    lane_states = found["groups"] * (1 + 5 + 4 * 32)
    assert sizes["ideal"] - 1 <= sizes["aecodec"] <= sizes["ideal"] * 1.005 + lane_states


def test_speed_runs(folder: Path, tmp_path: Path) -> None:
    speed = importlib.import_module("benchmarks.speed")
    out = tmp_path / "speed.json"
    fast = ["--rounds", "1", "--skip-large", "--skip-cold", "--peers", "jpeg-baseline"]
    assert speed.main([str(folder), *fast, "--out", str(out)]) == 0
    found = json.loads(out.read_text())["pictures"]["192 x 192"]
    assert found["ratios"]["jpeg-baseline"]["encode"] > 0
    for what in ("encode", "decode"):
        parts = found["breakdown_ms"][what]
        total = parts.pop("total")
        assert sum(parts.values()) == pytest.approx(total)
        assert {"entropy coder", "pixels", "container", "graph scales_first"} <= set(parts)


def test_watched_functions_are_put_back() -> None:
    before, watch = metrics.psnr, tracing.Stopwatch()
    with pytest.raises(ZeroDivisionError), tracing.wrapped(metrics, "psnr", watch.watch("x")):
        assert metrics.psnr is not before
        raise ZeroDivisionError
    assert metrics.psnr is before
    with tracing.wrapped(metrics, "no_such_name", watch.watch("x")):
        assert not hasattr(metrics, "no_such_name")
