"""Groups that pixel blocks cover: no symbols are coded for what nobody sees, and no networks run there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from synthetic import smooth
from test_blocks import page

from aecodec import blocks, container, datapath, decoding, entropy, latents
from aecodec.codec import Codec
from aecodec.encoding import encode_symbols
from aecodec.errors import CorruptError
from aecodec.groups import Group, Groups
from aecodec.loaded import zeros_of
from aecodec.networks import Networks

SIDE = 1408
"""25 groups of 320 pixels."""


@pytest.fixture(scope="module")
def screen(city) -> np.ndarray:
    """Text in every block but for a photograph at the upper left."""
    picture = np.tile(page(64, 64), (SIDE // 64, SIDE // 64, 1))
    picture[:128, :192] = city[:128, :192]
    return picture


@pytest.fixture(scope="module")
def screen_file(codec: Codec, screen) -> bytes:
    return codec.encode(screen, 60)


@pytest.fixture
def no_networks(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a network runs")

    for name in ("synthesis_band", "scales_first", "scales_second"):
        monkeypatch.setattr(Networks, name, refuse)


def test_only_groups_that_show_somewhere_have_symbols(codec, screen_file):
    parsed = container.read_file(screen_file)
    groups = Groups.of(parsed.header).all
    mask, halo = blocks.mask_of(parsed.blocks, groups), codec.bundle.halo["synthesis"]
    assert len(groups) == 25 and 0 < (~mask).sum() <= 6
    for group, payload in zip(groups, parsed.groups, strict=True):
        near = group.top < 4 * (2 + halo) and group.left < 4 * (3 + halo)
        assert bool(payload) == near


def test_the_picture_is_the_same_without_them(codec, screen, screen_file, monkeypatch):
    monkeypatch.setattr(blocks, "unseen", lambda *args: frozenset())
    whole = codec.encode(screen, 60)
    kept, full = (container.read_file(data) for data in (screen_file, whole))
    assert all(full.groups) and len(screen_file) < len(whole) - 1000
    assert [bytes(g) for g in kept.groups if g] == [
        bytes(g) for g, left in zip(full.groups, kept.groups, strict=True) if left
    ]
    difference = codec.decode(screen_file).astype(int) - codec.decode(whole)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("scale", [1, 1 / 2, 1 / 8, 1 / 16])
def test_networks_run_around_what_they_made_only(codec, screen_file, scale, monkeypatch):
    """Of the pixels at the upper left all others are as in a decoder that runs them everywhere."""
    seen = []
    band = Networks.synthesis_band

    def noted(self, cut, rows, width, quality, **options):
        seen.append((rows.stop, options["columns"].stop))
        return band(self, cut, rows, width, quality, **options)

    monkeypatch.setattr(Networks, "synthesis_band", noted)
    found = codec.decode(screen_file, scale=scale).astype(int)
    assert seen == [(2, 3)]
    monkeypatch.setattr(datapath, "covered", lambda *args: None)
    assert np.abs(found - codec.decode(screen_file, scale=scale)).max() <= 1


def test_a_page_of_text_needs_no_networks(codec, no_networks):
    """Encoded as one group and as many; decoded whole, in part, smaller, row by row, and verified."""
    for height, width in ((130, 70), (SIDE, SIDE)):
        picture = page(height, width)
        data = _without_symbols(codec, picture)
        np.testing.assert_array_equal(codec.decode(data), picture)
        np.testing.assert_array_equal(codec.decode(data, region=(3, 65, 61, 40)), picture[65:105, 3:64])
        assert codec.decode(data, scale=1 / 16).shape == (-(-height // 16), -(-width // 16), 3)
        model, parsed = codec.parse(data)
        symbols, z_hat, lost = decoding.decode_symbols(model, parsed.header, parsed.groups)
        assert not symbols.any() and not z_hat.any() and not lost
        first, z_hat = decoding.decode_first(model, parsed.header, parsed.groups)
        assert not first.any() and not z_hat.any()
        _, coming = codec.stream(data)
        np.testing.assert_array_equal(np.concatenate([part for _, part in coming]), picture)
        codec.verify(data)


def _without_symbols(codec: Codec, picture: np.ndarray) -> bytes:
    """Every block as pixels, exactly."""
    height, width, _ = picture.shape
    header = container.Header(width, height, 3, 8, 9000, codec.bundle.model_id)
    header = header._replace(group_edge=20)
    groups = Groups(header.latent_size, 20).all
    model, crc = codec._loader.model_of(header), 0
    for group in groups:
        crc = entropy.symbols_crc(crc, *zeros_of(model, group))
    mask = np.ones((-(-height // 64), -(-width // 64)), np.bool_)
    return container.write_file(
        header._replace(symbols_crc=crc), {}, [b""] * len(groups), blocks.pack(picture, mask, groups)
    )


def test_encoding_a_page_looks_at_it_once(codec, monkeypatch):
    """What is all pixels in the end is not analysed a second time."""
    runs = []
    analyse = Networks.analysis_band
    monkeypatch.setattr(Networks, "analysis_band", lambda *a: runs.append(1) or analyse(*a))
    data = codec.encode(page(), 60)
    assert not any(container.read_file(data).groups) and len(runs) == 1


@pytest.mark.parametrize("effort", [0, 1])
def test_the_encoder_runs_networks_around_what_shows_only(screen, effort, monkeypatch):
    """But for a second look, which sees what is beside. What is coded is as if they ran everywhere."""
    codec, runs = Codec("nano", "cpu", 1), Counter[str]()
    header = container.Header(SIDE, SIDE, 3, 8, 9000, codec.bundle.model_id, group_edge=20)
    model = codec._loader.model_of(header)
    model.networks.largest = 100  # blocks of a window; the picture has 484
    run, second = Networks._run, Networks.scales_second

    def noted(self, graph, **inputs):
        runs[graph] += 1
        return run(self, graph, **inputs)

    def counted(self, features, first, level):
        runs["groups"] += len(first)
        return second(self, features, first, level)

    monkeypatch.setattr(Networks, "_run", noted)
    monkeypatch.setattr(Networks, "scales_second", counted)
    mask = np.ones((SIDE // 64, SIDE // 64), np.bool_)
    mask[:2, :3] = False
    payloads, _ = encode_symbols(model, header, screen, effort, mask)
    few = Counter(runs)
    monkeypatch.setattr(blocks, "unseen", lambda *args: frozenset())
    runs.clear()
    full, _ = encode_symbols(model, header, screen, effort, mask)
    coded = [number for number, payload in enumerate(payloads) if payload]
    assert coded == [0, 1] and payloads[:2] == full[:2] and all(full)
    if not effort:
        assert (few["groups"], runs["groups"]) == (2, 25)
        assert few["analysis"] < runs["analysis"] / 2 and few["context"] < runs["context"] / 2


def test_the_encoder_looks_at_candidates_only(monkeypatch):
    """At what the networks make of them, before it takes them as pixels or not."""
    picture = smooth(1, 576, 768)
    picture[64:192, 128:384] = page(128, 256)
    seen, band = [], Networks.synthesis_band

    def noted(self, cut, rows, width, quality, **options):
        assert options["encoding"]
        seen.append((rows.start, rows.stop, options["columns"].start, options["columns"].stop))
        return band(self, cut, rows, width, quality, **options)

    monkeypatch.setattr(Networks, "synthesis_band", noted)
    data = Codec("nano", "cpu", 1).encode(picture, 60)
    assert seen == [(1, 3, 2, 6)] and any(container.read_file(data).blocks)


def test_its_latents_are_those_of_its_pixels(codec):
    """As of every file with pixel blocks: it is decoded and encoded again, without them."""
    data = codec.encode(page(), 60)
    assert not any(container.read_file(data).groups)
    assert latents.read(data, codec).symbols.any()


def test_damage_to_one_is_salvaged(codec, screen, screen_file):
    parsed = container.read_file(screen_file)
    size = len(parsed.groups[-1]) + len(parsed.blocks[-1])
    data = bytearray(screen_file)
    data[-size // 2 - 4] ^= 1
    picture, lost = codec.salvage(bytes(data))
    assert lost == [24]
    np.testing.assert_array_equal(picture.array[:1280], codec.decode(screen_file)[:1280])


def test_a_picture_of_which_nothing_is_left_is_not_salvaged(codec):
    """Groups without symbols, and blocks that are wrong under right checksums."""
    data = _without_symbols(codec, page(130, 70))
    parsed = container.read_file(data)
    broken = [bytes(b[:20]) + bytes(len(b) - 20) for b in parsed.blocks]
    with pytest.raises(CorruptError, match="no group"):
        codec.salvage(container.write_file(parsed.header, {}, [b""] * len(broken), broken))


@pytest.mark.parametrize("quality", [0, 60])
def test_the_densest_files(codec, quality):
    """As docs/format.md, section 11, says."""
    data = codec.encode(np.full((2048, 2048, 3), 128, np.uint8), quality)
    assert 2000 < 2048 * 2048 / len(data) < 4000


@pytest.mark.parametrize("seed", range(4))
def test_covered_or_not_pixels_are_the_same(codec, seed, monkeypatch):
    """Any blocks of any size of picture, whole, in part and smaller."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 700, 2)
    picture = rng.integers(0, 255, (height // 32 + 1, width // 32 + 1, 3)).repeat(32, 0).repeat(32, 1)
    picture = picture[:height, :width].astype(np.uint8)
    mask = rng.random((-(-height // 64), -(-width // 64))) < (0.5, 0.9)[seed % 2]
    mask[0, 0] = True
    plain = container.read_file(Codec(device="cpu", threads=1, pixel_blocks=False).encode(picture, 30))
    groups = Groups.of(plain.header).all
    packed = blocks.pack(picture, mask, groups)
    data = container.write_file(plain.header, {}, [bytes(g) for g in plain.groups], packed)
    x, y = rng.integers(0, (width, height))
    region = (int(x), int(y), int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1)))
    ways = [{}, {"region": region}, {"scale": 1 / 2}, {"scale": 1 / 8}]
    found = [codec.decode(data, **way).astype(int) for way in ways]
    monkeypatch.setattr(datapath, "covered", lambda *args, **options: None)
    for way, result in zip(ways, found, strict=True):
        assert np.abs(codec.decode(data, **way) - result).max() <= 1, way


@pytest.mark.parametrize(
    ("bare", "wanted"),
    [
        ([], {0, 1, 2, 3}),
        ([(0, 2)], {2, 3}),
        ([(2, 0)], {1, 3}),
        ([(1, 1), (1, 4)], set()),
        ([(2, 4)], {0, 2}),
    ],
)
def test_unseen(bare, wanted):
    """4 groups of 2 x 3, 2 x 2, 1 x 3 and 1 x 2 blocks; the synthesis sees one block around."""
    groups = [Group(0, 0, 8, 12), Group(0, 12, 8, 8), Group(8, 0, 4, 12), Group(8, 12, 4, 8)]
    mask = np.ones((3, 5), np.bool_)
    for place in bare:
        mask[place] = False
    assert blocks.unseen(mask, groups, 1) == wanted
