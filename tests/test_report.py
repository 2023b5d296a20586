"""The report: what is in the page, and in headless Chromium that its script works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batches import PATIENCE
from PIL import Image

pytest.importorskip("matplotlib")

from benchmarks import codecs, curves, plots, report, side_by_side  # noqa: E402

DATA = Path(__file__).parent / "data"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = """<script>
  const stage = document.querySelector(".viewer"), slider = stage.querySelector("input");
  const state = () => [...stage.querySelectorAll("img")].map(i => [i.alt, i.hidden, i.style.clipPath]);
  const seen = [state()];
  slider.value = 20; slider.dispatchEvent(new Event("input")); seen.push(state());
  const left = stage.querySelector("select");
  left.value = "0"; left.dispatchEvent(new Event("input")); seen.push(state());
  document.title = JSON.stringify(seen);
</script></html>"""


def curve(name: str, factor: float) -> curves.Curve:
    bpp = [0.1, 0.25, 0.5, 1.0, 1.8]
    return {
        "name": name,
        "version": "1 <beta>",
        "results": {
            "quality": [10, 30, 50, 70, 90],
            "bpp": [factor * b for b in bpp],
            "psnr-rgb": [26.0, 29.0, 31.5, 35.0, 38.5],
            "ms-ssim-rgb": [0.9, 0.94, 0.97, 0.985, 0.995],
        },
    }


def set_of(factor: float, pictures: list[str]) -> dict[str, Any]:
    measured = {"aecodec": curve("aecodec", 1.0), "jpeg": curve("jpeg", factor)}
    rates = {p: {"aecodec": 7.5 * (k - 1), "jpeg": 0.0} for k, p in enumerate(pictures)}
    return {
        "pictures": pictures,
        "codecs": measured,
        "bd_rate": {m: curves.table({"jpeg (here)": measured["jpeg"]}, measured, m) for m in curves.METRICS},
        "worst": {"against": "jpeg", "metric": "psnr", "bd_rate": rates},
    }


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return {
        "format": 2,
        "jobs": 1,
        "sets": {"some & photos": set_of(2.0, ["a.png", "b.png", "c.png"]), "text": set_of(0.8, ["t.png"])},
        "environment": {"commit": "0123abc", "model": "m", "cpu": "c", "threads": 2, "versions": {"x": "1"}},
    }


@pytest.fixture(scope="module")
def page(content: dict[str, Any]) -> str:
    compared = report.comparisons(DATA / "city.jpg", "aecodec", ["jpeg", "webp"], 40, 1)
    return report.build(content, None, {"VTM 9.1 intra": curve("VTM 9.1 intra", 0.5)}, compared)


def sections(page: str) -> list[str]:
    return re.findall(r"<section>(.*?)</section>", page, re.DOTALL)


def test_page_holds_everything(page: str) -> None:
    assert "<!-- " not in page, "a part was not filled in"
    assert page.count("class=viewer") == 1
    photos, text = sections(page)
    assert "some &amp; photos" in photos and "1 &lt;beta&gt;" in photos and "1 picture<" in text
    assert photos.count("<svg") == text.count("<svg") == 2, "PSNR and MS-SSIM; SSIMULACRA2 was not measured"
    assert "-50.0 %" in photos and "+100.0 %" in photos  # against jpeg and VTM
    assert "+25.0 %" in text and "VTM" not in text, "published curves belong to the first set"
    assert photos.count("-50.0 %") == 2 and "BD-rate by SSIMULACRA2" not in page  # by PSNR and by MS-SSIM
    assert "0123abc" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page must need no other file"


def test_speed_is_shown(content: dict[str, Any]) -> None:
    times = {"ms": 12.34, "ms_min": 11.0, "ms_max": 15.0, "megapixels_per_second": 31.9}
    codec = {"bpp": 0.5, "psnr-rgb": 33.0, "encode": times, "decode": times}
    coder = {"encode": times, "decode": {**times, "ms": 1.5}, "symbols": 12345, "bytes": 678}
    process = {"ms": 500.0, "ms_min": 400.0, "ms_max": 600.0, "peak_mb": 171.6}
    slow = {"encode": {**times, "ms": 123.4}, "decode": {**times, "ms": 246.8}, "parameters": 17_550_000}
    speed = {
        "environment": {"cpu": "some <cpu>"},
        "pictures": {"768 x 512": {"codecs": {"aecodec": codec}, "entropy": coder}},
        "processes": {"768 x 512": {"aecodec encode": process, "info": {**process, "peak_mb": None}}},
        "learned": {
            "768 x 512": {
                "torch": "2.0",
                "rows": {"aecodec": {"encode": times, "decode": times}, "shape of x": slow},
                "ratios": {"shape of x": {"encode": 10.0, "decode": 20.0}},
            }
        },
    }
    text = report.build(content, speed, {}, [])
    assert "1.50 ms to decode (12345 symbols, 678 bytes)" in text
    assert "<td>aecodec encode</td><td>500</td><td>400 .. 600</td><td>172</td>" in text
    assert "<td>info</td><td>500</td><td>400 .. 600</td><td>–</td>" in text
    assert "<td>shape of x</td><td>123</td><td>10.0 x</td><td>247</td><td>20.0 x</td><td>17.6</td>" in text
    assert "Random weights" in text and "some &lt;cpu&gt;" in text


def test_worst_pictures_come_first(page: str) -> None:
    rows = re.findall(r"<tr><td>([abc].png)</td><td>([^<]*)</td>", page)
    assert rows == [("c.png", "+7.5 %"), ("b.png", "+0.0 %"), ("a.png", "-7.5 %")]


def test_third_metric_is_shown_where_it_was_measured(content: dict[str, Any]) -> None:
    more = json.loads(json.dumps(content))
    for entry in more["sets"]["text"]["codecs"].values():
        entry["results"]["ssimulacra2"] = [-5.25, 30.0, 50.0, 70.0, 85.0]
        entry["results"]["encoding_mps"] = [None] * 5
    photos, text = sections(report.build(more, None, {}, []))
    assert text.count("<svg") == 3 and "<th>SSIMULACRA2</th>" in text and "<td>-5.2</td>" in text
    assert "SSIMULACRA2" not in photos and "MP/s" not in text


def test_equal_bytes() -> None:
    made = [codecs.make("jpeg"), codecs.make("webp")]
    views = side_by_side.compare(DATA / "city.jpg", codecs.make("aecodec"), made, 40)
    original, ours, *peers = views
    assert original.codec == "original" and ours.codec == "aecodec" and peers
    for peer in peers:
        assert peer.bytes == pytest.approx(ours.bytes, rel=0.1)
        assert 15 < peer.psnr < 60 and peer.png != original.png


def test_busiest_part_is_found() -> None:
    pixels = np.zeros((640, 640, 3), np.uint8)
    pixels[256:480, 320:544] = np.random.default_rng(0).integers(0, 256, (224, 224, 3))
    top, left = side_by_side.busiest(pixels, 320)
    assert 160 <= top <= 256 and 224 <= left <= 320
    assert side_by_side.busiest(pixels[:100, :90], 320) == (0, 0)


def test_worst_pictures_are_shown_side_by_side(content: dict[str, Any]) -> None:
    paths = [Path(f"{letter}.png") for letter in "abcdefgh"]
    worst = report.worst_names(content, Path("some & photos"), "aecodec")
    assert worst == ["c.png", "b.png", "a.png"]
    assert [path.stem for path in report.choose(paths, worst, 4)] == ["c", "b", "a", "f"]
    assert [path.stem for path in report.choose(paths, [], 2)] == ["a", "e"]
    assert len(report.choose(paths, worst, 20)) == 8
    assert report.worst_names(content, Path("elsewhere"), "aecodec") == []


def test_plot_leaves_out_what_is_unknown() -> None:
    short = curve("new", 1.0)
    short["results"]["ms-ssim-rgb"] = [None] * 5
    assert "new" in plots.rate_distortion({"new": short}, {}, "ms-ssim")


def test_command(content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rd = tmp_path / "rd.json"
    rd.write_text(json.dumps(content))
    out, svg = tmp_path / "new" / "page.html", tmp_path / "plot.svg"
    assert report.main([str(rd), "--out", str(out), "--svg", str(svg)]) == 0
    assert out.read_text().startswith("<!doctype html>") and "PSNR" in svg.read_text()
    assert report.main([str(rd), "--out", str(out), "--svg", str(svg), "--svg-metric", "ms-ssim"]) == 0
    assert "MS-SSIM" in svg.read_text() and "PSNR" not in svg.read_text()
    rd.write_text('{"format": 1, "codecs": {"jpeg": {}}, "rows": []}')
    assert report.main([str(rd), "--out", str(out)]) == 2
    assert "no curves" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_slider_works_in_chromium(page: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page.replace("</html>", DRIVER), "utf-8")
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'p'}",
    ]
    run = subprocess.run(
        [*command, "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    found = re.search(r"<title>(\[.*?\])</title>", run.stdout)
    assert found, run.stderr[-500:]
    begin, moved, other = json.loads(found[1])
    assert [alt for alt, hidden, _ in begin if not hidden] == ["aecodec", begin[2][0]]
    assert "50%" in begin[1][2] and "80%" in moved[1][2]
    assert [alt for alt, hidden, _ in other if not hidden] == ["original", begin[2][0]]


def test_page_is_png_of_the_crop(page: str) -> None:
    import base64
    import io

    first = re.search(r"data:image/png;base64,([^\"]+)", page)
    assert first
    with Image.open(io.BytesIO(base64.b64decode(first[1]))) as image:
        assert image.size == (320, 300)  # the picture is 410 x 300
