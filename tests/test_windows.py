"""Windows: they tile, stay small, and give what the network gives on the whole picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aecodec import container, datapath, windows
from aecodec.codec import Codec
from aecodec.networks import Networks

BLOCKS = (7, 10)
"""The tests' picture, in blocks of 64 pixels."""
LARGEST = 6
"""Windows of at most 6 x 6 blocks."""


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 8, 48, 49, 500, 1024])
@pytest.mark.parametrize(("halo", "largest"), [(0, 6), (1, 6), (2, 6), (2, 48), (3, 48), (2, 4)])
def test_spans_tile(length, halo, largest):
    spans = list(windows.spans(length, halo, largest))
    assert [s.start for s in spans] == [0, *(s.stop for s in spans[:-1])] and spans[-1].stop == length
    for s in spans:
        assert s.first == max(0, s.start - halo) and s.last == min(length, s.stop + halo)
        assert s.stop > s.start
        assert s.last - s.first <= max(largest, 1 + 2 * halo)
    assert len(spans) == 1 or length > largest


@pytest.mark.parametrize("size", [(1, 1), (7, 10), (2, 90), (90, 2), (40, 33)])
def test_tiles_cover_every_block_once(size):
    covered = np.zeros(size, int)
    for rows, columns in windows.tiles(*size, 2, 48):
        covered[rows.inner(1), columns.inner(1)] += 1
        assert (rows.last - rows.first) * (columns.last - columns.first) <= 48
    assert (covered == 1).all()


@pytest.fixture(scope="module")
def networks(bundle):
    return Networks(bundle, "cpu", 2)


@pytest.fixture(scope="module")
def latents(networks):
    """x, y, z_hat, index_first of a picture with detail at every place."""
    rng = np.random.default_rng(5)
    low = rng.random((1, 3, BLOCKS[0] * 8, BLOCKS[1] * 8), np.float32)
    x = np.kron(low, np.ones((1, 1, 8, 8), np.float32)) * 0.8 + 0.2 * rng.random(
        (1, 3, BLOCKS[0] * 64, BLOCKS[1] * 64), np.float32
    )
    y, z_hat = networks.analysis(x, quality())
    return x, y, z_hat, rng.integers(0, 40, y.shape).astype(np.uint8)


def quality():
    return np.array([30.0], np.float32)


def windowed(bundle, halo=None):
    if halo is not None:
        bundle = replace(bundle, halo=dict.fromkeys(bundle.halo, halo))
    return Networks(bundle, "cpu", 2, largest=LARGEST * LARGEST)


def out_of_sight(flipped, halo):
    """[1, N, h, w] -> [h, w]: positions at which the network, which sees `halo` blocks, sees none of them."""
    far = np.ones(flipped.shape[2:], bool)
    for row, column in np.argwhere(flipped.any((0, 1))) // 4:
        rows = slice(4 * max(0, row - halo), 4 * (row + halo + 1))
        far[rows, 4 * max(0, column - halo) : 4 * (column + halo + 1)] = False
    return far


def test_windows_equal_the_whole(bundle, networks, latents):
    x, y, z_hat, index = latents
    parts = windowed(bundle)
    y_parts, z_parts = parts.analysis(x, quality())
    np.testing.assert_allclose(y_parts, y, atol=1e-4 * np.abs(y).max())
    assert (z_parts != z_hat).mean() < 1e-3  # a value on the edge of rounding may fall either way
    first, residual = networks.context(y, z_hat, quality(), index)
    first_parts, residual_parts = parts.context(y, z_hat, quality(), index)
    flipped = first_parts != first
    assert flipped.mean() < 1e-4
    far = out_of_sight(flipped, bundle.halo["context"])
    assert far.any(), "values flipped everywhere: no residual can be compared"
    allowed = 1e-4 * np.abs(residual).max()
    np.testing.assert_allclose(residual_parts[..., far], residual[..., far], atol=allowed)
    whole = networks.synthesis(np.rint(residual), z_hat, quality())
    assert whole.shape == x.shape
    np.testing.assert_allclose(parts.synthesis(np.rint(residual), z_hat, quality()), whole, atol=1e-4)


def test_without_a_halo_seams_show(bundle, networks, latents):
    """The comparison can fail."""
    _, y, z_hat, _ = latents
    whole = networks.synthesis(np.rint(y), z_hat, quality())
    parts = windowed(bundle, halo=0).synthesis(np.rint(y), z_hat, quality())
    assert np.abs(parts - whole).max() > 0.01


def test_a_halo_is_as_wide_as_the_network_sees(bundle, networks, latents):
    """A change further away than the halo changes nothing; the halo less one block would not do."""
    _, y, z_hat, _ = latents
    symbols, halo = np.rint(y), bundle.halo["synthesis"]
    before = networks.synthesis(symbols, z_hat, quality())
    changed = z_hat.copy()
    changed[:, :, :, -1] += 1e4  # far from any real one: what little comes through ten layers must be seen
    after = networks.synthesis(symbols, changed, quality())
    columns = np.abs(after - before).max(axis=(0, 1, 2)).reshape(BLOCKS[1], 64).max(axis=1)
    seen = np.flatnonzero(columns > 0)
    assert seen[0] == BLOCKS[1] - 1 - halo


def test_bands_lower_than_the_halo(monkeypatch, bundle, city):
    """A wide picture of small groups has such: nothing of its first band can be shown before the next."""
    monkeypatch.setattr(datapath, "choose_edge", lambda *_: 4)
    picture = np.pad(city, ((0, 100), (0, 0), (0, 0)), mode="reflect")
    whole, low = (Codec(device="cpu", threads=1) for _ in range(2))
    data = whole.encode(picture, 40)
    assert container.read_header(data).group_edge == 4
    low.parse(data)[0].networks.largest = 8
    monkeypatch.setattr("aecodec.decoding.WIDEST", 8)
    found = low.decode(data).astype(int)
    assert np.abs(found - whole.decode(data)).max() <= 1
