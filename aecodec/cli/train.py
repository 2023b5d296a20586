"""Train a model: forwards everything to aecodec.training, the only part that needs torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from aecodec.errors import UsageError

HELP = "train a model (needs torch)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For the list of commands in --help; forward() gets the real arguments."""


def run(args: argparse.Namespace) -> int:
    return forward([])


def forward(argv: Sequence[str]) -> int:
    if find_spec("torch") is None:
        raise UsageError("training needs torch; run: pip install 'aecodec[train]'")
    code: int = import_module("aecodec.training.__main__").main(list(argv))
    return code
