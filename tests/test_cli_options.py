"""What options take, and what --json tells of a single input that fails."""

from __future__ import annotations

import json

import pytest
from batches import FAST, picture
from test_cli import CITY, one_line_error

from aecodec.cli import main, values


def test_regions_that_begin_with_a_minus(cli, aec, tmp_path):
    """The message that --region=-1,... gives, and not argparse's of an option without a value."""
    out = tmp_path / "a.png"
    told = cli("decode", aec, out, "--region=-1,0,10,10")
    assert told.code == 2 and "-1" in told.err and "expected" not in told.err
    assert cli("decode", aec, out, "--region", "-1,0,10,10") == told
    result = cli("decode", "--region", "-1.5,x", aec, out)
    assert one_line_error(result, 2, "'-1.5,x' is not X,Y,WIDTH,HEIGHT")
    assert one_line_error(cli("encode", CITY, tmp_path / "a.aec", "-q", "-5"), 2, "-5 is outside 0..100")
    assert one_line_error(cli("decode", aec, "--out-dir", "--force"), 2, "expected one argument")


def test_short_options_in_one_word(cli, tmp_path):
    """Flags, and behind them one that takes a value: joined to it, or the next word."""
    parser = main.build_parser(["encode"])
    for words in (["-rq", "5"], ["-rq5"], ["-r", "-q", "5"]):
        found = parser.parse_args(["encode", *words, "in", "--out-dir", "out"])
        assert found.recursive and found.quality == 5 and found.names == ["in"]
    assert one_line_error(cli("encode", CITY, tmp_path / "a.aec", "-rq"), 2, "-q/--quality: expected one")
    assert one_line_error(cli("encode", CITY, tmp_path / "a.aec", "-rx", "5"), 2, "argument")


@pytest.mark.parametrize(
    "text, n", [("0.5", 2), ("0.25", 4), ("0.125", 8), ("0.0625", 16), (".5", 2), ("1.0", 1)]
)
def test_scales_as_decimals(text, n):
    assert values.scale(text) == values.scale(f"1/{n}" if n > 1 else "1") == 1 / n


@pytest.mark.parametrize("text", ["0.3", "2", "0", "nan", "1/3", "half"])
def test_other_scales(cli, text):
    assert one_line_error(cli("decode", "a", "b.png", "--scale", text), 2, f"{text!r} is none of 1, 1/2")


def test_sizes(cli):
    sizes = {"40000": 40000, "40k": 40000, "40K": 40000, "1.5M": 1500000, "2G": 2000000000}
    assert {text: values.size(text) for text in sizes} == sizes
    assert one_line_error(cli("encode", "a", "b.aec", "--max-size", "2T"), 2, "40k, 1.5M and 2G are")
    told = b" ".join(cli("encode", "--help").out.split())
    assert b"bytes; k, M and G: 1.5M is 1500000" in told and b"would be larger; k, M, G" in told
    assert b"N may end in k, M or G" in told


def failed(text):
    """The line of an error, if there is only that."""
    (line,) = text.splitlines()
    found = json.loads(line)
    assert found["status"] == "failed" and found["seconds"] >= 0
    return found


def test_json_of_a_single_input_that_fails(cli, aec, tmp_path):
    batch = cli("encode", tmp_path / "none.png", "--out-dir", tmp_path / "out", "--json", *FAST)
    for command, target, code in (
        (("encode", tmp_path / "none.png", tmp_path / "a.aec", *FAST), tmp_path / "a.aec", 3),
        (("encode", CITY, aec, *FAST), aec, 9),
        (("decode", CITY, tmp_path / "a.png"), tmp_path / "a.png", 4),
        (("decode", aec, tmp_path / "a.png", "--region", "0,0,9999,9"), tmp_path / "a.png", 2),
    ):
        plain, result = cli(*command), cli(*command, "--json")
        assert one_line_error(result, code) and result.err == plain.err and plain.out == b""
        line = failed(result.out)
        assert line.keys() == failed(batch.out).keys() and line["exit_code"] == code
        assert (line["input"], line["output"]) == (str(command[1]), str(target))
        assert result.err == f"aecodec: {line['error']}\n"


def test_json_of_a_file_that_info_cannot_read(cli, tmp_path):
    (tmp_path / "a.aec").write_bytes(b"nothing of the kind")
    for name, code in (("a.aec", 4), ("none.aec", 3)):
        plain, result = (cli("info", tmp_path / name, *json) for json in ((), ("--json",)))
        assert one_line_error(result, code) and result.err == plain.err and plain.out == b""
        line = failed(result.out)
        assert (line["input"], line["output"], line["exit_code"]) == (str(tmp_path / name), None, code)


def test_json_of_a_single_input_that_goes_well(cli, tmp_path):
    """The fields of one of many, and beside them those of `info`."""
    source, out = picture(tmp_path / "a.png"), tmp_path / "a.aec"
    many = json.loads(cli("encode", source, "--out-dir", tmp_path / "out", "--json", *FAST).out)
    one = json.loads(cli("encode", source, out, "--json", *FAST).out)
    assert one["seconds"] > 0 and one["width"] == 56
    told = {name: one[name] for name in many}
    assert told == many | {"output": str(out), "seconds": one["seconds"]}


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_stderr_has_nothing_but_json_where_that_goes_there(cli, tmp_path, command):
    result = cli(command, tmp_path / "none", "-", "--json")
    assert (result.code, result.out, failed(result.err)["exit_code"]) == (3, b"", 3)


def test_json_of_pictures_that_cannot_be_compared(cli, aec, tmp_path):
    small = picture(tmp_path / "a.png")
    result = cli("compare", aec, small, "--json")
    line = failed(result.out)
    assert one_line_error(result, 3, line["error"]) and (line["input"], line["b"]) == (str(aec), str(small))
    assert cli("compare", aec, small) == (3, b"", result.err)


def test_json_of_errors_stays_out_of_the_picture(cli):
    plain, result = (cli("decode", CITY, "-", *json) for json in ((), ("--json",)))
    assert result.code == plain.code == 4 and result.out == b""
    assert plain.err == f"aecodec: {failed(result.err)['error']}\n"
