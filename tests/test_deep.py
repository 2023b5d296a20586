"""16 bits a sample: every way in, the file, every way out."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

import aecodec
from aecodec import container, deep, pixels, raster
from aecodec.errors import InputError
from aecodec.modes import REDUCED
from aecodec.pixels import read_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(tag, body):
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def png16(samples, colour_type, extra=b""):
    """A PNG written by hand, without filters: what the reader gives cannot be due to the writer."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    body = np.concatenate([np.zeros((height, 1), np.uint8), rows], 1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + end


def tiff16(samples, order, photometric=2, planes=1):
    """A TIFF of one strip in either byte order."""
    height, width, channels = samples.shape
    endian = "<" if order == b"II" else ">"
    depth = 16 if channels == 1 else 8  # of one channel it is there, of more at this place
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, depth), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 16), (277, 3, 1, channels), (278, 4, 1, height),
        (279, 4, 1, samples.nbytes), (284, 3, 1, planes),
    ]  # fmt: skip
    if photometric == 2 and channels == 4:
        tags.append((338, 3, 1, 2))
    data = order + struct.pack(endian + "HI", 42, 16 + samples.nbytes)
    data += struct.pack(endian + "4H", *[16] * 4)
    data += samples.astype(endian + "u2").tobytes() + struct.pack(endian + "H", len(tags))
    for tag, kind, count, value in tags:
        short = kind == 3 and count == 1
        data += struct.pack(endian + ("HHIHxx" if short else "HHII"), tag, kind, count, value)
    return data + bytes(4)


def stacked(frames):
    """A TIFF of several pictures of 16-bit RGB."""
    data, link = b"II*\0" + bytes(4), 4
    for frame in frames:
        height, width, _ = frame.shape
        at, bits = len(data) + 6, struct.pack("<3H", 16, 16, 16)
        tags = [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, len(data)), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, at), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, frame.nbytes),
        ]  # fmt: skip
        data += bits + frame.astype("<u2").tobytes()
        data = data[:link] + struct.pack("<I", len(data)) + data[link + 4 :]
        directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
        data += struct.pack("<H", len(tags)) + directory + bytes(4)
        link = len(data) - 4
    return data


def test_the_current_frame_is_taken(samples):
    frames = [samples[:, :, :3], samples[::-1, :40, 1:], samples[:20, :, :3] ^ 0x1234]
    with Image.open(io.BytesIO(stacked(frames))) as image:
        for number in (0, 2, 1, 0):
            image.seek(number)
            assert np.array_equal(read_picture(image).array, frames[number])
    assert np.array_equal(read_picture(stacked(frames)).array, frames[0])


def test_metadata_of_an_open_image_is_what_the_user_made_of_it(samples):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "maker"
    data = deep.png(samples[:, :, :3], exif=exif.tobytes(), dpi=(300, 300), icc_profile=SRGB)
    with Image.open(io.BytesIO(data)) as image:
        before = read_picture(image)
        assert (before.orientation, before.exif, before.icc) == (3, exif.tobytes()[6:], SRGB)
        del image.info["exif"], image.info["icc_profile"]
        image.info["dpi"] = (72, 36)
        after = read_picture(image)
        assert (after.orientation, after.exif, after.icc, after.dpi) == (1, b"", b"", (72, 36))
        assert np.array_equal(after.array, samples[:, :, :3])
    with Image.open(io.BytesIO(data)) as image:
        image.getexif()[0x0112] = 6
        assert read_picture(image).orientation == 6 and read_picture(data).orientation == 3
    with Image.open(io.BytesIO(tiff16(samples[:, :, :3], b"II"))) as image:
        image.getexif()[0x0112], image.getexif()[0x010F] = 3, "maker"
        found = read_picture(image)
        assert found.orientation == 3 and b"maker" in found.exif and found.depth == 16


def test_grey_of_12_bits_is_scaled():
    """Two samples in three bytes, as cameras and scanners store them; white is 4095."""
    values = np.array([[0, 1, 2048, 4095], [4094, 16, 100, 3000]], np.uint16)
    pairs = values.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    tags = [
        (256, 4, 1, 4), (257, 4, 1, 2), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
        (277, 3, 1, 1), (278, 4, 1, 2), (279, 4, 1, 12),
    ]  # fmt: skip
    data = b"II*\0" + struct.pack("<I", 20) + packed.astype(np.uint8).tobytes() + struct.pack("<H", len(tags))
    data += b"".join(
        struct.pack("<HHIHxx" if kind == 3 else "<HHII", tag, kind, n, v) for tag, kind, n, v in tags
    )
    wanted = np.rint(values * (65535 / 4095))
    assert np.array_equal(read_picture(data + bytes(4)).array[:, :, 0], wanted)
    with Image.open(io.BytesIO(data + bytes(4))) as image:
        for _ in range(2):  # it is loaded then
            assert np.array_equal(read_picture(image).array[:, :, 0], wanted)


@pytest.fixture(scope="module")
def samples():
    """uint16 [60, 70, 4], every byte in use; alpha nowhere 0."""
    rng = np.random.default_rng(0)
    out = rng.integers(0, 65536, (60, 70, 4), np.uint16)
    out[:, :, 3] |= 1
    return out


