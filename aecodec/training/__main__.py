"""python -m aecodec.training CONFIG.toml [--set key=value ...] [--fresh]
python -m aecodec.training --evaluate WEIGHTS.pt FOLDER"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys

import torch

from aecodec.errors import AecodecError, InputError, OutputError

from .checkpoint import load_model
from .config import Config
from .data import load_pictures
from .evaluate import evaluate
from .family.config import FamilyConfig
from .family.train import FamilyTrainer
from .settings_file import read_values
from .train import Trainer


def main(argv: list[str] | None = None) -> int:
    """Train a model; 0 when the run ended or stopped on time, 1 when it diverged, 2 for a bad setting or
    checkpoint, 3 for what cannot be read, 9 for what cannot be written, 128 and the number of the signal that
    ended it."""
    parser = argparse.ArgumentParser(prog="aecodec train", description="Train a model.")
    parser.add_argument("config", nargs="?", help="TOML file; without one, the defaults")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start again although the output folder has a checkpoint"
    )
    parser.add_argument(
        "--evaluate", nargs=2, metavar=("WEIGHTS", "FOLDER"), help="no training: measure weights on pictures"
    )
    args = parser.parse_args(argv)
    if args.evaluate:
        return measure(*args.evaluate)
    try:
        if "network" in read_values(args.config, args.set):  # a small autoencoder; a codec has a size
            return _family(FamilyTrainer(FamilyConfig.load(args.config, args.set)))
        trainer = Trainer(Config.load(args.config, args.set))
        if not args.fresh and trainer.resume():
            print(f"resumed at step {trainer.step} of {trainer.cfg.steps}", flush=True)
        trainer.make_folder()
    except (AecodecError, OSError, ValueError, KeyError) as error:
        return _failed(error)
    try:
        trainer.run()
    except KeyboardInterrupt:  # the second: the step that it ended is half done
        print("\nstopped at once; run the same command to go on from what was saved last", file=sys.stderr)
        return 128 + signal.SIGINT
    except (AecodecError, OSError) as error:
        return _ended(error, trainer.cfg.out, "run the same command to go on from what was saved last")
    if trainer.stop.signal and trainer.done() < 1:
        print(f"\nstopped at step {trainer.step}; run the same command to go on", file=sys.stderr)
        return 128 + trainer.stop.signal
    return 0


def _family(trainer: FamilyTrainer) -> int:
    try:
        trainer.run()
    except (AecodecError, OSError) as error:
        return _ended(error, trainer.cfg.out, "run the same command again")
    return 0


def _ended(error: Exception, out: str, then: str) -> int:
    """What ended a run that had begun: it only writes. -> the exit code."""
    if isinstance(error, OSError):
        error = OutputError(f"cannot write into {out!r}: {error.strerror or error}; make room there, {then}")
    return _failed(error)


def _failed(error: Exception) -> int:
    """A line on stderr -> the exit code."""
    if isinstance(error, OSError) and error.filename is not None:
        error = InputError(f"cannot read {str(error.filename)!r}: {error.strerror or error}")
    elif isinstance(error, FileNotFoundError):
        error = InputError(str(error))
    print(f"aecodec train: {error}", file=sys.stderr)
    return error.exit_code if isinstance(error, AecodecError) else 2


def measure(weights: str, folder: str) -> int:
    """A line of JSON for each evaluation level: rounded values, integer scale networks, estimated bits."""
    try:
        model, cfg = load_model(weights)
        pictures = load_pictures([folder])
    except (AecodecError, OSError, ValueError) as error:
        return _failed(error)
    known = {field.name for field in dataclasses.fields(Config)}
    settings = Config(**{key: value for key, value in cfg.items() if key in known})
    for row in evaluate(model, pictures, torch.device("cpu"), settings):
        print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
