"""Denoising training of the codec: corruptions, the clean target, an encoder for a decoder that stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic import smooth

torch = pytest.importorskip("torch")

from aecodec.training.checkpoint import ENCODER  # noqa: E402
from aecodec.training.config import Config  # noqa: E402
from aecodec.training.model import lambda_of  # noqa: E402
from aecodec.training.objectives import Corruption, Forward, codec_objective  # noqa: E402
from aecodec.training.objectives.corruption import masked, poisson_gaussian  # noqa: E402
from aecodec.training.objectives.rate import seam_error  # noqa: E402
from aecodec.training.train import Trainer  # noqa: E402

Runs = tuple[Path, dict[str, Any], Trainer]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for i in range(3):
        Image.fromarray(smooth(i)).save(path / f"{i}.png")
    return path


def config(folder: Path, out: Path, **changes: Any) -> Config:
    settings = {
        "size": "tiny",
        "data": [str(folder)],
        "out": str(out),
        "validation": 1,
        "steps": 4,
        "batch": 2,
        "crop": 64,
        "warmup": 0,
        "amp": False,
        "threads": 1,
        "shortcut": False,
        "exact_from": 0.5,
        "freeze_encoder_from": 1.0,
        "evaluate_every": 1000,
    }
    return Config(**{**settings, **changes})


# -- corruptions -------------------------------------------------------------------------------------


def test_gaussian_noise_has_the_drawn_range_and_spares_its_share() -> None:
    torch.manual_seed(0)
    x = torch.full((400, 1, 24, 24), 0.5)
    noisy = Corruption(("gaussian",), low=10, high=50, clean=0.3)(x)
    deviation = (noisy - x).flatten(1).std(1) * 255
    untouched = (noisy == x).flatten(1).all(1)
    assert 0.2 < untouched.float().mean().item() < 0.4
    drawn = deviation[~untouched]
    assert 9 < drawn.min().item() < 13 and 46 < drawn.max().item() < 54
    assert drawn.mean().item() == pytest.approx(30, abs=2), "uniform between the ends"
    assert (noisy - x).mean().abs().item() < 2e-3


def test_sensor_noise_grows_with_the_light() -> None:
    torch.manual_seed(0)
    level = torch.tensor([0.1, 0.4, 0.9]).reshape(3, 1, 1, 1).expand(3, 1, 200, 200)
    a, b = 0.004, 0.02
    noisy = poisson_gaussian(level, a, b)
    torch.testing.assert_close(noisy.mean((1, 2, 3)), level[:, 0, 0, 0], atol=2e-3, rtol=0)
    torch.testing.assert_close(noisy.var((1, 2, 3)), a * level[:, 0, 0, 0] + b * b, rtol=0.03, atol=0)
    assert poisson_gaussian(level, 0.0, b).var((1, 2, 3)).max().item() == pytest.approx(b * b, rel=0.03)
    torch.manual_seed(0)
    at_white = Corruption(("poisson-gaussian",), low=20, high=20, clean=0.0)(torch.full((9, 1, 80, 80), 0.6))
    deviation = at_white.flatten(1).std(1) * 255
    assert 20 * 0.6**0.5 * 0.96 < deviation.min().item() and deviation.max().item() < 20 * 1.04


@pytest.mark.parametrize("size", [1, 5])
def test_masks_are_squares_of_the_asked_share(size: int) -> None:
    torch.manual_seed(0)
    lost = masked(torch.ones(40, 3, 53, 47), 0.25, size, 0.5) == 0.5
    assert lost.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(lost[:, 0], lost[:, 2]), "a pixel is lost in all channels"
    same = (lost[:, 0, :, 1:] == lost[:, 0, :, :-1]).float().mean().item()
    assert same == pytest.approx(1 - 2 * 0.25 * 0.75 / size, abs=0.03)


def test_corruption_is_a_function_of_the_seed_and_stays_in_range() -> None:
    kinds = Corruption(("gaussian", "poisson-gaussian", "mask"), mask_size=4)
    x = torch.rand(30, 3, 16, 16)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(kinds(x))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert draws[0].min() >= 0 and draws[0].max() <= 1
    for words in ({"kinds": ("salt",)}, {"low": 9, "high": 5}, {"clean": 2}, {"mask_size": 0}):
        with pytest.raises(ValueError, match="setting"):
            Corruption(**{"kinds": ("gaussian",), **words})


# -- the objective in the trainer --------------------------------------------------------------------


@pytest.mark.parametrize("seam", [0.0, 0.7])
def test_the_codec_objective_is_rate_plus_lambda_squared_error(seam: float) -> None:
    torch.manual_seed(1)
    x, x_hat = torch.rand(4, 3, 64, 64), torch.rand(4, 3, 64, 64)
    bits, lmbda, share = torch.rand(4) * 9000, torch.rand(4), torch.rand(4)
    weights = seam * torch.rand(4)
    out = Forward(x, x, x_hat, bits, bits=bits, seam=weights)
    loss = codec_objective(Config(), seams=seam > 0)(out, lmbda, share)
    mse = (x_hat - x).square().mean((1, 2, 3)) * 255**2
    distortion = mse + weights * seam_error(x_hat, x) * 255**2
    assert torch.equal(loss.total, ((bits / 4096 + lmbda * distortion) * share).mean())
    assert torch.equal(loss.parts["rate"], bits / 4096)
    mae = codec_objective(Config(distortion="mae"))(out, lmbda, share).distortion
    torch.testing.assert_close(mae, (x_hat - x).abs().mean((1, 2, 3)) * 255)


def test_noise_goes_to_the_encoder_and_the_target_stays_clean(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = Trainer(config(folder, tmp_path / "a", noise=["gaussian"], noise_low=30.0, noise_clean=0.0))
    seen = {}

    def forward(x: torch.Tensor, level: torch.Tensor, exact: bool, hard: bool) -> Any:
        seen["x"], seen["level"] = x, level
        seen["out"] = noisy.model(x, level, exact=exact, hard=hard)
        return seen["out"]

    monkeypatch.setattr(noisy, "forward", forward)
    clean = noisy.crops.batch(0, 64, 2).float() / 255
    loss, bpp, mse = noisy.train_step()
    assert 25 < (seen["x"] - clean).std().item() * 255 < 55
    out = seen["out"]
    wanted = (out.x_hat - clean).square().mean((1, 2, 3)).detach() * 255**2
    torch.testing.assert_close(mse, wanted)
    lmbda = lambda_of(seen["level"].float(), 0.0005, 0.4)
    middle = lambda_of(31.5, 0.0005, 0.4)
    noise = (seen["x"] - clean).square().mean((1, 2, 3)) * 255**2
    share = 1 / ((lmbda / middle) ** 0.5 + 0.1 * lmbda * noise)
    assert loss == pytest.approx(((bpp + lmbda * wanted) * share).mean().item(), rel=1e-5)


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A folder with base/weights.pt and denoise/weights.pt; the base's weights; the encoder's trainer."""
    path = tmp_path_factory.mktemp("runs")
    base = Trainer(config(folder, path / "base"))
    base.train_step()
    base.save()
    changes = {"train_only": "encoder", "noise": ["gaussian"], "amp": True}
    trainer = Trainer(config(folder, path / "denoise", init=str(path / "base" / "weights.pt"), **changes))
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    for _ in range(4):
        trainer.train_step()
    trainer.save()
    return path, before, trainer


