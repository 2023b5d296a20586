"""Small autoencoders: export, the bundle without torch, the command that makes both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from batches import PATIENCE  # noqa: E402
from family_runs import digits, run  # noqa: E402

from aecodec.errors import ModelError, UsageError  # noqa: E402
from aecodec.latents.autoencoder import Autoencoder as Bundle  # noqa: E402
from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training.family.data import Pictures  # noqa: E402
from aecodec.training.family.train import load_autoencoder  # noqa: E402

__all__ = ["digits"]  # a fixture


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


def test_a_bundle_is_checked_and_left_alone(digits: Pictures, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("onnx")
    from export.__main__ import main as export

    for name, seed in (("one", 1), ("other", 2)):
        run(digits, hidden=[16], latent=3, seed=seed, out=str(tmp_path / name)).save()
    one, other = (str(tmp_path / name / "weights.pt") for name in ("one", "other"))
    bundle = tmp_path / "bundle"
    assert export([one, str(bundle), "--verify-only"]) == 2 and not bundle.exists()
    assert export([one, str(bundle)]) == 0
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bundle.iterdir()}
    assert export([one, str(bundle), "--verify-only"]) == 0
    capsys.readouterr()
    assert export([other, str(bundle), "--verify-only"]) == 2
    assert "disagrees with torch" in capsys.readouterr().err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in bundle.iterdir()} == before


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
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and "(2, 1, 8, 8)" in done.stdout, done.stderr

    assert entry.main(["--set=network=fc", "--set=data=nowhere"]) == 3
    assert "nowhere" in capsys.readouterr().err
    assert entry.main(["--set=network=fc", "--set=size=tiny"]) == 2
    assert "'size'" in capsys.readouterr().err
