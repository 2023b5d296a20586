"""Print what teaches a shell to complete aecodec's commands and options (needs shtab).

aecodec completion bash > ~/.local/share/bash-completion/completions/aecodec
aecodec completion zsh > /usr/local/share/zsh/site-functions/_aecodec
aecodec completion fish > ~/.config/fish/completions/aecodec.fish
"""

from __future__ import annotations

import argparse
from typing import Any

from aecodec.errors import UsageError

HELP = "a script that completes commands in a shell"
SHELLS = ("bash", "zsh", "tcsh", "fish")
FILES = {"names", "input", "a", "b", "src", "output", "mask", "index", "picture", "between"}
FOLDERS = {"out_dir", "model", "folder", "dst"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError:
        raise UsageError("completion needs shtab; run: pip install 'aecodec[completion]'") from None
    if args.shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(f"this shtab does not know {args.shell}; run: pip install -U shtab")
    from aecodec.cli.main import build_parser

    parser = build_parser()
    for command in commands(parser).values():
        for action in command._actions:
            names = (
                shtab.FILE if action.dest in FILES else shtab.DIRECTORY if action.dest in FOLDERS else None
            )
            if names:
                action.complete = names  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def commands(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The parsers of the commands, by name."""
    found = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0])
