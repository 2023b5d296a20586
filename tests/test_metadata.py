"""`--metadata`: what is kept on the way into a file and out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from synthetic import smooth

import aecodec
from aecodec import Codec, Limits
from aecodec.cli import common
from aecodec.errors import LimitError

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
SECTIONS = {"exif": "eXIF", "icc": "iCCP", "xmp": "xMPd"}
CHOICES = ["all", "none", "exif", "icc", "xmp", "exif,icc", "exif,xmp", "icc,xmp", "exif,icc,xmp"]


def kinds(choice):
    return set(SECTIONS) if choice == "all" else set() if choice == "none" else set(choice.split(","))


@pytest.fixture
def turned(tmp_path):
    """A picture with all three, to be shown turned."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    path = tmp_path / "in.jpg"
    Image.fromarray(smooth(1, 40, 56)).save(path, exif=exif, icc_profile=ICC, xmp=XMP, dpi=(96, 96))
    return path


def carried(path):
    with Image.open(path) as image:
        exif = image.getexif()
        found = {"exif": 0x010F in exif, "icc": "icc_profile" in image.info, "xmp": "xmp" in image.info}
        return {kind for kind, there in found.items() if there}, exif.get(0x0112, 1)


@pytest.mark.parametrize("choice", CHOICES)
def test_encode(cli, turned, tmp_path, choice):
    result = cli("encode", turned, tmp_path / "a.aec", "-q", "5", "--metadata", choice)
    assert result.code == 0 and ("colour profile" in result.err) == ("icc" not in kinds(choice))
    facts = json.loads(cli("info", tmp_path / "a.aec", "--json").out)
    tags = {section["tag"] for section in facts["sections"]}
    assert tags & set(SECTIONS.values()) == {SECTIONS[kind] for kind in kinds(choice)}
    assert facts["orientation"] == 6 and ("rESo" in tags) == (choice != "none")
    assert cli("decode", tmp_path / "a.aec", tmp_path / "b.png").code == 0
    assert carried(tmp_path / "b.png") == (kinds(choice), 6)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_decode(cli, turned, tmp_path, choice, suffix):
    assert cli("encode", turned, tmp_path / "a.aec", "-q", "5") == (0, b"", "")
    result = cli("decode", tmp_path / "a.aec", tmp_path / f"b.{suffix}", "--metadata", choice)
    assert result.code == 0 and ("colour profile" in result.err) == ("icc" not in kinds(choice))
    assert carried(tmp_path / f"b.{suffix}") == (kinds(choice), 6)
    if "icc" in kinds(choice):
        with Image.open(tmp_path / f"b.{suffix}") as image:
            assert image.info["icc_profile"] == ICC


def test_nothing_to_drop(cli, tmp_path):
    Image.fromarray(smooth(1, 40, 56)).save(tmp_path / "plain.png")
    for arguments in (("encode", "plain.png", "a.aec"), ("decode", "a.aec", "b.png")):
        command, *names = arguments
        assert cli(command, *(tmp_path / n for n in names), "--metadata", "none") == (0, b"", "")
    assert carried(tmp_path / "b.png") == (set(), 1)


@pytest.mark.parametrize("choice", ["", "gps", "exif,", "all,exif", "EXIF"])
def test_unknown_kinds(cli, choice):
    result = cli("encode", "a", "b", "--metadata", choice)
    assert result.code == 2 and "exif,icc,xmp" in result.err


@pytest.mark.parametrize(
    "option, value, command",
    [("--max-pixels", "2239", "encode"), ("--max-side", "55", "encode"), ("--max-pixels", "2239", "decode"),
     ("--max-side", "55", "info"), ("--max-sections", "1", "info"), ("--max-section-size", "6", "verify"),
     ("--max-metadata", "1", "decode")],
)  # fmt: skip
def test_limits(cli, turned, tmp_path, option, value, command):
    assert cli("encode", turned, tmp_path / "a.aec", "-q", "5").code == 0
    names = {
        "encode": (turned, tmp_path / "out.aec"),
        "decode": (tmp_path / "a.aec", tmp_path / "out.png"),
    }.get(command, (tmp_path / "a.aec",))
    assert cli(command, *names, option, "64M").code == 0
    result = cli(command, *names, option, value, *(["--force"] if len(names) == 2 else []))
    assert result.code == 6, result


def test_no_limit_is_too_large(cli, turned, tmp_path):
    assert cli("encode", turned, tmp_path / "a.aec", "-q", "5").code == 0
    for name in Limits._fields:
        option = f"--{name.replace('_', '-')}"
        assert cli("decode", tmp_path / "a.aec", tmp_path / "a.png", "--force", option, "1e30").code == 0


def test_max_groups(cli, tmp_path):
    Image.fromarray(smooth(1, 40, 1100)).save(tmp_path / "wide.png")
    assert cli("encode", tmp_path / "wide.png", tmp_path / "a.aec", "-q", "5").code == 0
    assert cli("info", tmp_path / "a.aec", "--max-groups", "3").code == 0
    assert cli("info", tmp_path / "a.aec", "--max-groups", "2").code == 6


def test_work_per_byte(cli, tmp_path):
    """A large flat picture in very few bytes is accepted, but not with a limit below what it has."""
    Image.new("L", (1088, 1024), 128).save(tmp_path / "flat.png")
    assert cli("encode", tmp_path / "flat.png", tmp_path / "a.aec", "-q", "0").code == 0
    density = 1088 * 1024 / (tmp_path / "a.aec").stat().st_size
    assert density < Limits().max_pixels_per_byte / 2
    for command in (("info",), ("verify",), ("decode", "--scale", "1/8")):
        names = [tmp_path / "a.aec", *([tmp_path / "b.png"] if "decode" in command else [])]
        result = cli(*command, *names, "--max-pixels-per-byte", f"{density / 8:.0f}")
        assert result.code == 6 and "pixels a byte" in (result.err + result.out.decode())
    assert cli("info", tmp_path / "a.aec", "--max-pixels-per-byte", f"{density + 1:.0f}").code == 0


def test_limits_of_the_functions(turned, codec):
    data = codec.encode(turned, 5)
    enough, small = Limits(max_pixels=2240), Limits(max_pixels=2239)
    calls = [
        lambda limits: aecodec.encode(turned, 5, device="cpu", limits=limits),
        lambda limits: aecodec.decode(data, device="cpu", limits=limits),
        lambda limits: aecodec.open(data, device="cpu", limits=limits, region=(0, 0, 8, 8)),
        lambda limits: aecodec.info(data, limits),
        lambda limits: Codec(device="cpu", limits=limits).verify(data),
    ]
    for call in calls:
        call(enough)
        with pytest.raises(LimitError, match="pixels"):
            call(small)


def test_no_file_is_made_that_decoders_refuse(turned):
    small = Codec(device="cpu", threads=1, limits=Limits(max_metadata=10))
    with pytest.raises(LimitError, match=r"the picture's \w+.*: \d+ bytes, the limit is 10"):
        small.encode(turned)
    assert small.decode(small.encode(Image.new("RGB", (8, 8)))).shape == (8, 8, 3)


def test_every_limit_is_documented():
    text = (Path(__file__).parent.parent / "SECURITY.md").read_text("utf-8")
    for name, default in Limits()._asdict().items():
        row = f"| `{name}` | `--{name.replace('_', '-')}` | "
        [shown] = [
            line.removeprefix(row).split(" | ")[0] for line in text.splitlines() if line.startswith(row)
        ]
        base, _, power = shown.partition("^")
        assert int(base) ** int(power or 1) == default
        assert name in common.LIMITED
