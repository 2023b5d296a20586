"""Anomaly maps: where the planted defect is, what normal pictures score, the command."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec, Limits
from aecodec.errors import CorruptError, FormatError, InputError, LimitError, ModelError, UsageError
from aecodec.latents import anomaly
from aecodec.latents.encoder import Encoder
from tests.conftest import DATA

pytest.importorskip("faiss", reason="the patch memory needs faiss: pip install 'aecodec[latents]'")
TOP, LEFT, SIDE = 96, 144, 32


def weave(seed, defect=False):
    """uint8 [192, 256]: crossing waves with noise; a defect has a square of other waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:192, :256]
    phase = rng.uniform(0, 6, 2)
    surface = 128 + 30 * np.sin(x / 5 + phase[0]) + 30 * np.sin(y / 7 + phase[1])
    if defect:
        surface[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = 128 + 60 * np.sin((x + y) / 2.5)[:SIDE, :SIDE]
    return np.clip(surface + rng.normal(0, 4, surface.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def plain():
    return Codec(device="cpu", threads=2, pixel_blocks=False)


@pytest.fixture(scope="module", params=anomaly.KINDS)
def detector(request, plain):
    # Of 8 pictures each is too far from the 7 others, and the threshold learned from that too high.
    return anomaly.fit([weave(seed) for seed in range(16)], plain, request.param)


def test_the_map_peaks_in_the_defect(detector, plain):
    found = detector.score(weave(100, defect=True), plain)
    assert found.map.shape == (12, 16)
    row, column = np.unravel_index(found.map.argmax(), found.map.shape)
    assert TOP - 16 <= 16 * row < TOP + SIDE + 16 and LEFT - 16 <= 16 * column < LEFT + SIDE + 16
    inside = found.map[TOP // 16 : (TOP + SIDE) // 16, LEFT // 16 : (LEFT + SIDE) // 16]
    assert inside.min() > np.median(found.map) + 1


def test_defects_score_higher(detector, plain):
    normal = [detector.score(weave(seed), plain).score for seed in range(50, 54)]
    defects = [detector.score(weave(seed, defect=True), plain) for seed in range(60, 64)]
    assert min(s.score for s in defects) > max(normal)
    assert all(s.anomalous for s in defects)


def test_there_and_back(detector, plain):
    again = anomaly.load(detector.pack())
    assert again.by == detector.by and again.encoder == Encoder.of(plain.bundle)
    picture = weave(70, defect=True)
    np.testing.assert_allclose(again.map_of(picture, plain), detector.map_of(picture, plain), atol=0.02)


@pytest.mark.parametrize("by", anomaly.KINDS)
def test_copies_of_one_picture(by, plain, city):
    """They have no spread of their own. What is loaded has to judge as what was fitted."""
    picture = city[:96, :96]
    fitted = anomaly.fit([picture] * 6, plain, by)
    other = np.roll(picture, 40, 1)
    for one in (fitted, anomaly.load(fitted.pack())):
        score = one.score(picture, plain)
        assert not score.anomalous and score.score == pytest.approx(fitted.threshold, abs=1e-5)
        assert one.score(other, plain).score < 100
    if by == "memory":
        assert one.score(other, plain).anomalous


def test_the_memory_is_judged_with_as_it_is_kept(plain):
    fitted = anomaly.fit([weave(seed) for seed in range(6)], plain)
    again = anomaly.load(fitted.pack())
    np.testing.assert_array_equal(again.memory, fitted.memory)
    picture = weave(71)
    np.testing.assert_array_equal(again.map_of(picture, plain), fitted.map_of(picture, plain))


def test_sources_that_fail_are_told(plain):
    """Whatever is wrong with one of them; without `failed` it ends the fit."""
    good = [plain.encode(weave(seed)[:64, :64], 70) for seed in range(5)]
    damaged = bytearray(good[0])
    damaged[-5] ^= 16
    other = Codec("nano-perceptual", "cpu", 2, pixel_blocks=False).encode(weave(3)[:64, :64], 70)
    unknown = Codec(DATA / "bundles" / "tiny", "cpu", 1, pixel_blocks=False).encode(weave(3)[:64, :64], 70)
    bad = {
        bytes(damaged): CorruptError,
        b"no picture": InputError,
        "not there.aec": InputError,
        good[0][:8] + b"\xff" + good[0][9:]: FormatError,
        other: UsageError,
        unknown: ModelError,
    }
    told = []
    anomaly.fit([*bad, *good], plain, "rate", failed=lambda source, error: told.append((source, error)))
    assert [source for source, _ in told] == list(bad)
    for source, error in told:
        assert isinstance(error, bad[source]), error
        with pytest.raises(type(error)):
            anomaly.fit([source, *good], plain, "rate")
    small = Codec(device="cpu", threads=2, pixel_blocks=False, limits=Limits(max_pixels=5000))
    told.clear()
    anomaly.fit([weave(0), *good], small, "rate", failed=lambda *pair: told.append(pair))
    assert [type(error) for _, error in told] == [LimitError]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [({"by": "x"}, "'x': use memory, rate or error"), ({"quality": 101}, "outside 0..100")],
)
def test_a_call_that_makes_no_sense_is_no_fault_of_a_source(plain, wrong, match):
    pictures = [weave(seed) for seed in range(5)]
    with pytest.raises(UsageError, match=match):
        anomaly.fit(pictures, plain, failed=lambda *_: pytest.fail("a source was blamed"), **wrong)
    with pytest.raises(UsageError, match=match):
        anomaly.read(pictures[0], plain, **wrong)


def test_files(plain):
    """A file scores as its picture does; its reconstruction error is not to be had."""
    picture = weave(71, defect=True)
    data = plain.encode(picture, anomaly.QUALITY["rate"])
    for by in ("memory", "rate"):
        one = anomaly.fit([weave(seed) for seed in range(5)], plain, by)
        np.testing.assert_array_equal(one.map_of(data, plain), one.map_of(picture, plain))
    with pytest.raises(InputError, match="give the picture itself"):
        anomaly.read(data, plain, "error")


def test_what_is_refused(plain):
    with pytest.raises(UsageError, match="at least 5"):
        anomaly.fit([weave(0)] * 4, plain)
    with pytest.raises(FormatError, match="no anomaly model"):
        anomaly.load(b"PK nothing")
    for name, value in (("spread", 0.0), ("centre", float("nan")), ("scale", np.zeros(16, np.float32))):
        whole = anomaly.Detector(
            "memory", Encoder(bytes(8)), 70.0, np.zeros((3, 16)), np.ones(16), 0.0, 1.0, 1.0
        )
        anomaly.load(whole.pack())
        with pytest.raises(FormatError, match="damaged"):
            anomaly.load(replace(whole, **{name: value}).pack())


@pytest.mark.parametrize(
    ("by", "shape", "match"),
    [
        ("memory", (4, 5), "4 positions of 5 numbers, a position has 16; fit it again"),
        ("memory", (0, 1), "0 positions"),
        ("memory", (0, 16), "0 positions"),
        ("rate", (3, 16), "goes by rate"),
    ],
)
def test_a_memory_that_cannot_be_searched_is_refused(by, shape, match):
    memory, scale = np.zeros(shape, np.float32), np.ones(shape[1], np.float32)
    with pytest.raises(FormatError, match=match):
        anomaly.load(anomaly.Detector(by, Encoder(bytes(8)), 70.0, memory, scale, 0.0, 1.0, 1.0).pack())


@pytest.mark.parametrize("wrong", [{"encoder": Encoder(b"7 bytes")}, {"quality": 101.0}, {"quality": -1.0}])
def test_facts_that_no_picture_is_encoded_with_are_refused(wrong):
    nothing, ones = np.zeros((0, 1), np.float32), np.ones(1, np.float32)
    whole = anomaly.Detector("rate", Encoder(bytes(8)), 70.0, nothing, ones, 0.0, 1.0, 1.0)
    assert anomaly.load(whole.pack()).quality == 70
    with pytest.raises(FormatError, match="damaged"):
        anomaly.load(replace(whole, **wrong).pack())


@pytest.mark.parametrize("name", [{}, {"encoder": "nano-denoise"}])
def test_files_of_earlier_releases(name):
    """They have the model's id, and the encoder's name where it has one."""
    facts = {"by": "rate", "quality": 70.0, "centre": 0.5, "spread": 2.0, "threshold": 3.0}
    facts |= {"format": "aecodec-anomaly", "version": 1, "model_id": "0102030405060708"} | name
    kept, out = np.frombuffer(json.dumps(facts).encode(), np.uint8), io.BytesIO()
    np.savez_compressed(out, facts=kept, memory=np.zeros((0, 1), np.float16), scale=np.ones(1, np.float32))
    found = anomaly.load(out.getvalue())
    assert found.encoder == (bytes(range(1, 9)), name.get("encoder", "")) and found.threshold == 3
    with np.load(io.BytesIO(found.pack())) as again:
        assert json.loads(again["facts"].tobytes()) == facts


def test_command(cli, tmp_path):
    normal, model = tmp_path / "normal", tmp_path / "model.npz"
    normal.mkdir()
    for seed in range(6):
        Image.fromarray(weave(seed)).save(normal / f"{seed}.png")
    (normal / "broken.png").write_bytes(b"no picture")
    result = cli("anomaly", "fit", normal, "-o", model, "--device", "cpu", "--jobs", 2)
    assert result.code == InputError.exit_code and "broken.png" in result.err and "6 of 7 done" in result.err
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(weave(80)).save(good)
    Image.fromarray(weave(81, defect=True)).save(bad)
    result = cli(
        "anomaly", "score", model, good, bad, "--json", "--out-dir", tmp_path / "heat", "--device", "cpu"
    )
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert result.code == 0 and second["anomalous"] and second["score"] > first["score"]
    with Image.open(tmp_path / "heat" / "bad.png") as image:
        heat = np.asarray(image).astype(int)
    assert heat.shape == (192, 256, 3)
    redness = heat[..., 0] - heat[..., 2]
    inside = redness[TOP : TOP + SIDE, LEFT : LEFT + SIDE].mean()
    assert inside > 3 * np.abs(redness[:, : LEFT - 32].mean()) + 10
    before = (tmp_path / "heat" / "bad.png").stat().st_mtime_ns
    again = cli("anomaly", "score", model, good, bad, "--json", "--out-dir", tmp_path / "heat")
    for was, line in zip((first, second), map(json.loads, again.out.splitlines()), strict=True):
        assert (line["status"], line["score"]) == ("done", was["score"]) and "--force" in line["notes"][0]
    assert (tmp_path / "heat" / "bad.png").stat().st_mtime_ns == before
    assert cli("anomaly", "fit", normal, "--device", "cpu").code == UsageError.exit_code
    result = cli("anomaly", "fit", normal, "-o", normal / "0.png", "--force", "--device", "cpu")
    assert result.code == 2 and "would replace the input" in result.err
    result = cli("anomaly", "score", model, good, "--by", "rate", "--device", "cpu")
    assert result.code == 2 and "are for fit" in result.err
    assert cli("anomaly", "score", normal / "0.png", good, "--device", "cpu").code == FormatError.exit_code
    text = cli("anomaly", "score", model, bad, "--device", "cpu").out.decode()
    assert "anomalous" in text and "bad.png" in text


def test_heat_maps_are_upright(cli, plain, tmp_path):
    """As the photograph is seen, not as it is stored."""
    model, exif = tmp_path / "model.npz", Image.Exif()
    model.write_bytes(anomaly.fit([weave(seed) for seed in range(5)], plain, "rate").pack())
    exif[0x0112] = 6
    picture = Image.fromarray(weave(81, defect=True))
    picture.save(tmp_path / "flat.png")
    picture.save(tmp_path / "turned.png", exif=exif)
    names, out = (tmp_path / "flat.png", tmp_path / "turned.png"), tmp_path / "heat"
    assert cli("anomaly", "score", model, *names, "--out-dir", out, "--device", "cpu").code == 0
    flat, turned = (np.asarray(Image.open(out / name.name)) for name in names)
    np.testing.assert_array_equal(turned, np.rot90(flat, -1))
    assert turned.shape == (256, 192, 3)


def test_advice_for_two_heat_maps_of_one_name(cli, plain, tmp_path):
    model = tmp_path / "model.npz"
    model.write_bytes(anomaly.fit([weave(seed) for seed in range(5)], plain, "rate").pack())
    for name in ("a.png", "a.jpg"):
        Image.fromarray(weave(1)).save(tmp_path / name)
    names = (tmp_path / "a.png", tmp_path / "a.jpg")
    result = cli("anomaly", "score", model, *names, "--out-dir", tmp_path / "heat", "--device", "cpu")
    assert result.code == 2 and "both become" in result.err and "batch" not in result.err


def test_latents_of_another_model_are_refused(plain):
    """They are other numbers: a score of them would mean nothing."""
    other = Codec("nano-perceptual", "cpu", 2, pixel_blocks=False).encode(weave(3), 70)
    with pytest.raises(UsageError, match="give the picture itself"):
        anomaly.read(other, plain)
    detector = anomaly.fit([weave(seed) for seed in range(5)], plain, "rate")
    for source in (weave(3), other):
        with pytest.raises(UsageError, match="the codec has"):
            detector.score(source, Codec("nano-perceptual", "cpu", 2))


def test_the_encoder_that_normal_was_told_by_is_the_one_that_scores(cli, tmp_path):
    """Bundles that share a decoder have one id, and their latents differ."""
    normal, model = tmp_path / "normal", tmp_path / "model.npz"
    normal.mkdir()
    for seed in range(6):
        Image.fromarray(weave(seed)).save(normal / f"{seed}.png")
    options = "--model", "nano-denoise", "--by", "rate", "--device", "cpu"
    assert cli("anomaly", "fit", normal, "-o", model, *options).code == 0
    made = anomaly.load(model)
    assert made.encoder.name == made.bundle().encoder == "nano-denoise"
    score = made.score(weave(0), made.codec(device="cpu", threads=1)).score
    shown = cli("anomaly", "score", model, normal / "0.png", "--json", "--device", "cpu")
    assert json.loads(shown.out)["score"] == pytest.approx(score, abs=0.01)
    with pytest.raises(UsageError, match="nano-denoise"):
        made.score(weave(7), Codec(device="cpu", threads=1, pixel_blocks=False))
    assert anomaly.load(replace(made, encoder=Encoder(bytes(8))).pack()).encoder == (bytes(8), "")


def test_heat_maps_of_an_earlier_run_are_no_pictures(cli, plain, tmp_path):
    model, folder = tmp_path / "model.npz", tmp_path / "pictures"
    model.write_bytes(anomaly.fit([weave(seed) for seed in range(6)], plain, "rate").pack())
    folder.mkdir()
    Image.fromarray(weave(7)).save(folder / "a.png")
    for _ in range(2):
        options = "--out-dir", folder / "heat", "--force", "--json", "--device", "cpu"
        done = cli("anomaly", "score", model, folder, *options)
        assert (done.code, len(done.out.splitlines())) == (0, 1), done.err


def test_open_files(plain):
    data = plain.encode(weave(5), 70)
    found = anomaly.read(io.BytesIO(data), plain)
    np.testing.assert_array_equal(found.positions, anomaly.read(data, plain).positions)
