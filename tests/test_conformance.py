"""The golden files of tests/conformance against this decoder; its README says what each of them pins."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import reference_coder
from conformance import make
from conformance.symbols import read_groups, reference_tables, tiny_codec
from core_blocks import PATHS, decode
from PIL import Image

from aecodec import _core, container, deep, describe, errors, pixels
from aecodec.codec import Codec

HERE = Path(make.__file__).parent
ROW = re.compile(r"^\| (\w+)\.aec \| (\w+) \| (.+) \|$", re.M)


def table(title: str) -> dict[str, str]:
    """{file: second column} of one table of the README."""
    text = (HERE / "README.md").read_text("utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    return {name: second for name, second, _ in ROW.findall(text)}


VALID, INVALID = table("valid"), table("invalid")


@pytest.fixture(scope="module")
def tiny() -> Codec:
    return tiny_codec()


def golden(folder: str, name: str) -> bytes:
    return (HERE / folder / f"{name}.aec").read_bytes()


def test_readme_lists_every_file() -> None:
    for folder, listed in (("valid", VALID), ("invalid", INVALID)):
        assert {p.stem for p in (HERE / folder).glob("*.aec")} == set(listed)
    assert {p.stem for p in (HERE / "valid").glob("*.png")} == set(VALID)
    assert len(VALID) > 15 and len(INVALID) > 80
    assert sum(p.stat().st_size for p in HERE.glob("*valid/*")) < make.LIMIT


@pytest.mark.parametrize("name", VALID)
def test_valid_file_decodes(tiny: Codec, name: str) -> None:
    data = golden("valid", name)
    found = pixels.to_array(tiny.decode_picture(data))
    path = HERE / "valid" / f"{name}.png"
    wanted = deep.read(lambda: Image.open(path)) if "16_" in name else None
    if wanted is None:
        with Image.open(path) as image:
            wanted = np.asarray(image)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert wanted.dtype == (np.uint16 if "16_" in name else np.uint8)
    assert np.abs(found.astype(int) - wanted).max() <= (1 if found.dtype == np.uint8 else 16)
    if "ALPH" in container.read_file(data).sections:
        np.testing.assert_array_equal(found[:, :, -1], wanted[:, :, -1])
    assert describe.info(data)["symbols_crc32c"] == VALID[name]


@pytest.mark.parametrize("name", VALID)
def test_symbols_code_to_the_same_bytes(tiny: Codec, name: str) -> None:
    data = golden("valid", name)
    header = container.read_header(data)
    core = tiny._loader.model_of(header).tables.core
    groups = read_groups(tiny, data)
    assert len(groups) == header.n_groups
    for group in groups:
        if not group.payload:
            assert not group.symbols.any()
            continue
        assert _core.encode_group(core, group.symbols, group.index, group.lanes_log2) == group.payload
        slow = reference_coder.encode(
            *reference_tables(tiny, header), group.symbols.tolist(), group.index.tolist(), group.lanes_log2
        )
        assert slow == group.payload, "the coder written from the document alone"
    parsed = container.read_file(data)
    sections = {tag: bytes(payload) for tag, payload in parsed.sections.items()}
    blocks = [bytes(b) for b in parsed.blocks]
    assert container.write_file(parsed.header, sections, [g.payload for g in groups], blocks) == data


@pytest.mark.parametrize("simd", PATHS)
@pytest.mark.parametrize("name", VALID)
def test_payloads_decode_to_the_same_symbols(tiny: Codec, name: str, simd: int) -> None:
    data = golden("valid", name)
    core = tiny._loader.model_of(container.read_header(data)).tables.core
    for group in filter(lambda group: group.payload, read_groups(tiny, data)):
        assert np.array_equal(decode(core, group.payload, group.index, simd), group.symbols)


@pytest.mark.parametrize("name", INVALID)
def test_invalid_file_is_refused(tiny: Codec, name: str) -> None:
    wanted = getattr(errors, INVALID[name])
    with pytest.raises(errors.AecodecError) as caught:
        tiny.decode_picture(golden("invalid", name))
    assert type(caught.value) is wanted, str(caught.value)
    if "crc" not in name:
        assert "checksum" not in str(caught.value), "the rule itself finds it, not a checksum further on"


def test_pixel_blocks_of_16_bits_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(errors.CorruptError, match="BLOK"):
        container.read_file(golden("invalid", "blok_16_bits"))


def test_what_the_names_promise(tiny: Codec) -> None:
    """The files hold what the README says they hold."""
    lanes = {n: [g.lanes_log2 for g in read_groups(tiny, golden("valid", n))] for n in VALID if "lanes" in n}
    assert lanes == {f"lanes_{1 << k:02}": [k] for k in range(1, 6)}
    [zero] = read_groups(tiny, golden("valid", "zero_symbols"))
    assert not zero.symbols.any()
    for name, wanted in (("no_symbols", [0]), ("no_symbols_group_0", [0, 1]), ("pixel_blocks_alone", [0])):
        assert [bool(group) for group in container.read_file(golden("valid", name)).groups] == wanted
    [far] = read_groups(tiny, golden("valid", "escapes"))
    assert far.payload[0] & 8 and far.symbols.min() == -32768 and far.symbols.max() == 32767
    shifts = np.array(reference_tables(tiny, container.read_header(golden("valid", "escapes")))[1])
    escaped = np.abs(far.symbols.astype(int) >> shifts[far.index]) > 8
    assert len(np.unique(np.log2(np.abs(far.symbols[escaped].astype(int))).astype(int))) > 8
    assert (far.symbols[shifts[far.index] > 0] != 0).any()
    rounded = [golden("valid", f"rgb_level_round_{way}") for way in ("up", "down")]
    levels = [container.read_header(data).level for data in rounded]
    assert levels == [32, 31]
    extremes = [container.read_header(golden("valid", f"rgb_quality_{q}")).quality for q in (0, 100)]
    assert extremes == [0, 16128]
    two = container.read_header(golden("valid", "rgb_520x40"))
    assert (two.width, two.height, two.group_grid) == (520, 40, (1, 2))
    assert {"note", "zzzz"} <= set(container.read_file(golden("valid", "unknown_optional")).sections)
    picture = tiny.decode_picture(golden("valid", "metadata"))
    assert (picture.icc, picture.exif, picture.xmp, picture.orientation, picture.dpi) == (
        make.icc(),
        make.EXIF,
        make.XMP,
        6,
        (300, 72.009),
    )
    small = container.read_header(golden("valid", "edge_4_72x130"))
    assert (small.group_edge, small.group_grid) == (4, (3, 2))
    assert len(np.unique(tiny.decode(golden("valid", "grey16_40x32")) % 256)) > 100
    assert "ALPC" in container.read_file(golden("valid", "rgba_coded_40x32")).sections
    smallest, second = sorted(VALID, key=lambda n: len(golden("valid", n)))[:2]
    assert smallest == "no_symbols"
    assert second == "grey_1x1"
    dump = re.findall(r"^    ([0-9A-F]{2})  ((?:[0-9A-F]{2} ?)+)", _document(), re.M)
    assert bytes.fromhex("".join(b for _, b in dump)) == golden("valid", second), "docs/format.md, section 13"


def _document() -> str:
    text = (Path(__file__).parents[1] / "docs" / "format.md").read_text("utf-8")
    return text.split("**The smallest golden file with symbols.**")[1].split("\n## ")[0].split("\n**")[0]
