"""The command line: commands, pipes, exit codes, and what is left on disk when something fails."""

from __future__ import annotations

import json
import os
from inspect import signature

import numpy as np
import pytest
from conftest import DATA, psnr
from PIL import Image, ImageCms, features

from aecodec import describe
from aecodec.cli import files
from aecodec.codec import Codec
from aecodec.errors import OutputError

CITY = DATA / "city.jpg"


def one_line_error(result, code, *words):
    assert result.code == code, result
    assert result.err.startswith("aecodec: ") and result.err.count("\n") == 1
    for word in words:
        assert word in result.err
    return True


def test_there_and_back(cli, tmp_path, city):
    assert cli("encode", CITY, tmp_path / "a.aec", "-q", "75") == (0, b"", "")
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png") == (0, b"", "")
    with Image.open(tmp_path / "a.png") as image:
        assert psnr(np.asarray(image), city) > 20
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.aec", "a.png"]


FORMATS = [(".jpg", "JPEG"), (".tif", "TIFF"), (".webp", "WEBP"), (".bmp", "BMP")]


@pytest.mark.parametrize("suffix, form", FORMATS)
def test_output_formats(cli, aec, tmp_path, suffix, form):
    out = tmp_path / f"out{suffix}"
    assert cli("decode", aec, out).code == 0
    with Image.open(out) as image:
        assert (image.format, image.size) == (form, (410, 300))


def test_pipes(cli, city_file):
    options = ("-q", "40", "--device", "cpu", "--threads", "2")
    encoded = cli("encode", "-", "-", *options, stdin=CITY.read_bytes())
    assert encoded.code == 0 and encoded.out == city_file
    decoded = cli("decode", "-", "-", stdin=city_file)
    assert decoded.code == 0 and decoded.out.startswith(b"\x89PNG")
    assert json.loads(cli("info", "-", "--json", stdin=city_file).out)["bytes"] == len(city_file)


def test_encode_json(cli, tmp_path):
    result = cli("encode", CITY, tmp_path / "a.aec", "--json")
    facts = json.loads(result.out)
    assert facts["bytes"] == (tmp_path / "a.aec").stat().st_size
    assert facts["file"] == str(tmp_path / "a.aec") and facts["input_bytes"] == CITY.stat().st_size
    piped = cli("encode", CITY, "-", "--json")
    assert len(piped.out) == facts["bytes"] and json.loads(piped.err)["bytes"] == facts["bytes"]


def test_info(cli, aec, bundle, city_file):
    facts = json.loads(cli("info", aec, "--json").out)
    assert (facts["width"], facts["height"], facts["channels"], facts["depth"]) == (410, 300, 3, 8)
    assert facts["model_id"] == bundle.model_id.hex() and facts["model_name"] == bundle.name
    assert len(facts["symbols_crc32c"]) == 8 and int(facts["symbols_crc32c"], 16) >= 0
    assert facts["quality"] == pytest.approx(40, abs=0.01)
    assert facts["bpp"] == pytest.approx(8 * len(city_file) / (410 * 300))
    assert sum(g["size"] for g in facts["groups"]) == facts["sections"][-1]["size"]
    text = cli("info", aec).out.decode()
    assert facts["symbols_crc32c"] in text and "410 x 300" in text


def test_doctor(cli, bundle):
    result = cli("doctor", "--json")
    facts = json.loads(result.out)
    assert result.code == 0 and facts["default_model"] == bundle.name
    assert "CPUExecutionProvider" in facts["providers"]
    assert b"no problems found" in cli("doctor").out


