"""`aecodec COMMAND ...`: arguments -> a command's run() -> exit code; errors as one line on stderr.

Nothing heavy is imported here: help, info and usage errors come at once.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from typing import NoReturn, TextIO

from aecodec.cli import common, signals, streams
from aecodec.errors import AecodecError, LimitError, OutputError, UsageError, is_lack_of_memory

CODEC = ("encode", "decode", "batch", "info", "verify", "compare")
LATENTS = ("features", "index", "search", "classify", "anomaly", "denoise", "inpaint", "sample")
COMMANDS = (*CODEC, *LATENTS, "doctor", "completion", "train")
"""Their modules in aecodec.cli are loaded when they are needed."""
MODULES = {"batch": "many"}
"""Of commands whose modules have other names."""

EPILOG = """\
exit codes:
  0  done
  1  unexpected error (set AECODEC_DEBUG=1 to see where)
  2  usage: a command line that makes no sense
  3  input: the picture cannot be read or is of an unsupported kind
  4  format: not an aec file, or made by a newer version
  5  corrupt: the aec file is damaged
  6  limit: the picture is larger than what is accepted
  7  model: the model bundle is missing, unknown or damaged
  8  device: no onnxruntime, or the device asked for does not work
  9  output: cannot be written, or exists already (see --force)
  10  a picture with parts missing (decode --salvage)
  130  interrupted
  141  the program that read the output went away

With many inputs the exit code is that of the first that did not go well.

environment:
  AECODEC_MODEL_PATH  folders with more model bundles
  AECODEC_DEBUG=1     tracebacks instead of one-line errors
"""

INTERRUPTED, BROKEN_PIPE = 130, 141
NEGATIVE = re.compile(r"-[0-9.]")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Parser(argparse.ArgumentParser):
    """Errors as exceptions, so that they too are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see `{self.prog} --help`)")


