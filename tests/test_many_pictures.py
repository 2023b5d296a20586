"""aecodec batch: single pictures in it are what `encode` and `decode` make of them."""

from __future__ import annotations

from PIL import Image
from test_many import FAST, results, table, tree

from aecodec import raster
from aecodec.codec import Codec
from aecodec.errors import CorruptError

__all__ = ["tree"]  # a fixture


def test_large_pictures_are_what_single_commands_make(cli, tree, tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "TILE", 30)
    out, back, runtime = tmp_path / "out", tmp_path / "back", ("--device", "cpu", "--threads", "1")
    assert cli("batch", "encode", tree, out, *FAST).code == 3
    assert cli("encode", tree / "a.png", tmp_path / "a.aec", "-q", "5", *runtime).code == 0
    assert (tmp_path / "a.aec").read_bytes() == (out / "a.aec").read_bytes()
    streamed, stream = [], Codec.stream

    def remember(self, data):
        streamed.append(data)
        return stream(self, data)

    monkeypatch.setattr(Codec, "stream", remember)
    assert cli("batch", "decode", out, back, "--device", "cpu").code == 0 and len(streamed) == 2
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png", *runtime).code == 0 and len(streamed) == 3
    assert (tmp_path / "a.png").read_bytes() == (back / "a.png").read_bytes()


def test_damage_that_is_found_behind_the_last_row(cli, tree, tmp_path, monkeypatch):
    """Large pictures are decoded as they are written: nothing of this one may appear, from either command."""
    monkeypatch.setattr(raster, "TILE", 30)
    out, back = tmp_path / "out", tmp_path / "back"
    cli("batch", "encode", tree, out, *FAST)
    bad, stream = (out / "a.aec").read_bytes(), Codec.stream

    def failing(rows):
        yield from rows
        raise CorruptError("symbols are left over")

    def streamed(self, data):
        blank, rows = stream(self, data)
        return blank, failing(rows) if data == bad else rows

    monkeypatch.setattr(Codec, "stream", streamed)
    result = cli("batch", "decode", out, back, "--device", "cpu")
    assert result.code == 5 and "1 of 2 done, 1 failed" in result.err
    assert results(back) == ["deep/b.png"] and not (back / "_aecodec" / "tmp").exists()
    [failure] = table(back, "failures")
    assert failure["input"] == "a.aec" and failure["kind"] == "corrupt"
    single = cli("decode", out / "a.aec", tmp_path / "a.png", "--device", "cpu")
    assert single.code == 5 and failure["error"] in single.err and not (tmp_path / "a.png").exists()
    assert failure["error"] == f"{str(out / 'a.aec')!r}: symbols are left over"


def test_thumbnails(cli, tree, tmp_path):
    plain, out, small = (tmp_path / name for name in ("plain", "out", "small"))
    cli("batch", "encode", tree, plain, *FAST)
    cli("batch", "encode", tree, out, *FAST, "--thumbnail")
    assert (out / "a.aec").stat().st_size > (plain / "a.aec").stat().st_size
    assert cli("batch", "decode", out, small, "--fit", "20", "--device", "cpu").code == 0
    with Image.open(small / "deep" / "b.png") as image:
        assert image.size == (20, 14)
    result = cli("batch", "decode", out, small, "--fit", "30", "--device", "cpu")
    assert result.code == 2 and "fit 20, now 30" in result.err


def test_precision(cli, tree, tmp_path):
    """It reaches the networks, and is among the settings of a run."""
    out = tmp_path / "out"
    assert cli("batch", "encode", tree, out, *FAST, "--precision", "fp16").code == 2  # not on a CPU
    assert not (out / "a.aec").exists()
    assert cli("batch", "encode", tree, out, *FAST, "--precision", "fp32").code == 3
    result = cli("batch", "encode", tree, out, *FAST)
    assert result.code == 2 and "precision 'fp32', now 'auto'" in result.err


def test_transparency_can_be_left_out(cli, tmp_path):
    """JPEG cannot hold it."""
    source, out, back = (tmp_path / name for name in ("source", "out", "back"))
    source.mkdir()
    Image.new("RGBA", (40, 30), (9, 99, 200, 128)).save(source / "a.png")
    assert cli("batch", "encode", source, out, *FAST).code == 0
    decode = ("batch", "decode", out, back, "--format", "jpg", "--device", "cpu")
    assert cli(*decode).code == 9 and "--no-alpha" in table(back, "failures")[0]["error"]
    assert cli(*decode, "--no-alpha").code == 0 and results(back) == ["a.jpg"]
    result = cli(*decode)
    assert result.code == 2 and "no_alpha True, now None" in result.err
