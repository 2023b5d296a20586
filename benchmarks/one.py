"""One picture through one codec in a process of its own, to be timed and weighed from outside.

    python -m benchmarks.one encode CODEC IN.png OUT [--quality 60] [--threads 2]
    python -m benchmarks.one decode CODEC IN OUT.png [--threads 2]

For the peers, which have no command here; aecodec has its own. OUT.png is written as the aecodec command
writes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

if not __package__:  # started as a file
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import codecs, environment, pictures


def main(arguments: list[str] | None = None) -> int:
    first, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one", description=first)
    parser.add_argument("what", choices=("encode", "decode"))
    parser.add_argument("codec", help=f"of {', '.join(codecs.REGISTRY)}")
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--quality", type=float, help="default: the middle of the codec's sweep")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    try:
        codec = codecs.make(options.codec, options.threads)
        if options.what == "encode":
            middle = codec.qualities[len(codec.qualities) // 2]
            quality = middle if options.quality is None else options.quality
            options.output.write_bytes(codec.encode(pictures.load(options.input), quality))
        else:
            Image.fromarray(codec.decode(options.input.read_bytes())).save(options.output, "PNG")
    except (OSError, ValueError) as error:
        return environment.fail(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