def test_png_in(samples):
    for channels, kind in ((1, 0), (2, 4), (3, 2), (4, 6)):
        given = samples[:, :, 4 - channels :]
        data = png16(given, kind)
        for source in (data, Image.open(io.BytesIO(data))):
            picture = read_picture(source)
            assert picture.depth == 16 and not picture.notes
            assert np.array_equal(pixels.to_array(picture), given.squeeze()), channels
        reduced = read_picture(given.squeeze())
        assert np.array_equal(pixels.to_array(reduced), given.squeeze())


@pytest.mark.parametrize("order", [b"II", b"MM"])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiff_in(samples, order, channels):
    given = samples[:, :, :channels]
    assert np.array_equal(pixels.to_array(read_picture(tiff16(given, order))), given)


def test_compressed_tiff_and_pgm(samples):
    grey = samples[:, :, 0]
    for form, options in (("TIFF", {"compression": "tiff_lzw"}), ("PNG", {}), ("PPM", {})):
        out = io.BytesIO()
        Image.fromarray(grey).save(out, form, **options)
        assert np.array_equal(pixels.to_array(read_picture(out.getvalue())), grey), form


@pytest.mark.parametrize("largest", [256, 1023, 4095, 65535])
def test_ppm(samples, largest, tmp_path):
    colours = (samples[:, :, :3].astype(np.uint32) * largest // 65535).astype(">u2")
    data = b"P6\n70 60\n%d\n" % largest + colours.tobytes()
    (tmp_path / "a.ppm").write_bytes(data)
    for source in (data, tmp_path / "a.ppm", Image.open(io.BytesIO(data))):
        picture = read_picture(source)
        assert picture.depth == 16 and not picture.notes
        assert np.abs(picture.array / 65535 - colours / largest).max() < 1e-5
    with pytest.raises(InputError, match="cut short"):
        read_picture(data[:-2])
    text = b"P3\n70 60\n%d\n" % largest + b" ".join(b"%d" % v for v in colours.ravel())
    assert read_picture(text).notes == (REDUCED,)


@pytest.mark.parametrize(
    ("form", "mark", "at", "bits"), [("AVIF", b"av1C", 2, 64), ("JPEG2000", b"\xff\x4f\xff\x51", 38, 15)]
)
def test_depth_that_pillow_does_not_tell(samples, form, mark, at, bits):
    """Only the header says it, which is all that is_deep() looks at here."""
    out = io.BytesIO()
    Image.fromarray((samples[:, :, :3] >> 8).astype(np.uint8)).save(out, form)
    data = bytearray(out.getvalue())
    place = data.find(mark) + len(mark) + at
    assert data[place] == (7 if form == "JPEG2000" else data[place] & ~bits)
    for changed, expected in ((data[place], False), (data[place] | bits, True)):
        data[place] = changed
        image = SimpleNamespace(format=form, mode="RGB", tile=(), fp=io.BytesIO(data))
        assert deep.is_deep(image) == expected and image.fp.tell() == 0
    assert not deep.is_deep(SimpleNamespace(format=form, mode="RGB", tile=(), fp=io.BytesIO(data[:place])))


def test_an_image_whose_file_is_closed(samples, tmp_path):
    """Pillow has read all of an AVIF when it is opened."""
    Image.fromarray((samples[:, :, :3] >> 8).astype(np.uint8)).save(tmp_path / "a.avif")
    with open(tmp_path / "a.avif", "rb") as stream:
        image = Image.open(stream)
    assert read_picture(image).pixels.shape == (60, 70, 3)


def test_planes_of_a_tiff_are_refused(samples):
    """Pillow reads them as bytes."""
    with pytest.raises(InputError, match="a plane for each channel"):
        read_picture(tiff16(samples[:, :, :3], b"II", planes=2))


def test_white_is_zero(samples):
    grey = samples[:, :, :1]
    dark, light = (read_picture(tiff16(grey, b"II", photometric)) for photometric in (0, 1))
    assert np.array_equal(light.array, grey) and np.array_equal(dark.array, 65535 - grey)
    with Image.open(io.BytesIO(tiff16(grey, b"II", 0))) as image:
        copy = image.copy()
        image.load()
    for loaded in (image, copy):  # it is the user's now, who may have inverted it
        assert np.array_equal(read_picture(loaded).array, grey)


def test_one_colour_is_transparent(samples):
    """tRNS of 16-bit PNGs: exactly this colour, low bytes included."""
    rgb, grey = samples[:, :, :3].copy(), samples[:, :, 0].copy()
    rgb[0, 0] = grey[0, 0] = 0x1234
    rgb[0, 1] = grey[0, 1] = 0x1235
    for given, kind, value in ((rgb, 2, struct.pack(">3H", *[0x1234] * 3)), (grey, 0, b"\x12\x34")):
        picture = read_picture(png16(given, kind, chunk(b"tRNS", value)))
        assert picture.alpha[0, 0] == 0 and picture.alpha[0, 1] == 65535
        assert (picture.alpha == 0).sum() == (given.reshape(60, 70, -1) == 0x1234).all(2).sum()


def test_loaded_colour_has_lost_its_low_bytes(samples):
    """An image of Pillow's that is loaded has 8 bits; nothing can be read again, nothing breaks."""
    image = Image.open(io.BytesIO(png16(samples[:, :, :3], 2)))
    image.load()
    assert read_picture(image).depth == 8


def test_what_cannot_be_kept_is_said():
    picture = read_picture(tiff16(np.full((4, 5, 4), 0x2030, np.uint16), b"II", photometric=5))
    assert picture.depth == 8 and "16 bits a channel reduced to 8" in picture.notes


def test_damaged_file(samples):
    data = png16(samples[:, :, :3], 2)
    with pytest.raises(InputError, match="damaged"):
        read_picture(data[: len(data) // 2])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_png_out(channels):
    rng = np.random.default_rng(channels)
    ramp = np.add.outer(np.arange(300) * 90, np.arange(200) * 70)[:, :, None] + np.arange(channels) * 999
    for given in (ramp.astype(np.uint16), rng.integers(0, 65536, (3, 5, channels), np.uint16)):
        data = deep.png(given, dpi=(300, 300))
        assert np.array_equal(deep.read(lambda data=data: Image.open(io.BytesIO(data))), given)
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
            assert round(image.info["dpi"][0]) == 300
    assert len(deep.png(ramp.astype(np.uint16))) < ramp.size * 2 / 20, "its filters work"


def ramp16(height=96, width=160):
    """A gradient far finer than 8 bits: 4 steps of 8 bits in all."""
    y, x = np.mgrid[:height, :width]
    return (20000 + 4 * x + 3 * y)[:, :, None].repeat(3, 2).astype(np.uint16)


def test_there_and_back(codec):
    """Sixteen bits come out finer than eight do from the same networks."""
    given = ramp16()
    data = codec.encode(given, 100)
    assert container.read_header(data).bit_depth == 16 and aecodec.info(data)["depth"] == 16
    decoded = codec.decode(data)
    assert decoded.dtype == np.uint16 and decoded.shape == given.shape
    assert len(np.unique(decoded)) > 40
    # A ramp of eight bits would be coded as pixels, exactly.
    plain = aecodec.Codec(device="cpu", pixel_blocks=False)
    shallow = plain.decode(plain.encode(pixels.sixteen_to_eight(given), 100)).astype(np.uint32) * 257
    assert np.abs(decoded.astype(int) - given).mean() < np.abs(shallow.astype(int) - given).mean()


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 2), (40, 50, 3), (40, 50, 4)])
def test_kind_and_alpha_come_back(codec, shape):
    given = np.random.default_rng(4).integers(1, 65536, shape, np.uint16)
    decoded = codec.decode(codec.encode(given, 40))
    assert decoded.shape == shape and decoded.dtype == np.uint16
    if len(shape) == 3 and shape[2] in (2, 4):
        assert np.array_equal(decoded[:, :, -1], given[:, :, -1])
    part = codec.decode(codec.encode(given, 40), (7, 3, 20, 30))
    assert np.abs(part.astype(int) - decoded[3:33, 7:27]).max() <= 257
    assert raster.psnr(decoded, decoded) == float("inf")


