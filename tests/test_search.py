"""An index of .aec files, and searching it: from the command line and from Python."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec, networks
from aecodec.errors import CorruptError, FormatError, InputError, UsageError
from aecodec.latents import index, reading, vectors
from tests.conftest import DATA
from tests.synthetic import smooth

pytest.importorskip("faiss", reason="searching needs faiss: pip install 'aecodec[latents]'")
COUNT = 12


@pytest.fixture(scope="module")
def pictures(codec):
    """Smooth pictures of different colours, and each as a file of a moderate quality."""
    originals = [smooth(seed, 96, 112) for seed in range(COUNT)]
    return originals, [codec.encode(picture, 40) for picture in originals]


@pytest.fixture
def album(tmp_path, pictures):
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    for number, data in enumerate(pictures[1]):
        (folder / ("deeper" if number % 2 else ".") / f"{number:02}.aec").write_bytes(data)
    return folder


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


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


def test_update_reads_only_what_changed(cli, album, tmp_path, pictures, monkeypatch):
    made, read = tmp_path / "album.npz", []
    original = index.vector_of
    monkeypatch.setattr(
        index, "vector_of", lambda source, *rest: (read.append(source), original(source, *rest))[1]
    )
    assert cli("index", album, "-o", made, "--device", "cpu").code == 0
    assert len(read) == COUNT
    read.clear()
    (album / "00.aec").unlink()
    (album / "new.aec").write_bytes(pictures[1][3])
    (album / "02.aec").write_bytes(pictures[1][4])
    os.utime(album / "02.aec", ns=(1, 1))
    result = cli("index", album, "-o", made, "--device", "cpu", "--json")
    assert sorted(os.path.basename(path) for path in read) == ["02.aec", "new.aec"]
    assert [line["status"] for line in lines(result)].count("skipped") == COUNT - 2
    assert "forgot 1" in result.err
    found = index.load(made)
    assert len(found) == COUNT and "album/00.aec" not in found.paths and "album/new.aec" in found.paths
    hits = found.search(found.vectors()[found.paths.index("album/02.aec")], 3)
    assert {hit.path for hit in hits if hit.score > 0.9999} == {"album/02.aec", "album/04.aec"}
    read.clear()
    assert cli("index", album, "-o", made, "--device", "cpu", "--rebuild").code == 0
    assert len(read) == COUNT


def test_other_folders_stay(cli, album, tmp_path, pictures):
    made, other = tmp_path / "album.npz", tmp_path / "other"
    other.mkdir()
    (other / "a.aec").write_bytes(pictures[1][0])
    assert cli("index", album, "-o", made, "--device", "cpu").code == 0
    assert cli("index", other, "-o", made, "--device", "cpu").err == ""
    assert len(index.load(made)) == COUNT + 1
    (album / "00.aec").unlink()
    (other / "a.aec").write_bytes(b"broken")
    result = cli("index", other, "-o", made, "--device", "cpu")
    assert result.code == FormatError.exit_code
    assert "forgot 2 that are gone, or cannot be indexed any more" in result.err
    assert len(index.load(made)) == COUNT - 1


def test_nothing_is_written_of_nothing(cli, album, tmp_path):
    made = tmp_path / "album.npz"
    assert cli("index", tmp_path / "typo", "-o", made, "--device", "cpu").code == 3 and not made.exists()
    assert cli("index", album, "-o", made, "--device", "cpu").code == 0
    before = made.read_bytes()
    assert cli("index", tmp_path / "typo", "-o", made, "--device", "cpu").code == 3
    assert made.read_bytes() == before
    assert cli("index", album, "-o", tmp_path / "none" / "a.npz", "--device", "cpu").code == 9
    own = album / "00.aec"
    assert cli("index", own, "-o", own, "--rebuild", "--device", "cpu").code == UsageError.exit_code
    (tmp_path / "letter.txt").write_text("dear")
    assert cli("index", album, "-o", tmp_path / "letter.txt", "--rebuild", "--device", "cpu").code == 9
    assert (tmp_path / "letter.txt").read_text() == "dear"
    np.savez(tmp_path / "other.npz", facts=np.zeros(3))
    assert cli("index", album, "-o", tmp_path / "other.npz", "--rebuild", "--device", "cpu").code == 9


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


def test_broken_files_are_left_out(cli, album, tmp_path, pictures):
    made = tmp_path / "album.npz"
    damaged = bytearray(pictures[1][2])
    damaged[-9] ^= 1
    (album / "02.aec").write_bytes(damaged)
    (album / "04.aec").write_bytes(b"no such format")
    result = cli("index", album, "-o", made, "--device", "cpu")
    assert result.code == 5  # that of the first: corrupt
    assert "02.aec" in result.err and "04.aec" in result.err and f"{COUNT - 2} of {COUNT} done" in result.err
    assert len(index.load(made)) == COUNT - 2


def test_an_index_that_is_none(cli, tmp_path, album):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK nonsense")
    assert cli("search", bad, album / "00.aec").code == FormatError.exit_code
    assert cli("index", album, "-o", bad, "--device", "cpu").code == FormatError.exit_code  # not replaced
    assert bad.read_bytes() == b"PK nonsense"
    np.savez(bad, facts=np.array([object()], dtype=object), allow_pickle=True)
    assert cli("search", bad, album / "00.aec").code == FormatError.exit_code  # pickles are not read


def test_an_index_of_other_features_is_refused(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(vectors, "VERSION", 1)
        old = index.Index().pack()
    with pytest.raises(FormatError, match="of version 1, not 3; build it again"):
        index.load(old)


def test_models_are_not_mixed(codec, cli, tmp_path, album, pictures):
    tiny = Codec(DATA / "bundles" / "tiny", device="cpu", threads=1)
    other = tiny.encode(pictures[0][0], 40)
    made = index.build([str(album / "00.aec")], str(tmp_path), codec)
    with pytest.raises(UsageError, match="cannot be compared"):
        made.add(index.Entry("x.aec", 1, 1), *index.vector_of(other, tiny))
    (tmp_path / "i.npz").write_bytes(made.pack())
    (tmp_path / "other.aec").write_bytes(other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AECODEC_MODEL_PATH", str(DATA / "bundles"))
        result = cli("search", tmp_path / "i.npz", tmp_path / "other.aec", "--device", "cpu")
    assert result.code == UsageError.exit_code and "the index is of" in result.err


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


def test_a_link_to_an_index(cli, album, tmp_path):
    """Its paths are those of the index, by either name."""
    (tmp_path / "store").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "store" / "real.npz")
    for _ in range(2):
        result = cli("index", album, "-o", tmp_path / "link.npz", "--device", "cpu")
        assert result.code == 0 and "forgot" not in result.err
        found = cli("search", tmp_path / "store" / "real.npz", album / "00.aec", "--json", "--device", "cpu")
        assert all(os.path.isfile(hit["path"]) for hit in lines(found))
    assert (tmp_path / "link.npz").is_symlink() and "skipped (in the index already)" in result.err


def test_an_index_by_its_url(cli, album, tmp_path):
    assert cli("index", album, "-o", tmp_path / "i.npz", "--device", "cpu").code == 0
    result = cli("search", f"file://{tmp_path / 'i.npz'}", album / "00.aec", "--json", "--device", "cpu")
    assert result.code == 0 and os.path.samefile(lines(result)[0]["path"], album / "00.aec")
    refused = cli("search", "memory://i.npz", album / "00.aec", "--json", "--device", "cpu")
    assert refused.code == UsageError.exit_code and lines(refused)[0]["status"] == "failed"


def test_files_that_became_others_kinds(cli, album, tmp_path):
    """A pipe in a file's place, a link that leads nowhere, one that leads to itself: none stays."""
    made = tmp_path / "i.npz"
    assert cli("index", album, "-o", made, "--device", "cpu").code == 0
    for name, make in {
        "00.aec": os.mkfifo,
        "02.aec": lambda path: path.symlink_to(album / "nowhere.aec"),
        "04.aec": lambda path: path.symlink_to(path),
    }.items():
        (album / name).unlink()
        make(album / name)
    result = cli("index", album, "-o", made, "--device", "cpu")
    assert result.code == InputError.exit_code and "forgot 3" in result.err
    assert len(index.load(made)) == COUNT - 3


