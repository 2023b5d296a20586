"""Runs of `aecodec index` that end early, run at once, or read everything again: nothing is lost."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from aecodec.errors import DeviceError, FormatError, ModelError
from aecodec.latents import index, vectors
from tests.synthetic import smooth

COUNT = 12


@pytest.fixture(scope="module")
def coded(codec):
    return [codec.encode(smooth(seed, 48, 40), 40) for seed in range(COUNT)]


@pytest.fixture
def album(tmp_path, coded):
    (tmp_path / "album").mkdir()
    for number, data in enumerate(coded):
        (tmp_path / "album" / f"{number:02}.aec").write_bytes(data)
    return tmp_path / "album"


def test_other_folders_stay_where_it_is_built_again(cli, album, tmp_path, coded, monkeypatch):
    made, other, device = tmp_path / "album.npz", tmp_path / "other", ("--device", "cpu")
    other.mkdir()
    (other / "a.aec").write_bytes(coded[0])
    assert cli("index", album, other, "-o", made, *device).code == 0
    result = cli("index", other, other, "-o", made, "--rebuild", "--json", *device)
    assert [line["status"] for line in map(json.loads, result.out.splitlines())] == ["done", "skipped"]
    assert len(index.load(made)) == COUNT + 1
    with monkeypatch.context() as patch:  # of another version: nothing of it can stay
        patch.setattr(vectors, "VERSION", vectors.VERSION + 1)
        assert cli("index", other, "-o", made, *device).code == FormatError.exit_code
        assert cli("index", other, "-o", made, "--rebuild", *device).code == 0
        assert index.load(made).paths == ["other/a.aec"]


def test_an_end_before_the_end(cli, album, tmp_path, monkeypatch):
    """What has been read is kept; a whole index is not replaced by a part of it, or by none."""
    made, original, error = tmp_path / "album.npz", index.vector_of, KeyboardInterrupt()

    def vector_of(source, *rest):
        if os.path.basename(source) == "04.aec":
            raise error
        return original(source, *rest)

    monkeypatch.setattr(index, "vector_of", vector_of)
    run = "index", album, "-o", made, "--device", "cpu"
    assert cli(*run).code == 130 and len(index.load(made)) == 4
    error = DeviceError("gone")
    (album / "02.aec").unlink()
    (album / "03 b.aec").write_bytes((album / "00.aec").read_bytes())
    result = cli(*run)
    assert result.code == DeviceError.exit_code and "(the same command goes on)" in result.err
    assert index.load(made).paths == [f"album/{name}.aec" for name in ("00", "01", "02", "03 b", "03")]
    monkeypatch.setattr(index, "vector_of", original)
    assert cli(*run).code == 0 and len(index.load(made)) == COUNT
    error = KeyboardInterrupt()
    monkeypatch.setattr(index, "vector_of", vector_of)
    result = cli(*run, "--rebuild")
    assert result.code == 130 and "not begun" in result.err and "goes on" not in result.err
    assert len(index.load(made)) == COUNT
    monkeypatch.setattr(index, "vector_of", missing)
    assert cli(*run, "--rebuild").code == ModelError.exit_code and len(index.load(made)) == COUNT


def missing(source, codec, verify=False):
    raise ModelError("it is not installed for now")


def test_two_processes_at_once(cli, album, tmp_path, coded, monkeypatch):
    """The later one keeps what the other has written meanwhile, but for files that are gone."""
    made, other, original = tmp_path / "i.npz", tmp_path / "other", index.vector_of
    other.mkdir()
    (other / "a.aec").write_bytes(coded[0])
    (other / "b.aec").write_bytes(coded[1])

    def vector_of(source, *rest):
        if os.path.basename(source) == "00.aec":
            monkeypatch.setattr(index, "vector_of", original)
            assert cli("index", other, "-o", made, "--device", "cpu").code == 0
            (other / "b.aec").unlink()
        return original(source, *rest)

    monkeypatch.setattr(index, "vector_of", vector_of)
    result = cli("index", album, "-o", made, "--device", "cpu")
    assert result.code == 0 and "forgot 1" in result.err
    assert len(index.load(made)) == COUNT + 1 and "other/a.aec" in index.load(made).paths


def test_an_index_is_filled_from_its_own_model():
    made, others = index.Index(), index.Index()
    others.add(index.Entry("a", 1, 1), [1.0], bytes(8))
    others.add(index.Entry("b", 1, 1), [2.0], bytes(8))
    made.add(index.Entry("a", 2, 2), [3.0], bytes(range(8)))
    made.fill(others)
    assert made.paths == ["a"] and made.model_id == bytes(range(8))
    made.keep([])
    made.add(index.Entry("a", 2, 2), [3.0], bytes(8))
    made.fill(others)
    assert made.vectors().tolist() == [[3.0], [2.0]] and len(others) == 2


def test_files_are_added_one_at_a_time(cli, album, tmp_path, monkeypatch):
    """Two threads in an index would find its files changed under their hands."""
    original, within = index.Index.add, threading.Lock()

    def add(*arguments):
        assert within.acquire(blocking=False)
        time.sleep(0.01)
        original(*arguments)
        within.release()

    monkeypatch.setattr(index.Index, "add", add)
    assert cli("index", album, "-o", tmp_path / "i.npz", "--device", "cpu", "--jobs", 4).code == 0
