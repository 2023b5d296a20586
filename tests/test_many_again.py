"""aecodec batch, run again: inputs that changed, linked folders, tables at URLs, runs that were stopped."""

from __future__ import annotations

import io
import json
import os
import tarfile

import pytest
from batches import FAST, picture
from PIL import Image
from synthetic import smooth
from test_many import results, table

from aecodec import remote
from aecodec.cli.many import collection
from aecodec.cli.many.journal import Journal
from aecodec.cli.many.records import Records
from aecodec.codec import Codec


@pytest.fixture
def pair(tmp_path):
    """in/: a.ppm, deep/b.ppm, of one size"""
    for number, name in enumerate(("a.ppm", "deep/b.ppm")):
        picture(tmp_path / "in" / name, number)
    return tmp_path / "in"


@pytest.fixture
def memory():
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def ppm(seed):
    out = io.BytesIO()
    Image.fromarray(smooth(seed, 40, 56)).save(out, "PPM")
    return out.getvalue()


def age(path, seconds):
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + int(seconds * 1e9)))


def rows_at(system, folder):
    lines = system.cat_file(f"{folder}/_aecodec/manifest.jsonl").splitlines()
    return {row["input"]: row for row in map(json.loads, lines)}


def test_other_contents_of_the_same_size(cli, pair, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    assert cli("batch", "encode", pair, out, *FAST).code == 0
    first = (out / "a.aec").read_bytes()
    for number, name in enumerate(("a.ppm", "deep/b.ppm")):
        age(picture(other / name, number + 7 * (name == "a.ppm")), 60)
    assert (other / "a.ppm").stat().st_size == (pair / "a.ppm").stat().st_size
    result = cli("batch", "encode", other, out, *FAST)
    assert result.code == 0 and "1 of 2 done, 1 skipped" in result.err
    assert (out / "a.aec").read_bytes() != first and len(table(out)) == 2
    versions = {row["input"]: row["input_version"] for row in table(out)}
    assert versions == {name: str((other / name).stat().st_mtime_ns) for name in versions}


def test_a_result_is_still_ours_after_its_input_failed(cli, pair, tmp_path):
    """Whatever an input becomes, and however often."""
    out, good = tmp_path / "out", (pair / "a.ppm").read_bytes()
    command = ("batch", "encode", pair, out, *FAST)
    assert cli(*command).code == 0
    for seconds, contents, code in ((60, bytes(len(good)), 3), (120, bytes(9), 3), (180, ppm(5), 0)):
        (pair / "a.ppm").write_bytes(contents)
        age(pair / "a.ppm", seconds)
        assert cli(*command).code == code
        assert [("older_sha256" in row) for row in table(out, "failures")] == [True] * (code > 0)
    assert len(table(out)) == 2 and "2 skipped" in cli(*command).err


def test_stores_are_asked_once_for_new_results(cli, pair, memory, monkeypatch):
    """The listing says that they are not there."""
    asked, exists = [], remote.exists
    monkeypatch.setattr(remote, "exists", lambda url: asked.append(url) or exists(url))
    assert cli("batch", "encode", pair, "memory://out", *FAST).code == 0
    assert not [url for url in asked if url.endswith(".aec")]


def test_a_copy_is_read_once_and_not_coded_again(cli, pair, tmp_path, monkeypatch):
    out = tmp_path / "out"
    command = ("batch", "encode", pair, out, *FAST)
    cli(*command)
    age(pair / "a.ppm", 60)
    read, calls = Records.input_checksums, []
    monkeypatch.setattr(
        Records, "input_checksums", lambda self, units: (calls.append(units), read(self, units))[1]
    )
    assert "0 of 2 done, 2 skipped" in cli(*command).err and calls == [{"a.ppm"}]
    assert "0 of 2 done, 2 skipped" in cli(*command).err and len(calls) == 1
    assert len(table(out)) == 2


def test_manifests_that_know_no_versions(cli, pair, tmp_path):
    out = tmp_path / "out"
    command = ("batch", "encode", pair, out, *FAST)
    cli(*command)
    rows = [
        {k: v for k, v in row.items() if k not in ("input_version", "input_sha256")} for row in table(out)
    ]
    (out / "_aecodec" / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (pair / "a.ppm").write_bytes(ppm(7))
    age(pair / "deep" / "b.ppm", 60)
    assert "0 of 2 done, 2 skipped" in cli(*command).err


def test_an_input_that_cannot_be_read_again(cli, pair, tmp_path, monkeypatch):
    """It is tried as a job, whose failure stops nothing else."""
    command = ("batch", "encode", pair, tmp_path / "out", *FAST)
    cli(*command)
    age(pair / "a.ppm", 60)

    def failing(name):
        raise OSError("stale file handle")

    monkeypatch.setattr(collection, "checksum", failing)
    result = cli(*command)
    assert result.code == 0 and "1 of 2 done, 1 skipped" in result.err


def test_shards_of_the_same_size(cli, tmp_path):
    def write(seed, seconds):
        (tmp_path / "in").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / "in" / "a.tar", "w") as tar:
            info = tarfile.TarInfo("a.ppm")
            info.size = len(ppm(seed))
            tar.addfile(info, io.BytesIO(ppm(seed)))
        age(tmp_path / "in" / "a.tar", seconds)

    out = tmp_path / "out"
    command = ("batch", "encode", tmp_path / "in", out, *FAST)
    write(1, 0)
    assert cli(*command).code == 0
    assert "input_version" not in table(out)[0] and table(out)[1]["input_version"]
    first = (out / "a.tar").read_bytes()
    write(1, 60)
    assert "0 of 1 done, 1 skipped" in cli(*command).err
    write(2, 120)
    assert cli(*command).code == 0 and (out / "a.tar").read_bytes() != first


def test_versions_of_stores(cli, memory, monkeypatch):
    """Here the time of creation; S3 would give its ETag."""
    command = ("batch", "encode", "memory://in", "memory://out", *FAST)
    memory.pipe_file("/in/a.ppm", ppm(0))
    memory.pipe_file("/in/b.ppm", ppm(1))
    assert cli(*command).code == 0
    assert all(row["input_version"] and row["input_sha256"] for row in rows_at(memory, "/out").values())
    assert "0 of 2 done, 2 skipped" in cli(*command).err
    memory.pipe_file("/in/a.ppm", ppm(7))
    memory.pipe_file("/in/b.ppm", ppm(1))
    first = memory.cat_file("/out/a.aec")
    assert "1 of 2 done, 1 skipped" in cli(*command).err and memory.cat_file("/out/a.aec") != first
    one = ("batch", "encode", "memory://in/a.ppm", "memory://one", *FAST)
    assert cli(*one).code == 0
    memory.pipe_file("/in/a.ppm", ppm(8))
    assert cli(*one).code == 0 and rows_at(memory, "/one")["a.ppm"]["sha256"]
    assert memory.cat_file("/one/a.aec") != memory.cat_file("/out/a.aec")


def test_rows_at_urls_that_were_done_again(cli, memory):
    """Rows wait there before they are written; tidying must not lose them."""
    for number in range(3):
        memory.pipe_file(f"/in/{number}.ppm", ppm(number))
    command = ("batch", "encode", "memory://in", "memory://out", *FAST)
    assert cli(*command).code == 0
    memory.rm_file("/out/1.aec")
    memory.pipe_file("/in/3.ppm", ppm(3))
    assert "2 of 4 done, 2 skipped" in cli(*command).err
    assert sorted(rows_at(memory, "/out")) == [f"{number}.ppm" for number in range(4)]
    assert "0 of 4 done, 4 skipped" in cli(*command).err


def test_a_journal_at_a_url_has_what_waits(memory):
    journal = Journal("memory://out/rows.jsonl")
    journal.append(["1"])
    assert list(journal.lines()) == ["1"]
    assert memory.find("/out") == [], "reading writes nothing"
    journal._flush()
    journal.append(["2"])
    assert list(journal.lines()) == ["1", "2"] and memory.find("/out") == ["/out/rows.jsonl.part00001"]
    journal.replace([line for line in journal.lines() if line != "1"])
    assert list(journal.lines()) == ["2"] and memory.find("/out") == ["/out/rows.jsonl"]


@pytest.mark.parametrize("name", ["manifest", "failures"])
def test_a_last_line_without_its_end(cli, pair, tmp_path, name):
    """As an editor leaves it, or a disk that was full: the next row has a line of its own at once."""
    out = tmp_path / "out"
    (pair / "bad.png").write_bytes(b"nothing")
    cli("batch", "encode", pair, out, *FAST)
    path = out / "_aecodec" / f"{name}.jsonl"
    before = path.read_text()
    path.write_text(before.rstrip("\n"))
    journal = Journal(str(path))
    journal.append(['{"input": "new", "shard": null}'])
    journal.append(['{"input": "newer", "shard": null}'])
    journal._close_stream()
    assert path.read_text().startswith(before)
    assert [row["input"] for row in table(out, name)][-2:] == ["new", "newer"]


def test_linked_folders_in_dst(cli, pair, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "deep").symlink_to(elsewhere)
    (elsewhere / "b.aec").write_bytes(b"somebody else's")
    command = ("batch", "encode", pair, out, *FAST)
    result = cli(*command)
    assert result.code == 9 and "is no result of this command" in result.err
    assert (elsewhere / "b.aec").read_bytes() == b"somebody else's"
    (elsewhere / "b.aec").unlink()
    assert cli(*command).code == 0 and results(elsewhere) == ["b.aec"]
    assert "0 of 2 done, 2 skipped" in cli(*command).err
    (elsewhere / "b.aec").write_bytes(b"damaged")
    assert "1 of 2 done, 1 skipped" in cli(*command).err


def test_foreign_shards_in_linked_folders(cli, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (tmp_path / "in" / "deep", out, elsewhere):
        folder.mkdir(parents=True)
    (out / "deep").symlink_to(elsewhere)
    with tarfile.open(tmp_path / "in" / "deep" / "a.tar", "w") as tar:
        tar.add(picture(tmp_path / "a.png"), "a.png")
    (elsewhere / "a.tar").write_bytes(b"somebody else's")
    assert cli("batch", "encode", tmp_path / "in", out, *FAST).code == 9
    assert (elsewhere / "a.tar").read_bytes() == b"somebody else's"


def test_stopped_before_all_changed_inputs_were_done(cli, pair, tmp_path, monkeypatch):
    """Results of those that were not begun are still known as ours."""
    out = tmp_path / "out"
    command = ("batch", "encode", pair, out, *FAST, "--jobs", "1")
    cli(*command)
    for name in ("a.ppm", "deep/b.ppm"):
        Image.fromarray(smooth(7, 40, 60)).save(pair / name)

    def interrupted(self, *rest, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Codec, "encode_to", interrupted)
        assert cli(*command).code == 130
    assert len(table(out)) == 2
    result = cli(*command)
    assert result.code == 0 and "2 of 2 done" in result.err


@pytest.mark.parametrize("dst", ["memory://", "memory://out"])
def test_a_whole_store(cli, memory, tmp_path, monkeypatch, dst):
    monkeypatch.chdir(tmp_path)
    memory.pipe_file("/in/a.ppm", ppm(0))
    memory.pipe_file("/in/deep/b.ppm", ppm(1))
    top = "/out" if dst.endswith("out") else ""
    assert cli("batch", "encode", "memory://in", dst, *FAST).code == 0
    assert list(tmp_path.iterdir()) == []
    assert memory.exists(f"{top}/a.aec") and memory.exists(f"{top}/deep/b.aec")
    assert {row["output"] for row in rows_at(memory, top).values()} == {"a.aec", "deep/b.aec"}
    assert "0 of 2 done, 2 skipped" in cli("batch", "encode", "memory://in", dst, *FAST).err
    assert cli("encode", "memory://in/a.ppm", "--out-dir", f"{dst}/", *FAST, "--force").code == 0
    assert list(tmp_path.iterdir()) == []
    back = cli("batch", "decode", dst, "memory://back", "--device", "cpu")
    assert back.code == 0 and memory.exists("/back/deep/b.png")
