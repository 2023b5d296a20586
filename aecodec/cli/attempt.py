"""One job of many, tried: whatever goes wrong with it becomes its outcome and stops nothing else."""

from __future__ import annotations

import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from aecodec.cli import common, signals, streams
from aecodec.cli.outcome import FAILED, Outcome
from aecodec.cli.plan import Job
from aecodec.errors import AecodecError, LimitError, is_lack_of_memory


def attempt(job: Job, do: Callable[[], Outcome]) -> Outcome:
    """What do() gives, with the time it took; or, where it or the job's own problem is an error, that."""
    signals.check()
    began = time.perf_counter()
    try:
        if job.problem:
            raise job.problem
        outcome = do()
    except Exception as error:
        signals.check()
        outcome = failure(job, error)
    return replace(outcome, seconds=time.perf_counter() - began)


@contextmanager
def told(args: Namespace, source: str, target: str | None, **found: Any) -> Iterator[None]:
    """A command's only job: --json has a line of its error, as of one of many, before that goes on. Where the
    line is on stderr, it is all that is told there."""
    began = time.perf_counter()
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads it
    except Exception as error:
        signals.check()
        if args.json:
            outcome = replace(failure(Job(source, target), error), found=found)
            line = replace(outcome, seconds=time.perf_counter() - began).as_json()
            common.tell_facts(line, target or "")
            if streams.is_stdout(target or "") and not common.debugging():
                raise common.ToldError(outcome.exit_code) from error
        raise


def failure(job: Job, error: Exception) -> Outcome:
    text, exit_code = explain(job.source, error)
    return Outcome(job.source, job.target, FAILED, error=text, exit_code=exit_code)


def explain(name: str, error: Exception) -> tuple[str, int]:
    """An error that the input `name` caused -> what to say, the exit code."""
    if isinstance(error, AecodecError):
        return str(error), error.exit_code
    if is_lack_of_memory(error):
        return f"{name!r}: not enough memory for a picture of this size", LimitError.exit_code
    if common.debugging():
        traceback.print_exception(error)
    return f"{name!r}: unexpected {type(error).__name__}: {error} (AECODEC_DEBUG=1 shows where)", 1