def test_an_encoder_trained_alone_leaves_the_decoder_bit_for_bit(
    runs: Runs,
) -> None:
    _, before, trainer = runs
    moved = set()
    for weights in (trainer.model.state_dict(), trainer.ema.weights):
        for name, value in weights.items():
            if name.split(".")[0] in ENCODER:
                if not torch.equal(value, before[name]):
                    moved.add(name.split(".")[0])
            else:
                assert torch.equal(value, before[name]), name
    assert moved == set(ENCODER)


def test_another_runs_encoder_is_put_in_front_of_a_decoder(runs: Runs, folder: Path, tmp_path: Path) -> None:
    weights, before, trainer = runs
    later = {name: value + 1 if name.startswith("g_s.") else value for name, value in before.items()}
    torch.save({"model": later}, tmp_path / "later.pt")
    changes = {"init": str(tmp_path / "later.pt"), "train_only": "encoder"}
    encoder = str(weights / "denoise" / "weights.pt")
    both = Trainer(config(folder, tmp_path / "both", init_encoder=encoder, **changes))
    for name, value in both.model.state_dict().items():
        own = trainer.ema.weights[name].half().float() if name.split(".")[0] in ENCODER else later[name]
        assert torch.equal(value, own), name
    with pytest.raises(ValueError, match="'init_encoder'"):
        Trainer(config(folder, tmp_path / "none", init_encoder=encoder))


