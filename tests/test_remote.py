"""URLs through fsspec: as inputs and outputs of the commands, as inputs of the functions."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from batches import FAST
from PIL import Image
from synthetic import smooth

import aecodec
from aecodec import remote
from aecodec.cli import plan
from aecodec.errors import InputError, OutputError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    """The memory:// file system, with in/a.png and in/deep/b.png."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for number, name in enumerate(("a.png", "deep/b.png")):
        out = io.BytesIO()
        Image.fromarray(smooth(number, 40, 56)).save(out, "PNG")
        system.pipe_file(f"/in/{name}", out.getvalue())
    yield system
    system.store.clear()


@pytest.mark.parametrize(
    "name",
    [
        "memory://a",
        "s3://b/a.png",
        "file:///a",
        "zip://a.png::/b.zip",
        "a+b://c",
        "simplecache::s3://b/a.png",
    ],
)
def test_urls(name):
    assert remote.is_url(name)


@pytest.mark.parametrize(
    "name",
    ["a.png", "/a/b", "C:\\a.png", "C:/a.png", "://a", "1a://b", "a:b", "a/b://c", "", "a::b", "a::/b"],
)
def test_paths(name):
    assert not remote.is_url(name) and remote.local_path(name) == name


def test_there_and_back(cli, memory):
    assert cli("encode", "memory://in/a.png", "memory://out/a.aec", *FAST) == (0, b"", "")
    facts = json.loads(cli("info", "memory://out/a.aec", "--json").out)
    assert (facts["width"], facts["height"]) == (56, 40)
    assert facts["bytes"] == len(memory.cat_file("/out/a.aec"))
    assert cli("verify", "memory://out/a.aec").out == b"memory://out/a.aec: ok\n"
    assert cli("decode", "memory://out/a.aec", "memory://out/a.png") == (0, b"", "")
    with Image.open(io.BytesIO(memory.cat_file("/out/a.png"))) as image:
        assert image.size == (56, 40)
    assert cli("decode", "memory://out/a.aec", "memory://out/part.png", "--region", "8,8,20,10").code == 0
    with Image.open(io.BytesIO(memory.cat_file("/out/part.png"))) as image:
        assert image.size == (20, 10)


def test_between_urls_and_files(cli, memory, tmp_path):
    assert cli("encode", "memory://in/a.png", tmp_path / "a.aec", *FAST).code == 0
    assert cli("decode", tmp_path / "a.aec", "memory://a.png").code == 0 and memory.exists("/a.png")
    url = (tmp_path / "b c.aec").as_uri().replace("%20", " ")
    assert cli("encode", "memory://in/a.png", url, *FAST).code == 0
    assert (tmp_path / "b c.aec").read_bytes() == (tmp_path / "a.aec").read_bytes()
    assert cli("encode", "memory://in/a.png", url, *FAST).code == 9
    same = cli("encode", url, tmp_path / "b c.aec", "--force")
    assert same.code == 2 and "same file" in same.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.aec", "b c.aec"]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_folders(cli, memory, jobs):
    command = ("encode", "-r", "memory://in", "--out-dir", "memory://out/x", "--jobs", jobs, *FAST)
    assert cli(*command).err == "aecodec: 2 of 2 done\n"
    assert memory.find("/out") == ["/out/x/a.aec", "/out/x/deep/b.aec"]
    assert "2 skipped" in cli(*command).err
    result = cli("decode", "-r", "memory://out/x/", "--out-dir", "memory://back", "--jobs", jobs, "--json")
    assert result.code == 0 and memory.find("/back") == ["/back/a.png", "/back/deep/b.png"]
    assert {json.loads(line)["input"] for line in result.out.splitlines()} == {
        "memory://out/x/a.aec",
        "memory://out/x/deep/b.aec",
    }


