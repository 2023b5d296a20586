"""Searching an index of .aec files, and its vectors: from the command line and from Python."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from aecodec import networks
from aecodec.errors import CorruptError, FormatError, UsageError
from aecodec.latents import index, reading, vectors
from tests.albums import COUNT, album, lines, pictures

__all__ = ["album", "pictures"]  # fixtures
pytest.importorskip("faiss", reason="searching needs faiss: pip install 'aecodec[latents]'")


def test_search_finds_the_picture_at_another_quality(cli, album, tmp_path, pictures):
    made = tmp_path / "album.npz"
    assert cli("index", album, "-o", made, "--device", "cpu", "--jobs", 2).code == 0
    for number in (0, 5, 11):
        picture = tmp_path / "query.png"
        Image.fromarray(pictures[0][number]).save(picture)
        result = cli("search", made, picture, "-k", 4, "--json", "--device", "cpu", "-q", 85)
        hits = lines(result)
        assert result.code == 0 and len(hits) == 4
        assert os.path.basename(hits[0]["path"]) == f"{number:02}.aec"
        assert os.path.samefile(
            hits[0]["path"], album / ("deeper" if number % 2 else ".") / f"{number:02}.aec"
        )
        scores = [hit["score"] for hit in hits]
        assert scores == sorted(scores, reverse=True) and 0.9 < scores[0] <= 1.00001
        assert scores[0] > scores[1] + 0.01
    text = cli("search", made, album / "00.aec", "-k", 1, "--device", "cpu").out.decode().split()
    assert text[0] == "1.0000" and text[1].endswith("00.aec")


def test_half_of_the_latents_gives_the_same_vectors(cli, album, tmp_path, codec, pictures, monkeypatch):
    """The second half is not read, unless it is asked for; a broken byte is found all the same."""
    made = [tmp_path / name for name in ("whole.npz", "half.npz")]
    assert cli("index", album, "-o", made[0], "--device", "cpu", "--verify").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(networks.Networks, "scales_second", None)
        assert cli("index", album, "-o", made[1], "--device", "cpu").code == 0
        refused = cli("index", album, "-o", tmp_path / "none.npz", "--device", "cpu", "--verify")
        assert refused.code != 0
    whole, half = (index.load(path) for path in made)
    assert whole.paths == half.paths
    np.testing.assert_array_equal(whole.vectors(), half.vectors())
    damaged = bytearray(pictures[1][0])
    damaged[-5] ^= 16
    with pytest.raises(CorruptError):
        index.vector_of(bytes(damaged), codec)


def test_an_empty_index_is_told(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    assert cli("index", tmp_path / "empty", "-o", tmp_path / "e.npz").code == 0
    result = cli("search", tmp_path / "e.npz", tmp_path / "no picture")
    assert result.code == UsageError.exit_code and "is empty" in result.err


def test_vectors_of_another_length(cli, album, tmp_path, codec):
    made, model_id = index.Index(), codec.bundle.model_id
    made.add(index.Entry("album/00.aec", 1, 1), np.ones(12, np.float32), model_id)
    with pytest.raises(UsageError, match="12 numbers, this one has 13"):
        made.add(index.Entry("b", 1, 1), np.ones(13, np.float32), model_id)
    with pytest.raises(UsageError, match="build it again"):
        made.search(np.ones(13, np.float32))
    (tmp_path / "i.npz").write_bytes(made.pack())
    for command in (
        ("search", tmp_path / "i.npz", album / "00.aec"),
        ("index", album, "-o", tmp_path / "i.npz"),
    ):
        result = cli(*command, "--device", "cpu")
        assert result.code == FormatError.exit_code and "build it again" in result.err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_index_of_vectors_that_are_not_finite(codec, monkeypatch, value):
    spoilt = index.Index()
    spoilt.add(index.Entry("a", 1, 1), np.ones(vectors.length(codec.bundle)), codec.bundle.model_id)
    rows = np.full_like(spoilt.vectors(), value)
    with monkeypatch.context() as patch:
        patch.setattr(index.Index, "vectors", lambda _: rows)
        data = spoilt.pack()
    with pytest.raises(FormatError, match="damaged"):
        index.load(data)


@pytest.mark.parametrize(
    ("vector", "match"),
    [
        ([1, np.nan, 0], "not finite"),
        ([1, np.inf, 0], "not finite"),
        ([1, 1e39, 0], "not finite"),
        (np.ones((1, 3)), r"an array \[1, 3\]"),
        ([], r"an array \[0\]"),
        (1.0, r"an array \[\]"),
        (["a", "b", "c"], "a vector of numbers is needed"),
        (None, "vector"),
        ([1, 2], "vectors of 3 numbers, this one has 2"),
    ],
)
def test_vectors_that_nothing_compares_with(vector, match):
    """They get neither into an index nor to faiss; the index stays as it was."""
    made, model_id = index.Index(), bytes(range(8))
    if "this one" not in match:
        with pytest.raises(UsageError, match=match):
            made.add(index.Entry("a", 1, 1), vector, model_id)
        assert made.model_id is None and len(made) == 0
    made.add(index.Entry("a", 1, 1), [1, 0, 0], model_id)
    for call in (lambda: made.add(index.Entry("b", 1, 1), vector, model_id), lambda: made.search(vector)):
        with pytest.raises(UsageError, match=match):
            call()
    assert index.load(made.pack()).paths == ["a"]


def test_searching_for_lists_and_counts():
    made = index.Index()
    for number, name in enumerate("abc"):
        made.add(index.Entry(name, 1, 1), np.eye(3)[number].tolist(), bytes(range(8)))
    query = [0.1, 1, 0.2]
    hits = made.search(query, 2)
    assert [hit.path for hit in hits] == ["b", "c"] and made.search(np.array(query), np.int64(2)) == hits
    assert len(made.search(query, 99)) == 3
    made.add(index.Entry("long", 1, 1), [0, 3e38, 3e38], bytes(range(8)))
    made.add(index.Entry("nothing", 1, 1), [0, 0, 0], bytes(range(8)))
    for length in (1e-30, 1, 1e30):
        scores = {hit.path: hit.score for hit in made.search([0, length, length], 5)}
        for path, cosine in {"a": 0, "b": 0.5**0.5, "c": 0.5**0.5, "long": 1, "nothing": 0}.items():
            assert scores[path] == pytest.approx(cosine, abs=1e-6), (path, length)
    for count in (0, -1, 2.5, None):
        for one in (made, index.Index()):
            with pytest.raises(UsageError, match="1 or more"):
                one.search(query, count)


def test_names_are_one_line(cli, tmp_path, pictures):
    (tmp_path / "a\nb\x1b[31m.aec").write_bytes(pictures[1][0])
    shown = tmp_path / "a\\nb\\x1b[31m.aec"
    assert cli("verify", "-r", tmp_path).out.decode() == f"{shown}: ok\n"
    assert cli("index", tmp_path, "-o", tmp_path / "i.npz", "--device", "cpu").code == 0
    found = cli("search", tmp_path / "i.npz", "-", "--device", "cpu", stdin=pictures[1][0])
    assert found.out.decode() == f"1.0000  {shown}\n"


def test_an_index_of_other_features_is_refused(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "VERSION", 1)
        old = index.Index().pack()
    with pytest.raises(FormatError, match="of version 1, not 3; build it again"):
        index.load(old)


def test_there_and_back(codec, album, tmp_path):
    made = index.build([str(p) for p in sorted(album.rglob("*.aec"))], str(album), codec)
    found = index.load(made.pack())
    assert found.paths == made.paths and found.model_id == codec.bundle.model_id
    np.testing.assert_array_equal(found.vectors(), made.vectors())
    assert index.load(index.Index().pack()).search(np.ones(3, np.float32)) == []


def test_features_command(cli, album, tmp_path, codec, pictures):
    out, as_json = tmp_path / "f.npy", ("--json", "--device", "cpu")
    result = cli("features", album / "00.aec", out, *as_json)
    assert result.code == 0 and lines(result)[0]["shape"] == [512 + codec.bundle.n // 2]
    expected = vectors.of(reading.read(pictures[1][0], codec))
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
    again = cli("features", album / "00.aec", out, *as_json)
    assert again.code == 9 and (lines(again)[0]["status"], lines(again)[0]["exit_code"]) == ("failed", 9)
    many = cli("features", album, "-r", "--out-dir", tmp_path / "all", "--kind", "spatial", *as_json)
    assert many.code == 0 and {tuple(line["shape"]) for line in lines(many)} == {(codec.bundle.n, 6, 7)}
    assert len(list((tmp_path / "all").rglob("*.npy"))) == COUNT
    assert np.load(tmp_path / "all" / "deeper" / "01.npy").shape == (codec.bundle.n, 6, 7)


def test_paths_that_an_index_file_cannot_hold():
    made = index.Index()
    for path in ("", "a\0b"):
        with pytest.raises(UsageError, match="no file"):
            made.add(index.Entry(path, 1, 1), [1.0], bytes(8))
    assert made.model_id is None and made.vectors().shape == (0, 0)