def test_files_of_the_new_encoder_are_read_by_the_old_decoder(
    runs: Runs,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnx")
    from aecodec import model_bundle, model_folders, models
    from aecodec.codec import Codec
    from aecodec.errors import ModelError
    from export.__main__ import main as export

    weights, bundles = runs[0], tmp_path / "bundles"
    data = ["--data", str(folder)]
    assert export([str(weights / "base" / "weights.pt"), str(bundles / "plain"), *data]) == 0
    encoder = [str(weights / "denoise" / "weights.pt"), str(bundles / "plain-denoise"), *data]
    assert export([*encoder, "--encoder-for", str(bundles / "plain")]) == 0
    own = {"analysis.onnx", "analysis.int8.onnx"}
    assert {p.name for p in (bundles / "plain-denoise").iterdir()} == {"manifest.json", *own}

    again = [encoder[0], str(bundles / "plain-again"), *data, "--no-int8"]
    assert export([*again, "--encoder-for", str(bundles / "plain")]) == 0
    assert {p.name for p in (bundles / "plain-again").iterdir()} == {"manifest.json", "analysis.onnx"}
    assert model_bundle.load(bundles / "plain-again").file_of("analysis", "int8") == "analysis.onnx"

    plain, denoise = (model_bundle.load(bundles / name) for name in ("plain", "plain-denoise"))
    assert denoise.model_id == plain.model_id and denoise.name == "plain-denoise"
    assert all(denoise.read(name) != plain.read(name) for name in own)
    assert denoise.file_of("analysis", "int8") in own
    assert denoise.read("synthesis.onnx") == plain.read("synthesis.onnx")
    picture = smooth(7)
    files = [Codec(b.path).encode(picture, quality=60) for b in (plain, denoise)]
    assert files[0] != files[1]
    np.testing.assert_array_equal(Codec(plain.path).decode(files[1]), Codec(denoise.path).decode(files[1]))
    monkeypatch.setenv(model_folders.PATH_VARIABLE, str(bundles))
    assert models.find("plain-denoise").base == plain.path
    assert models.find_id(plain.model_id).base is None, "the decoder's own bundle first"

    manifest = json.loads((denoise.path / "manifest.json").read_text())
    for changed, words in (
        ({"base": {**manifest["base"], "folder": "../plain"}}, "folder beside"),
        ({"identity": {**manifest["identity"], "tables.bin": "00" * 32}}, "model id"),
        ({"precisions": {"int8": {"analysis": "analysis.int4.onnx"}}}, "precisions"),
    ):
        (denoise.path / "manifest.json").write_text(json.dumps({**manifest, **changed}))
        with pytest.raises(ModelError, match=words):
            model_bundle.load(denoise.path)


def test_an_encoder_for_another_decoder_is_not_exported(
    runs: Runs, folder: Path, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("onnx")
    from export.__main__ import main as export

    data = ["--data", str(folder)]
    assert export([str(runs[0] / "base" / "weights.pt"), str(tmp_path / "plain"), *data]) == 0
    Trainer(config(folder, tmp_path / "other", seed=8)).save()
    encoder = [str(tmp_path / "other" / "weights.pt"), str(tmp_path / "b"), *data]
    assert export([*encoder, "--encoder-for", str(tmp_path / "plain")]) == 2
    message = capsys.readouterr().err
    assert "synthesis.onnx" in message and "train_only" in message and not (tmp_path / "b").exists()
    elsewhere = [encoder[0], str(tmp_path / "deeper" / "b"), *data]
    assert export([*elsewhere, "--encoder-for", str(tmp_path / "plain")]) == 2
    assert "beside" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_only": "decoder", "init": "x.pt"}, "'train_only'.*encoder"),
        ({"train_only": "encoder"}, "'init'"),
        ({"train_only": "encoder", "init": "x.pt", "freeze_encoder_from": 0.9}, "freeze_encoder_from"),
        ({"noise": ["salt"]}, "'noise'.*salt"),
        ({"distortion": "psnr"}, "'distortion'.*psnr"),
    ],
)
def test_settings_that_cannot_work_are_named(
    folder: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Trainer(config(folder, tmp_path, **changes))


def test_validation_measures_noisy_pictures_against_clean_ones(folder: Path, tmp_path: Path) -> None:
    trainer = Trainer(config(folder, tmp_path, noise_validation=40.0, steps=2))
    trainer.run()
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert set(last) == {"step", "validation", "noisy"}
    assert [r["level"] for r in last["noisy"]] == [r["level"] for r in last["validation"]]
    assert last["noisy"][-1]["psnr"] != last["validation"][-1]["psnr"]