def test_all_files_made_anew_with_another_model(cli, album, tmp_path):
    made, options = tmp_path / "i.npz", ("-q", 20, "--force", "--device", "cpu")
    assert cli("index", album, "-o", made, "--device", "cpu").code == 0
    pictures = sorted(album.rglob("*.aec"))
    for number, path in enumerate(pictures):
        Image.fromarray(smooth(number, 40, 40)).save(tmp_path / "a.png")
        assert cli("encode", tmp_path / "a.png", path, "--model", "nano-perceptual", *options).code == 0
    result = cli("index", album, "-o", made, "--device", "cpu")
    assert result.code == 0 and len(index.load(made)) == COUNT, result.err
    Image.fromarray(smooth(1, 40, 40)).save(tmp_path / "a.png")
    assert cli("encode", tmp_path / "a.png", pictures[0], "--model", "nano", *options).code == 0
    result = cli("index", album, "-o", made, "--device", "cpu")
    assert result.code == UsageError.exit_code and "with model nano (" in result.err
    assert "of nano-perceptual (" in result.err and len(index.load(made)) == COUNT - 1


def test_paths_that_an_index_file_cannot_hold():
    made = index.Index()
    for path in ("", "a\0b"):
        with pytest.raises(UsageError, match="no file"):
            made.add(index.Entry(path, 1, 1), [1.0], bytes(8))
    assert made.model_id is None and made.vectors().shape == (0, 0)


