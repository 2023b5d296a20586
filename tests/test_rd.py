"""benchmarks/rd.py from end to end on small pictures: rows that are kept, sets, failures, worst pictures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import codecs, curves, metrics, per_picture, rd, rows

BPP = [0.1, 0.2, 0.45, 0.9, 1.6]
PSNR = [26.0, 29.1, 32.4, 35.0, 38.2]


def run_rd(folder: Path, out: Path, *more: str, code: int = 0) -> dict:
    common = ["--codecs", "aecodec", "jpeg", "--qualities", "20", "50", "80", "--out", str(out)]
    assert rd.main([str(folder), *common, *more]) == code
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
        assert "ssimulacra2" not in row
    found = first["sets"]["pictures"]
    jpeg = found["codecs"]["jpeg"]["results"]
    assert jpeg["quality"] == [20, 50, 80] and jpeg["ms-ssim-rgb"] == [None] * 3
    by_hand = [row for row in first["rows"] if (row["codec"], row["quality"]) == ("jpeg", 50)]
    assert jpeg["psnr-rgb"][1] == pytest.approx(sum(row["psnr-rgb"] for row in by_hand) / 2)
    seconds = sum(row["encoding_time"] for row in by_hand)
    assert jpeg["encoding_mps"][1] == pytest.approx((192 * 192 + 64 * 96) / 1e6 / seconds)
    aecodec = found["codecs"]["aecodec"]
    assert aecodec["dial"]["bpp_at_q0"] < aecodec["results"]["bpp"][0]
    assert found["bd_rate"]["psnr"]["jpeg (here)"]["jpeg"] == pytest.approx(0, abs=1e-9)
    assert found["bd_rate"]["ms-ssim"]["jpeg (here)"]["jpeg"] is None
    for key in ("commit", "model_id", "models", "cpu", "threads", "versions"):
        assert key in first["environment"]
    assert first["environment"]["versions"]["onnxruntime"]
    assert re.search(
        r"model [\w-]+ [0-9a-f]{16} \w+, graphs [0-9a-f]{8}, source [0-9a-f]{8}", aecodec["version"]
    )
    assert str(tmp_path) not in out.read_text()

    cheaper = {"results": {**jpeg, "bpp": [rate * 0.8 for rate in jpeg["bpp"]]}}
    anchors.write_text(json.dumps({"cheap JPEG": cheaper}))
    capsys.readouterr()
    second = run_rd(folder, out, "--anchors", str(anchors))
    assert "0 rows measured, 16 from" in capsys.readouterr().out
    assert second["rows"] == first["rows"]
    rates = second["sets"]["pictures"]["bd_rate"]["psnr"]
    assert rates["cheap JPEG"]["jpeg"] == pytest.approx(25, abs=1e-6)
    assert set(curves.read_curves(out)) == {"aecodec", "jpeg"}  # a result file can be an anchor


def test_rd_takes_rows_of_older_files_and_measures_a_new_metric_alone(
    city: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ssimulacra2")
    folder, out = tmp_path / "one", tmp_path / "rd.json"
    folder.mkdir()
    Image.fromarray(city[:240, :240]).save(folder / "a.png")
    jpeg_alone = ("--codecs", "jpeg")
    content = run_rd(folder, out, *jpeg_alone)
    old = [{key: value for key, value in row.items() if key != "jobs"} for row in content["rows"]]
    out.write_text(json.dumps({"format": 1, "jobs": 2, "rows": old}))
    monkeypatch.setattr(metrics, "psnr", lambda a, b: pytest.fail("measured again"))
    monkeypatch.setattr(metrics, "ms_ssim", lambda a, b: pytest.fail("measured again"))
    capsys.readouterr()
    both = run_rd(folder, out, *jpeg_alone, "--metrics", "psnr", "ms-ssim", "ssimulacra2")
    assert "3 rows measured, 0 from" in capsys.readouterr().out
    assert [{k: row[k] for k in old[0]} for row in both["rows"]] == old, "what was known stays, times too"
    scores = [row["ssimulacra2"] for row in both["rows"]]
    assert scores == sorted(scores) and scores[0] < scores[2] < 100
    results = both["sets"]["one"]["codecs"]["jpeg"]["results"]
    assert results["ssimulacra2"] == scores and results["encoding_mps"] == [None] * 3  # jobs was 2
    rates = both["sets"]["one"]["bd_rate"]["ssimulacra2"]
    assert rates["jpeg (here)"]["jpeg"] == pytest.approx(0, abs=1e-9)


def test_rd_keeps_sets_apart(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other, anchors = tmp_path / "flat", tmp_path / "anchors.json"
    other.mkdir()
    Image.new("RGB", (64, 64), (10, 200, 30)).save(other / "a.png")  # a name that the first set has, too
    anchors.write_text(json.dumps({"published": {"results": {"bpp": BPP, "psnr-rgb": PSNR}}}))
    out = tmp_path / "rd.json"
    jpeg = ("--codecs", "jpeg", "--qualities", "50")
    assert rd.main([str(folder), str(other), *jpeg, "--out", str(out), "--anchors", str(anchors)]) == 0
    sets = json.loads(out.read_text())["sets"]
    assert list(sets) == ["pictures", "flat"]
    assert sets["flat"]["pictures"] == ["a.png"] and sets["pictures"]["pictures"] == ["a.png", "b.png"]
    bpp = [sets[name]["codecs"]["jpeg"]["results"]["bpp"][0] for name in sets]
    assert bpp[0] != bpp[1]
    assert (
        "published" in sets["pictures"]["bd_rate"]["psnr"]
        and "published" not in sets["flat"]["bd_rate"]["psnr"]
    )
    assert capsys.readouterr().out.count("=== ") == 2
    assert rd.main([str(folder), str(folder), *jpeg, "--out", str(out)]) == 2
    assert "another set named" in capsys.readouterr().err


def test_rd_goes_on_when_a_codec_fails_on_a_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = codecs.base.PillowCodec.encode

    def sometimes(self: object, image: Image.Image, quality: float) -> bytes:
        if image.size == (96, 64) and quality == 50:
            raise OSError("no space left")
        return encode(self, image, quality)

    out = tmp_path / "rd.json"
    with monkeypatch.context() as patch:
        patch.setattr(codecs.base.PillowCodec, "encode", sometimes)
        broken = run_rd(folder, out, "--codecs", "jpeg", code=1)
    told = capsys.readouterr().err
    assert "jpeg at 50, b.png: OSError: no space left" in told
    assert len(broken["rows"]) == 5
    assert broken["sets"]["pictures"]["codecs"]["jpeg"]["results"]["quality"] == [20, 80]
    whole = run_rd(folder, out, "--codecs", "jpeg")
    assert "1 rows measured, 5 from" in capsys.readouterr().out
    assert whole["sets"]["pictures"]["codecs"]["jpeg"]["results"]["quality"] == [20, 50, 80]


def test_worst_pictures() -> None:
    """On picture k the codec needs 1 + k / 10 times the bytes of the other one."""
    made = [
        {
            "codec": name,
            "picture": f"{k}.png",
            "quality": q,
            "bpp": bpp * factor,
            "bytes": 9,
            "jobs": 1,
            "psnr-rgb": value,
            "encoding_time": 1.0,
            "decoding_time": 1.0,
        }
        for k in (2, 0, 3, 1)
        for name, factor in (("ours", 1 + k / 10), ("theirs", 1.0))
        for q, (bpp, value) in enumerate(zip(BPP, PSNR, strict=True))
    ]
    sweep = [float(q) for q in range(len(BPP))]
    rates = per_picture.bd_rates(made, {"ours": sweep, "theirs": sweep}, "theirs", "psnr")
    found = per_picture.worst(rates, "ours", 3)
    assert [name for name, _ in found] == ["3.png", "2.png", "1.png"]
    assert [value for _, value in found] == pytest.approx([30, 20, 10])
    assert per_picture.worst(per_picture.bd_rates(made, {"ours": sweep}, "theirs", "psnr"), "ours", 3) == []


def test_rows_in_several_processes_are_the_same(folder: Path, tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("1.json", "2.json"))
    run_rd(folder, one, "--codecs", "jpeg")
    several = run_rd(folder, two, "--codecs", "jpeg", "--jobs", "2")
    single = json.loads(one.read_text())
    measured = [{rows.key_of(r): (r["bytes"], r["psnr-rgb"]) for r in c["rows"]} for c in (single, several)]
    assert measured[0] == measured[1]
    assert several["sets"]["pictures"]["codecs"]["jpeg"]["results"]["encoding_mps"] == [None] * 3


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
