"""Smaller pictures: every way to one, with the bundle's small graphs and without them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, psnr
from PIL import Image

import aecodec
from aecodec import container, cutting, decoding, onnx_file, pixels, preview, windows
from aecodec.codec import Codec
from aecodec.errors import ModelError, UsageError
from aecodec.networks import Networks

DIVISORS = [2, 4, 8, 16]


def means(picture, divisor):
    """[H, W, C] -> float64, blocks at the border filled up with their last row and column."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % divisor), (0, -width % divisor), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // divisor, divisor, padded.shape[1] // divisor, divisor, -1)
    return blocks.mean((1, 3))


@pytest.mark.parametrize("divisor", DIVISORS)
def test_means_of_the_whole(codec, city, city_file, divisor):
    whole = codec.decode(city_file)
    small = codec.decode(city_file, scale=1 / divisor)
    assert small.shape == (-(-300 // divisor), -(-410 // divisor), 3) and small.dtype == np.uint8
    inside = slice(None, 300 // divisor), slice(None, 410 // divisor)
    wanted = means(whole, divisor)
    assert psnr(small[inside], wanted[inside]) > (35 if divisor >= 8 else 50)
    assert psnr(small, wanted) > 30


@pytest.mark.parametrize("divisor", DIVISORS)
def test_alpha_metadata_and_depth(codec, budgie, divisor):
    y, x = np.mgrid[:200, :240]
    alpha = np.clip(x + y, 0, 255).astype(np.uint8)
    picture = pixels.Picture(budgie, alpha, b"profile", orientation=6, dpi=(300, 200))
    for quality in (None, 90):
        data = codec.encode_picture(picture, 40, quality)
        small = codec.decode_picture(data, divisor)
        assert (small.icc, small.orientation, small.dpi) == (b"profile", 6, (300, 200))
        error = np.abs(small.alpha - means(alpha[:, :, None], divisor)[:, :, 0])
        assert error.max() <= (0.5 if quality is None else 12)
    turned = codec.decode(data, scale=1 / divisor, apply_orientation=True)
    assert turned.shape == (-(-240 // divisor), -(-200 // divisor), 4)
    deep = codec.encode(budgie[:, :, 1].astype(np.uint16) * 200, 40)
    small = codec.decode(deep, scale=1 / divisor)
    assert small.dtype == np.uint16 and small.ndim == 2 and small.max() > 255


def test_smallest_picture(codec):
    data = codec.encode(np.full((1, 1, 3), 77, np.uint8), 60)
    for divisor in DIVISORS:
        assert codec.decode(data, scale=1 / divisor).shape == (1, 1, 3)


def test_bad_scales(codec, city_file):
    for scale in (0, 2, 0.3, 1 / 32, -1, float("nan")):
        with pytest.raises(UsageError, match="scale"):
            codec.decode(city_file, scale=scale)
    with pytest.raises(UsageError, match="region"):
        codec.decode(city_file, (0, 0, 20, 20), scale=1 / 2)
    assert aecodec.decode(city_file, "cpu", 2, scale=1 / 8).shape == (38, 52, 3)


def test_command_line(cli, city_file, tmp_path):
    (tmp_path / "a.aec").write_bytes(city_file)
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png", "--scale", "1/4") == (0, b"", "")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (103, 75)
    for text in ("1/3", "0.3", "x"):
        done = cli("decode", tmp_path / "a.aec", tmp_path / "b.png", "--scale", text)
        assert done.code == 2 and "1/16" in done.err


def test_thumbnail_decodes_less(city_file, monkeypatch):
    aecodec.register()
    asked = []
    original = Codec.decode_picture
    spy = lambda self, data, divisor=1: asked.append(divisor) or original(self, data, divisor)  # noqa: E731
    monkeypatch.setattr(Codec, "decode_picture", spy)
    for size, divisor in ((40, 2), (20, 4), (12, 8), (9, 16), (300, 1)):
        with Image.open(io.BytesIO(city_file)) as image:
            image.thumbnail((size, size))
            assert max(image.size) == size
            assert asked.pop() == divisor, size
    with Image.open(io.BytesIO(city_file)) as image:
        assert image.draft("RGB", (50, 37)) == ("RGB", (0, 0, 51.25, 37.5))
        assert image.size == (52, 38) and image.draft("RGB", (10, 10)) is None
        assert np.asarray(image).shape == (38, 52, 3)


# -- with the small graphs, which need torch to be exported ------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> tuple[object, Path]:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from export_models import written

    return written(tmp_path_factory.mktemp("bundle") / "fresh")


def linear_part(model, picture, level):
    """What g_s without its network makes of the latents: [3, H, W]."""
    import torch

    from aecodec.training.layers import depth_to_space

    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        at = torch.tensor([float(level)])
        y_hat = model(x, at, exact=True, hard=True).y_hat * model.inverse_gain(at)
        patches = model.g_s.shortcut.to_half(y_hat, 16) + model.g_s.lapped(y_hat, at)
        return torch.nn.functional.pixel_shuffle(depth_to_space(patches, 8), 2)[0].numpy() + 0.5


@pytest.mark.parametrize("divisor", [8, 16])
def test_small_graphs_are_the_linear_part(bundle, city, divisor):
    model, folder = bundle
    codec = Codec(folder, device="cpu", threads=1)
    assert codec.bundle.previews == (8, 16)
    picture = city[:192, :256]
    data = codec.encode(picture, 20 / 0.63)
    parsed = container.read_file(data)
    loaded = codec._loader.model_of(parsed.header)
    symbols, z_hat, _ = decoding.decode_symbols(loaded, parsed.header, parsed.groups)
    rows = windows.span(0, 3, 0, 3)
    quality = np.array([20.0], np.float32)
    band = loaded.networks.synthesis_band(lambda *_: [symbols, z_hat], rows, 4, quality, divisor=divisor)
    x_hat = next(band)[1][0][0]
    wanted = means(linear_part(model, picture, 20).transpose(1, 2, 0), divisor).transpose(2, 0, 1)
    assert x_hat.shape == wanted.shape and wanted.std() > 0.01
    # A symbol on the edge of rounding may fall either way.
    assert np.median(np.abs(x_hat - np.clip(wanted, 0, 1))) < 1e-4


def test_small_graphs_are_used_and_windows_agree(bundle, city):
    _, folder = bundle
    codec = Codec(folder, device="cpu", threads=1)
    picture = np.tile(city, (4, 1, 1))[:1150]  # three rows of groups, so that there are bands
    data = codec.encode(picture, 50)
    parsed = container.read_file(data)
    model = codec._loader.model_of(parsed.header)
    for divisor in (8, 16):
        small = preview.decode(model, parsed, codec.limits, divisor).pixels
        plain = Networks(replace(model.bundle, previews=()), "cpu", 1)
        without = replace(model, networks=plain)
        other = preview.decode(without, parsed, codec.limits, divisor).pixels
        assert small.shape == other.shape and not np.array_equal(small, other)
        model.networks.largest = plain.largest = 49
        try:
            coming = decoding.bands(model, parsed.header, parsed.groups)
            tops = [top for top, _ in decoding.pixel_bands(model, parsed.header, coming, divisor=divisor)]
            windowed = preview.decode(model, parsed, codec.limits, divisor).pixels
            averaged = preview.decode(without, parsed, codec.limits, divisor).pixels
        finally:
            model.networks.largest = plain.largest = windows.LARGEST
        assert tops[0] == 0 and len(tops) > 1
        assert np.abs(windowed.astype(int) - small).max() <= 1
        assert np.abs(averaged.astype(int) - other).max() <= 1


def test_small_graphs_must_fit_behind_the_synthesis(bundle):
    folder = bundle[1]
    synthesis, small = ((folder / f"{name}.onnx").read_bytes() for name in ("synthesis", "small_8"))
    joined = onnx_file.read(cutting.preview(synthesis, small))
    assert joined.inputs.keys() == {"symbols", "z_hat", "quality"} and joined.outputs == ("x_hat",)
    assert len(joined.pack()) < len(synthesis) + len(small)
    for change in ({"weights": onnx_file.read(synthesis).weights}, {"inputs": {"y_hat": b"", "other": b""}}):
        with pytest.raises(ModelError, match="does not fit"):
            cutting.preview(synthesis, replace(onnx_file.read(small), **change).pack())


def test_bundle_without_previews(codec):
    """The golden bundle has none, and decodes at every scale."""
    plain = Codec(DATA / "bundles" / "tiny", device="cpu", threads=1)
    data = plain.encode(np.full((70, 90, 3), 120, np.uint8), 60)
    assert plain.bundle.previews == ()
    for divisor in DIVISORS:
        assert plain.decode(data, scale=1 / divisor).shape == (-(-70 // divisor), -(-90 // divisor), 3)
