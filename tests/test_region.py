"""Parts of a picture: equal to the cut of the whole, from no more than the groups they need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec import _core, container, decoding
from aecodec.codec import Codec
from aecodec.container import Header
from aecodec.errors import CorruptError, UsageError
from aecodec.group_data import pack_sizes
from aecodec.region import Region, plan
from aecodec.source import map_bytes


@pytest.fixture(scope="module")
def large(codec, city):
    """1500 x 1700 with alpha, 4 x 4 groups: its file and what it decodes to."""
    colours = np.pad(city, ((0, 1200), (0, 1290), (0, 0)), mode="reflect")
    alpha = np.add.outer(np.arange(1500), np.arange(1700)).astype(np.uint8)[:, :, None]
    data = codec.encode(np.concatenate([colours, alpha], 2), 50)
    return data, codec.decode(data)


REGIONS = [
    (0, 0, 1700, 1500),
    (0, 0, 1, 1),
    (1699, 1499, 1, 1),
    (500, 500, 30, 30),
    (640, 700, 64, 64),
    (513, 17, 700, 90),
    (3, 1400, 1690, 100),
]


@pytest.mark.parametrize("region", REGIONS)
def test_equals_the_cut(codec, large, region):
    data, whole = large
    x, y, width, height = region
    part = codec.decode(data, region)
    wanted = whole[y : y + height, x : x + width]
    assert part.shape == wanted.shape
    assert np.abs(part.astype(int) - wanted).max() <= 1
    assert (part != wanted).mean() < 0.001


def header_of(width, height):
    return Header(
        width=width, height=height, channels=3, bit_depth=8, quality=0, model_id=bytes(8), group_edge=32
    )


def test_only_what_is_needed():
    header = header_of(2048, 2048)  # 4 x 4 groups of 8 blocks
    assert plan(header, Region(200, 200, 100, 100), 2).groups == (0,)
    assert plan(header, Region(320, 0, 64, 64), 2).groups == (0,)
    assert plan(header, Region(384, 0, 64, 64), 2).groups == (0, 1)
    assert plan(header, Region(511, 511, 2, 2), 0).groups == (0, 1, 4, 5)
    assert plan(header, Region(1100, 1700, 300, 300), 2).groups == (13, 14)
    assert plan(header, Region(0, 0, 2048, 2048), 2).groups == tuple(range(16))
    assert plan(header_of(130, 70), Region(129, 69, 1, 1), 2).groups == (0,)


def test_damage_elsewhere_does_not_matter(codec, large, tmp_path):
    data, whole = large
    parsed = container.read_file(data)
    start = len(data) - 4 - sum(len(g) for g in parsed.groups)
    bad = bytearray(data)
    bad[start + len(parsed.groups[0]) // 2] ^= 4
    with pytest.raises(CorruptError, match="group 0"):
        codec.decode(bytes(bad))
    with pytest.raises(CorruptError, match="group 0"):
        codec.decode(bytes(bad), (10, 10, 20, 20))
    (tmp_path / "bad.aec").write_bytes(bad)
    part = codec.decode(tmp_path / "bad.aec", (1200, 1000, 200, 300))
    assert np.abs(part.astype(int) - whole[1000:1300, 1200:1400]).max() <= 1


@pytest.mark.parametrize(
    "region", [(0, 0, 0, 5), (0, 0, 5, -1), (-1, 0, 5, 5), (1699, 0, 2, 1), (0, 1500, 1, 1)]
)
def test_outside(codec, large, region):
    with pytest.raises(UsageError, match="1700 x 1500"):
        codec.decode(large[0], region)


def test_command_line(cli, large, tmp_path):
    path = tmp_path / "a.aec"
    path.write_bytes(large[0])
    assert cli("decode", path, tmp_path / "a.png", "--region", "100,200,33,44") == (0, b"", "")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (33, 44)
        assert np.abs(np.asarray(image).astype(int) - large[1][200:244, 100:133]).max() <= 1
    assert cli("decode", "-", "-", "--region", "0,0,2,2", stdin=large[0]).code == 0
    for text in ("1,2,3", "a,b,c,d", "5000,0,1,1"):
        assert cli("decode", path, tmp_path / "b.png", "--region", text).code == 2
    assert cli("decode", path, tmp_path / "b.png", "--region", "0,0,1,1", "--salvage").code == 2
    (tmp_path / "empty.aec").write_bytes(b"")
    assert cli("decode", tmp_path / "empty.aec", tmp_path / "b.png", "--region", "0,0,1,1").code in (4, 5)
    assert cli("decode", tmp_path / "none.aec", tmp_path / "b.png", "--region", "0,0,1,1").code == 3


@pytest.mark.parametrize("region", REGIONS)
def test_band_by_band_and_in_several_windows(large, monkeypatch, region):
    """As regions of large pictures are decoded: groups once, windows no larger than those of the whole."""
    data, whole = large
    low = Codec(device="cpu", threads=1)
    low.parse(data)[0].networks.largest = 60
    monkeypatch.setattr(decoding, "WIDEST", 60)
    x, y, width, height = region
    part = low.decode(data, region)
    wanted = whole[y : y + height, x : x + width]
    assert np.abs(part.astype(int) - wanted).max() <= 1 and (part != wanted).mean() < 0.001


def test_groups_of_a_region_are_decoded_once(codec, large, monkeypatch):
    numbers, decode = [], decoding._decode_groups
    monkeypatch.setattr(decoding, "WIDEST", 60)
    monkeypatch.setattr(
        decoding, "_decode_groups", lambda *given: (numbers.extend(given[3]), decode(*given))[1]
    )
    codec.decode(large[0], (400, 100, 1200, 1300))
    header = container.read_header(large[0])
    wanted = plan(header, Region(400, 100, 1200, 1300), codec.bundle.halo["synthesis"]).groups
    assert sorted(numbers) == sorted(wanted)


def test_a_region_of_all_groups_is_verified(codec, city_file):
    parsed = container.read_file(city_file)
    wrong = parsed.header._replace(symbols_crc=parsed.header.symbols_crc ^ 1)
    data = container.write_file(wrong, {}, [bytes(group) for group in parsed.groups])
    with pytest.raises(CorruptError, match="checksum"):
        codec.decode(data, (1, 1, 400, 290))


@pytest.fixture(scope="module")
def two_groups(codec, city):
    """810 x 300."""
    parsed = container.read_file(codec.encode(np.pad(city, ((0, 0), (0, 400), (0, 0)), mode="reflect"), 40))
    assert parsed.header.n_groups == 2 and not any(parsed.blocks)
    return parsed.header, [bytes(group) for group in parsed.groups]


def resident(path):
    """Bytes of this process's mapping of a file that are in memory."""
    with open("/proc/self/smaps") as maps:
        lines = iter(maps)
        next(line for line in lines if line.rstrip().endswith(str(path)))
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what is read of a mapping")
def test_the_rest_of_a_mapped_file_is_not_read(codec, two_groups, tmp_path):
    """The second group has 64 MiB that are nowhere: a hole in the file."""
    header, groups = two_groups
    whole = container.write_file(header, {}, groups)
    size, path = 64 << 20, tmp_path / "large.aec"
    sizes, crcs = [len(groups[0]), size], [_core.crc32c(groups[0]), 0]
    with path.open("wb") as out:
        out.write(whole[: container.HEADER_SIZE])
        out.write(_core.section_write("GIDX", _core.group_index_write(sizes, crcs)))
        out.write(b"GDAT" + pack_sizes([sum(sizes)]) + groups[0])
        out.truncate(out.tell() + size + 4)
    view = map_bytes(path)
    part = codec.decode(view, (20, 30, 40, 50))
    assert np.abs(part.astype(int) - codec.decode(whole, (20, 30, 40, 50))).max() <= 1
    assert 0 < resident(path) < size // 4


def test_blocks_of_groups_beside_the_region_are_left_alone(codec, two_groups):
    """A group whose symbols are seen from the region, and whose blocks are none; its checksum fits."""
    header, groups = two_groups
    sound = container.write_file(header, {}, groups)
    bad = container.write_file(header, {}, groups, [b"", b"\x80\0\0\0no WebP"])
    beside, within = (480, 10, 30, 40), (500, 10, 30, 40)
    assert plan(header, Region(*beside), codec.bundle.halo["synthesis"]).groups == (0, 1)
    assert np.array_equal(codec.decode(bad, beside), codec.decode(sound, beside))
    with pytest.raises(CorruptError, match="group 1: its pixel blocks"):
        codec.decode(bad, within)


def test_a_mapped_file_is_not_copied(tmp_path, city_file):
    """`decode --region` maps a file and hands the view on."""
    path = tmp_path / "city.aec"
    path.write_bytes(city_file)
    view = map_bytes(path)
    assert map_bytes(view) is view and view == city_file
    every_other = memoryview(city_file)[::2]
    assert map_bytes(every_other) == city_file[::2]
