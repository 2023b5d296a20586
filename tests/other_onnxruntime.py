"""Do other versions of onnxruntime read the same symbols?   python tests/other_onnxruntime.py 1.23.2 1.27.0

Each version gets a new virtual environment with this checkout's aecodec.  There it decodes files that were
made here, with 1 and 2 threads, graph optimisation on and off, and makes files of its own, which are decoded
here.  A symbol that differed would be a CorruptError.  Not part of the test suite: it downloads packages."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

import aecodec

ROOT = Path(__file__).resolve().parent.parent
PICTURES = [ROOT / "tests" / "data" / name for name in ("city.jpg", "budgie.png")]
QUALITIES = (0, 30, 60, 100)
SETTINGS = ((1, True), (2, True), (2, False))


def encode_all(folder: Path) -> None:
    """Every picture at every quality, with the pixels that this environment decodes from it."""
    folder.mkdir(parents=True, exist_ok=True)
    codec = aecodec.Codec(device="cpu")
    for picture in PICTURES:
        for quality in QUALITIES:
            data = codec.encode(picture, quality)
            (folder / f"{picture.stem}-{quality}.aec").write_bytes(data)
            np.save(folder / f"{picture.stem}-{quality}.npy", codec.decode(data))


def decode_all(folder: Path) -> dict[str, int]:
    """-> number of files times settings that were read, and the largest difference of a pixel."""
    count = apart = 0
    for threads, optimise in SETTINGS:
        codec = aecodec.Codec(device="cpu", threads=threads, optimise=optimise)
        for file in sorted(folder.glob("*.aec")):
            pixels = codec.decode(file)  # verifies the checksum of the symbols
            apart = max(apart, int(np.abs(pixels.astype(int) - np.load(file.with_suffix(".npy"))).max()))
            count += 1
    return {"decoded": count, "apart": apart}


def child(ours: Path, theirs: Path) -> None:
    import onnxruntime

    result = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__, **decode_all(ours)}
    encode_all(theirs)
    print(json.dumps(result))


def same_files(ours: Path, theirs: Path) -> int:
    """How many files came out byte for byte the same (nothing promises that of an encoder)."""
    return sum((theirs / f.name).read_bytes() == f.read_bytes() for f in ours.glob("*.aec"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=["1.23.2", "1.27.0"])
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child)
        return 0
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        encode_all(work / "ours")
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(work), str(ROOT)]
        subprocess.run(pip, check=True)
        (wheel,) = work.glob("*.whl")
        for version in args.versions:
            home = work / version
            venv.create(home, with_pip=True)
            python = str(home / "bin" / "python")
            packages = [str(wheel), f"onnxruntime=={version}"]
            subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
            command = [python, __file__, "--child", str(work / "ours"), str(home / "made")]
            run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=work)
            back = decode_all(home / "made")
            print(run.stdout.strip())
            same = same_files(work / "ours", home / "made")
            print(f"  its files decode here, pixels {back['apart']} apart; {same} of them are the same bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
