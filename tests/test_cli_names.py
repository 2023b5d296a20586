"""The command line: names as they are given, in messages and in --model; options that are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from test_cli import CITY, one_line_error

import aecodec
from aecodec.errors import UsageError


def test_errors_name_the_file_once(cli, tmp_path, monkeypatch):
    """As it was given, however paths may be written shorter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("no picture at all")
    for name in ("./text.png", "text.png", f"{tmp_path}//text.png"):
        result = cli("encode", name, "o.aec")
        assert one_line_error(result, 3, f"{name!r}: no picture") and result.err.count("text.png") == 1


@pytest.mark.parametrize(
    "command",
    [
        ("encode", CITY, "o.aec"),
        ("encode", CITY, "o.aec", "--tune", "perceptual"),
        ("features", CITY, "o.npy"),
        ("denoise", CITY, "-o", "o.png"),
        ("classify", "predict", "classes.npz", CITY),
        ("batch", "encode", CITY, "out"),
    ],
)
def test_an_empty_model_is_no_default(cli, tmp_path, monkeypatch, command):
    """As an unset variable of a shell gives it."""
    monkeypatch.chdir(tmp_path)
    assert one_line_error(cli(*command, "--model", ""), 2, "model ''")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="model ''"):
        aecodec.encode(np.zeros((8, 8), np.uint8), model="", device="cpu")


def test_unknown_options_lead_to_the_help_of_the_command(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("encode", "--foo", "a", "b")
    assert one_line_error(result, 2, "unrecognized arguments: --foo (see `aecodec encode --help`)")
    assert one_line_error(cli("decode", "--foo=1.5", "a", "b"), 2, "see `aecodec decode --help`")
    assert one_line_error(cli("--foo"), 2, "see `aecodec --help`")


def test_names_that_begin_with_a_dash(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for names in (("-dash.jpg", "o.aec"), (CITY, "-out.aec")):
        name = next(name for name in names if str(name).startswith("-"))
        assert one_line_error(cli("encode", *names), 2, f"is written ./{name}, or behind --")
    (tmp_path / "-dash").write_bytes(CITY.read_bytes())  # without a suffix it is known by being there
    assert one_line_error(cli("encode", "-dash", "o.aec"), 2, "is written ./-dash")
    missing = cli("info", "-dash.aec")
    assert one_line_error(missing, 2, "required: FILE; a file of that name is written ./-dash")
    assert cli("encode", "--device", "cpu", "--", "-dash", "o.aec").code == 0
    assert cli("encode", "--device", "cpu", "./-dash", "p.aec").code == 0


def test_values_that_begin_with_a_dash(cli, tmp_path, monkeypatch):
    """An option that wants a value takes a file's name for one, and never another option."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save("a.png")
    Image.fromarray(np.eye(40) > 0).save("-m.png")
    for output in ("-o", "--output"):
        result = cli("inpaint", "a.png", "--mask", "-m.png", output, "-x.png", "--force", "--model", "nano")
        assert result.code == 0 and (tmp_path / "-x.png").is_file(), result.err
    assert one_line_error(cli("inpaint", "a.png", "-o", "b.png", "--mask", "--force"), 2, "expected one")
    assert one_line_error(cli("encode", "a.png", "b.aec", "-q", "-5.5"), 2, "-q")


def test_formats_are_named_as_they_were_given(cli, aec, tmp_path):
    for where in (("--out-dir", tmp_path / "out"), (tmp_path / "a.png",)):
        result = cli("decode", aec, *where, "--format", "Foo")
        assert one_line_error(result, 2, "format 'Foo': no format has the suffix '.foo'")
    result = cli("batch", "decode", tmp_path, tmp_path / "out", "--format", "Foo")
    assert one_line_error(result, 2, "format 'Foo'")


def test_threads_in_words_of_the_command_line(cli):
    result = cli("encode", CITY, "o.aec", "--threads", "100000")
    assert one_line_error(result, 2, "--threads: 100000 is above 1024") and "None" not in result.err
    assert b"1024 at most" in b" ".join(cli("encode", "--help").out.split())  # as wide as COLUMNS says
