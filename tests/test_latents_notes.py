"""What latents are taken of, where that is not all of a picture: told as `encode` tells it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import DATA
from PIL import Image

from aecodec import Codec
from aecodec.latents import anomaly, features, reading

TINY = DATA / "bundles" / "tiny"
TOLD = {"moving.gif": "first of 3 frames taken", "print.jpg": "CMYK converted to sRGB", "still.png": ""}


@pytest.fixture
def inputs(tmp_path, budgie):
    """Two folders for classes, with the pictures of TOLD in one."""
    images = [Image.fromarray(np.roll(budgie, 20 * k, 0)) for k in range(3)]
    for name in ("birds", "others"):
        (tmp_path / name).mkdir()
    images[0].save(tmp_path / "birds" / "moving.gif", save_all=True, append_images=images[1:])
    images[0].convert("CMYK").save(tmp_path / "birds" / "print.jpg")
    images[0].save(tmp_path / "birds" / "still.png")
    for k in (1, 2):
        images[k].save(tmp_path / "others" / f"{k}.png")
    return tmp_path


def told(err):
    """Of each picture its note on stderr."""
    found = dict.fromkeys(TOLD, "")
    for line in (line for line in err.splitlines() if ": note: " in line):
        name, note = line.removeprefix("aecodec: note: ").rsplit(": ", 1)
        found[name.strip("'").rpartition("/")[2]] += note
    return found


def test_features(cli, inputs):
    taken = ("features", "--model", TINY, inputs / "birds")
    done = cli(*taken, "-r", "--out-dir", inputs / "out")
    assert done.code == 0 and told(done.err) == TOLD
    rows = [
        json.loads(line) for line in cli(*taken, "-r", "--out-dir", inputs / "b", "--json").out.splitlines()
    ]
    assert sorted(note for row in rows for note in row["notes"]) == sorted(filter(None, TOLD.values()))
    done = cli("features", "--model", TINY, inputs / "birds" / "moving.gif", inputs / "c.npy")
    assert done.code == 0 and told(done.err)["moving.gif"] == TOLD["moving.gif"]


def test_in_python(inputs):
    with pytest.warns(UserWarning, match="first of 3 frames"):
        features(inputs / "birds" / "moving.gif", model=TINY)
    codec = Codec(TINY, "cpu", 1)
    assert reading.read(inputs / "birds" / "print.jpg", codec).notes == ("CMYK converted to sRGB",)
    assert not reading.read(inputs / "birds" / "still.png", codec).notes
    for by in anomaly.KINDS:
        assert anomaly.read(inputs / "birds" / "print.jpg", codec, by).notes == ("CMYK converted to sRGB",)


def test_classify(cli, inputs):
    pytest.importorskip("sklearn", reason="learning needs scikit-learn")
    made = inputs / "made.npz"
    done = cli("classify", "fit", inputs / "birds", inputs / "others", "-o", made, "--model", TINY)
    assert done.code == 0 and told(done.err) == TOLD
    done = cli("classify", "predict", made, inputs / "birds", "--model", TINY)
    assert done.code == 0 and told(done.err) == TOLD and len(done.out.splitlines()) == 3


def test_anomaly(cli, inputs, monkeypatch):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(TINY.parent))
    pytest.importorskip("faiss", reason="the patch memory needs faiss")
    made, options = inputs / "made.npz", ("--by", "rate", "--model", TINY)
    done = cli("anomaly", "fit", inputs / "birds", inputs / "others", *options, "-o", made)
    assert done.code == 0 and told(done.err) == TOLD
    done = cli("anomaly", "score", made, inputs / "birds")
    assert done.code == 0 and told(done.err) == TOLD and len(done.out.splitlines()) == 3


def test_search(cli, inputs):
    pytest.importorskip("faiss", reason="searching needs faiss")
    cli("encode", inputs / "birds" / "still.png", inputs / "a.aec")
    assert cli("index", inputs / "a.aec", "-o", inputs / "index.npz").code == 0
    done = cli("search", inputs / "index.npz", inputs / "birds" / "moving.gif")
    assert done.code == 0 and told(done.err)["moving.gif"] == TOLD["moving.gif"] and b"a.aec" in done.out
