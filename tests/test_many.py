"""aecodec batch: collections, their tables, what a second run does. Ray has its own file."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from batches import PATIENCE
from PIL import Image
from synthetic import smooth

from aecodec.cli.many import journal, records
from aecodec.cli.many.records import Records
from aecodec.errors import InputError, UsageError

FAST = ("-q", "5", "--device", "cpu", "--jobs", "1")


@pytest.fixture
def tree(tmp_path):
    """in/: a.png, deep/b.png, bad.png, and a text."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.png", "deep/b.png")):
        Image.fromarray(smooth(number, 40, 56)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    (tmp_path / "in" / "text.txt").write_text("no picture")
    return tmp_path / "in"


def table(folder, name="manifest"):
    lines = (folder / "_aecodec" / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def results(folder):
    """What is in a DST, without what runs note there."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if not name.startswith("_aecodec/"))


def test_each_input_has_one_result_and_one_row(cli, tree, tmp_path):
    out = tmp_path / "out"
    result = cli("batch", "encode", tree, out, *FAST)
    assert result.code == 3 and "2 of 3 done, 1 failed, 1 other files left alone" in result.err
    assert results(out) == ["a.aec", "deep/b.aec"]
    rows = {row["input"]: row for row in table(out)}
    assert list(rows) == ["a.png", "deep/b.png"]
    data, row = (out / "deep" / "b.aec").read_bytes(), rows["deep/b.png"]
    assert row["output"] == "deep/b.aec" and row["output_bytes"] == len(data)
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["bpp"] == pytest.approx(8 * len(data) / (40 * 56), abs=1e-6)
    assert row["input_bytes"] == (tree / "deep" / "b.png").stat().st_size
    assert (row["width"], row["height"], row["status"]) == (56, 40, "done")
    [failure] = table(out, "failures")
    assert failure["input"] == "bad.png" and failure["kind"] == "input" and failure["exit_code"] == 3
    assert "no picture" in failure["error"] and str(out / "_aecodec" / "failures.jsonl") in result.err
    single = cli("encode", tree / "a.png", tmp_path / "a.aec", "-q", "5", "--device", "cpu", "--threads", "1")
    assert single.code == 0 and (tmp_path / "a.aec").read_bytes() == (out / "a.aec").read_bytes()


def test_a_second_run_does_what_is_missing(cli, tree, tmp_path):
    out = tmp_path / "out"
    command = ("batch", "encode", tree, out, *FAST, "--json")
    cli(*command)
    first = (out / "a.aec").read_bytes()

    def again(*more):
        """Inputs that were worked on."""
        told = cli(*command, *more)
        assert [row["input"] for row in table(out)].count("a.png") == 1
        assert len(table(out)) == len(results(out))
        return sorted(os.path.basename(json.loads(line)["input"]) for line in told.out.splitlines())

    assert again() == ["bad.png"]  # failures are tried again
    (out / "a.aec").unlink()
    assert again() == ["a.png", "bad.png"] and (out / "a.aec").read_bytes() == first
    (out / "a.aec").write_bytes(first[:-1])
    assert again() == ["a.png", "bad.png"] and (out / "a.aec").read_bytes() == first
    flipped = bytearray(first)
    flipped[-1] ^= 1
    (out / "a.aec").write_bytes(flipped)
    assert again() == ["bad.png"]  # the size is that of the manifest
    assert again("--check", "checksum") == ["a.png", "bad.png"] and (out / "a.aec").read_bytes() == first
    Image.fromarray(smooth(7, 40, 60)).save(tree / "a.png")
    assert again() == ["a.png", "bad.png"] and (out / "a.aec").read_bytes() != first
    Image.fromarray(smooth(3, 40, 56)).save(tree / "bad.png")
    assert again() == ["bad.png"] and table(out, "failures") == [] and "bad.aec" in results(out)
    assert again("--force") == ["a.png", "b.png", "bad.png"]


def test_other_settings_are_refused(cli, tree, tmp_path):
    out = tmp_path / "out"
    cli("batch", "encode", tree, out, *FAST)
    before = (out / "a.aec").read_bytes(), table(out), table(out, "failures")
    result = cli("batch", "encode", tree, out, "-q", "50", "--device", "cpu")
    assert result.code == 2 and "quality 5.0, now 50.0" in result.err and "--force" in result.err
    assert before == ((out / "a.aec").read_bytes(), table(out), table(out, "failures"))
    assert cli("batch", "encode", tree, out, "-q", "50", "--device", "cpu", "--force").code == 3
    assert (out / "a.aec").read_bytes() != before[0] and len(table(out)) == 2


def test_files_of_others_are_not_touched(cli, tree, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.aec").write_bytes(b"somebody else's")
    result = cli("batch", "encode", tree, out, *FAST)
    assert (out / "a.aec").read_bytes() == b"somebody else's" and "--force" in result.err
    assert {row["input"]: row["kind"] for row in table(out, "failures")}["a.png"] == "output"
    assert cli("batch", "encode", tree, out, *FAST, "--force").code == 3
    assert results(out) == ["a.aec", "deep/b.aec"] and len(table(out)) == 2
    os.unlink(out / "_aecodec" / "manifest.jsonl")  # as if a run had ended before it could write it
    assert "2 of 3 done" in cli("batch", "encode", tree, out, *FAST).err and len(table(out)) == 2


def test_there_and_back_and_at_another_quality(cli, tree, tmp_path):
    out, less, back = (tmp_path / name for name in ("out", "less", "back"))
    assert cli("batch", "encode", tree, out, "-q", "70", "--device", "cpu").code == 3
    assert cli("batch", "transcode", out, less, *FAST).code == 0
    assert results(less) == results(out) and len(table(less)) == 2
    assert (less / "a.aec").stat().st_size < (out / "a.aec").stat().st_size
    assert table(less)[0]["input_bytes"] == (out / "a.aec").stat().st_size
    result = cli("batch", "decode", less, back, "--format", "tif", "--device", "cpu", "--jobs", "2")
    assert result.code == 0 and results(back) == ["a.tif", "deep/b.tif"]
    row = table(back)[0]
    assert row["output_bytes"] == (back / row["output"]).stat().st_size
    assert row["bpp"] == next(r["bpp"] for r in table(less) if r["output"] == row["input"])
    with Image.open(back / "a.tif") as image:
        assert image.size == (56, 40)
    inside = cli("batch", "transcode", out, out / "less", *FAST)
    assert inside.code == 0 and "2 of 2 done" in inside.err
    assert "0 of 2 done, 2 skipped" in cli("batch", "transcode", out, out / "less", *FAST).err


def test_names_that_would_meet(cli, tree, tmp_path):
    Image.fromarray(smooth(1, 40, 56)).save(tree / "a.jpg")
    result = cli("batch", "encode", tree, tmp_path / "out", *FAST)
    assert result.code == 2 and "--full-names" in result.err and not (tmp_path / "out").exists()
    cli("batch", "encode", tree, tmp_path / "out", *FAST, "--full-names")
    assert results(tmp_path / "out") == ["a.jpg.aec", "a.png.aec", "deep/b.png.aec"]


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["encode", "in", "out", "--format", "tif"], "--format is for decode"),
        (["encode", "in", "out", "--scale", "1/2"], "--scale is for decode"),
        (["encode", "in", "out", "--fit", "32"], "--fit is for decode"),
        (["decode", "in", "out", "-q", "30"], "--quality is for encode"),
        (["decode", "in", "out", "--thumbnail"], "--thumbnail is for encode"),
        (["decode", "in", "out", "--target-size", "4k"], "--target-size is for encode"),
        (["transcode", "in", "out", "--no-alpha"], "--no-alpha"),
        (["encode", "in", "out", "--address", "auto"], "needs --engine ray"),
        (["encode", "in", "out", "--num-gpus", "1"], "needs --engine ray"),
        (["compress", "in", "out"], "compress"),
        (["encode", "in"], "DST"),
        (["encode", "in", ""], "DST is empty"),
    ],
)
def test_usage(cli, tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    result = cli("batch", *arguments)
    assert result.code == 2 and word in result.err and result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_there(cli, tmp_path):
    result = cli("batch", "encode", tmp_path / "none", tmp_path / "out")
    assert result.code == 3 and "No such file" in result.err and not (tmp_path / "out").exists()


def test_urls(cli, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    for number in range(3):
        out = io.BytesIO()
        Image.fromarray(smooth(number, 40, 56)).save(out, "PNG")
        system.pipe_file(f"/in/deep/{number}.png", out.getvalue())
    system.pipe_file("/in/bad.png", b"nothing")
    monkeypatch.setattr(journal, "PART_LINES", 2)
    seen = []
    monkeypatch.setattr(
        records.Records, "close", lambda self, parquet, close=Records.close: (
            seen.extend(system.find("/out/_aecodec")), close(self, parquet)
        )
    )  # fmt: skip
    command = ("batch", "encode", "memory://in", "memory://out", *FAST)
    assert "3 of 4 done, 1 failed" in cli(*command).err
    assert "/out/_aecodec/manifest.jsonl.part00001" in seen  # written before the end
    assert system.find("/out") == [
        "/out/_aecodec/failures.jsonl",
        "/out/_aecodec/manifest.jsonl",
        "/out/_aecodec/settings.json",
        *(f"/out/deep/{number}.aec" for number in range(3)),
    ]
    rows = [json.loads(line) for line in system.cat_file("/out/_aecodec/manifest.jsonl").splitlines()]
    assert [row["input"] for row in rows] == [f"deep/{number}.png" for number in range(3)]
    system.rm_file("/out/deep/1.aec")
    assert "1 of 4 done, 2 skipped" in cli(*command).err
    assert system.cat_file("/out/_aecodec/manifest.jsonl").count(b"\n") == 3
    system.store.clear()


ROWS = [
    {"input": "a.tar#1.jpg", "output": "a.tar", "shard": "a.tar"},
    {"input": "a.tar", "output": "a.tar", "shard": None, "input_bytes": 9, "output_bytes": 5, "sha256": "x"},
]


def note(folder, text):
    (folder / "_aecodec").mkdir(exist_ok=True)
    (folder / "_aecodec" / "manifest.jsonl").write_text(text)


def load(folder):
    kept = Records(str(folder))
    try:
        kept.load()
    finally:
        kept.close()
    return kept


def test_a_manifest_that_was_torn(tmp_path):
    whole = "".join(json.dumps(row) + "\n" for row in ROWS)
    pending = json.dumps(ROWS[0] | {"input": "b.tar#1.jpg", "shard": "b.tar"}) + "\n"
    for torn in (pending, pending + pending[:20], whole[:30]):
        note(tmp_path, whole + torn)
        assert list(load(tmp_path).done) == ["a.tar"]
        assert table(tmp_path) == ROWS, "what belongs to no complete shard is gone"
    note(tmp_path, whole + "nonsense\n" + whole)
    with pytest.raises(InputError, match="line 3"):
        load(tmp_path)


def test_a_unit_that_was_done_twice_has_its_last_rows(tmp_path):
    newer = [row | {"sha256": "y"} for row in ROWS]
    note(tmp_path, "".join(json.dumps(row) + "\n" for row in ROWS + newer))
    assert load(tmp_path).done["a.tar"].sha256 == "y"
    assert table(tmp_path) == newer


def test_one_run_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    first = Records(str(tmp_path))
    with pytest.raises(UsageError, match="another run"):
        Records(str(tmp_path))
    first.close()
    Records(str(tmp_path)).close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys, number):
    def flock(stream, operation):
        raise OSError(number, "nothing is locked here")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", flock)
    Records(str(tmp_path)).close()
    told = capsys.readouterr().err
    assert told.startswith("aecodec: note: ") and told.count("\n") == 1
    assert f"{str(tmp_path)!r} cannot be locked (nothing is locked here)" in told


SLOW = """
import sys, time
from aecodec.cli import files, main
read = files.read_input
files.read_input = lambda name: time.sleep(3600) if name.endswith("b.png") else read(name)
sys.exit(main.main())
"""
"""The command; it does not come to the end of b.png."""


def test_killed_in_the_middle(tree, tmp_path, cli):
    """SIGKILL while b.png is read: the next run has nothing to repair and misses nothing."""
    out = tmp_path / "out"
    (tree / "bad.png").rename(tree / "b.png")
    command = [sys.executable, "-c", SLOW, "batch", "encode", tree, out, *FAST]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end = time.monotonic() + PATIENCE
    try:
        while not (out / "_aecodec" / "manifest.jsonl").exists() or not table(out):
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        (out / "_aecodec" / "tmp" / ".aecodec-x.tmp").write_bytes(
            b"what a process leaves that dies while writing"
        )
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    Image.fromarray(smooth(3, 40, 56)).save(tree / "b.png")
    assert "2 of 3 done, 1 skipped" in cli("batch", "encode", tree, out, *FAST).err
    assert results(out) == ["a.aec", "b.aec", "deep/b.aec"] and len(table(out)) == 3
    assert not (out / "_aecodec" / "tmp").exists()


def test_options_for_another_kind(cli, tree, tmp_path):
    for option in ("--column", "--output-column", "--members"):
        result = cli("batch", "encode", tree, tmp_path / "out", *FAST, option, "x")
        assert result.code == 2 and option in result.err and not (tmp_path / "out").exists()
    (tmp_path / "empty").mkdir()
    assert cli("batch", "encode", tmp_path / "empty", tmp_path / "out", *FAST, "--column", "x").code == 0
