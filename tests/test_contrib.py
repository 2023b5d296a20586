"""The entries under contrib/: well-formed, true to the format, and harmless to other programs' .aec files."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from synthetic import smooth

from aecodec import pillow_plugin
from aecodec.container import MAGIC

CONTRIB = Path(__file__).parent.parent / "contrib"
AFTER_EFFECTS = b"Adobe After Effects 8.0 Keyframe Data\r\n\r\n\tUnits Per Second\t25\r\n\tAEC\r\n"


@pytest.fixture
def samples(tmp_path, codec):
    """{name: is it ours?}"""
    data = codec.encode(smooth(1, 40, 56), 5)
    contents = {"ours.aec": data, "no suffix": data, "theirs.aec": AFTER_EFFECTS, "cut.aec": MAGIC[:6]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path, {name: content.startswith(MAGIC) for name, content in contents.items()}


def unescaped(text):
    """What the C-like escapes of both magic files stand for."""
    return re.sub(rb"\\x[0-9a-f]{2}|\\.", lambda m: eval(b'b"' + m[0] + b'"'), text.encode())


def test_mime_type():
    spec = "{http://www.freedesktop.org/standards/shared-mime-info}"
    root = ElementTree.parse(CONTRIB / "mime" / "aecodec.xml").getroot()
    [kind] = root.iter(f"{spec}mime-type")
    [match] = root.iter(f"{spec}match")
    assert root.tag == f"{spec}mime-info" and kind.get("type") == pillow_plugin.MIME
    assert match.get("offset") == "0" and unescaped(match.get("value")) == MAGIC
    assert not list(root.iter(f"{spec}glob"))  # the suffix is not ours alone


@pytest.mark.skipif(
    not (shutil.which("update-mime-database") and shutil.which("gio")),
    reason="no shared-mime-info, or no gio",
)
def test_mime_type_of_files(samples):
    folder, expected = samples
    packages = folder / "data" / "mime" / "packages"
    packages.mkdir(parents=True)
    shutil.copy(CONTRIB / "mime" / "aecodec.xml", packages)
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    subprocess.run(["update-mime-database", packages.parent], check=True, env=environment)
    for name, ours in expected.items():
        command = ["gio", "info", "-a", "standard::content-type", folder / name]
        told = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
        assert (pillow_plugin.MIME in told) == ours, told


@pytest.mark.skipif(not shutil.which("file"), reason="file is not installed")
def test_libmagic(samples):
    folder, expected = samples
    entry = CONTRIB / "magic" / "aecodec"
    checked = subprocess.run(["file", "-c", "-m", entry], capture_output=True, text=True)
    warnings = [line for line in checked.stderr.splitlines() if "arning" in line]
    assert all("regular magic file" in line for line in warnings), warnings  # not a compiled one, that is
    for name, ours in expected.items():
        told = [
            subprocess.run(
                ["file", "-b", *o, "-m", entry, folder / name], capture_output=True, text=True
            ).stdout
            for o in ([], ["--mime-type"])
        ]
        assert (told[1] == f"{pillow_plugin.MIME}\n") == ours, told
        assert (told[0] == "aecodec picture, version 1, 56 x 40, RGB, 8 bits a channel\n") == ours, told


def aecodec(line, folder, names):
    """Runs a command line of an entry, its placeholders replaced."""
    words = [names.get(word, word) for word in shlex.split(line)]
    assert words[0] == "aecodec" and "%" not in "".join(words), words
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True)


def test_thumbnailer(samples):
    folder, _ = samples
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str
    entry.read(CONTRIB / "thumbnailer" / "aecodec.thumbnailer")
    section = entry["Thumbnailer Entry"]
    assert section["MimeType"].split(";") == [pillow_plugin.MIME, ""] and section["TryExec"] == "aecodec"
    (folder / ".thumbnail.X1").touch()  # the name that is given exists, and has no suffix
    run = aecodec(section["Exec"], folder, {"%i": "ours.aec", "%o": ".thumbnail.X1", "%s": "28"})
    assert run.returncode == 0, run.stderr
    with Image.open(folder / ".thumbnail.X1") as image:
        assert (image.format, image.size) == ("PNG", (28, 20))


def test_imagemagick_delegates(samples):
    folder, _ = samples
    entries = list(ElementTree.parse(CONTRIB / "imagemagick" / "delegates.xml").getroot())
    [reader] = [e for e in entries if e.get("decode") == "aec"]
    [writer] = [e for e in entries if e.get("encode") == "aec"]
    assert len(entries) == 2 and writer.get("decode") == "png"
    run = aecodec(reader.get("command"), folder, {"%i": "ours.aec", "%o": "magick-out"})
    assert run.returncode == 0, run.stderr
    with Image.open(folder / "magick-out") as image:
        assert image.format == "PNG"
    names = {"%i": "magick-out", "%o": "magick-back", "%Q": "92"}
    assert aecodec(writer.get("command"), folder, names).returncode == 0
    assert (folder / "magick-back").read_bytes().startswith(MAGIC)