def test_an_index_behind_a_link(cli, album, tmp_path, pictures):
    """'..' behind a link leads elsewhere than it seems: the files must still be found, by both names."""
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.aec").write_bytes(pictures[1][0])
    for folder in (album, other):
        result = cli("index", folder, "-o", tmp_path / "link" / "i.npz", "--device", "cpu")
        assert result.code == 0 and "forgot" not in result.err
    for name in ("link", "real/deep"):
        result = cli("search", tmp_path / name / "i.npz", other / "a.aec", "-k", COUNT + 1, "--device", "cpu")
        found = [line.split("  ")[1] for line in result.out.decode().splitlines()]
        assert len(found) == COUNT + 1 and all(os.path.isfile(path) for path in found)


def test_a_folder_that_is_a_link(codec, album, tmp_path):
    (tmp_path / "link").symlink_to(album)
    built = index.build([str(tmp_path / "link" / "00.aec")], str(tmp_path / "link"), codec)
    assert built.paths == ["00.aec"]


def test_names_that_are_urls(cli, album, tmp_path):
    """Files at URLs are refused before they are listed; file:// is a path."""
    for names in (["memory://bo", "-o", tmp_path / "i.npz"], [album, "-o", "memory://i.npz"]):
        result = cli("index", *names, "--device", "cpu")
        assert result.code == UsageError.exit_code and result.err.count("\n") == 1
        assert "'memory://" in result.err and "copy" in result.err
    made = tmp_path / "i.npz"
    assert cli("index", (album / "00.aec").as_uri(), "-o", made.as_uri(), "--device", "cpu").code == 0
    assert index.load(made).paths == ["album/00.aec"]
    assert cli("index", album.as_uri(), "-o", made.as_uri(), "--device", "cpu", "--json").code == 0
    assert len(index.load(made)) == COUNT
