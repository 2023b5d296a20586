"""aecodec batch over Parquet files and WebDataset shards."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile

import pytest
from PIL import Image
from synthetic import smooth
from test_many import FAST, results, table


def png(seed, form="PNG"):
    out = io.BytesIO()
    Image.fromarray(smooth(seed, 40, 56)).save(out, form)
    return out.getvalue()


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def tables(tmp_path, parquet):
    """in/: two files of 20 and 3 rows; in the second one picture is broken and one is null."""
    import pyarrow as pa

    (tmp_path / "in").mkdir()
    pictures = [png(seed) for seed in range(20)]
    first = {"label": list(range(20)), "image": pictures, "text": [f"t{n}" for n in range(20)]}
    found = pa.table(first).replace_schema_metadata({"huggingface": "{}", "own": "kept"})
    parquet.write_table(found, tmp_path / "in" / "a.parquet")
    structs = [{"bytes": value, "path": "x.png"} for value in (b"nothing", png(1), None)]
    parquet.write_table(pa.table({"photo": structs, "label": [7, 8, 9]}), tmp_path / "in" / "b.parquet")
    return tmp_path / "in"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_parquet(cli, codec, parquet, tables, tmp_path, jobs):
    out = tmp_path / "out"
    command = ("batch", "encode", tables, out, *FAST, "--jobs", jobs)
    result = cli(*command, "--parquet-tables")
    assert result.code == 3 and "2 of 2 done" in result.err and "failures, 2" in result.err
    assert results(out) == ["a.parquet", "b.parquet"]
    first, second = (parquet.read_table(out / name) for name in results(out))
    assert first.column_names == ["label", "aec", "text"] and first.num_rows == 20
    assert first["label"].to_pylist() == list(range(20)) and first.schema.metadata == {b"own": b"kept"}
    assert first["aec"][3].as_py() == codec.encode(png(3), 5)
    assert second.column_names == ["aec", "label"] and second["label"].to_pylist() == [7, 8, 9]
    assert [value is None for value in second["aec"].to_pylist()] == [True, False, True]

    rows = table(out)
    assert [row["input"] for row in rows if row["shard"] == "b.parquet"] == ["b.parquet#1"]
    one = next(row for row in rows if row["input"] == "a.parquet#3")
    assert one["sha256"] == hashlib.sha256(first["aec"][3].as_py()).hexdigest()
    whole = next(row for row in rows if row["input"] == "b.parquet")
    assert (whole["pictures"], whole["failed"], whole["shard"]) == (1, 2, None)
    assert whole["sha256"] == hashlib.sha256((out / "b.parquet").read_bytes()).hexdigest()
    failures = table(out, "failures")
    assert [row["input"] for row in failures] == ["b.parquet#0", "b.parquet#2"]
    assert "no picture" in failures[0]["error"] and "null" in failures[1]["error"]
    kept = parquet.read_table(out / "_aecodec" / "manifest.parquet")
    assert kept.num_rows == len(rows) == 23 and kept["sha256"].to_pylist() == [r["sha256"] for r in rows]

    result = cli(*command)
    assert result.code == 0 and "2 skipped" in result.err, "a shard is not done again for what fails in it"
    assert "1 of 2 done, 1 skipped" in cli(*command, "--retry-failed").err
    assert table(out, "failures")[0]["error"] == failures[0]["error"] and len(table(out)) == 23

    back = tmp_path / "back"
    result = cli("batch", "decode", out, back, "--device", "cpu", "--jobs", "1")
    assert "failures, 2" in result.err
    decoded = parquet.read_table(back / "a.parquet")
    assert decoded.column_names == ["label", "image", "text"]
    with Image.open(io.BytesIO(decoded["image"][19].as_py())) as image:
        assert image.format == "PNG" and image.size == (56, 40)


def test_parquet_columns(cli, parquet, tables, tmp_path):
    import pyarrow as pa

    parquet.write_table(pa.table({"x": [png(1)], "y": [png(2)]}), tables / "b.parquet")
    source = tables / "b.parquet"

    def failure(*options):
        result = cli("batch", "encode", source, tmp_path / "out", *FAST, *options, "--force")
        assert result.code == 3 and results(tmp_path / "out") == []
        return result.err

    assert "no column 'image'; it has x, y; choose with --column" in failure()
    assert "no column 'z'" in failure("--column", "z")
    assert "--output-column" in failure("--column", "x", "--output-column", "y")
    options = ("--column", "y", "--output-column", "small", "--force")
    assert cli("batch", "encode", source, tmp_path / "out", *FAST, *options).code == 0
    assert parquet.read_table(tmp_path / "out" / "b.parquet").column_names == ["x", "small"]
    (tmp_path / "out" / "b.parquet").unlink()
    source.write_bytes(source.read_bytes()[:-9])
    assert "cannot be read as Parquet" in failure()


def test_without_pyarrow(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    result = cli("batch", "encode", tmp_path / "a.parquet", tmp_path / "out")
    assert result.code == 2 and "pip install 'aecodec[parquet]'" in result.err
    assert not (tmp_path / "out").exists()


def write_shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1234567
            tar.addfile(info, io.BytesIO(data))


def read_shard(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


@pytest.fixture
def shard(tmp_path):
    """in/train-000.tar: five samples; the third's picture is broken, the last has two that would be one."""
    (tmp_path / "in").mkdir()
    members = [
        *(("s/0.jpg", png(0, "JPEG")), ("s/0.cls", b"4"), ("s/0.seg.png", png(1))),
        *(("s/1.png", png(2)), ("s/1.json", b"{}")),
        *(("s/2.jpg", b"nothing"), ("s/2.cls", b"5")),
        ("s/3.txt", b"no picture here"),
        *(("s/4.jpg", png(3, "JPEG")), ("s/4.png", png(4))),
    ]
    write_shard(tmp_path / "in" / "train-000.tar", members)
    return dict(members)


