"""Which files an index has: what changed, went, is broken, or is reached by links and URLs."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec
from aecodec.errors import FormatError, InputError, UsageError
from aecodec.latents import index
from tests.albums import COUNT, album, lines, pictures
from tests.conftest import DATA
from tests.synthetic import smooth

__all__ = ["album", "pictures"]  # fixtures
pytest.importorskip("faiss", reason="searching needs faiss: pip install 'aecodec[latents]'")


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


def test_an_index_that_is_none(cli, tmp_path, album):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"PK nonsense")
    assert cli("search", bad, album / "00.aec").code == FormatError.exit_code
    assert cli("index", album, "-o", bad, "--device", "cpu").code == FormatError.exit_code  # not replaced
    assert bad.read_bytes() == b"PK nonsense"
    np.savez(bad, facts=np.array([object()], dtype=object), allow_pickle=True)
    assert cli("search", bad, album / "00.aec").code == FormatError.exit_code  # pickles are not read
