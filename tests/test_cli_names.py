"""The command line: names as they are given, in messages and in --model."""

from __future__ import annotations

import numpy as np
import pytest
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
