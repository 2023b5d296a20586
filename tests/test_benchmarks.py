"""The benchmarks measure right: metrics and BD-rates against known values and other implementations."""

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

from aecodec.errors import UsageError
from benchmarks import codecs, curves, metrics, perceptual, pictures, rd, speed, suite, tracing
from benchmarks.codecs import avif

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
    with pytest.raises(UsageError, match="one shape"):
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


def test_ms_ssim_refuses_small_pictures_and_takes_odd_ones() -> None:
    small = np.zeros((175, 300, 3), np.uint8)
    with pytest.raises(UsageError, match="176"):
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


def random_curve(rng: np.random.Generator, points: int, metric: str) -> curves.Curve:
    bpp = np.cumsum(rng.uniform(0.05, 0.4, points))
    rise = np.cumsum(rng.uniform(0.5, 3, points))
    quality = {"psnr": 25 + rise, "ms-ssim": 1 - 0.1 * 10 ** (-rise / 10), "ssimulacra2": -20 + 4 * rise}
    return {"results": {"bpp": list(bpp), curves.METRICS[metric].key: list(quality[metric])}}


@pytest.mark.parametrize("metric", curves.METRICS)
@pytest.mark.parametrize("lengths", [(4, 4), (8, 5), (19, 6), (6, 16)])
def test_bd_rate_agrees_with_the_package_bjontegaard(metric: str, lengths: tuple[int, int]) -> None:
    judge = pytest.importorskip("bjontegaard")
    rng = np.random.default_rng(sum(lengths))
    anchor, curve = (random_curve(rng, n, metric) for n in lengths)
    pairs = (*curves.points(anchor, metric), *curves.points(curve, metric))
    theirs = judge.bd_rate(*pairs, "pchip", require_matching_points=False, min_overlap=0)
    assert abs(theirs) > 0.1
    assert curves.compare(anchor, curve, metric) == pytest.approx(theirs, abs=1e-6)


def test_table_leaves_out_what_a_curve_does_not_have() -> None:
    """Many published curves have PSNR alone, and others than ours in number and order."""
    similarity = [0.90, 0.94, 0.97, 0.985, 0.995]
    full = {"results": {"bpp": BPP, "psnr-rgb": PSNR, "ms-ssim-rgb": similarity}}
    bare = {"results": {"bpp": [0.9, 0.3, 0.6], "psnr-rgb": [35.2, 30.9, 33.5]}}
    holed = {"results": {"bpp": BPP, "psnr-rgb": PSNR, "ms-ssim-rgb": [None, *similarity[1:4], None]}}
    anchors = {"full": full, "bare": bare, "holed": holed}
    psnr = curves.table(anchors, {"us": full})
    assert psnr["full"]["us"] == pytest.approx(0, abs=1e-9) and isinstance(psnr["bare"]["us"], float)
    ms_ssim = curves.table(anchors, {"us": full}, "ms-ssim")
    assert ms_ssim["bare"]["us"] is None
    assert ms_ssim["full"]["us"] == pytest.approx(0, abs=1e-9)
    assert abs(ms_ssim["holed"]["us"]) < 1  # the same points on a shorter range
    assert curves.table(anchors, {"us": full}, "ssimulacra2") == {name: {"us": None} for name in anchors}


def test_ms_ssim_is_compared_in_decibels() -> None:
    low, high = (1 - 10**-1.0, 1 - 10**-2.0)
    anchor = {"results": {"bpp": [0.1, 1.0], "psnr-rgb": [1, 2], "ms-ssim-rgb": [low, high]}}
    middle = 1 - 10**-1.5  # half way in dB: a log-linear curve through 0.1 and 1 has 10^-0.5 there
    other = {
        "results": {"bpp": [0.1, 10**-0.5, 1.0], "psnr-rgb": [1, 2, 3], "ms-ssim-rgb": [low, middle, high]}
    }
    assert curves.compare(anchor, other, "ms-ssim") == pytest.approx(0, abs=1e-9)


def test_curves_of_uneven_length_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "curve.json"
    file.write_text(json.dumps({"results": {"bpp": BPP, "psnr-rgb": PSNR, "ms-ssim-rgb": [0.9]}}))
    with pytest.raises(ValueError, match="1 values of ms-ssim-rgb but 5 of bpp"):
        curves.read_curves(file)


