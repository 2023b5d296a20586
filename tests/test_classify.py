"""Classes of pictures told apart by a linear head on latents."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec, models
from aecodec.errors import FormatError, ModelError, UsageError
from aecodec.latents import classify, reading, vectors
from aecodec.latents.encoder import Encoder
from tests.conftest import DATA

pytest.importorskip("sklearn", reason="learning needs scikit-learn: pip install 'aecodec[latents]'")
CLASSES = ("across", "down", "spots")


def texture(kind, seed):
    """uint8 [80, 80, 3]: stripes or spots, of any colour, width and place."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:80, :80] / rng.uniform(3, 6) + rng.uniform(0, 9)
    wave = {"across": np.sin(y), "down": np.sin(x), "spots": np.sin(x) * np.sin(y)}[kind]
    colour = rng.uniform(90, 160, 3)
    return np.clip(colour + 50 * wave[..., None] + rng.normal(0, 8, (80, 80, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def tiny():
    return Codec(DATA / "bundles" / "tiny", device="cpu", threads=1)


@pytest.fixture(scope="module")
def made(tiny):
    pairs = [(kind, texture(kind, 10 * seed + k)) for seed in range(8) for k, kind in enumerate(CLASSES)]
    found = np.stack([classify.features(reading.read(picture, tiny, 80)) for _, picture in pairs])
    return classify.fit(found, [kind for kind, _ in pairs], Encoder.of(tiny.bundle))


def test_better_than_chance(made, tiny):
    right = 0
    for seed in range(500, 508):
        for kind in CLASSES:
            shares = made.predict(reading.read(texture(kind, seed), tiny, 80))
            assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
            assert list(shares.values()) == sorted(shares.values(), reverse=True)
            right += next(iter(shares)) == kind
    assert right >= 20  # of 24; chance is 8


def test_probabilities_are_scikit_learns(tiny):
    """Of two classes scikit-learn keeps one row."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    for count in (2, 3):
        labels = [CLASSES[i % count] for i in range(30)]
        found = rng.normal(0, 1, (30, 5)).astype(np.float32)
        ours = classify.fit(found, labels, Encoder.of(tiny.bundle))
        scaled = (found - found.mean(0)) / (found.std(0) + 1e-4)
        theirs = (
            LogisticRegression(C=classify.PENALTY, max_iter=500).fit(scaled, labels).predict_proba(scaled)
        )
        np.testing.assert_allclose(ours.probabilities(found), theirs, atol=1e-4)


def test_there_and_back(made):
    again = classify.load(made.pack())
    assert again.classes == CLASSES and again.encoder == made.encoder
    found = np.random.default_rng(1).normal(0, 1, (4, len(made.mean))).astype(np.float32)
    np.testing.assert_array_equal(again.probabilities(found), made.probabilities(found))


def test_labels_become_names():
    """As a file keeps them: it is not to matter whether a classifier was loaded."""
    found = np.random.default_rng(0).normal(0, 1, (6, 5))
    made = classify.fit(found, [2, 1, np.int64(1), "2", 2, 1], Encoder(bytes(8)))
    assert made.classes == classify.load(made.pack()).classes == ("1", "2")
    named = classify.fit(found, ["2", "1", "1", "2", "2", "1"], Encoder(bytes(8)))
    np.testing.assert_array_equal(made.probabilities(found), named.probabilities(found))


@pytest.mark.parametrize(
    ("features", "match"),
    [
        (np.zeros(4), r"\[4\]; the classifier learnt from 5"),
        (np.zeros((1, 1, 5)), r"\[1, 1, 5\]"),
        (np.float32(1), r"\[\]"),
        (np.full(5, np.nan), "not finite"),
        ([[1], [1, 2]], "arrays of numbers"),
    ],
)
def test_features_that_no_class_is_told_by(features, match):
    found = np.random.default_rng(0).normal(0, 1, (6, 5))
    made = classify.fit(found, "ababab", Encoder(bytes(8)))
    with pytest.raises(UsageError, match=match):
        made.probabilities(features)
    large = made.probabilities(found * 1e38)
    np.testing.assert_allclose(large.sum(1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("found", "match"),
    [
        (np.zeros((3, 5)), r"\[3, 5\] and 2 labels"),
        (np.zeros((1, 5)), r"\[1, 5\] and 2 labels"),
        (np.zeros(2), r"\[2\] and 2 labels"),
        (np.full((2, 5), np.nan), "not finite"),
        (np.full((2, 5), 1e39), "not finite"),
        ([[1], [1, 2]], "arrays of numbers"),
        ([["a"], ["b"]], "arrays of numbers"),
    ],
)
def test_features_that_nothing_is_learnt_from(found, match):
    with pytest.raises(UsageError, match=match):
        classify.fit(found, ["a", "b"], Encoder(bytes(8)))


def test_the_encoder_that_it_learnt_from_is_taken(made):
    """Bundles that share a decoder have one id, and their latents differ."""
    shipped = models.find("nano")
    found = np.zeros((2, classify.length(shipped)), np.float32)
    for name in ("", "nano-denoise"):
        head = classify.fit(found, CLASSES[:2], Encoder(shipped.model_id, name))
        again = classify.load(head.pack())
        assert again.encoder == (shipped.model_id, name) and again.bundle().name == (name or "nano")
    assert made.encoder.name == ""
    with pytest.raises(ModelError, match="'nano-other'"):
        replace(again, encoder=Encoder(shipped.model_id, "nano-other")).bundle()


def test_what_is_refused(made, codec, tmp_path):
    with pytest.raises(UsageError, match="one for each|several"):
        classify.fit(np.zeros((2, 3), np.float32), ["a", "a"], Encoder(b"12345678"))
    with pytest.raises(UsageError, match="learnt from"):
        made.predict(reading.read(texture("down", 1), codec))
    np.savez(tmp_path / "bad.npz", facts=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="no classifier"):
        classify.load(tmp_path / "bad.npz")
    for name, value in (("weight", np.nan), ("bias", np.inf), ("mean", np.nan), ("spread", 0)):
        spoilt = replace(made, **{name: np.full_like(getattr(made, name), value)})
        with pytest.raises(FormatError, match="damaged"):
            classify.load(spoilt.pack())


def of_width(width, model_id, classes=CLASSES):
    ones = np.ones(width, np.float32)
    weight, bias = np.zeros((len(classes), width), np.float32), np.zeros(len(classes), np.float32)
    return classify.Classifier(classes, Encoder(model_id), weight, bias, ones, ones)


def test_features_of_another_length(tiny, made, monkeypatch):
    assert len(made.mean) == classify.length(tiny.bundle)
    narrow = of_width(7, tiny.bundle.model_id)
    loaded = classify.load(narrow.pack())  # the model is not installed: its features are not known
    with pytest.raises(FormatError, match="of 7 numbers, its model makes .*; fit it again"):
        loaded.predict(reading.read(texture("down", 1), tiny))
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(DATA / "bundles"))
    assert classify.load(made.pack()).classes == CLASSES
    with pytest.raises(FormatError, match="of 7 numbers"):
        classify.load(narrow.pack())


@pytest.mark.parametrize("name", [{}, {"encoder": "nano-denoise"}])
def test_files_of_earlier_releases(name):
    """They have the model's id, and the encoder's name where it has one."""
    facts = {"format": "aecodec-classifier", "version": 1, "features": vectors.VERSION}
    facts |= {"model_id": "0102030405060708", "classes": ["a", "b"]} | name
    kept = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    weight, ones, out = np.eye(2, 7, dtype=np.float32), np.ones(7, np.float32), io.BytesIO()
    np.savez_compressed(out, facts=kept, weight=weight, bias=ones[:2], mean=ones, spread=ones)
    found = classify.load(out.getvalue())
    assert found.encoder == (bytes(range(1, 9)), name.get("encoder", "")) and found.classes == ("a", "b")
    with np.load(io.BytesIO(found.pack())) as again:
        assert json.loads(again["facts"].tobytes()) == facts


@pytest.mark.parametrize("classes", [(), ("alone",), ("twice", "twice")])
def test_classes_that_cannot_be_told_apart_are_refused(classes):
    assert classify.load(of_width(7, bytes(8)).pack()).classes == CLASSES
    with pytest.raises(FormatError, match="damaged"):
        classify.load(of_width(7, bytes(8), classes).pack())


def test_parts_that_do_not_belong_together_are_refused():
    whole = of_width(7, bytes(8))
    for wrong in (
        {"encoder": Encoder(b"7 bytes")},
        {"mean": whole.mean[:, None]},
        {"spread": whole.spread[:6]},
        {"weight": whole.weight[:2]},
        {"bias": whole.bias[:, None]},
    ):
        with pytest.raises(FormatError, match="damaged"):
            classify.load(replace(whole, **wrong).pack())


@pytest.mark.parametrize("missing", ["version", "features", "classes"])
def test_a_file_without_a_fact_is_refused(monkeypatch, missing):
    dumps = json.dumps
    shorten = lambda facts: dumps({k: v for k, v in facts.items() if k != missing})  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(classify.json, "dumps", shorten)
        data = of_width(7, bytes(8)).pack()
    with pytest.raises(FormatError, match="no classifier"):
        classify.load(data)


def test_one_class_is_seen_before_anything_is_coded(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "read", lambda *_: pytest.fail("a picture was coded"))
    (tmp_path / "one").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "one" / "a.png")
    result = cli("classify", "fit", tmp_path, "-o", tmp_path / "model.npz", "--device", "cpu")
    assert result.code == UsageError.exit_code and "1 class is not enough" in result.err
    assert result.err.count("\n") == 1


def test_command(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(DATA / "bundles"))
    for number in range(18):
        kind = CLASSES[number % 3]
        (tmp_path / "train" / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(texture(kind, number)).save(tmp_path / "train" / kind / f"{number}.png")
    (tmp_path / "train" / "down" / "broken.png").write_bytes(b"nothing")
    model = tmp_path / "model.npz"
    twice = tmp_path / "train", tmp_path / "train" / "down"
    result = cli("classify", "fit", *twice, "-o", model, "--model", "tiny", "--device", "cpu")
    assert result.code == 3 and result.err.count("broken.png") == 1 and model.exists()
    assert "18 of 19 done" in result.err
    new = []
    for seed, kind in enumerate(CLASSES):
        new.append(tmp_path / f"{kind}.png")
        Image.fromarray(texture(kind, 700 + seed)).save(new[-1])
    result = cli("classify", "predict", model, *new, "--json", "--device", "cpu")
    found = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0 and sum(f["class"] == k for f, k in zip(found, CLASSES, strict=True)) >= 2
    assert set(found[0]["probabilities"]) == set(CLASSES)
    text = cli("classify", "predict", model, new[0], "--device", "cpu").out.decode()
    assert "across" in text and text.count(",") == 2
    assert cli("classify", "fit", tmp_path / "train", "--device", "cpu").code == UsageError.exit_code
    assert cli("classify", "fit", tmp_path / "train", "-o", model, "--device", "cpu").code == 9
    result = cli("classify", "fit", "-", tmp_path / "train", "-o", tmp_path / "none.npz", "--device", "cpu")
    assert result.code == UsageError.exit_code and "'-' is in no folder" in result.err
    own = tmp_path / "train" / "down" / "1.png"
    before = own.read_bytes()
    result = cli("classify", "fit", tmp_path / "train", "-o", own, "--force", "--device", "cpu")
    assert result.code == 2 and "would replace the input" in result.err and own.read_bytes() == before


def test_classes_in_archives(cli, tmp_path):
    """Of folders in them, not of those that they lie in; the archives, where pictures lie at the top."""
    for archive in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / archive, "w") as packed:
            for number in range(2):
                out = io.BytesIO()
                Image.fromarray(texture(CLASSES[number], number)).save(out, "PNG")
                packed.writestr(f"all/{CLASSES[number]}/{number}.png", out.getvalue())
                packed.writestr(f"{number}.png", out.getvalue())
    for inside, expected in (("all", set(CLASSES[:2])), ("", {"one.zip", "two.zip", *CLASSES[:2]})):
        names = [f"zip://{inside}::{tmp_path / archive}" for archive in ("one.zip", "two.zip")]
        saved = tmp_path / "model.npz"
        result = cli("classify", "fit", *names, "-o", saved, "--force", "--device", "cpu")
        assert result.code == 0, result.err
        assert set(classify.load(saved).classes) == expected
    names = [f"zip:///0.png::{tmp_path / archive}" for archive in ("one.zip", "two.zip")]
    assert cli("classify", "fit", *names, "-o", saved, "--force", "--device", "cpu").code == 0
    assert set(classify.load(saved).classes) == {"one.zip", "two.zip"}


@pytest.mark.parametrize("model", ["nano", "fast"])
def test_files_of_another_model_than_pictures_are_encoded_with(cli, tmp_path, model):
    """Which encoder made a file's latents it does not say; it is none of another model's."""
    for number in range(4):
        path = tmp_path / "train" / CLASSES[number % 2] / f"{number}.aec"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Codec(model, "cpu", 1).encode(texture(CLASSES[number % 2], number), 20))
    saved = tmp_path / "model.npz"
    options = "--model", "nano-denoise", "--device", "cpu"
    result = cli("classify", "fit", tmp_path / "train", "-o", saved, *options)
    assert result.code == 0, result.err
    encoder = classify.load(saved).encoder
    assert encoder == (models.find(model).model_id, "nano-denoise" if model == "nano" else "")
