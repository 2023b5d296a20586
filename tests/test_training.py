"""Training: configuration, data, the loop (resume, warm start, several processes)."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic import smooth

torch = pytest.importorskip("torch")

from aecodec.errors import InputError  # noqa: E402
from aecodec.training import __main__ as entry  # noqa: E402
from aecodec.training import start, train  # noqa: E402
from aecodec.training.arithmetic import multiplies_bfloat16  # noqa: E402
from aecodec.training.checkpoint import warm_start  # noqa: E402
from aecodec.training.config import Config  # noqa: E402
from aecodec.training.data import Crops, klt_basis, load_pictures  # noqa: E402
from aecodec.training.evaluate import picture_rd  # noqa: E402
from aecodec.training.model import SIZES, CodecModel  # noqa: E402
from aecodec.training.train import Trainer, schedule  # noqa: E402

STEPS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    for i in range(4):
        Image.fromarray(smooth(i)).save(path / f"{i}.png")
    return path


def config(folder: Path, out: Path, **changes: Any) -> Config:
    settings = {
        "size": "tiny",
        "data": [str(folder)],
        "out": str(out),
        "validation": 1,
        "steps": STEPS,
        "batch": 2,
        "crop": 64,
        "final_crop": 64,
        "final_batch": 2,
        "warmup": 3,
        "amp": False,
        "threads": 1,
        "evaluate_every": 1000,
        "exact_from": 0.3,
        "freeze_encoder_from": 0.8,
        "shortcut": False,  # its start, the KLT of 40000 patches, takes seconds; test_loss_falls has it
    }
    return Config(**{**settings, **changes})


def arguments(cfg: Config) -> list[str]:
    """The command line that gives this configuration."""
    changed = {k: v for k, v in vars(cfg).items() if v != getattr(Config(), k)}
    return [f"--set={k}={v!r}".replace("False", "false") for k, v in changed.items()]


def run(trainer: Trainer, steps: int) -> None:
    for _ in range(steps):
        trainer.train_step()


# -- configuration and data -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("crops=64", "'crops'"),
        ("load=1", "'load'"),
        ("steps='many'", "'steps'"),
        ("steps=true", "'steps'"),
        ("data='pictures'", "'data'"),
        ("amp=1", "'amp'"),
        ("nothing", "key=value"),
    ],
)
def test_config_errors_name_the_key(override: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Config.load(None, [override])


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('size = "fast"\nsteps = 7\nmuon_lr = 1\ndata = ["a"]\n')
    cfg = Config.load(str(path), ["size=tiny", "steps=9", "ema=0.5", 'data=["b", "c"]', "amp=false"])
    assert (cfg.size, cfg.steps, cfg.ema, cfg.data, cfg.amp) == ("tiny", 9, 0.5, ["b", "c"], False)
    assert cfg.muon_lr == 1.0 and isinstance(cfg.muon_lr, float)
    assert cfg.batch == Config().batch


@pytest.mark.parametrize("key", ["size", "activation", "crop", "final_crop"])
def test_a_setting_that_cannot_work_is_named(folder: Path, tmp_path: Path, capsys: Any, key: str) -> None:
    value = {"size": "huge", "activation": "sigmoidal", "crop": "100", "final_crop": "32"}[key]
    data = [f'--set=data=["{folder}"]', f"--set=out={tmp_path}", "--set=size=tiny", f"--set={key}={value}"]
    assert entry.main(data) == 2
    message = capsys.readouterr().err
    assert repr(key) in message and value in message


def test_pictures_from_a_folder_and_a_shard(folder: Path, tmp_path: Path) -> None:
    from_folder = load_pictures([str(folder)])
    assert [tuple(p.shape) for p in from_folder] == [(3, 96, 112)] * 4
    np.testing.assert_array_equal(from_folder[2].permute(1, 2, 0).numpy(), smooth(2))

    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as tar:
        for i in (3, 1, 0, 2):  # read in the order of their names all the same
            tar.add(folder / f"{i}.png", f"set/{i}.png")
        note = tarfile.TarInfo("set/labels.txt")
        note.size = 2
        tar.addfile(note, io.BytesIO(b"no"))
    from_shard = load_pictures([str(shard)])
    assert len(from_shard) == 4
    assert all(torch.equal(a, b) for a, b in zip(from_folder, from_shard, strict=True))
    assert len(load_pictures([str(tmp_path)])) == 4, "a folder of shards"
    assert len(load_pictures([str(folder), str(shard)], limit=5)) == 5

    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_pictures([str(tmp_path / "nowhere")])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match=r"broken\.png"):
        load_pictures([str(tmp_path)])


def test_crops_depend_on_seed_and_step_alone() -> None:
    pictures = [torch.from_numpy(smooth(i)).permute(2, 0, 1) for i in range(3)]
    crops = Crops(pictures, torch.device("cpu"), seed=5)
    batch = crops.batch(7, 64, 4)
    assert batch.shape == (4, 3, 64, 64) and batch.dtype == torch.uint8
    crops.batch(8, 64, 4)
    assert torch.equal(batch, crops.batch(7, 64, 4))
    assert not torch.equal(batch, crops.batch(8, 64, 4))
    shares = [Crops(pictures, torch.device("cpu"), 5, rank, world=2).batch(7, 64, 4) for rank in range(2)]
    assert torch.equal(torch.stack(shares, 1).flatten(0, 1), batch), "two processes see what one would"
    assert not torch.equal(batch, Crops(pictures, torch.device("cpu"), 6).batch(7, 64, 4))
    assert crops.batch(0, 256, 1).shape == (1, 3, 256, 256), "pictures smaller than a crop are repeated"


def test_some_crops_are_smaller_ones_enlarged() -> None:
    """Noise of single pixels: enlarged, neighbours agree, and as many crops as asked for are."""
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.integers(0, 256, (3, 160, 160), dtype=np.uint8))

    def soft(batch: torch.Tensor) -> torch.Tensor:
        x = batch.float() - 127.5
        return (x[..., 1:] * x[..., :-1]).mean((1, 2, 3)) > 0.15 * x.square().mean((1, 2, 3))

    crops = Crops([noise], torch.device("cpu"), 5, enlarge=0.3)
    batch = crops.batch(0, 64, 400)
    assert batch.shape == (400, 3, 64, 64) and batch.dtype == torch.uint8
    assert 0.2 < soft(batch).float().mean() < 0.4
    assert torch.equal(batch, crops.batch(0, 64, 400))
    half = [Crops([noise], torch.device("cpu"), 5, rank, 2, enlarge=0.3).batch(0, 64, 400) for rank in (0, 1)]
    assert torch.equal(torch.stack(half, 1).flatten(0, 1), batch)
    assert not soft(Crops([noise], torch.device("cpu"), 5).batch(0, 64, 100)).any()


# -- the loop ----------------------------------------------------------------------------------------


def test_resume_goes_on_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    whole = Trainer(config(folder, tmp_path / "whole"))
    assert not whole.resume()
    run(whole, STEPS)

    half = Trainer(config(folder, tmp_path / "parts"))
    run(half, STEPS // 2)
    half.save()
    rest = Trainer(config(folder, tmp_path / "parts"))
    assert rest.resume() and rest.step == STEPS // 2
    run(rest, STEPS - STEPS // 2)

    assert rest.step == whole.step and rest.done() == whole.done() == 1
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, rest.model.state_dict()[name]), name
        assert torch.equal(whole.ema.weights[name], rest.ema.weights[name]), name
    rates = [[g["lr"] for o in t.optimisers for g in o.param_groups] for t in (whole, rest)]
    assert rates[0] == rates[1]


def test_levels_of_a_batch_are_spread() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([train.random_levels(8) for _ in range(200)])
    assert torch.equal(drawn // 8, torch.arange(8).expand(200, 8))
    assert set(drawn.flatten().tolist()) == set(range(64))


def test_schedule_warms_up_and_anneals() -> None:
    cfg = Config(warmup=4, constant=0.2)
    assert [schedule(s, 0.0, cfg) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert schedule(9, 0.2, cfg) == 1.0
    assert schedule(9, 0.6, cfg) == pytest.approx(0.5)
    assert schedule(9, 1.0, cfg) == 0.0


def test_warm_start_takes_the_averaged_weights(folder: Path, tmp_path: Path) -> None:
    first = Trainer(config(folder, tmp_path / "first"))
    run(first, 3)
    first.save()
    second = Trainer(config(folder, tmp_path / "second", init=str(tmp_path / "first" / "weights.pt"), seed=9))
    assert second.step == 0
    for name, value in second.model.state_dict().items():
        wanted = first.ema.weights[name]
        assert torch.equal(value, wanted.half().float() if wanted.is_floating_point() else wanted), name


def test_a_deeper_model_starts_where_the_shallow_one_ended(tmp_path: Path) -> None:
    torch.manual_seed(5)
    tiny = SIZES["tiny"]
    shallow, deep = CodecModel(tiny).eval(), CodecModel(replace(tiny, deep=3, decoder_blocks=2)).eval()
    new = warm_start(deep, _saved(shallow, tmp_path / "shallow.pt"))
    assert new == ["g_a.deep.1", "g_a.deep.2", "g_s.deep.1", "g_s.deep.2", "g_s.blocks.1"]
    x, level = torch.rand(1, 3, 64, 128), torch.tensor([30.0])
    with torch.no_grad():
        torch.testing.assert_close(
            deep(x, level, True, True).x_hat, shallow(x, level, True, True).x_hat, atol=1e-5, rtol=0
        )
    with pytest.raises(ValueError, match="does not fit this model"):
        warm_start(shallow, _saved(deep, tmp_path / "deep.pt"))


def _saved(model: CodecModel, path: Path) -> str:
    torch.save({"model": model.state_dict()}, path)
    return str(path)


def test_loss_falls(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "klt_basis", lambda pictures, n: klt_basis(pictures, n, patches=2000))
    changes = {"steps": 40, "batch": 4, "exact_from": 0.5, "freeze_encoder_from": 0.9, "shortcut": True}
    trainer = Trainer(config(folder, tmp_path, **changes))
    picture = trainer.validation[0][:, :64, :64]

    def loss() -> float:
        total = 0.0
        for level in (10.0, 30.0, 50.0):
            bpp, mse = picture_rd(trainer.model, picture, level, trainer.device)
            total += np.log(bpp + 0.0005 * 800 ** (level / 63) * mse)
        return total / 3

    before = loss()
    run(trainer, 40)
    assert loss() < before - 0.1, "mean log loss of a picture that was not trained on"


def test_command_line_run_writes_its_log_and_checkpoints(folder: Path, tmp_path: Path, capsys: Any) -> None:
    cfg = config(folder, tmp_path, steps=2, log_every=1)
    changes = arguments(cfg)
    assert entry.main(changes) == 0
    written = {p.name for p in tmp_path.iterdir()}
    assert written == {"last.pt", "weights.pt", "log.jsonl", "samples-0000002.png"}
    log = (tmp_path / "log.jsonl").read_text()
    assert log.count('"loss"') >= 3 and '"validation"' in log and '"step": 2' in log
    capsys.readouterr()
    assert entry.main(changes) == 0, "a run that is finished is resumed and ends at once"
    assert "resumed at step 2 of 2" in capsys.readouterr().out


def test_evaluation_of_weights_on_a_folder(folder: Path, tmp_path: Path, capsys: Any) -> None:
    Trainer(config(folder, tmp_path)).save()
    assert entry.main(["--evaluate", str(tmp_path / "weights.pt"), str(folder)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["level"] for row in rows] == sorted(row["level"] for row in rows) and len(rows) >= 4
    assert rows[0]["bpp"] < rows[-1]["bpp"]
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    assert entry.main(["--evaluate", str(tmp_path / "bad.pt"), str(folder)]) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_bfloat16_only_where_it_is_fast(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CPUs without the instructions torch computes it in software."""
    seen = set[torch.dtype]()
    convolve = torch.nn.functional.conv2d

    def noting(x: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        out = convolve(x, *rest, **more)
        seen.add(out.dtype)
        return out

    for fast in (False, True):
        monkeypatch.setattr(train, "multiplies_bfloat16", lambda _, fast=fast: fast)
        trainer = Trainer(config(folder, tmp_path / str(fast), amp=True))
        seen.clear()
        with monkeypatch.context() as patched:
            patched.setattr(torch.nn.functional, "conv2d", noting)
            trainer.train_step()
        assert (torch.bfloat16 in seen) == fast
    assert multiplies_bfloat16(torch.device("cuda"))
