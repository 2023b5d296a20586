"""python -m export CHECKPOINT FOLDER --data PICTURES [--name NAME] [--same-as BUNDLE] [--verify-only]
python -m export CHECKPOINT FOLDER --encoder-for BUNDLE --data PICTURES      (trained with train_only)
python -m export CHECKPOINT FOLDER [--name NAME]                             (a small autoencoder)"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from aecodec.tables import CodingTables
from aecodec.training.data import load_pictures

from .autoencoder import export_autoencoder, is_autoencoder
from .bundle import load_checkpoint, write_bundle
from .encoder import check_encoder, write_encoder
from .exact_int8 import exact_graphs
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
            manifest = export_autoencoder(args.checkpoint, args.folder, args.name)
            print(f"wrote {args.folder}: {manifest['objective']}, {manifest['latent']} latents")
            return 0
        if not args.data:
            parser.error("--data is needed: the coding tables are fitted to pictures")
        model, cfg = load_checkpoint(args.checkpoint)
        pictures = load_pictures(args.data, 1 if args.verify_only else args.pictures)
        height, width = (min(512, s // 64 * 64) for s in pictures[0].shape[1:])
        picture = pictures[0][None, :, :height, :width].numpy().astype(np.float32) / 255
        if args.encoder_for:
            if not args.verify_only:
                name = args.name or args.folder.name
                manifest = write_encoder(
                    model, cfg, args.encoder_for, name, args.folder, pictures, not args.no_int8
                )
                print(f"wrote {args.folder}: an encoder for model {manifest['model_id']}")
            print(f"analysis within {check_encoder(model, args.folder, picture):.1e}")
            return 0
        if not args.verify_only:
            if args.same_as:
                tables: CodingTables | bytes = (args.same_as / "tables.bin").read_bytes()
            else:
                tables = fit_tables(model, pictures)
            if cfg["activation"] == "relu":
                left, units = prune(model, pictures)
                print(f"{left} of {units} hidden units kept: the others never acted")
            samples = None if args.no_int8 else calibrated(model, cfg["activation"], pictures)
            exact = {} if args.no_int8 else exact_graphs(model)
            name = args.name or args.folder.name
            manifest = write_bundle(model, cfg, tables, name, args.folder, samples, args.same_as, exact)
            print(f"wrote {args.folder}: model {manifest['model_id']}")
        check_exact(model, args.folder, print)
        check_exact_int8(model, args.folder, print)
        check_floats(model, args.folder, picture, print)
        check_int8(args.folder, picture, print)
        check_means(args.folder, picture, print)
    except (OSError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
