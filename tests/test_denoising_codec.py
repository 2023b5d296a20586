"""Denoising training of the codec: corruptions, the clean target, an encoder for a decoder that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from synthetic import smooth

torch = pytest.importorskip("torch")

from aecodec.training.config import Config  # noqa: E402
from aecodec.training.model import lambda_of  # noqa: E402
from aecodec.training.objectives import Corruption, Forward, codec_objective  # noqa: E402
from aecodec.training.objectives.corruption import masked, poisson_gaussian  # noqa: E402
from aecodec.training.objectives.rate import seam_error  # noqa: E402
from aecodec.training.train import ENCODER, Trainer  # noqa: E402


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


def test_an_encoder_trained_alone_leaves_the_decoder_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    from export.bundle import load_checkpoint
    from export.graphs import all_graphs

    Trainer(config(folder, tmp_path / "base")).save()
    base = str(tmp_path / "base" / "weights.pt")
    changes = {"init": base, "train_only": "encoder", "noise": ["gaussian"], "amp": True}
    trainer = Trainer(config(folder, tmp_path / "denoise", **changes))
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    for _ in range(4):
        trainer.train_step()
    trainer.save()
    moved = set()
    for name, value in trainer.model.state_dict().items():
        if name.split(".")[0] in ENCODER:
            if not torch.equal(value, before[name]):
                moved.add(name.split(".")[0])
        else:
            assert torch.equal(value, before[name]), name
    assert moved == set(ENCODER)

    graphs = []
    for path in (base, str(tmp_path / "denoise" / "weights.pt")):
        model, cfg = load_checkpoint(path)
        graphs.append({k: g.SerializeToString() for k, g in all_graphs(model, cfg["activation"]).items()})
    assert [k for k in graphs[0] if graphs[0][k] != graphs[1][k]] == ["analysis.onnx"]


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
    import json

    trainer = Trainer(config(folder, tmp_path, noise_validation=40.0, steps=2))
    trainer.run()
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert set(last) == {"step", "validation", "noisy"}
    assert [r["level"] for r in last["noisy"]] == [r["level"] for r in last["validation"]]
    assert last["noisy"][-1]["psnr"] != last["validation"][-1]["psnr"]
