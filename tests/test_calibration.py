"""Export, before any layer has 8 bits: units that never act are pruned, ranges are found on samples."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from export_models import fresh, pictures, silenced  # noqa: E402

from aecodec.training.model import SIZES, CodecModel  # noqa: E402
from export import calibration  # noqa: E402
from export.calibration import Range, by_channel, of_all  # noqa: E402
from export.prune import VECTOR, blocks_of, prune, stages  # noqa: E402


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_pruned_models_compute_the_same(share: float) -> None:
    model = silenced(fresh(), share)
    narrow = deepcopy(model)
    left, units = prune(narrow, pictures(), crops=6, side=64)
    assert left < 0.75 * units if share else left > 0.75 * units
    x = pictures()[1][None].float() / 255
    level = torch.tensor([20.0])
    with torch.no_grad():
        before, after = (m(x, level, exact=True, hard=True) for m in (model, narrow))
    for name in ("y", "x_hat", "z_hat", "symbols"):
        assert torch.allclose(getattr(before, name), getattr(after, name), atol=2e-4), name
    for owner, name in stages(narrow):
        for block in blocks_of(getattr(owner, name)):
            for layer in (block.mix_in, block.expand):
                assert layer is None or layer.out_channels % VECTOR == 0


def test_a_stage_without_live_units_still_adds_its_constants() -> None:
    model = fresh()
    with torch.no_grad():
        for block in blocks_of(model.g_a.blocks):
            block.mix_in.bias.fill_(-1e4)
            block.expand.bias.fill_(-1e4)
            block.contract.bias.normal_()
    narrow = deepcopy(model)
    prune(narrow, pictures(), crops=2, side=64)
    (block,) = narrow.g_a.blocks
    assert block.mix_in is None and block.expand is None and block.constant.abs().max() > 0.1
    x, level = pictures()[0][None].float() / 255, torch.tensor([9.0])
    with torch.no_grad():
        assert torch.allclose(model.g_a(x, level), narrow.g_a(x, level), atol=1e-5)


def rounded(samples: np.ndarray, given: Range) -> np.ndarray:
    scale, zero = given.scale[:, None], given.zero[:, None]
    return (np.clip(np.rint(samples / scale) + zero, 0, 255) - zero) * scale


def test_ranges_beat_smallest_and_largest() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(2, 100_000)) * np.array([[1.0], [20.0]])
    samples[:, 0] = samples.std(1) * 9  # one that is far out
    low, high = samples.min(1), samples.max(1)
    step = (high - low) / 255
    plain = np.square(rounded(samples, Range(step, np.rint(-low / step))) - samples).mean(1)
    ours = np.square(rounded(samples, by_channel(samples)) - samples).mean(1)
    assert (ours < plain).all() and ours.sum() < 0.9 * plain.sum()
    together = of_all(samples)
    assert len(set(together.scale)) == len(set(together.zero)) == 1
    assert np.square(rounded(samples, together) - samples).mean() < 20 * ours.mean()


@pytest.mark.parametrize("zero", [0.0, 128.0, None])
def test_ranges_have_the_zero_that_is_asked_for(zero: float | None) -> None:
    samples = np.abs(np.random.default_rng(1).normal(size=(3, 500))) * (1 if zero == 0 else -1)
    given = by_channel(samples, zero)
    assert zero is None or (given.zero == zero).all()
    assert ((given.zero >= 0) & (given.zero <= 255)).all()
    assert np.abs(rounded(samples, given) - samples).mean() < 0.02


def test_channels_that_hardly_act_keep_a_reach() -> None:
    samples = np.stack([np.linspace(0, 10, 100), np.full(100, 1e-6)])
    assert by_channel(samples, 0.0).scale[1] == pytest.approx(0.02 * by_channel(samples, 0.0).scale[0])


def test_samples_are_spread_over_all_qualities(monkeypatch: pytest.MonkeyPatch) -> None:
    model, levels = fresh(), []
    forward = CodecModel.forward

    def noted(self: CodecModel, x: torch.Tensor, level: torch.Tensor, **named: bool) -> Any:
        levels.append(float(level))
        return forward(self, x, level, **named)

    monkeypatch.setattr(CodecModel, "forward", noted)
    samples = calibration.collect(model, {"patch": model.g_s.patch}, pictures(), crops=8)
    assert samples["patch"].shape == (48, 8 * (calibration.PER_CROP + 2))
    assert min(levels) < 8 and max(levels) > 55 and len(set(levels)) == 8
    assert SIZES["tiny"].n == 48
