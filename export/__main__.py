"""python -m export CHECKPOINT FOLDER --data PICTURES [--name NAME] [--same-as BUNDLE] [--verify-only]
python -m export CHECKPOINT FOLDER --encoder-for BUNDLE --data PICTURES      (trained with train_only)
python -m export CHECKPOINT FOLDER [--name NAME] [--verify-only]             (a small autoencoder)"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from aecodec.errors import AecodecError
from aecodec.tables import CodingTables
from aecodec.training.data import load_pictures
from aecodec.training.model import CodecModel

from .autoencoder import check_autoencoder, export_autoencoder, is_autoencoder
from .bundle import load_checkpoint, write_bundle
from .encoder import check_encoder, write_encoder
from .exact_int8 import exact_graphs
from .finished import finished
from .int8 import calibrated
from .prune import prune
from .tables import fit_tables
from .verify import check_exact, check_exact_int8, check_floats, check_int8, check_means


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", help="weights.pt or last.pt of a training run")
    parser.add_argument("folder", type=Path, help="where the bundle is written, e.g. aecodec/bundles/nano")
    parser.add_argument(
        "--data", nargs="+", help="pictures or shards the coding tables are fitted to; needed by codecs"
    )
    parser.add_argument("--pictures", type=int, default=384, help="how many of them (default 384)")
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument(
        "--encoder-for",
        type=Path,
        metavar="BUNDLE",
        help="write an encoder alone, for the decoder of the bundle in this folder beside FOLDER",
    )
    parser.add_argument(
        "--same-as",
        type=Path,
        metavar="BUNDLE",
        help="a bundle of the same weights, whose id and tables are kept: its files stay readable",
    )
    parser.add_argument("--no-int8", action="store_true", help="graphs in float32 only")
    parser.add_argument("--verify-only", action="store_true", help="check an existing bundle, write nothing")
    args = parser.parse_args(argv)
    try:
        if is_autoencoder(args.checkpoint):
            if args.verify_only:
                check_autoencoder(args.checkpoint, args.folder)
                print(f"{args.folder}: what torch computes")
                return 0
            manifest = export_autoencoder(args.checkpoint, args.folder, args.name)
            print(f"wrote {args.folder}: {manifest['objective']}, {manifest['latent']} latents")
            return 0
        if not args.data:
            parser.error("--data is needed: the coding tables are fitted to pictures")
        model, cfg = load_checkpoint(args.checkpoint)
        pictures = load_pictures(args.data, 1 if args.verify_only else args.pictures)
        height, width = (min(512, s // 64 * 64) for s in pictures[0].shape[1:])
        picture = pictures[0][None, :, :height, :width].numpy().astype(np.float32) / 255
        if args.verify_only:
            _check(args, model, args.folder, picture)
        else:
            with finished(args.folder) as folder:
                manifest = _write(args, model, cfg, pictures, folder)
                _check(args, model, folder, picture)
            what = "an encoder for model" if args.encoder_for else "model"
            print(f"wrote {args.folder}: {what} {manifest['model_id']}")
    except (OSError, ValueError, AecodecError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    return 0


def _write(
    args: argparse.Namespace, model: CodecModel, cfg: dict[str, Any], pictures: list[Tensor], folder: Path
) -> dict[str, Any]:
    """All files of the bundle; returns the manifest."""
    name = args.name or args.folder.name
    if args.encoder_for:
        return write_encoder(model, cfg, args.encoder_for, name, folder, pictures, not args.no_int8)
    if args.same_as:
        tables: CodingTables | bytes = (args.same_as / "tables.bin").read_bytes()
    else:
        tables = fit_tables(model, pictures)
    if cfg["activation"] == "relu":
        left, units = prune(model, pictures)
        print(f"{left} of {units} hidden units kept: the others never acted")
    samples = None if args.no_int8 else calibrated(model, cfg["activation"], pictures)
    exact = {} if args.no_int8 else exact_graphs(model)
    return write_bundle(model, cfg, tables, name, folder, samples, args.same_as, exact)


def _check(args: argparse.Namespace, model: CodecModel, folder: Path, picture: np.ndarray) -> None:
    """ValueError where the files do not do what the model does."""
    if args.encoder_for:
        print(f"analysis within {check_encoder(model, folder, picture):.1e}")
        return
    check_exact(model, folder, print)
    check_exact_int8(model, folder, print)
    check_floats(model, folder, picture, print)
    check_int8(folder, picture, print)
    check_means(folder, picture, print)


if __name__ == "__main__":
    sys.exit(main())