def test_inside_an_archive(cli, memory, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/a.png", memory.cat_file("/in/a.png"))
    result = cli("encode", "-r", f"zip://in::{tmp_path / 'a.zip'}", "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 0, result.err
    assert (tmp_path / "out" / "a.aec").stat().st_size > 69


@pytest.mark.parametrize(
    "folder, below",
    [
        ("memory://", "memory://a/b.png"),
        ("memory:///", "memory://a/b.png"),
        ("s3://bucket/in/", "s3://bucket/in/a/b.png"),
        ("zip://in::s3://bucket/x.zip", "zip://in/a/b.png::s3://bucket/x.zip"),
        ("zip://::x.zip", "zip://a/b.png::x.zip"),
        ("tar::s3://bucket/x.tar", "tar://a/b.png::s3://bucket/x.tar"),
        ("simplecache::s3://bucket/in", "simplecache::s3://bucket/in/a/b.png"),
        ("simplecache::zip://in::s3://b/x.zip", "simplecache::zip://in/a/b.png::s3://b/x.zip"),
    ],
)
def test_names_below_a_folder(folder, below):
    assert plan.join(folder, "a/b.png") == below and plan.base(below) == "b.png"


def test_a_listing_has_what_the_store_says(memory):
    first, second = remote.walk("memory://in/")
    assert (first.url, first.relative) == ("memory://in/a.png", "a.png")
    assert (second.url, second.relative) == ("memory://in/deep/b.png", "deep/b.png")
    assert second.size == len(memory.cat_file("/in/deep/b.png"))
    assert second.version == str(memory.find("/in", detail=True)["/in/deep/b.png"]["created"])
    alone = remote.entry(second.url)
    assert alone[:3] == (second.url, "", second.size)
    assert alone.version == str(memory.info("/in/deep/b.png")["created"])
    with pytest.raises(InputError, match="No such file"):
        remote.entry("memory://in/none.png")


def test_through_a_cache(cli, memory, tmp_path):
    for command in (("encode", "-r", "simplecache::memory://in", "--out-dir"),
                    ("batch", "encode", "simplecache::memory://in")):  # fmt: skip
        out = tmp_path / command[0]
        result = cli(*command, out, *FAST)
        assert result.code == 0, result.err
        assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.aec")) == ["a.aec", "deep/b.aec"]
    one = cli("encode", "simplecache::memory://in/a.png", "--out-dir", tmp_path / "one", *FAST)
    assert one.code == 0 and (tmp_path / "one" / "a.aec").exists()
    over = cli("batch", "transcode", "simplecache::memory://in", "memory://in", *FAST)
    assert over.code == 2 and "would replace what it reads" in over.err


@pytest.mark.parametrize("chained", ["simplecache::memory://out", "zip://out::memory://x.zip"])
@pytest.mark.parametrize(
    "command",
    [
        ("encode", "-r", "memory://in", "--out-dir"),
        ("batch", "encode", "memory://in"),
        ("encode", "memory://in/a.png"),
    ],
)
def test_results_are_not_written_through_chains(cli, memory, tmp_path, monkeypatch, command, chained):
    """They would get the names of something else: zip://out::memory://x.zip/a.aec"""
    monkeypatch.chdir(tmp_path)
    before = memory.find("/")
    result = cli(*command, chained, *FAST)
    assert result.code == 2 and f"{chained!r}, a chained URL" in result.err and result.err.count("\n") == 1
    assert "s3://bucket/name" in result.err
    assert memory.find("/") == before and list(tmp_path.iterdir()) == []


def test_functions(memory):
    data = aecodec.encode("memory://in/a.png", quality=5, device="cpu")
    memory.pipe_file("/a.aec", data)
    pixels = aecodec.decode("memory://a.aec", device="cpu")
    assert np.array_equal(pixels, aecodec.decode(data, device="cpu"))
    assert aecodec.info("memory://a.aec")["bytes"] == len(data)
    part = aecodec.open("memory://a.aec", device="cpu", region=(0, 0, 8, 8))
    assert part.size == (8, 8)
    with pytest.raises(InputError, match="cannot read"):  # a Path is a path, whatever it looks like
        aecodec.info(Path("memory://a.aec"))


def test_existing_results_are_kept(cli, memory):
    memory.pipe_file("/a.aec", b"somebody else's")
    result = cli("encode", "memory://in/a.png", "memory://a.aec", *FAST)
    assert result.code == 9 and "--force" in result.err and memory.cat_file("/a.aec") == b"somebody else's"
    assert cli("encode", "memory://in/a.png", "memory://a.aec", *FAST, "--force").code == 0
    assert memory.cat_file("/a.aec").startswith(b"\x89AEC")


def test_errors(cli, memory, tmp_path):
    for name in ("memory://none.png", "nosuchscheme://a.png", f"file://{tmp_path}/none.png"):
        result = cli("encode", name, tmp_path / "a.aec", *FAST)
        assert result.code == 3 and name in result.err and result.err.count("\n") == 1
    result = cli("encode", "memory://in/a.png", "nosuchscheme://a.aec", *FAST)
    assert result.code == 9 and "nosuchscheme" in result.err


def test_nothing_is_left_when_writing_fails(memory, monkeypatch):
    from fsspec.implementations.memory import MemoryFile

    def fail(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MemoryFile, "write", fail, raising=False)
    with pytest.raises(OutputError, match="No space left"):
        remote.write("memory://out/a.aec", b"data")
    assert memory.find("/out") == []


@pytest.mark.parametrize("way", ["write", "upload"])
def test_threads_that_share_a_store(way, tmp_path, monkeypatch):
    """As with s3fs, gcsfs and adlfs: fsspec keeps one file system for all threads where it is async."""
    from fsspec.implementations.memory import MemoryFileSystem

    class Store(MemoryFileSystem):
        protocol, async_impl, mirror_sync_methods = "shared", True, False
        store, pseudo_dirs = {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("shared://", "memory://"))

        def _open(self, *args, **options):
            opened = super()._open(*args, **options)
            time.sleep(0.001)  # for the others
            return opened

    fsspec.register_implementation("shared", Store, clobber=True)
    source = tmp_path / "a"
    source.write_bytes(b"contents")

    def put(number):
        url = f"shared://out/{number}.aec"
        remote.write(url, b"contents") if way == "write" else remote.upload(url, str(source))
        return url

    with ThreadPoolExecutor(4) as pool:
        urls = list(pool.map(put, range(80)))
    assert [remote.read(url) for url in urls] == [b"contents"] * 80


def test_without_fsspec(tmp_path):
    code = (
        "import sys; sys.modules['fsspec'] = sys.modules['fsspec.core'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    Image.fromarray(smooth(1, 40, 56)).save(tmp_path / "a.png")
    for names in (["memory://a.png", tmp_path / "a.aec"], [tmp_path / "a.png", "memory://a.aec"]):
        run = subprocess.run([sys.executable, "-c", code, "encode", *names], capture_output=True, text=True)
        assert run.returncode == 2 and "pip install 'aecodec[fsspec]'" in run.stderr
    run = subprocess.run(
        [sys.executable, "-c", code, "encode", tmp_path / "a.png", tmp_path / "a.aec", *FAST]
    )
    assert run.returncode == 0
