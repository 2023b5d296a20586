"""Show what an .aec file says about itself.

Every checksum of the container is verified; no model is loaded.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from aecodec.cli import common, files

HELP = "size, quality, model, checksums of an .aec file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="FILE", help=".aec file, or - for stdin")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    common.add_limits(parser)


def run(args: argparse.Namespace) -> int:
    try:
        return _run(args)
    except Exception:
        from aecodec.cli.attempt import told  # which loads much: not where all is well

        with told(args, args.input, None):
            raise


def _run(args: argparse.Namespace) -> int:
    from aecodec.container import MAGIC
    from aecodec.describe import info

    data = files.read_input(args.input, MAGIC)
    with files.about(args.input):
        facts = info(data, common.limits(args)) | {"file": args.input}
    if args.json:
        print(json.dumps(facts))
    else:
        for name, value in _lines(facts):
            print(f"{name:16}{value}")
    return 0


def _lines(facts: dict[str, Any]) -> list[tuple[str, object]]:
    kind = ("grey" if facts["channels"] == 1 else "RGB") + (" + alpha" if facts["alpha"] else "")
    rows, columns = facts["group_grid"]
    sections = ", ".join(f"{s['tag']} {s['size']}" for s in facts["sections"])
    return [
        ("size", f"{facts['width']} x {facts['height']}, {kind}, {facts['depth']} bits"),
        ("orientation", facts["orientation"]),
        ("quality", f"{facts['quality']:g} (level {facts['level']:g})"),
        ("model", f"{facts['model_id']} ({facts['model_name'] or 'not installed'})"),
        ("bytes", f"{facts['bytes']} ({facts['bpp']:.4f} bits per pixel)"),
        ("sections", sections),
        ("groups", f"{rows * columns} ({rows} x {columns}) of {facts['group_edge']} positions"),
        ("symbols_crc32c", facts["symbols_crc32c"]),
        ("header_crc32c", facts["header_crc32c"]),
    ]
