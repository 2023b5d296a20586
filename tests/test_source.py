"""Streams that do not wait for what is not there yet."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from batches import COMMAND, PATIENCE
from PIL import Image
from synthetic import smooth

from aecodec.errors import InputError
from aecodec.source import read_bytes

pytestmark = pytest.mark.skipif(not hasattr(os, "set_blocking"), reason="all pipes of this system wait")


@contextmanager
def hesitant(data, pause=0.05, parts=3):
    """A pipe that does not block -> where it is read from. What there is to read comes late, and in parts."""
    out, into = os.pipe()
    os.set_blocking(out, False)

    def write():
        with suppress(BrokenPipeError), open(into, "wb", buffering=0) as stream:
            for number in range(parts):
                time.sleep(pause)
                stream.write(data[number * len(data) // parts : (number + 1) * len(data) // parts])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield out
    finally:
        writer.join()


@pytest.mark.parametrize("buffering", [-1, 0])
@pytest.mark.parametrize("magic", [b"", b"\x89PNG", b"no PNG"])
def test_all_of_it_is_read(buffering, magic):
    data = b"\x89PNG" + bytes(range(256)) * 100
    with hesitant(data) as out, open(out, "rb", buffering=buffering) as stream:
        found = read_bytes(stream, magic)
    assert found == (data if data.startswith(magic) else data[: len(magic)])


def test_nothing_but_an_end():
    with hesitant(b"") as out, open(out, "rb") as stream:
        assert read_bytes(stream) == b""


def test_a_stream_that_cannot_be_waited_for():
    class Never(io.RawIOBase):
        def read(self, size=-1):
            return None

    with pytest.raises(InputError, match="nothing to read yet"):
        read_bytes(Never())


@pytest.mark.parametrize("kind", [io.BufferedIOBase, io.RawIOBase])
@pytest.mark.parametrize("magic", [b"", b"\x89PNG"])
def test_a_stream_of_text(kind, magic):
    """It may have no end, as one of bytes has."""

    class Text(kind):
        left = 9

        def read(self, size=-1):
            self.left -= 1
            assert self.left, "text is read on and on"
            return "text"

    with pytest.raises(InputError, match="gives text"):
        read_bytes(Text(), magic)


@pytest.mark.parametrize("command", [("info",), ("verify",), ("encode", "-q", "20", "--model", "nano")])
def test_commands_wait_for_their_input(command, tmp_path, cli):
    picture, coded, out = tmp_path / "a.png", tmp_path / "a.aec", tmp_path / "out.aec"
    Image.fromarray(smooth(1, 40, 24)).save(picture)
    assert cli("encode", picture, coded, "-q", 20, "--model", "nano").code == 0
    source, target = (picture, (str(out),)) if command[0] == "encode" else (coded, ())
    with hesitant(source.read_bytes(), 0.8) as stdin:
        asked = [*COMMAND, command[0], *command[1:], "-", *target]
        result = subprocess.run(asked, stdin=stdin, capture_output=True, timeout=PATIENCE)
        os.close(stdin)
    assert (result.returncode, result.stderr) == (0, b"")
    assert not target or out.read_bytes() == coded.read_bytes()
