"""What the tests share: two small photographs, a Codec with the default model, the command line."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from aecodec import models
from aecodec.cli.main import main
from aecodec.codec import Codec

DATA = Path(__file__).parent / "data"

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts background jobs so, and the commands that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bundle():
    """The default model."""
    return models.find()


@pytest.fixture(scope="session")
def codec():
    return Codec(device="cpu", threads=2)


def _pixels(name):
    with Image.open(DATA / name) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="session")
def budgie():
    """uint8 [200, 240, 3]"""
    return _pixels("budgie.png")


@pytest.fixture(scope="session")
def city():
    """uint8 [300, 410, 3]"""
    return _pixels("city.jpg")


@pytest.fixture(scope="session")
def city_file(codec, city):
    return codec.encode(city, 40)


@pytest.fixture
def aec(tmp_path, city_file):
    path = tmp_path / "city.aec"
    path.write_bytes(city_file)
    return path


@pytest.fixture
def folder(tmp_path, city):
    """Two pictures; one is too small for MS-SSIM."""
    place = tmp_path / "pictures"
    place.mkdir()
    Image.fromarray(city[:192, :192]).save(place / "a.png")
    Image.fromarray(city[100:164, 200:296]).save(place / "b.png")
    return place


class Result(NamedTuple):
    code: int
    out: bytes
    err: str


@pytest.fixture
def cli():
    """cli("info", path, stdin=b"") -> Result; runs in this process."""

    def run(*arguments, stdin=b""):
        contents = (stdin, b"", b"")
        streams = [io.TextIOWrapper(io.BytesIO(data), "utf-8", write_through=True) for data in contents]
        with pytest.MonkeyPatch.context() as patch:
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            try:
                code = main([str(a) for a in arguments])
            except SystemExit as end:  # argparse, after --help
                code = int(end.code or 0)
        out, err = (stream.buffer.getvalue() for stream in streams[1:])
        return Result(code, out, err.decode())

    return run


def psnr(a, b):
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)
