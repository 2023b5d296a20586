"""python -m aecodec.training CONFIG.toml [--set key=value ...] [--resume | --fresh]"""

from __future__ import annotations

import argparse
import sys

from .config import Config
from .train import Trainer


def main(argv: list[str] | None = None) -> int:
    """Train a model; 0 when the run ended or stopped on time, 2 for a bad configuration."""
    parser = argparse.ArgumentParser(prog="aecodec train", description="Train a model.")
    parser.add_argument("config", nargs="?", help="TOML file; without one, the defaults")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start again although the output folder has a checkpoint"
    )
    args = parser.parse_args(argv)
    try:
        trainer = Trainer(Config.load(args.config, args.set))
    except (OSError, ValueError, KeyError) as error:
        print(f"aecodec train: {error}", file=sys.stderr)
        return 2
    if not args.fresh and trainer.resume():
        print(f"resumed at step {trainer.step} of {trainer.cfg.steps}", flush=True)
    try:
        trainer.run()
    except KeyboardInterrupt:
        trainer.save()
        print(f"\nstopped at step {trainer.step}; run the same command to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
