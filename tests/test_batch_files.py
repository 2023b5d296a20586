"""Many inputs: files and folders, their names, results that are there, a line of JSON for each."""

from __future__ import annotations

import os

import numpy as np
import pytest
from batches import FAST, files_in, lines, picture, tree
from PIL import Hdf5StubImagePlugin, Image
from synthetic import smooth

from aecodec.cli import batch, files
from aecodec.cli.encode import picture_suffixes
from aecodec.cli.plan import Plan

__all__ = ["tree"]  # a fixture


def test_files_into_a_folder(cli, tree, tmp_path):
    result = cli("encode", tree / "a.png", tree / "b c.jpg", "--out-dir", tmp_path / "new" / "out", *FAST)
    assert result == (0, b"", "aecodec: 2 of 2 done\n")
    assert files_in(tmp_path / "new" / "out") == ["a.aec", "b c.aec"]
    single = cli("encode", tree / "a.png", tmp_path / "single.aec", *FAST)
    assert single.code == 0
    assert (tmp_path / "single.aec").read_bytes() == (tmp_path / "new" / "out" / "a.aec").read_bytes()


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_folders_there_and_back(cli, tree, tmp_path, jobs):
    out, back = tmp_path / "out", tmp_path / "back"
    result = cli("encode", "-r", tree, "--out-dir", out, "--jobs", jobs, *FAST)
    assert result.code == 0 and "3 of 3 done, 1 other files left alone" in result.err
    assert files_in(out) == ["a.aec", "b c.aec", "deep/er/d.aec"]
    result = cli("decode", "-r", out, "--out-dir", back, "--jobs", jobs, "--format", "tif", "--device", "cpu")
    assert result.code == 0 and files_in(back) == ["a.tif", "b c.tif", "deep/er/d.tif"]
    with Image.open(back / "deep" / "er" / "d.tif") as image:
        assert image.size == (56, 40)
        assert np.mean(np.abs(np.asarray(image).astype(int) - smooth(2, 40, 56))) < 20
    result = cli("verify", "-r", out, "--jobs", jobs)
    assert result.code == 0 and result.out.count(b": ok\n") == 3


def test_json_lines(cli, tree, tmp_path):
    (tree / "bad.png").write_bytes(b"nothing")
    out = tmp_path / "out"
    result = cli("encode", "-r", tree, "--out-dir", out, "--json", *FAST)
    found = {os.path.basename(line["input"]): line for line in lines(result)}
    assert result.code == 3 and set(found) == {"a.png", "b c.jpg", "d.png", "bad.png"}
    good, bad = found["a.png"], found["bad.png"]
    assert set(good) == set(bad) >= {"input", "output", "status", "bytes", "bpp", "seconds", "error"}
    size = (out / "a.aec").stat().st_size
    assert (good["status"], good["bytes"], good["output"]) == ("done", size, str(out / "a.aec"))
    assert (
        good["bpp"] == pytest.approx(8 * size / (40 * 56)) and good["seconds"] > 0 and good["error"] is None
    )
    assert bad["status"] == "failed" and bad["exit_code"] == 3 and "no picture" in bad["error"]
    assert "3 of 4 done, 1 failed" in result.err and "bad.png" not in result.err
    again = lines(cli("encode", "-r", tree, "--out-dir", out, "--json", *FAST))
    assert sorted(line["status"] for line in again) == ["failed", "skipped", "skipped", "skipped"]
    decoded = lines(cli("decode", out / "a.aec", "--out-dir", tmp_path, "--json"))
    assert decoded[0]["bytes"] == size and decoded[0]["bpp"] == good["bpp"]
    assert lines(cli("verify", out / "a.aec", "--json"))[0]["status"] == "done"


def test_finished_results_are_skipped(cli, tree, tmp_path):
    out = tmp_path / "out"
    cli("encode", tree / "a.png", "--out-dir", out, *FAST)
    before = (out / "a.aec").read_bytes()
    command = ("encode", tree / "a.png", tree / "b c.jpg", "--out-dir", out, "-q", "50", "--device", "cpu")
    result = cli(*command)
    assert result.code == 0 and "1 of 2 done, 1 skipped" in result.err and "--force" in result.err
    assert (out / "a.aec").read_bytes() == before
    result = cli(*command, "--force")
    assert result.code == 0 and "2 of 2 done" in result.err
    assert (out / "a.aec").read_bytes() != before


def test_one_result_for_two_inputs(cli, tree, tmp_path):
    picture(tree / "a.jpg")
    for names in ([tree / "a.png", tree / "a.jpg"], ["-r", tree], [tree / "a.png", tree / "a.png"]):
        result = cli("encode", *names, "--out-dir", tmp_path / "out", *FAST)
        assert result.code == 2 and "both become" in result.err and "nothing was written" in result.err
        assert result.err.count("\n") == 1 and not (tmp_path / "out").exists()
        assert "`aecodec batch` with --full-names" in result.err


def test_advice_that_the_command_can_take(cli, tree, tmp_path):
    """Only encode has a batch that keeps both names apart, and batch no --out-dir."""
    picture(tree / "a.jpg")
    out = ("--out-dir", tmp_path / "out")
    for command in (
        ("features", tree / "a.png", tree / "a.jpg", *out, "-q", "5"),
        ("decode", tree / "a.png", tree / "a.jpg", *out),
    ):
        result = cli(*command)
        assert result.code == 2 and "give them different --out-dir" in result.err
        assert "batch" not in result.err and "--full-names" not in result.err
    result = cli("batch", "encode", tree, tmp_path / "out", *FAST)
    assert result.code == 2 and "--out-dir" not in result.err and result.err.count("--full-names") == 1