def test_pillow_has_grey_only(codec):
    aecodec.register()
    for given, mode in ((ramp16()[:, :, 0], "I;16"), (ramp16(), "RGB")):
        data = codec.encode(given, 80)
        image = codec.open(data)
        with Image.open(io.BytesIO(data)) as lazy:
            assert lazy.mode == mode == image.mode
            assert np.array_equal(np.asarray(lazy), np.asarray(image))
        assert np.asarray(image).dtype == (np.uint16 if mode == "I;16" else np.uint8)


def test_command_line(cli, codec, tmp_path):
    rgba = np.dstack([ramp16(), np.full((96, 160), 777, np.uint16)])
    (tmp_path / "rgba.png").write_bytes(deep.png(rgba))
    (tmp_path / "grey.png").write_bytes(png16(ramp16()[:, :, 0], 0))
    for name, count in (("rgba", 4), ("grey", 1)):
        path = tmp_path / f"{name}.png"
        done = cli("encode", path, tmp_path / f"{name}.aec", "-q", "90")
        assert (done.code, done.out, done.err.count("\n")) == (0, b"", 1) and "20000..20921" in done.err
        decoded = codec.decode(tmp_path / f"{name}.aec")
        assert cli("decode", tmp_path / f"{name}.aec", path, "--force") == (0, b"", "")
        back = pixels.to_array(read_picture(path))
        assert back.dtype == np.uint16 and np.array_equal(back, decoded)
        done = cli("decode", tmp_path / f"{name}.aec", tmp_path / f"{name}.tif")
        assert done.code == 0 and ("reduced to 8 for TIFF" in done.err) == (count == 4)
        assert cli("decode", tmp_path / f"{name}.aec", tmp_path / f"{name}.webp").err.count("reduced") == 1
