"""benchmarks.denoise and benchmarks.latents_files: their measures, and a run on little."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec
from benchmarks import denoise, labelled, latents_pictures, latents_sheets, latents_vectors
from tests.conftest import DATA, psnr
from tests.synthetic import smooth

TINY = str(DATA / "bundles" / "tiny")


def test_noise_is_the_same_for_the_same_picture():
    grey = np.full((64, 64, 3), 128, np.uint8)
    noisy = denoise.add_noise(grey, 20, "ab12")
    np.testing.assert_array_equal(noisy, denoise.add_noise(grey, 20, "ab12"))
    assert (noisy != denoise.add_noise(grey, 20, "ab13")).mean() > 0.8
    assert noisy.astype(float).std() == pytest.approx(20, rel=0.03)


def test_curves_up_to_their_best_point():
    bpp, psnrs = [0.1, 0.2, 0.4, 0.8], [25.0, 27.0, 26.0, 24.0]
    assert denoise.rising(bpp, psnrs) == ([0.1, 0.2], [25.0, 27.0])
    assert denoise.psnr_at(bpp, psnrs, 0.15) == pytest.approx(26)
    assert denoise.psnr_at(bpp, psnrs, 0.6) == 27  # a cheaper file does better
    assert denoise.psnr_at(bpp, psnrs, 0.05) is None


def test_denoisers_remove_noise():
    pytest.importorskip("skimage")
    clean = smooth(0, 48, 64)
    noisy = denoise.add_noise(clean, 25, "1")
    found = denoise.non_local_means(noisy, 25)
    assert psnr(found, clean) > psnr(noisy, clean) + 5


def test_denoise_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(denoise, "QUALITIES", (20, 60, 95))
    monkeypatch.setattr(denoise, "PEER_QUALITIES", (30, 70))
    Image.fromarray(smooth(1)).save(tmp_path / "a.png")
    out = tmp_path / "r.json"
    command = [str(tmp_path), "--sigmas", "25", "--models", TINY, "--peers", "jpeg", "--out", str(out)]
    assert denoise.main(command) == 0
    content = json.loads(out.read_text())
    found = content["sigmas"]["25"]
    assert set(found) == {"aecodec:tiny", "jpeg"} and len(content["rows"]) == 5
    assert found["aecodec:tiny"]["best_psnr"] > found["aecodec:tiny"]["uncoded"] + 3
    assert "| aecodec:tiny |" in capsys.readouterr().out
    monkeypatch.setattr(denoise.Model, "code", None)  # all rows are known
    assert denoise.main(command) == 0
    assert denoise.main([str(tmp_path), "--peers", "magic+jpeg", "--out", str(out)]) == 2


def test_recall():
    """Two classes on two axes, one picture alone."""
    found = np.array([[1, 0.1], [1, 0], [0, 1], [0.1, 1], [0.8, 0.8]], np.float32)
    labels = ["a", "a", "b", "b", "c"]
    assert latents_vectors.recall(found, labels, (1, 3)) == {"recall@1": 1.0, "recall@3": 1.0}
    mixed = latents_vectors.recall(found, ["a", "b", "b", "a", "c"], (1,))
    assert mixed == {"recall@1": 0.0}


def test_features_of_pixels():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    assert latents_vectors.pooled_pixels(red)[:3].tolist() == [1, 0, 0]
    histogram = latents_vectors.colour_histogram(red)
    assert histogram[7 * 64] == 1 and histogram.sum() == 1


def test_speed_tells_of_files_with_blocks_of_pixels_apart(codec, monkeypatch):
    monkeypatch.setattr(latents_vectors, "CHUNKS", 1)
    hatched = np.zeros((128, 128, 3), np.uint8)
    hatched[::2] = 255
    found = latents_vectors.speed([smooth(0, 128, 128), hatched], 60, codec)
    assert (found["files"], found["with blocks of pixels"]) == (2, 1)
    for name, ms in found["ms a file"].items():
        parts = [found[f"ms a file {w} blocks of pixels"][name] for w in ("with", "without")]
        assert ms == pytest.approx(sum(parts) / 2) and min(parts) > 0
    factors = found["times as fast"]["index from latents"]
    assert set(factors) == {"decode, pool", "decode at 1/16, pool"}
    without = latents_vectors.speed([smooth(0, 128, 128)], 60, codec)
    assert without["ms a file with blocks of pixels"] == {}


def test_pooled_pixels_are_those_of_the_picture_at_a_sixteenth():
    codec = Codec(device="cpu", threads=1)
    data = codec.encode(smooth(0, 128, 192), 60)
    large, small = (latents_vectors.pooled_pixels(codec.decode(data, scale=s)) for s in (1, 1 / 16))
    np.testing.assert_allclose(small, large, atol=4 / 255)


def test_labelled_archives(tmp_path):
    """A tar of surfaces with masks, and strokes and sheets of them."""
    path = tmp_path / "tiles.tar"
    grey = Image.new("L", (40, 24), 90)
    with tarfile.open(path, "w") as tar:
        for name, kind in [("MT_Free/1.jpg", "JPEG"), ("MT_Crack/2.jpg", "JPEG"), ("MT_Crack/2.png", "PNG")]:
            stream = io.BytesIO()
            grey.save(stream, kind)
            member = tarfile.TarInfo(name)
            member.size = stream.tell()
            stream.seek(0)
            tar.addfile(member, stream)
    crack, free = labelled.surfaces(path)
    assert free.mask is None and crack.mask is not None and crack.mask.all()
    assert (free.label, crack.label) == ("MT_Free", "MT_Crack") and free.pixels.shape == (24, 40)
    squares = list(labelled.crops([smooth(0)], 48, 3))
    assert len(squares) == 3 and all(s.shape == (48, 48, 3) for s in squares)
    mask = latents_pictures.strokes(200, 300, 0)
    assert 0.05 < mask.mean() < 0.6
    np.testing.assert_array_equal(mask, latents_pictures.strokes(200, 300, 0))
    latents_sheets.write(tmp_path / "s.webp", [free.pixels, crack.pixels, squares[0]], 2, 20)
    with Image.open(tmp_path / "s.webp") as image:
        assert image.size == (44, 12 + latents_sheets.GAP + 20)