class CommandParser(Parser):
    """Names and options in any order: argparse by itself takes `IN -q 5 OUT` for two lists of names."""

    _dashed: str | None = None
    """What may be a file, among the options."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        options, names = self._sorted(sys.argv[1:] if args is None else args)
        self._dashed = next((text for text in options if self._may_be_file(text)), None)
        found, unknown = super().parse_known_args([*options, *(["--", *names] if names else [])], namespace)
        if unknown:  # the parser of all commands would refuse them, and name its own help
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        if self._dashed is not None:
            message += f"; a file of that name is written ./{self._dashed}, or behind --"
        super().error(message)

    def _sorted(self, args: Sequence[str]) -> tuple[list[str], list[str]]:
        """-> options with their values, names."""
        options: list[str] = []
        names: list[str] = []
        rest = iter(args)
        for text in rest:
            if text == "--":
                names += rest
            elif not text.startswith("-") or text == "-":
                names.append(text)
            else:
                options.append(text)
                action = self._awaiting(text)
                if action is None:
                    continue
                given = list(islice(rest, action.nargs if isinstance(action.nargs, int) else 1))
                if action.nargs is None and given and self._is_value(given[0]):
                    joint = "=" if text.startswith("--") else ""
                    options[-1] += joint + given.pop()  # argparse would take -1,0 and -a.png for an option
                options += given
        return options, names

    def _awaiting(self, text: str) -> argparse.Action | None:
        """The option whose value comes next: --quality, -q, and the -q of -rq."""
        whole = text in self._option_string_actions or text.startswith("--")
        named = [text] if whole else [f"-{letter}" for letter in text[1:]]
        *flags, last = (self._option_string_actions.get(name) for name in named)
        if last is None or last.nargs == 0 or any(flag is None or flag.nargs != 0 for flag in flags):
            return None
        return last

    def _is_value(self, argument: str) -> bool:
        return NEGATIVE.match(argument) is not None or self._may_be_file(argument)

    def _may_be_file(self, argument: str) -> bool:
        """And no option, nor one with its value: there is one, or it has a suffix."""
        known = self._option_string_actions
        if not argument.startswith("-") or argument == "-" or argument.partition("=")[0] in known:
            return False
        if os.path.lexists(argument):
            return True
        return "=" not in argument and argument[:2] not in known and bool(os.path.splitext(argument)[1])


def build_parser(command_line: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of this command line: it knows only the command that is asked for, where there is one."""
    asked = [name for name in COMMANDS if command_line[:1] == [name]]
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="aecodec",
        description="A learned image codec.",
        epilog=EPILOG,
        formatter_class=raw,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for name in asked or COMMANDS:
        module = import_module(f"aecodec.cli.{MODULES.get(name, name)}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            usage=getattr(module, "USAGE", None),
            description=module.__doc__,
            epilog="Exit codes: see `aecodec --help`.",
            formatter_class=raw,
            allow_abbrev=False,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def run(argv: Sequence[str]) -> int:
    if argv[:1] == ["train"]:  # its options belong to aecodec.training
        from aecodec.cli import train

        return train.forward(argv[1:])
    parser = build_parser(argv)
    args = parser.parse_args(argv)
    if args.version:
        from aecodec import version

        print(f"aecodec {version.number()}")
        return 0
    if args.command is None:
        parser.error("a command is needed: " + ", ".join(COMMANDS))
    code: int = args.run(args)
    if sys.stdout:
        sys.stdout.flush()
    return code


def _report(message: str) -> None:
    line = " ".join(message.split())  # messages of libraries may have several lines
    common.tell(f"aecodec: {line}")


def _settle(stream: TextIO | None) -> None:
    """What it could not take is thrown away: Python would try once more at exit, and fail loudly."""
    if stream:
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """The console script: without argv the process is to end with what this returns. Never shows a traceback
    unless AECODEC_DEBUG is set."""
    code = INTERRUPTED
    try:
        if argv is None:
            signals.never_miss_one()
            _write_all()
        code = _outcome(sys.argv[1:] if argv is None else list(argv))
    except KeyboardInterrupt:  # while that was told
        pass
    finally:
        if argv is None:
            signals.settled = True
            if code == INTERRUPTED:
                streams.wait_no_more()
                _settle(sys.stdout)
            signals.hear_no_more()
        _settle(sys.stderr)
    return code


def _write_all() -> None:
    for name in ("stdout", "stderr"):
        if stream := getattr(sys, name):
            setattr(sys, name, streams.whole(stream))


def _outcome(argv: Sequence[str]) -> int:
    """run(), with an exit code and a line for each error."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what its encoding does not
        sys.stdout.reconfigure(errors="backslashreplace")
    if not common.debugging():  # what Pillow says about damage that it can read past
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        signals.listen()
        return run(argv)
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if not signals.heard():
            return _failed(error)
    _report("interrupted")
    return INTERRUPTED


def _failed(error: Exception) -> int:
    """Tells of the error that is being handled -> the exit code."""
    if isinstance(error, BrokenPipeError):
        _settle(sys.stdout)
        return BROKEN_PIPE
    if isinstance(error, common.ToldError):
        return error.exit_code
    if common.debugging() and isinstance(error, AecodecError):
        raise
    if isinstance(error, AecodecError):
        _report(str(error))
        _settle(sys.stdout)
        return error.exit_code
    if is_lack_of_memory(error):
        _report("not enough memory for a picture of this size")
        return LimitError.exit_code
    if isinstance(error, OSError) and error.errno in DISK_FULL:  # writing files has its own error
        _settle(sys.stdout)
        _report(f"cannot write to stdout: {error.strerror or error}")
        return OutputError.exit_code
    if common.debugging():
        raise
    _report(f"unexpected {type(error).__name__}: {error} (AECODEC_DEBUG=1 shows where)")
    return 1


if __name__ == "__main__":
    sys.exit(main())
