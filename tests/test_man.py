"""The manual page and the completion scripts: whole, up to date, and accepted by what reads them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aecodec.cli.completion import commands
from aecodec.cli.main import build_parser

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "man" / "aecodec.1"


def everything():
    """(command, option or name of a command) of the command line."""
    for name, parser in commands(build_parser()).items():
        yield name, name
        for action in parser._actions:
            yield from ((name, option) for option in action.option_strings)


def test_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_man", ROOT / "docs" / "man" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.page() == PAGE.read_text("utf-8"), "run: python docs/man/make.py"


def test_page_lists_every_option():
    text = PAGE.read_text("utf-8").replace(r"\-", "-")
    sections = {
        title.lower(): body
        for title, body in re.findall(r'^\.SH "?([A-Z ]+)"?\n(.*?)(?=^\.SH|\Z)', text, re.M | re.S)
    }
    for command, option in everything():
        if option.startswith("-"):
            assert re.search(rf"\\fB{re.escape(option)}\\fR", sections[command]), (command, option)
    assert "corrupt: the aec file is damaged" in sections["exit status"]
    assert "AECODEC_MODEL_PATH" in sections["environment"]


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_page_formats():
    run = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-rCHECKSTYLE=3", PAGE], capture_output=True, text=True
    )
    assert run.returncode == 0 and run.stderr == ""
    assert "--target-size" in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", run.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh", "fish"])
def test_completion_lists_every_option(cli, shell):
    shtab = pytest.importorskip("shtab")
    if shell not in shtab.SUPPORTED_SHELLS:
        assert cli("completion", shell).code == 2
        return
    result = cli("completion", shell)
    assert result.code == 0
    for _, option in everything():
        assert option.lstrip("-") in result.out.decode()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    "typed, expected",
    [("enc", {"encode"}), ("decode --sal", {"--salvage"}), ("encode --target-s", {"--target-size"}),
     ("encode --device c", {"cpu", "cuda"}), ("completion z", {"zsh"}), ("info pic", {"picture.aec"})],
)  # fmt: skip
def test_bash_completes(cli, tmp_path, typed, expected):
    pytest.importorskip("shtab")
    (tmp_path / "script").write_bytes(cli("completion", "bash").out)
    (tmp_path / "picture.aec").touch()
    words = ["aecodec", *typed.split(" ")]
    code = (
        f"source ./script\nCOMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        f"$(complete -p aecodec | sed 's/.*-F \\([^ ]*\\).*/\\1/') aecodec {words[-1]} {words[-2]}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    run = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert set(run.stdout.split()) == expected, run.stderr


def test_without_shtab():
    code = (
        "import sys; sys.modules['shtab'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['completion', 'bash']))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2 and "pip install 'aecodec[completion]'" in run.stderr
