"""Writes aecodec.1, the manual page, from the command line's own parsers.

python docs/man/make.py            rewrites it; tests/test_man.py compares it with what this gives
man docs/man/aecodec.1             shows it
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from aecodec.cli import main
from aecodec.cli.completion import commands

PAGE = Path(__file__).with_name("aecodec.1")
THERE = "aecodec encode in.png out.aec -q 60"
EXAMPLES = (
    ("One picture there and back", [THERE, "aecodec decode out.aec back.png"]),
    (
        "A folder of them, four at a time; a second run goes on where the first was stopped",
        ["aecodec encode -r photos --out-dir coded --jobs 4 --json > log.jsonl"],
    ),
    (
        "A collection at a URL, on a Ray cluster; the tables are in DST/_aecodec",
        ["aecodec batch encode s3://bucket/photos s3://bucket/coded --engine ray --address HOST:6379"],
    ),
    ("A file of at most 40,000 bytes", ["aecodec encode in.png out.aec --max-size 40k"]),
    ("What of a damaged file is whole", ["aecodec decode bad.aec back.png --salvage"]),
    ("Names that begin with a dash", ["aecodec encode -q 60 -- -in.png -out.aec"]),
)


def page() -> str:
    parser = main.build_parser()
    lines = ['.TH AECODEC 1 "" aecodec "User Commands"', ".SH NAME", r"aecodec \- a learned image codec"]
    lines += [".SH SYNOPSIS", ".nf"]
    for name, command in commands(parser).items():
        lines += [escape(line.strip()) for line in synopsis(name, command)]
    lines += [".fi", ".SH DESCRIPTION"]
    lines += [
        ".B aecodec",
        "turns pictures into small .aec files and back. One model covers every quality, a file decodes to",
        "the same symbols on every machine, and a damaged file gives an error instead of a picture.",
        escape("Existing files are kept unless --force is given; output appears whole or not at all."),
        "A name that begins with a scheme and :// is a URL, which fsspec reads or writes.",
    ]
    lines += [".SH OPTIONS", *options(parser)]
    for name, command in commands(parser).items():
        lines += [f'.SH "{name.upper()}"', *description(command.description or ""), *options(command)]
    lines += epilog(main.EPILOG)
    lines += [".SH EXAMPLES"]
    for what, typed in EXAMPLES:
        lines += [
            ".PP",
            escape(what) + ":",
            ".PP",
            ".nf",
            ".RS 4",
            *(escape(line) for line in typed),
            ".RE",
            ".fi",
        ]
    return "\n".join(lines) + "\n"


def synopsis(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    if command.usage:
        yield from command.usage.splitlines()
        return
    names = []
    for action in command._actions:
        if not action.option_strings:
            shown = str(action.metavar or "|".join(action.choices or [action.dest]))
            names.append(shown + ("..." if action.nargs == "+" else ""))
    yield " ".join([f"aecodec {name} [options]", *names])


def description(text: str) -> Iterator[str]:
    """Paragraphs; indented ones are commands."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        as_typed = paragraph.startswith("    ")
        yield ".PP"
        if as_typed:
            yield from (
                ".nf",
                ".RS 4",
                *(escape(line.strip()) for line in paragraph.splitlines()),
                ".RE",
                ".fi",
            )
        else:
            yield from (escape(line.strip()) for line in paragraph.splitlines())


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for group in parser._action_groups:
        actions = [a for a in group._group_actions if not isinstance(a, argparse._SubParsersAction)]
        if not actions:
            continue
        if group.title not in ("positional arguments", "options"):
            yield f".SS {escape(str(group.title))}"
            yield from description(group.description or "")
        for action in actions:
            yield ".TP"
            yield ", ".join(names(action))
            yield escape(" ".join((action.help or "").split()))


def names(action: argparse.Action) -> Iterator[str]:
    value = str(
        action.metavar or (f"{{{','.join(action.choices)}}}" if action.choices else action.dest.upper())
    )
    shown = rf"\fI{escape(value)}\fR"
    if not action.option_strings:
        yield shown + (" ..." if action.nargs == "+" else "")
    for option in action.option_strings:
        yield rf"\fB{escape(option)}\fR" + ("" if action.nargs == 0 else f" {shown}")


def epilog(text: str) -> Iterator[str]:
    """Exit codes and environment, which `aecodec --help` has, too."""
    titles = {"exit codes:": "EXIT STATUS", "environment:": "ENVIRONMENT"}
    for line in text.splitlines():
        if line in titles:
            yield f'.SH "{titles[line]}"'
        elif line.startswith("  "):
            term, _, meaning = line.strip().partition("  ")
            yield from (".TP", rf"\fB{escape(term)}\fR", escape(meaning.strip()))
        elif line:
            yield from (".PP", escape(line))


def escape(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