def scores_of(picture: np.ndarray) -> dict[str, float]:
    wide = np.pad(picture.astype(int), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = picture.shape[:2]
    mean = sum(wide[i : i + height, j : j + width] for i in range(3) for j in range(3)) // 9
    tinted = np.clip(picture.astype(int) + [6, 0, -6], 0, 255)
    distorted = {"noise": noisy(picture, 10), "blur": mean, "tint": tinted}
    return {n: perceptual.ssimulacra2(picture, d.astype(np.uint8)) for n, d in distorted.items()}


def test_ssimulacra2_agrees_with_another_implementation() -> None:
    """Scores of vszip 23.1 for the same pictures; it treats the borders in another way."""
    pytest.importorskip("ssimulacra2")
    vszip = {"noise": 39.22, "blur": 26.08, "tint": 92.04}
    for name, score in scores_of(photo()).items():
        assert score == pytest.approx(vszip[name], abs=3), name


def test_ssimulacra2_of_equal_pictures_and_of_more_and_more_noise() -> None:
    pytest.importorskip("ssimulacra2")
    picture = photo()
    values = [perceptual.ssimulacra2(picture, noisy(picture, sigma)) for sigma in (0, 2, 5, 10, 20)]
    assert values[0] == pytest.approx(100, abs=1e-6)
    assert all(b < a for a, b in zip(values, values[1:], strict=False))


def test_ssimulacra2_refuses_what_its_weights_do_not_fit() -> None:
    pytest.importorskip("ssimulacra2")
    small = np.zeros((224, 300, 3), np.uint8)
    with pytest.raises(ValueError, match="225"):
        perceptual.ssimulacra2(small, small)
    from ssimulacra2 import ssimulacra2 as package

    height, scales = perceptual.SIDE, 1
    while (height := -(-height // 2)) >= 8:
        scales += 1
    assert scales == package.kNumScales


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


@pytest.mark.parametrize(("usual", "tuned"), [("avif-s6", "avif-s6-psnr"), ("heic", "heic-psnr")])
def test_peers_tuned_for_psnr_are_better_by_it(usual: str, tuned: str) -> None:
    image = Image.fromarray(photo()[:160, :224])
    original = pictures.pixels(image)
    found = {}
    for name in (usual, tuned):
        try:
            codec = codecs.make(name, 1)
        except ValueError as error:
            pytest.skip(str(error))
        data = [codec.encode(image, quality) for quality in (20, 40, 60, 80)]
        sizes, values = map(len, data), (metrics.psnr(original, codec.decode(d)) for d in data)
        found[name] = list(sizes), list(values)
        assert codec.version.count("tune ") == 1
    gain = metrics.bd_rate(*found[usual], *found[tuned])
    assert gain is not None and gain < -2
    assert codec.version.endswith("tune psnr")


def test_avif_by_psnr_is_tuned_for_it_where_nothing_is_asked_for() -> None:
    for chosen in (rd.DEFAULT_CODECS, suite.PEERS, speed.PEERS):
        assert "avif-s6-psnr" in chosen and set(chosen) <= codecs.REGISTRY.keys()


def test_avif_tells_its_own_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        codecs.make("avif-s6", 1)
    except ValueError as error:
        pytest.skip(str(error))
    tune = avif.own_tune()
    assert tune in ("iq", "ssim", "psnr")
    assert codecs.make("avif-s6", 1).version.endswith(f"tune {tune} (its own)")
    with monkeypatch.context() as patch:
        patch.setitem(avif.VARIANTS, "avif-s6-none", (6, "none"))
        with pytest.raises(ValueError, match="avif-s6-none: .*older"):
            avif.make("avif-s6-none", 1)


def test_unknown_codec() -> None:
    with pytest.raises(ValueError, match="avif-s6"):
        codecs.make("jpg")


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


def test_watched_functions_are_put_back() -> None:
    before, watch = metrics.psnr, tracing.Stopwatch()
    with pytest.raises(ZeroDivisionError), tracing.wrapped(metrics, "psnr", watch.watch("x")):
        assert metrics.psnr is not before
        raise ZeroDivisionError
    assert metrics.psnr is before
    with tracing.wrapped(metrics, "no_such_name", watch.watch("x")):
        assert not hasattr(metrics, "no_such_name")