def test_doctor_without_models(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("aecodec.model_folders.PACKAGED", tmp_path)
    monkeypatch.setenv("AECODEC_MODEL_PATH", "")
    result = cli("doctor")
    assert result.code == 7 and b"no default model" in result.out


def test_help_and_version(cli):
    text = cli("--help").out.decode()
    for code in ("0  done", "5  corrupt", "9  output", "130  interrupted"):
        assert code in text
    assert cli("encode", "--help").code == 0
    assert cli("--version").out.startswith(b"aecodec 0.")


@pytest.mark.parametrize(
    "arguments",
    [[], ["frobnicate"], ["encode"], ["encode", "a", "b", "-q", "101"], ["encode", "a", "b", "-q", "x"],
     ["decode", "a", "b", "--threads", "0"], ["encode", "a", "b", "--device", "tpu"], ["info"]],
)  # fmt: skip
def test_usage_errors(cli, arguments):
    assert one_line_error(cli(*arguments), 2)


def test_refuses_to_overwrite(cli, aec, tmp_path):
    before = aec.read_bytes()
    assert one_line_error(cli("encode", CITY, aec), 9, "--force")
    assert aec.read_bytes() == before
    assert cli("encode", CITY, aec, "-q", "5", "--force").code == 0
    assert aec.read_bytes() != before


def test_same_file(cli, aec, tmp_path):
    link = tmp_path / "link.aec"
    link.symlink_to(aec)
    for target in (aec, link):
        assert one_line_error(cli("encode", aec, target, "--force"), 2, "same file")


def test_input_errors(cli, tmp_path):
    (tmp_path / "text.png").write_text("no picture at all")
    (tmp_path / "cut.jpg").write_bytes(CITY.read_bytes()[:20000])
    for name in ("missing.png", "text.png", "cut.jpg"):
        assert one_line_error(cli("encode", tmp_path / name, tmp_path / "o.aec"), 3, name)
    assert not (tmp_path / "o.aec").exists()


def test_output_errors(cli, aec, tmp_path):
    assert one_line_error(cli("encode", CITY, tmp_path / "no" / "o.aec"), 9, "no folder")
    assert one_line_error(cli("encode", CITY, tmp_path), 9, "is a folder")
    assert one_line_error(cli("decode", aec, tmp_path / "o.what"), 2, "'.what'")
    assert one_line_error(cli("decode", aec, tmp_path / "o"), 2, "suffix")
    assert one_line_error(cli("encode", CITY, tmp_path / "o.aec", "--model", "nope"), 7, "nope")
    assert [p.name for p in tmp_path.iterdir()] == [aec.name]


def test_names(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-x", "--force", "a b", "\N{GRINNING FACE} é", "x" * 250):
        (tmp_path / name).write_bytes(CITY.read_bytes())
        out = name[:240] + ".aec"
        assert cli("encode", "-q", "5", "--", name, out) == (0, b"", "")
        assert cli("info", "--", out).code == 0
        assert (tmp_path / out).stat().st_size > 100


def test_orientation_is_written_back(cli, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(CITY) as image:
        image.save(tmp_path / "turned.jpg", exif=exif)
    assert cli("encode", tmp_path / "turned.jpg", tmp_path / "a.aec").code == 0
    for suffix in ("png", "jpg", "tif", "webp"):
        assert cli("decode", tmp_path / "a.aec", tmp_path / f"b.{suffix}").code == 0
        with Image.open(tmp_path / f"b.{suffix}") as image:
            exif = image.getexif()
            assert exif[0x0112] == 6
            image.load()  # turns a TIFF, and only that, upright
            assert image.size == ((300, 410) if suffix == "tif" else (410, 300))
    assert "turned" in cli("decode", tmp_path / "a.aec", tmp_path / "b.bmp").err


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_metadata_comes_back(cli, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    with Image.open(CITY) as image:
        image.save(tmp_path / "in.jpg", exif=exif, icc_profile=icc, xmp=b"<x>1</x>")
    assert cli("encode", tmp_path / "in.jpg", tmp_path / "a.aec").code == 0
    assert cli("decode", tmp_path / "a.aec", tmp_path / f"out.{suffix}") == (0, b"", "")
    with Image.open(tmp_path / f"out.{suffix}") as image:
        assert image.getexif()[0x010F] == "maker"
        assert image.info["icc_profile"] == icc and image.info["xmp"] == b"<x>1</x>"


def test_alpha_into_jpeg(cli, tmp_path):
    Image.new("RGBA", (20, 20), (9, 9, 9, 9)).save(tmp_path / "a.png")
    assert cli("encode", tmp_path / "a.png", tmp_path / "a.aec").code == 0
    result = cli("decode", tmp_path / "a.aec", tmp_path / "a.jpg")
    assert one_line_error(result, 9, "cannot hold transparency", ".png", "--no-alpha")
    assert not (tmp_path / "a.jpg").exists()
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.jpg", "--no-alpha") == (0, b"", "")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.mode == "RGB"


def with_alpha(cli, tmp_path, side):
    picture = np.zeros((side, side, 4), np.uint8)
    picture[:, :, 3] = np.arange(side)
    Image.fromarray(picture).save(tmp_path / "rgba.png")
    assert cli("encode", tmp_path / "rgba.png", tmp_path / "rgba.aec").code == 0
    return tmp_path / "rgba.aec"


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".ppm"])
def test_transparency_that_a_format_cannot_hold_is_told(cli, tmp_path, suffix):
    result = cli("decode", with_alpha(cli, tmp_path, 70), tmp_path / f"a{suffix}")
    assert result.code == 0 and "transparency left out" in result.err and ".png keeps it" in result.err


def test_transparency_that_is_whole_fits_into_gif(cli, tmp_path):
    picture = np.full((64, 64, 4), (200, 90, 40, 255), np.uint8)
    picture[:, 20:, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert cli("encode", tmp_path / "a.png", tmp_path / "a.aec").code == 0
    assert cli("decode", tmp_path / "a.aec", tmp_path / "a.gif") == (0, b"", "")
    with Image.open(tmp_path / "a.gif") as image:
        assert np.array_equal(np.asarray(image.convert("RGBA"))[:, :, 3] > 0, picture[:, :, 3] > 0)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tga", ".ico", ".jp2"])
def test_transparency_that_a_format_holds(cli, tmp_path, suffix):
    assert cli("decode", with_alpha(cli, tmp_path, 70), tmp_path / f"a{suffix}") == (0, b"", "")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.size == (70, 70)
        assert np.array_equal(np.asarray(image.convert("RGBA"))[:, :, 3], np.tile(np.arange(70), (70, 1)))


def test_icons_are_not_shrunk_in_silence(cli, aec, tmp_path):
    assert one_line_error(cli("decode", aec, tmp_path / "a.ico"), 9, "410 x 300", "--fit 256", repr(str(aec)))
    assert cli("decode", aec, tmp_path / "a.ico", "--fit", "256").code == 0
    with Image.open(tmp_path / "a.ico") as image:
        assert max(image.size) == 256


def test_errors_of_the_format_name_the_file_once(cli, tmp_path):
    source = with_alpha(cli, tmp_path, 70)
    result = cli("decode", source, tmp_path / "a.xbm")
    assert one_line_error(result, 9, repr(str(source)), "use .png")
    assert result.err.count("cannot write mode") == 1


def test_note_on_stderr(cli, tmp_path):
    Image.new("CMYK", (20, 20)).save(tmp_path / "a.jpg")
    told = f"aecodec: note: {str(tmp_path / 'a.jpg')!r}: CMYK converted to sRGB\n"
    for target in ([tmp_path / "a.aec"], ["--out-dir", tmp_path / "out"]):
        result = cli("encode", tmp_path / "a.jpg", *target)
        assert result.code == 0 and result.err == told


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "link"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            if function == "link":
                patch.setattr(os, "replace", fail)
            with pytest.raises(OutputError, match="No space left"):
                files.write_output(str(tmp_path / "a"), b"data", force=False)
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_ctrl_c(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_output(str(tmp_path / "a"), b"data", force=True)
    assert list(tmp_path.iterdir()) == []


def test_name_taken_meanwhile(tmp_path):
    target = tmp_path / "a"
    files.check_output("-", str(target), False)
    target.write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match="--force"):
        files.write_output(str(target), b"data", force=False)
    assert target.read_bytes() == b"somebody else's" and len(list(tmp_path.iterdir())) == 1


def test_permissions_and_links_are_kept(tmp_path):
    target, link = tmp_path / "a", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write_output(str(link), b"new", force=True)
    assert link.is_symlink() and target.read_bytes() == b"new" and target.stat().st_mode & 0o777 == 0o640


def test_json_of_a_picture_beyond_the_default_limits(cli, tmp_path, monkeypatch):
    """The file would be there, and the command have failed."""
    seen = []
    monkeypatch.setattr(describe, "info", lambda data, limits: seen.append(limits.max_pixels) or {})
    result = cli("encode", CITY, tmp_path / "a.aec", "--json", "--max-pixels", "400M")
    assert result.code == 0 and seen == [400_000_000]


@pytest.mark.parametrize(
    "command",
    [
        ("encode", CITY, "a.aec"),
        ("encode", CITY, "--out-dir", "out"),
        ("decode", "city.aec", "a.png"),
        ("verify", "city.aec"),
        ("compare", "city.aec", CITY),
        ("features", "city.aec", "a.npy"),
        ("index", "city.aec", "-o", "a.npz"),
        ("inpaint", CITY, "--mask", CITY, "-o", "a.png"),
        ("anomaly", "fit", CITY, "-o", "a.npz"),
        ("classify", "fit", CITY, "city.aec", "-o", "a.npz"),
        ("batch", "encode", ".", "out"),
    ],
)
def test_runtime_options_reach_the_codec(cli, aec, monkeypatch, command):
    """Precision had got lost where commands made their Codec themselves."""
    monkeypatch.chdir(aec.parent)
    made, make = [], Codec.__init__

    def noted(self, *given, **named):
        make(self, *given, **named)
        all_of_them = signature(make).bind(self, *given, **named).arguments
        made.append((all_of_them["precision"], all_of_them["threads"], self.limits.max_pixels))

    monkeypatch.setattr(Codec, "__init__", noted)
    cli(*command, "--precision", "fp32", "--threads", "1", "--max-pixels", "5M")
    assert set(made) == {("fp32", 1, 5_000_000)}