def test_what_pillow_knows_and_cannot_read_is_no_input(cli, tree, tmp_path):
    """Videos and labels that lie among pictures; named, they are errors."""
    mpeg = bytes.fromhex("000001b31400f0c4")
    for name, data in (("clip.mpg", mpeg), ("labels.h5", b"\x89HDF\r\n\x1a\n"), ("map.grib", b"GRIB0001")):
        (tree / name).write_bytes(data)
    for command in ("encode", "features"):
        result = cli(command, "-r", tree, "--out-dir", tmp_path / command, *FAST)
        assert result.code == 0 and "3 of 3 done, 4 other files left alone" in result.err
    result = cli("batch", "encode", tree, tmp_path / "batch", *FAST)
    assert result.code == 0 and "3 of 3 done, 4 other files left alone" in result.err
    assert cli("encode", tree / "labels.h5", "--out-dir", tmp_path / "one", *FAST).code == 3


def test_stubs_with_a_reader_are_inputs(monkeypatch):
    suffixes = picture_suffixes()
    assert {".png", ".jpg", ".webp", ".tif", ".jp2", ".gif"} <= suffixes
    assert suffixes.isdisjoint({".mpg", ".mpeg", ".h5", ".hdf", ".bufr", ".grib", ".eps", ".aec"})
    before = getattr(Hdf5StubImagePlugin, "_handler", None)
    Hdf5StubImagePlugin.register_handler(object())
    try:
        assert picture_suffixes() - suffixes == {".h5", ".hdf"}
    finally:
        Hdf5StubImagePlugin.register_handler(before)


def test_pictures_that_another_formats_plugin_reads_are_inputs(cli, tmp_path):
    """MPO is JPEG with several pictures; PDF and Palm are only written."""
    assert ".mpo" in picture_suffixes() and picture_suffixes().isdisjoint({".pdf", ".palm"})
    two = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    (tmp_path / "in").mkdir()
    two[0].save(tmp_path / "in" / "a.mpo", save_all=True, append_images=two[1:])
    result = cli("encode", "-r", tmp_path / "in", "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 0 and (tmp_path / "out" / "a.aec").exists()


def test_result_over_an_input(cli, tree):
    (tree / "a.aec").write_bytes(b"somebody else's")
    names = (tree / "a.png", tree / "a.aec")
    result = cli("encode", *names, "--out-dir", tree, "--force", *FAST)
    assert result.code == 2 and "would replace the input" in result.err
    assert (tree / "a.aec").read_bytes() == b"somebody else's"


@pytest.mark.parametrize(
    "arguments, word",
    [(["a"], "OUT is missing"), (["a", "b", "c"], "3 names"), (["-r", "a", "b"], "--out-dir"),
     (["--jobs", "2", "a", "b"], "--out-dir"), (["-", "--out-dir", "o"], "no name"),
     (["a", "--out-dir", "o", "--jobs", "0"], "less than 1")],
)  # fmt: skip
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_usage(cli, command, arguments, word):
    result = cli(command, *arguments)
    assert result.code == 2 and word in result.err and result.err.count("\n") == 1


def test_options_between_names(cli, tree, tmp_path):
    assert cli("encode", tree / "a.png", "-q", "5", tmp_path / "a.aec", "--device", "cpu").code == 0
    result = cli("encode", tree / "a.png", "-q5", "--out-dir", tmp_path / "o", tree / "b c.jpg")
    assert result.code == 0 and files_in(tmp_path / "o") == ["a.aec", "b c.aec"]
    assert (tmp_path / "o" / "a.aec").read_bytes() == (tmp_path / "a.aec").read_bytes()


def test_folder_without_r(cli, tree, tmp_path):
    result = cli("encode", tree / "deep", tree / "a.png", "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 3 and "use -r" in result.err and files_in(tmp_path / "out") == ["a.aec"]


def test_names(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["-x", "--force", "a b", "\N{GRINNING FACE} é", os.fsdecode(b"\xff\xfe")]
    for name in names:
        picture(tmp_path / "-in" / f"{name}.png")
    result = cli("encode", *FAST, "--jobs", "2", "--out-dir=-out", "-r", "--", "-in")
    assert result.code == 0, result.err
    assert files_in(tmp_path / "-out") == sorted(f"{name}.aec" for name in names)
    checked = cli("verify", "-r", "--", "-out")
    assert checked.code == 0 and checked.out.count(b": ok\n") == len(names)
    assert b"\\udcff\\udcfe.aec" in checked.out  # what stdout's encoding does not have


def test_folder_that_cannot_be_listed(tree, monkeypatch):
    def listing(top, onerror):
        onerror(PermissionError(13, "Permission denied", "locked"))
        return iter([(top, [], ["a.png"])])

    monkeypatch.setattr(os, "walk", listing)
    found = list(files.walk(str(tree)))
    assert found[0][1:] == ("a.png", None)
    assert found[1][0] == "locked" and "Permission denied" in str(found[1][2])


def test_empty_folder(cli, tmp_path):
    (tmp_path / "in").mkdir()
    result = cli("encode", "-r", tmp_path / "in", "--out-dir", tmp_path / "out")
    assert result == (0, b"", "aecodec: 0 of 0 done\n")
    assert batch._share(1) is None and Plan([]).left_out == 0


def test_an_empty_folder_name_is_a_mistake(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(smooth(1)).save("a.png")
    result = cli("encode", "a.png", "--out-dir", "")
    assert result.code == 2 and "is empty" in result.err and os.listdir() == ["a.png"]
