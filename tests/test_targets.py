"""benchmarks/targets.py: what the files really have, and the exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import targets  # noqa: E402


def test_rows_and_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "targets.json"
    arguments = ["--bpp", "0.5", "--size", "60", "--psnr", "28", "--max-size", "3000", "--out", str(out)]
    assert targets.main([str(folder), *arguments, "--each"]) == 0
    rows = {(r["picture"], r["target"]): r for r in json.loads(out.read_text())["rows"]}
    assert len(rows) == 8
    for name in ("a.png", "b.png"):
        bpp, psnr, limited = (rows[name, target] for target in ("bpp", "psnr", "max size"))
        assert abs(bpp["reached"] / 0.5 - 1) < 0.01 and abs(psnr["reached"] - 28) < 0.05
        assert limited["reached"] <= 3000
        for row in (bpp, psnr, limited):
            assert row["analysis"] >= row["encodings"] >= 1
        assert psnr["synthesis"] >= psnr["encodings"]
        assert rows[name, "size"]["reached"] is None and "does not fit" in rows[name, "size"]["note"]
    printed = capsys.readouterr().out
    assert "| bpp 0.5 | 2 |" in printed and "| a.png | max size 3000 |" in printed


def test_what_is_wrong() -> None:
    row = targets.Row("a", "max size", 100.0, 101.0, 0.01, 1, 1, 0, 0.1, 3.0, "a note")
    assert row.wrong and targets.Row("a", "bpp", 1.0, 1.02, 0.02, 1, 1, 0, 0.1, 3.0, "").wrong
    assert not targets.Row("a", "bpp", 1.0, 1.02, 0.02, 1, 1, 0, 0.1, 3.0, "a note").wrong
    assert targets.main(["/nowhere"]) == 2
