"""Files that are not complete: interrupted wherever a signal may come, they leave nothing behind."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from aecodec.cli import files, unfinished
from aecodec.cli.many.work import Task
from aecodec.cli.plan import Job


def interrupted_after(monkeypatch, name):
    """As if a signal came while the system was in that call: Python looks at it afterwards."""
    real = getattr(os, name)

    def call(path, *rest, **named):
        real(path, *rest, **named)
        if ".aecodec-" in str(path):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, name, call)


def write_shard(folder):
    task = Task(SimpleNamespace(), "parquet", ".parquet", "", None, frozenset())
    with task.new_shard(Job("a", str(folder / "a"), replace=True)) as shard:
        shard.stream.write(b"data")


@pytest.mark.parametrize("call, result", [("open", []), ("chmod", []), ("link", ["a"]), ("unlink", ["a"])])
def test_a_file_that_is_interrupted(tmp_path, monkeypatch, call, result):
    interrupted_after(monkeypatch, call)
    with pytest.raises(KeyboardInterrupt):
        files.write_output(str(tmp_path / "a"), b"data", force=False)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == result


@pytest.mark.parametrize("call, result", [("open", []), ("chmod", []), ("replace", ["a"])])
def test_a_shard_that_is_interrupted(tmp_path, monkeypatch, call, result):
    interrupted_after(monkeypatch, call)
    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == result


def test_a_link_that_was_made_is_not_followed_by_a_look(tmp_path, monkeypatch):
    """Each call of Python's own on the way to the removal would be one more place for a signal."""
    looks = []
    monkeypatch.setattr(os.path, "lexists", looks.append)
    files.write_output(str(tmp_path / "a"), b"data", force=False)
    assert looks == [] and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_name_that_is_taken(tmp_path, monkeypatch):
    """Another one is chosen, and the file of that name stays."""
    drawn = iter((b"\1" * 8, b"\1" * 8, b"\2" * 8))
    monkeypatch.setattr(os, "urandom", lambda size: next(drawn))
    with unfinished.new_file(str(tmp_path)) as first, unfinished.new_file(str(tmp_path)) as second:
        assert [os.path.basename(f.name) for f in (first, second)] == [
            ".aecodec-0101010101010101.tmp",
            ".aecodec-0202020202020202.tmp",
        ]
        assert os.stat(first.name).st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
