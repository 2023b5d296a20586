"""aecodec batch where something is not as it should be: SRC is DST, pipes, damaged tables, full disks."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile

import pytest
from batches import COMMAND, FAST, PATIENCE, picture
from test_many import results, table

from aecodec.cli import files
from aecodec.cli.many import records
from aecodec.cli.many.journal import Journal
from aecodec.cli.many.records import Records
from aecodec.errors import InputError, OutputError

TABLES = ("manifest", "failures")
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")


@pytest.fixture
def pair(tmp_path):
    """in/: a.png, deep/b.png"""
    for number, name in enumerate(("a.png", "deep/b.png")):
        picture(tmp_path / "in" / name, number)
    return tmp_path / "in"


def test_results_beside_their_inputs(cli, pair, monkeypatch):
    (pair.parent / "link").symlink_to(pair)
    result = cli("batch", "encode", pair, pair.parent / "link", *FAST)
    assert result.code == 0 and "2 of 2 done" in result.err
    assert results(pair) == ["a.aec", "a.png", "deep/b.aec", "deep/b.png"]
    monkeypatch.chdir(pair)
    assert "0 of 2 done, 2 skipped" in cli("batch", "encode", ".", ".", *FAST).err
    for more in ((), ("--full-names",)):
        refused = cli("batch", "transcode", pair, pair, *FAST, *more)
        assert refused.code == 2 and "take another DST" in refused.err
    assert len(table(pair)) == 2


def test_pipes_in_folders_are_not_waited_for(cli, pair):
    os.mkfifo(pair / "pipe.png")
    os.mkfifo(pair / "control")
    (pair / "link.png").symlink_to(pair / "a.png")
    out = pair.parent / "out"
    for command in (("encode", "-r", pair, "--out-dir", out), ("batch", "encode", pair, out)):
        done = subprocess.run([*COMMAND, *command, *FAST], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 3 and "pipe.png' is a pipe or a device" in done.stderr
        assert "1 failed" in done.stderr and "1 other files left alone" in done.stderr
    assert results(out) == ["a.aec", "deep/b.aec", "link.aec"]


@pytest.mark.parametrize("contents", ["{", "[]", ""])
def test_damaged_settings(cli, pair, contents):
    out = pair.parent / "out"
    assert cli("batch", "encode", pair, out, *FAST).code == 0
    (out / "_aecodec" / "settings.json").write_text(contents)
    result = cli("batch", "encode", pair, out, *FAST)
    assert result.code == 3 and "settings.json' is damaged" in result.err
    assert cli("batch", "encode", pair, out, *FAST, "--force").code == 0


def test_settings_of_an_earlier_version(cli, pair):
    """Which knew no effort: results are those of effort 0, and of no other."""
    out = pair.parent / "out"
    assert cli("batch", "encode", pair, out, *FAST).code == 0
    settings = out / "_aecodec" / "settings.json"
    kept = json.loads(settings.read_text())
    del kept["effort"]
    settings.write_text(json.dumps(kept))
    result = cli("batch", "encode", pair, out, *FAST, "--effort", 1)
    assert result.code == 2 and "effort 0, now 1" in result.err
    assert cli("batch", "encode", pair, out, *FAST).code == 0


def test_rows_that_are_none(tmp_path):
    """JSON, but no rows: as good as torn."""
    Records(str(tmp_path)).close()
    for line in ("3", "{}", '{"input": "a", "shard": null}'):
        (tmp_path / "_aecodec" / "manifest.jsonl").write_text(f"{line}\n{line}\n")
        kept = Records(str(tmp_path))
        with pytest.raises(InputError, match="line 1: no row"):
            kept.load()
        kept.close()


@needs_full
def test_full_disks_are_not_stdouts_fault(tmp_path):
    journal = Journal("/dev/full")
    for act in (lambda: journal.append(["{}"]), journal.close):  # closing writes what is left
        with pytest.raises(OutputError, match="'/dev/full': No space left"):
            act()
    journal.close()


def test_full_disk_at_the_lock(tmp_path):
    with pytest.raises(OutputError, match="lock"):
        records._lock(tmp_path / "none" / "lock")


def test_full_disk_in_a_shard(pair, tmp_path):
    """The limit of a file's size stands for a full disk."""
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        tar.add(pair / "a.png", "1.png")
        text = tarfile.TarInfo("1.txt")
        text.size = 1 << 20
        tar.addfile(text, io.BytesIO(bytes(text.size)))
    command = [*COMMAND, "batch", "encode", tmp_path / "in.tar", tmp_path / "out", *FAST]
    limited = ["sh", "-c", 'ulimit -f 400; exec "$@"', "sh", *command]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 9 and "cannot write" in done.stderr and "in.tar'" in done.stderr, done
    assert results(tmp_path / "out") == []


def test_new_settings_never_stand_over_old_results(cli, pair, monkeypatch):
    """With --force, ended just after the first of the two is written."""
    out = pair.parent / "out"
    assert cli("batch", "encode", pair, out, *FAST).code == 0
    manifest = (out / "_aecodec" / "manifest.jsonl").read_text()
    write = files.write_output

    def ended(name, *arguments, **options):
        if str(name).endswith("settings.json"):
            raise OutputError("ended here")
        write(name, *arguments, **options)

    monkeypatch.setattr(files, "write_output", ended)
    assert cli("batch", "encode", pair, out, *FAST, "-q", 5, "--force").code == 9
    assert manifest and (out / "_aecodec" / "manifest.jsonl").read_text() == ""


def test_errors_of_transcode_name_the_file(cli, pair):
    coded, out = pair.parent / "coded", pair.parent / "out"
    assert cli("batch", "encode", pair, coded, *FAST).code == 0
    result = cli("batch", "transcode", coded, out, *FAST, "--max-size", 1)
    assert result.code == 2 and result.err.count(str(coded)) >= 2


def test_tables_of_names_that_are_not_utf8(cli, pair):
    """Parquet holds UTF-8 alone: such a name is in it as the JSON lines write it."""
    parquet = pytest.importorskip("pyarrow.parquet")
    picture(pair / os.fsdecode(b"\xff.png"))
    (pair / os.fsdecode(b"\xfe.png")).write_bytes(b"nothing")
    out = pair.parent / "out"
    result = cli("batch", "encode", pair, out, *FAST, "--parquet-tables")
    assert result.code == InputError.exit_code and "unexpected" not in result.err
    kept, failed = (parquet.read_table(out / "_aecodec" / f"{name}.parquet").to_pylist() for name in TABLES)
    assert {row["input"]: row["output"] for row in kept}["\\udcff.png"] == "\\udcff.aec" and len(kept) == 3
    assert [row["input"] for row in failed] == ["\\udcfe.png"]
    (pair / os.fsdecode(b"\xfe.png")).unlink()
    assert cli("batch", "encode", pair, out, *FAST, "--parquet-tables").code == 0


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
def test_columns_of_bytes(cli, pair, kind):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    if not hasattr(pa, kind):
        pytest.skip("this pyarrow has no views")
    column = pa.array([(pair / "a.png").read_bytes(), None], getattr(pa, kind)())
    within = pa.StructArray.from_arrays([column], ["bytes"])
    for number, values in enumerate((column, within)):
        source, out = pair.parent / f"{number}.parquet", pair.parent / f"out{number}"
        parquet.write_table(pa.table({"image": values}), source)
        assert "1 of 2 pictures failed" in cli("batch", "encode", source, out, *FAST).err
        coded = parquet.read_table(out / source.name)["aec"].to_pylist()
        assert coded[0].startswith(b"\x89AEC") and coded[1] is None
