"""The post-filter: its section there and back, what it does to pixels, and when the encoder takes one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec, container, filter_choice, post_filter
from aecodec.errors import CorruptError
from aecodec.post_filter import FINEST, KINDS, OFFSET, RINGS, TO_YCC, Coefficients, Filter
from aecodec.session import open_session
from tests.conftest import DATA


def drawn(kind, scale=9.0, seed=1, shift=9):
    contrasts, sets = KINDS[kind]
    steps = np.random.default_rng(seed).laplace(0, scale, (sets, 3, post_filter.features(contrasts)))
    return Coefficients(contrasts, shift, np.rint(steps).astype(np.int64))


def without(file):
    """The same file as a reader sees it that does not know the section."""
    parsed = container.read_file(file)
    sections = {tag: bytes(payload) for tag, payload in parsed.sections.items() if tag != post_filter.TAG}
    groups, blocks = ([bytes(p) for p in parts] for parts in (parsed.groups, parsed.blocks))
    return container.write_file(parsed.header, sections, groups, blocks if any(blocks) else [])


def squared(a, b):
    return float(np.square(a.astype(float) - b).mean())


@pytest.fixture(scope="module")
def codec():
    return Codec("nano", device="cpu", threads=2)


@pytest.fixture(scope="module")
def photo():
    with Image.open(DATA / "city.jpg") as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def file(codec, photo):
    return codec.encode(photo, 60, effort=1)


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("scale", [0, 0.3, 9, 4000])
def test_there_and_back(kind, scale):
    found = drawn(kind, scale, shift=kind * 4)
    payload = post_filter.pack(found)
    again = post_filter.unpack(payload)
    assert (again.contrasts, again.shift) == (found.contrasts, found.shift)
    assert np.array_equal(again.steps, found.steps)
    assert len(payload) == post_filter.size_of(found)
    for cut in range(len(payload)):
        with pytest.raises(CorruptError, match="fILT"):
            post_filter.unpack(payload[:cut])


def test_long_sections_are_not_taken_apart():
    with pytest.raises(CorruptError, match="goes on"):
        post_filter.unpack(memoryview(bytes([3, 9]) + bytes(post_filter.LONGEST)))
    largest = Coefficients(8, 12, np.full((4, 3, 28), post_filter.LARGEST - 1, np.int64))
    assert len(post_filter.pack(largest)) <= post_filter.LONGEST


def test_flipped_bits_are_refused_or_other_coefficients():
    payload = post_filter.pack(drawn(0))
    read = 0
    for bit in range(8 * len(payload)):
        broken = bytearray(payload)
        broken[bit // 8] ^= 1 << bit % 8
        try:
            found = post_filter.unpack(broken)
        except CorruptError:
            continue
        read += 1
        assert np.abs(found.steps).max() <= post_filter.LARGEST and found.shift <= FINEST
    assert read > 0


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_taps_are_the_sum_of_the_features(kind):
    """By the words of docs/format.md, section 9.1, pixel by pixel."""
    found = drawn(kind, 30)
    x = np.random.default_rng(2).random((6, 8, 3)).astype(np.float32) * 0.6 + 0.2
    (filtered,) = open_session(Filter(found).graph, "cpu", 1).run(None, {"x_hat": x.transpose(2, 0, 1)[None]})
    wanted = np.empty_like(x)
    for i, j in np.ndindex(6, 8):
        own = (x[i, j] - 0.5) @ TO_YCC.T
        values = []
        for plane in range(3):
            for ring in RINGS[: found.contrasts]:
                at = [(min(max(i + a, 0), 5), min(max(j + b, 0), 7)) for a, b in ring]
                values.append(sum(((x[place] - 0.5) @ TO_YCC.T)[plane] - own[plane] for place in at))
        features = np.array([*values, *own, OFFSET])
        steps = found.steps[(2 * (i % 2) + j % 2) % len(found.steps)]
        wanted[i, j] = x[i, j] + steps / 2**found.shift @ features
    assert np.allclose(filtered[0].transpose(1, 2, 0), np.clip(wanted, 0, 1), atol=1e-5)
    assert squared(x, wanted) > 1e-4


def test_it_takes_off_error_and_is_optional(codec, photo, file):
    parsed = container.read_file(file)
    size = len(parsed.sections[post_filter.TAG])
    plain = without(file)
    assert 20 < size < 400 and len(file) - len(plain) == size + 9 + (size > 127)
    shown, before = codec.decode(file), codec.decode(plain)
    assert squared(shown, photo) < 0.995 * squared(before, photo)
    # By the encoder's own account it pays.
    gain = (squared(before, photo) - squared(shown, photo)) * photo[:, :, 0].size
    assert codec.bundle.lmbda(parsed.header.quality / 256) * gain > 8 * (len(file) - len(plain))
    codec.verify(file)


def test_parts_are_cut_from_the_filtered_picture(codec, file):
    whole = codec.decode(file).astype(int)
    height, width, _ = whole.shape
    assert np.abs(whole - codec.decode(without(file))).max() >= 2
    for x, y, w, h in ((0, 0, 5, 5), (63, 65, 66, 3), (width - 70, height - 64, 70, 64)):
        part = codec.decode(file, region=(x, y, w, h))
        assert np.abs(part - whole[y : y + h, x : x + w]).max() <= 1
    _, rows = codec.stream(file)
    assert np.array_equal(np.concatenate([part for _, part in rows]), whole)
    half = codec.decode(file, scale=1 / 2).astype(int)
    means = whole[: height // 2 * 2, : width // 2 * 2].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    assert np.abs(half[: height // 2, : width // 2] - means).max() <= 2
    assert codec.decode(file, scale=1 / 8).shape == (-(-height // 8), -(-width // 8), 3)


def test_salvage_goes_without_a_damaged_one(codec, file):
    at = file.index(b"fILT") + 8
    broken = file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]
    with pytest.raises(CorruptError):
        codec.decode(broken)
    picture, lost = codec.salvage(broken)
    assert not lost and picture.lost == ("post-filter",)
    assert np.array_equal(picture.array, codec.decode(without(file)))


def test_who_goes_without(codec, photo):
    flat = np.full((100, 120, 3), 90, np.uint8)
    coded = [codec.encode(photo, 60), codec.encode(photo[:, :, 0], 60, effort=1)]
    coded += [codec.encode(flat, 60, effort=1), codec.encode(photo[:9, :9], 60, effort=1)]
    for data in coded:
        assert post_filter.TAG not in container.read_file(data).sections


def test_targets_count_it(codec, photo):
    size = 9000
    data = codec.encode(photo, max_size=size, quality=95, effort=1)
    assert len(data) <= size
    wanted = codec.encode(photo, target_psnr=31, effort=1)
    found = 10 * np.log10(255**2 / squared(codec.decode(wanted), photo))
    assert abs(found - 31) < 0.05


def test_colours_stay_where_not_all_is_seen(codec, photo, monkeypatch):
    """Behind the contrasts are the planes themselves and the constant: a frame that was not seen keeps its
    colour."""
    found = post_filter.unpack(container.read_file(codec.encode(photo, 80, effort=1)).sections["fILT"])
    assert found.steps[:, :, -4:].any()
    monkeypatch.setattr(filter_choice, "SEEN", 192)
    parsed = container.read_file(codec.encode(photo, 80, effort=1))
    found = post_filter.unpack(parsed.sections["fILT"])
    assert found.steps.any() and not found.steps[:, :, -4:].any()
    white = np.ones((1, 3, 8, 8), np.float32)
    (same,) = open_session(Filter(found).graph, "cpu", 1).run(None, {"x_hat": white})
    assert np.allclose(same, white, atol=1e-6)
