"""Names of outputs that are those of something else: a forgotten --out-dir must cost no file."""

from __future__ import annotations

import os
import threading

import pytest
from batches import FAST, lines, picture
from test_cli import one_line_error

from aecodec.cli import files
from aecodec.container import MAGIC


@pytest.fixture
def place(tmp_path, monkeypatch, city_file):
    """k1.png, k2.png, c.aec, d.aec."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        picture(tmp_path / f"k{number}.png", number)
    for name in "cd":
        (tmp_path / f"{name}.aec").write_bytes(city_file)
    return tmp_path


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["k2.png", "new.png", "new.JPG", "new.eps", "new.pfm", "file:///tmp/new.tif"]
)
def test_encode_writes_no_pictures(cli, place, name):
    """Neither what Pillow reads (PFM) nor what it only writes (EPS)."""
    before = contents(place)
    for source in ("k1.png", "none.png"):  # nothing is read before
        result = cli("encode", source, name, "--force", *FAST)
        assert one_line_error(
            result, 2, f"{name!r} has the name of a picture", "name the output .aec", "--out-dir"
        )
    assert contents(place) == before


@pytest.mark.parametrize("name", ["a.aec", "b.AEC", "bare", "a.png.aec", "a.unknown", "dots.png/a"])
def test_other_names_are_fine(cli, place, name):
    (place / "dots.png").mkdir()
    assert cli("encode", "k1.png", name, *FAST) == (0, b"", "")
    assert (place / name).read_bytes().startswith(MAGIC)


def test_pipes_may_have_any_name(cli, place):
    os.mkfifo("pipe.png")
    os.mkfifo("pipe.aec")
    got = {}
    for command in (
        ("encode", "k1.png", "pipe.png", *FAST),
        ("decode", "c.aec", "pipe.aec", "--format", "png"),
    ):
        name = command[2]
        reader = threading.Thread(
            target=lambda n=name: got.update({n: (place / n).read_bytes()}), daemon=True
        )
        reader.start()
        assert cli(*command) == (0, b"", "")
        reader.join(60)
    assert got["pipe.png"].startswith(MAGIC) and got["pipe.aec"].startswith(b"\x89PNG")
    assert files.suffix_of("-") == "" and files.suffix_of("/dev/stdout") == ""


@pytest.mark.parametrize("how", [(), ("--format", "png"), ("--format", "jpg")])
def test_decode_writes_no_aec_files(cli, place, how):
    before = contents(place)
    for target in ("d.aec", "new.AEC"):
        result = cli("decode", "c.aec", target, "--force", *how)
        assert one_line_error(result, 2, f"{target!r} has the name of an .aec file", ".png", "--out-dir")
    assert contents(place) == before


def test_no_format_has_the_suffix_of_aec_files(cli, place):
    before = contents(place)
    for command in (
        ("decode", "c.aec", "--out-dir", "out", "--format", "aec"),
        ("inpaint", "k1.png", "--mask", "k2.png", "-o", "d.aec", "--force"),
        ("batch", "decode", ".", "out", "--format", "aec"),
    ):
        assert one_line_error(cli(*command), 2, "no format has the suffix '.aec'")
    assert contents(place) == before


@pytest.mark.parametrize("names", [("k1.png", "k2.png"), ("c.aec", "d.aec")])
def test_features_write_neither(cli, place, names):
    before = contents(place)
    assert one_line_error(cli("features", *names, "--force"), 2, repr(names[1]), "name the output .npy")
    assert contents(place) == before


@pytest.mark.parametrize("name", ["k1.aec", "link.aec"])
def test_an_empty_file_is_no_result(cli, place, name):
    """A disk that was full leaves some, or a machine that stopped."""
    out = place / "out"
    out.mkdir()
    (out / name).write_bytes(b"")
    if name == "link.aec":
        (out / "k1.aec").symlink_to("link.aec")
    command = ("encode", "k1.png", "--out-dir", "out", "--json", *FAST)
    assert [line["status"] for line in lines(cli(*command))] == ["done"]
    assert (out / name).stat().st_size
    assert (out / "k1.aec").is_symlink() == (name == "link.aec")
    assert [line["status"] for line in lines(cli(*command))] == ["skipped"]
    (out / "c.png").write_bytes(b"")
    decode = ("decode", "c.aec", "--out-dir", "out", "--json")
    assert [line["status"] for line in lines(cli(*decode))] == ["done"]


def test_an_empty_object_is_no_result(cli, place):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe_file("/suffixes/k1.aec", b"")
    command = ("encode", "k1.png", "--out-dir", "memory://suffixes", "--json", *FAST)
    assert [line["status"] for line in lines(cli(*command))] == ["done"]
    assert store.size("/suffixes/k1.aec")
    assert [line["status"] for line in lines(cli(*command))] == ["skipped"]