def test_webdataset(cli, codec, shard, tmp_path):
    out = tmp_path / "out"
    result = cli("batch", "encode", tmp_path / "in", out, *FAST)
    assert result.code == 3 and "3 of 5 pictures failed" in result.err and "failures, 3" in result.err
    found = read_shard(out / "train-000.tar")
    assert list(found) == ["s/0.aec", "s/0.cls", "s/0.seg.png", "s/1.aec", "s/1.json", "s/3.txt"]
    assert found["s/0.aec"] == codec.encode(shard["s/0.jpg"], 5)
    for name in ("s/0.cls", "s/0.seg.png", "s/1.json", "s/3.txt"):
        assert found[name] == shard[name]
    with tarfile.open(out / "train-000.tar") as tar:
        assert tar.getmember("s/0.aec").mtime == 1234567
    assert [row["input"] for row in table(out)] == [
        "train-000.tar#s/0.jpg",
        "train-000.tar#s/1.png",
        "train-000.tar",
    ]
    failures = {row["input"]: row["error"] for row in table(out, "failures")}
    assert "no picture" in failures["train-000.tar#s/2.jpg"]
    assert "'s/4.aec'" in failures["train-000.tar#s/4.png"] and "train-000.tar#s/4.jpg" in failures
    before = (out / "train-000.tar").read_bytes()
    assert cli("batch", "encode", tmp_path / "in", out, *FAST, "--force").code == 3
    assert (out / "train-000.tar").read_bytes() == before

    assert cli("batch", "decode", out, tmp_path / "back", "--device", "cpu", "--jobs", "1").code == 0
    assert "s/1.png" in read_shard(tmp_path / "back" / "train-000.tar")

    members = ("--members", "seg.png,jpg")
    cli("batch", "encode", tmp_path / "in", tmp_path / "some", *FAST, *members)
    assert list(read_shard(tmp_path / "some" / "train-000.tar"))[:5] == [
        *("s/0.aec", "s/0.cls", "s/0.seg.aec", "s/1.png", "s/1.json")
    ]


def test_a_shard_that_is_cut(cli, shard, tmp_path):
    path = tmp_path / "in" / "train-000.tar"
    path.write_bytes(path.read_bytes()[:1000])
    write_shard(tmp_path / "in" / "train-001.tar", [("a.png", png(1))])
    result = cli("batch", "encode", tmp_path / "in", tmp_path / "out", *FAST)
    assert result.code == 3 and "1 of 2 done, 1 failed" in result.err
    assert results(tmp_path / "out") == ["train-001.tar"]
    assert [row["input"] for row in table(tmp_path / "out", "failures")] == ["train-000.tar"]


def test_shards_at_urls(cli, shard, tmp_path, parquet):
    import pyarrow as pa

    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe_file("/in/a.tar", (tmp_path / "in" / "train-000.tar").read_bytes())
    assert "3 of 5" in cli("batch", "encode", "memory://in", "memory://out", *FAST).err
    with tarfile.open(fileobj=io.BytesIO(system.cat_file("/out/a.tar"))) as tar:
        assert tar.getnames()[0] == "s/0.aec"
    whole = json.loads(system.cat_file("/out/_aecodec/manifest.jsonl").splitlines()[-1])
    assert whole["output_bytes"] == system.size("/out/a.tar")
    assert whole["input_bytes"] == system.size("/in/a.tar")
    assert "1 skipped" in cli("batch", "encode", "memory://in", "memory://out", *FAST).err
    out = io.BytesIO()
    parquet.write_table(pa.table({"image": [png(1)]}), out)
    system.pipe_file("/in/b.parquet", out.getvalue())
    both = cli("batch", "encode", "memory://in", "memory://two", *FAST)
    assert both.code == 2 and "parquet and webdataset; choose with --kind" in both.err
    assert cli("batch", "encode", "memory://in", "memory://two", *FAST, "--kind", "parquet").code == 0
    assert parquet.read_table(io.BytesIO(system.cat_file("/two/b.parquet"))).num_rows == 1
    system.store.clear()


def test_links_and_folders_stay(cli, codec, tmp_path):
    """A link goes on naming its picture, which has another name now; sizes of what has no contents are 0."""
    (tmp_path / "in").mkdir()
    kinds = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "s": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}
    members = [("d", "s", ""), ("f", "s/0.png", ""), ("s", "s/1.png", "0.png"), ("h", "s/2.png", "s/0.png")]
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as tar:
        for kind, name, to in [*members, ("s", "s/3.txt", "0.png")]:
            info = tarfile.TarInfo(name)
            data = png(1) if kind == "f" else b""
            info.type, info.size, info.linkname = kinds[kind], len(data) or 5 * (kind == "h"), to
            tar.addfile(info, io.BytesIO(data) if data else None)
    assert cli("batch", "encode", tmp_path / "in", tmp_path / "out", *FAST).code == 0
    with tarfile.open(tmp_path / "out" / "a.tar") as tar:
        found = [(info.name, info.type, info.linkname) for info in tar]
        tar.extractall(tmp_path / "all", filter="data")
    assert found == [
        ("s", kinds["d"], ""),
        ("s/0.aec", kinds["f"], ""),
        ("s/1.aec", kinds["s"], "0.aec"),
        ("s/2.aec", kinds["h"], "s/0.aec"),
        ("s/3.txt", kinds["s"], "0.aec"),
    ]
    for name in ("0.aec", "1.aec", "2.aec", "3.txt"):
        assert (tmp_path / "all" / "s" / name).read_bytes() == codec.encode(png(1), 5)
