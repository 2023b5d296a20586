"""python tests/conformance/make.py: rewrites every golden file and the README beside this script.

Run it when the format or the bundle tests/data/bundles/tiny changes, never for anything else.  Encoding runs
float networks, so another machine may write slightly different files; all of them are valid."""

from __future__ import annotations

import shutil
import sys
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from conformance import broken  # noqa: E402
from conformance.pieces import png_chunk  # noqa: E402
from conformance.symbols import file_from_symbols, tiny_codec  # noqa: E402

from aecodec import blocks, container, deep, entropy, metadata, pixels, post_filter  # noqa: E402
from aecodec.codec import Codec  # noqa: E402
from aecodec.container import Header  # noqa: E402
from aecodec.decoding import decode_symbols  # noqa: E402
from aecodec.groups import Groups  # noqa: E402
from aecodec.pixels import Picture  # noqa: E402

LIMIT = 400_000
EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # one tag: orientation 6
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def icc() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # the date
    return bytes(profile)


def scene(height: int, width: int, channels: int = 3) -> np.ndarray:
    """uint8 [H, W, C]: a gradient, a disc with a sharp edge, a grating."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    planes = []
    for c in range(channels):
        plane = 60 + 100 * x / max(width, 32) + 20 * c + 40 * y / max(height, 32)
        plane = np.where((x - 22) ** 2 + (y - 20) ** 2 < 200, 210 - 60 * c, plane)
        planes.append(np.where(x > 44, plane + 30 * np.sin(0.7 * x + 0.4 * y + c), plane))
    return np.clip(np.rint(np.stack(planes, 2)), 0, 255).astype(np.uint8)


def scene16(height: int, width: int, channels: int = 3) -> np.ndarray:
    """uint16: scene() with low bytes that are not a copy of the high ones."""
    y, x = np.mgrid[:height, :width]
    low = ((5 * x + 3 * y) % 256)[:, :, None].astype(np.uint16)
    return (scene(height, width, channels).astype(np.uint16) << 8) + low


def header(codec: Codec, height: int, width: int, quality: int, channels: int = 3) -> Header:
    return Header(width, height, channels, 8, quality, codec.bundle.model_id)


def valid_files(codec: Codec) -> Iterator[tuple[str, bytes, str]]:
    """(name, file, what it pins)."""

    def encode(height: int, width: int, quality: float, channels: int = 3, **more: object) -> bytes:
        return codec.encode_picture(Picture(scene(height, width, channels), **more), quality)  # type: ignore[arg-type]

    yield "grey_1x1", encode(1, 1, 0, 1), "one grey pixel, quality 0: taken apart in docs/format.md"
    yield "rgb_1x1", encode(1, 1, 60), "one RGB pixel"
    yield "rgb_64x64", encode(64, 64, 60), "no padding at all"
    yield "rgb_65x63", encode(63, 65, 60), "65 wide, 63 high: one column of padding costs a whole column of z"
    yield "rgb_520x40", encode(40, 520, 50), "two groups, the second one partial, both partial in height"
    yield "grey_40x100", encode(100, 40, 40, 1), "grey, higher than wide"
    yield "rgb_quality_0", encode(64, 64, 0), "the lowest quality, level 0"
    yield "rgb_quality_100", encode(64, 64, 100), "the highest quality, level 63"
    yield (
        "rgb_level_round_up",
        _at_level(codec, 31 * 256 + 128),
        "level 31.5: its integer level is 32, not 31",
    )
    yield "rgb_level_round_down", _at_level(codec, 31 * 256 + 127), "level 31.496: its integer level is 31"
    alpha = np.tile(np.arange(0, 256, 8, dtype=np.uint8)[:, None], (1, 40))
    yield "rgba_40x32", encode(32, 40, 50, alpha=alpha), "alpha, exact"
    yield "grey_alpha_40x32", encode(32, 40, 50, 1, alpha=alpha), "grey with alpha"
    other = _with_other_chunks(encode(32, 40, 50, alpha=alpha))
    yield "alpha_other_chunks", other, "ALPH with chunks that are left alone: of wrong sizes, a text of 2 MiB"
    coded = Picture(scene(32, 40), alpha=alpha)
    yield "rgba_coded_40x32", codec.encode_picture(coded, 50, 70), "alpha with loss, a file in section ALPC"
    yield "grey16_40x32", codec.encode_picture(Picture(scene16(32, 40, 1)), 90), "grey of 16 bits"
    alpha16 = alpha.astype(np.uint16) * 257 + 3
    deep_file = codec.encode_picture(Picture(scene16(32, 40), alpha16), 90)
    yield "rgba16_40x32", deep_file, "16 bits with an exact alpha of 16 bits"
    full = encode(16, 24, 30, icc=icc(), exif=EXIF, xmp=XMP, orientation=6, dpi=(300, 72.009))
    yield "metadata", _without_dictionary(full), "iCCP, eXIF, xMPd and rESo; orientation 6"
    common = encode(16, 24, 30, icc=metadata.dictionary()[-3144:], xmp=XMP)
    yield "metadata_dictionary", common, "iCCP and xMPd that refer to the dictionary"
    alpha = np.full((40, 70), 255, np.uint8)
    alpha[:, :9] = 0
    small = codec.encode_picture(Picture(scene(40, 70), alpha), 40, thumbnail=True)
    yield "thumbnail_rgba_70x40", small, "tHMB: 5 x 3 pixels with alpha"
    yield "edge_4_72x130", _small_groups(codec), "groups of edge 4 where the scale networks see 32"
    parsed = container.read_file(encode(16, 24, 30))
    extra = {"note": b"to be skipped", "zzzz": b""}
    yield (
        "unknown_optional",
        container.write_file(parsed.header, extra, [bytes(g) for g in parsed.groups]),
        "two optional sections that no decoder knows, one of them empty",
    )
    yield "zero_symbols", _zeros(codec), "every symbol is 0"
    yield (
        "pixel_blocks",
        _pixel_blocks(codec),
        "two of 8 blocks of group 0 as pixels, both partial; none of group 1",
    )
    grey = _pixel_blocks(codec, 30, 70, 1)
    yield "pixel_blocks_grey", grey, "grey, both blocks as pixels"
    yield "no_symbols", _without_symbols(codec, _zeros(codec), [0]), "zero_symbols.aec without the bytes"
    one = _without_symbols(codec, _pixel_blocks(codec), [0])
    yield "no_symbols_group_0", one, "pixel_blocks.aec, but no bytes for the symbols of group 0"
    alone = _without_symbols(codec, grey, [0])
    yield (
        "pixel_blocks_alone",
        alone,
        "pixel_blocks_grey.aec, but no bytes for symbols",
    )
    for name, kind, base, text in (
        ("filter", (3, 1), encode(24, 30, 60), "fILT: one set of coefficients, contrasts within 3x3"),
        ("filter_by_place", (8, 4), encode(30, 70, 50), "a set for each place of 2x2, within 5x5"),
        ("filter_grey", (8, 1), encode(20, 24, 30, 1), "fILT in a grey picture: before the luma is taken"),
    ):
        yield name, _filtered(base, *kind), text
    yield "escapes", _escapes(codec), "escapes of all lengths, shifted rows, the symbols -32768 and 32767"
    for log2 in range(1, 6):
        name = f"lanes_{1 << log2:02}"
        yield name, _noise(codec, log2), f"{1 << log2} lanes where this project's encoder takes one"


def _at_level(codec: Codec, quality: int) -> bytes:
    data = container.read_file(codec.encode_picture(Picture(scene(64, 64)), quality / 256 / 0.63))
    assert data.header.quality == quality
    return container.write_file(data.header, {}, [bytes(g) for g in data.groups])


def _filtered(data: bytes, contrasts: int, sets: int) -> bytes:
    """With coefficients that change the picture by some levels."""
    parsed, rng = container.read_file(data), np.random.default_rng(sets)
    steps = np.rint(rng.laplace(0, 9, (sets, 3, post_filter.features(contrasts)))).astype(np.int64)
    payload = post_filter.pack(post_filter.Coefficients(contrasts, 9, steps))
    return container.write_file(parsed.header, {post_filter.TAG: payload}, [bytes(g) for g in parsed.groups])


def _without_dictionary(data: bytes) -> bytes:
    parsed = container.read_file(data)
    sections = {tag: bytes(payload) for tag, payload in parsed.sections.items()}
    for tag in ("iCCP", "eXIF", "xMPd"):
        sections[tag] = zlib.compress(metadata.unpack(tag, sections[tag]), 9)
    return container.write_file(parsed.header, sections, [bytes(g) for g in parsed.groups])


def _with_other_chunks(data: bytes) -> bytes:
    """More of them in the PNG in ALPH, behind IHDR."""
    parsed = container.read_file(data)
    alpha, text = bytes(parsed.sections["ALPH"]), b"a\0\0" + zlib.compress(bytes(2 << 20), 9)
    more = (("tRNS", b"\0"), ("pHYs", bytes(3)), ("gAMA", b"\1"), ("zTXt", text), ("PLTE", bytes(7)))
    alpha = alpha[:33] + b"".join(png_chunk(*chunk) for chunk in more) + alpha[33:]
    return container.write_file(parsed.header, {"ALPH": alpha}, [bytes(g) for g in parsed.groups])


def _small_groups(codec: Codec) -> bytes:
    rng = np.random.default_rng(9)
    draw = lambda stage, index: np.rint(rng.laplace(0, 1.5, index.shape))  # noqa: E731
    return file_from_symbols(codec, header(codec, 130, 72, 9000)._replace(group_edge=4), draw)


def _pixel_blocks(codec: Codec, height: int = 40, width: int = 580, channels: int = 3) -> bytes:
    """The first two blocks; the encoder would choose by cost."""
    picture = scene(height, width, channels)
    parsed = container.read_file(codec.encode_picture(Picture(picture), 0))
    header = parsed.header
    steps = np.zeros((-(-height // 64), -(-width // 64)), np.uint8)
    steps[0, :2] = 1
    payloads = blocks.pack(picture, steps, Groups.of(header).all)
    return container.write_file(header, {}, [bytes(g) for g in parsed.groups], payloads)


def _zeros(codec: Codec) -> bytes:
    return file_from_symbols(codec, header(codec, 64, 64, 8064), lambda stage, index: np.zeros(index.shape))


def _without_symbols(codec: Codec, data: bytes, numbers: Collection[int]) -> bytes:
    """All symbols of these groups are 0 and have no bytes."""
    parsed = container.read_file(data)
    header = parsed.header
    payloads = [b"" if n in numbers else bytes(group) for n, group in enumerate(parsed.groups)]
    views = [memoryview(payload) for payload in payloads]
    y, z, _ = decode_symbols(codec._loader.model_of(header), header, views, checked=False)
    crc = 0
    for group in Groups.of(header).all:
        parts = Groups.cut(z[0], group, of_z=True), Groups.cut(y[0], group)
        crc = entropy.symbols_crc(crc, *(part.astype(np.int16) for part in parts))
    kept = [bytes(payload) for payload in parsed.blocks] if any(parsed.blocks) else []
    return container.write_file(header._replace(symbols_crc=crc), {}, payloads, kept)


def _escapes(codec: Codec) -> bytes:
    rng = np.random.default_rng(1)

    def choose(stage: int, index: np.ndarray) -> np.ndarray:
        if stage == 0:
            return rng.integers(-127, 128, index.shape)
        size = 2.0 ** rng.uniform(0, 15, index.shape)
        symbols = np.where(rng.random(index.shape) < 0.06, size * rng.choice([-1, 1], index.shape), 0)
        flat = symbols.reshape(-1)
        coded = np.flatnonzero(index.ravel() >= 3)
        flat[coded[:2]] = -32768, 32767
        return np.rint(symbols).clip(-32768, 32767)

    return file_from_symbols(codec, header(codec, 64, 64, 16128), choose)


def _noise(codec: Codec, lanes_log2: int) -> bytes:
    rng = np.random.default_rng(lanes_log2)
    draw = lambda stage, index: np.rint(rng.laplace(0, 1.5, index.shape))  # noqa: E731
    return file_from_symbols(codec, header(codec, 64, 64, 12000), draw, lanes_log2)


def _save(array: np.ndarray, path: Path) -> None:
    if array.dtype == np.uint16 and array.ndim == 3:  # not one of Pillow's modes
        path.write_bytes(deep.png(array))
    else:
        Image.fromarray(array).save(path, optimize=True)


def main() -> None:
    codec = tiny_codec()
    for folder in ("valid", "invalid"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    lines = [INTRO, "## valid\n", "| file | symbols_crc32c | what it pins |", "|---|---|---|"]
    files = {}
    for name, data, text in valid_files(codec):
        files[name] = data
        picture = codec.decode_picture(data)
        (HERE / "valid" / f"{name}.aec").write_bytes(data)
        _save(pixels.to_array(picture), HERE / "valid" / f"{name}.png")
        crc = container.read_header(data).symbols_crc
        lines.append(f"| {name}.aec | {crc:08x} | {text} |")
    lines += ["\n## invalid\n", "| file | error | what it pins |", "|---|---|---|"]
    for name, data, error, text in broken.invalid_files(codec, files):
        (HERE / "invalid" / f"{name}.aec").write_bytes(data)
        lines.append(f"| {name}.aec | {error.__name__} | {text} |")
    (HERE / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    total = sum(p.stat().st_size for p in HERE.glob("*valid/*"))
    print(f"{len(list(HERE.glob('*valid/*.aec')))} files, {total} bytes with the pictures")
    assert total < LIMIT, "the golden files are too large"


INTRO = """# Golden files of format version 1

`valid/` must be read: `tests/test_conformance.py` decodes each file with the model in
`tests/data/bundles/tiny`, compares the symbols with the checksum below and the pixels, within one level, with
the PNG beside the file, and codes the symbols again to the same bytes. `invalid/` must be refused with the
error named. Checksums in front of the damage are right, so that the damage itself is found. Sections are
those of `docs/format.md`.

`python tests/conformance/make.py` writes all of this, this page too. Nothing here is edited by hand.

One rule of section 12 has no file: an index that is no row of the tables. A valid model never gives one;
`tests/test_core_damage.py` covers it.
"""

if __name__ == "__main__":
    main()
