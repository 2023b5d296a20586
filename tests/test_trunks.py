"""Export: 8-bit trunks far from 0 or reaching differently far by quality; weights rounded for inputs."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from export_models import fresh, largest_pairs, pictures, silenced  # noqa: E402
from onnx import TensorProto  # noqa: E402
from torch import nn  # noqa: E402

from aecodec.training.layers import LEVELS, Block  # noqa: E402
from aecodec.training.model import CodecModel  # noqa: E402
from export.calibration import CLASSES, PER_CROP, Range, centred, levels_of, swing_of, without_swing  # noqa: E402
from export.int8 import calibrated, int8_graphs  # noqa: E402
from export.int8_builder import Int8Builder  # noqa: E402
from export.prune import blocks_of, prune  # noqa: E402
from export.rounding import bias_correction, least_error, nearest  # noqa: E402
from export.trunk import SwingingTrunk, Trunk, plain, twice_as_fine  # noqa: E402

CROPS = 2 * CLASSES
WIDTH = 16


def correlated(rng: np.random.Generator, count: int, mean: float) -> np.ndarray:
    """[24, count]: inputs of which a few causes explain nearly all."""
    mixed = rng.normal(size=(24, 4)) @ rng.normal(size=(4, count))
    return mixed + 0.2 * rng.normal(size=(24, count)) + mean


def test_weights_are_rounded_for_the_inputs_at_hand() -> None:
    rng = np.random.default_rng(0)
    x, fresh = np.split(correlated(rng, 8000, 50.0), 2, axis=1)
    scale = rng.uniform(0.02, 0.08, 24)
    seen = Range(scale, np.zeros(24), x.mean(1), np.cov(x, bias=True))
    weight = rng.normal(size=(40, 24)) * scale

    def error(kernel: np.ndarray, steps: np.ndarray) -> float:
        off = (weight - kernel * steps[:, None]) @ (fresh / scale[:, None])
        off -= bias_correction(weight, kernel, steps, seen)[:, None]
        return float(np.square(off).mean())

    plain_kernel, plain_steps = nearest(weight)
    kernel, steps = least_error(weight, seen)
    assert (steps <= plain_steps).all() and not np.array_equal(kernel, plain_kernel)
    assert np.array_equal(kernel, np.rint(kernel)) and np.abs(kernel).max() <= 127
    assert np.abs(kernel - weight / steps[:, None]).max() < 8
    assert error(kernel, steps) < 0.35 * error(plain_kernel, plain_steps)


def test_inputs_that_vary_alone_or_are_unknown_are_rounded_to_the_nearest() -> None:
    rng = np.random.default_rng(1)
    weight, scale = rng.normal(size=(8, 24)), rng.uniform(0.1, 1, 24)
    assert np.array_equal(least_error(weight, Range(scale, np.zeros(24)))[0], nearest(weight)[0])
    alone = Range(scale, np.zeros(24), 0.0, np.diag(rng.uniform(0.1, 9, 24)))
    kernel, steps = least_error(weight, alone)
    other = kernel != np.rint(weight / steps[:, None])
    full = largest_pairs(kernel)[:, :, None].repeat(2, 2).reshape(kernel.shape) == 128
    assert other.mean() < 0.05 and (full | (np.abs(kernel) == 127))[other].all()  # what was cut
    assert not least_error(np.zeros((3, 24)), alone)[0].any()


def test_pairs_of_weights_leave_room_for_sums_of_16_bits() -> None:
    rng = np.random.default_rng(4)
    x = correlated(rng, 4000, 3.0)
    seen = Range(np.ones(24), np.zeros(24), x.mean(1), np.cov(x, bias=True))
    for weight in (rng.normal(size=(40, 24)), 1 + 0.1 * rng.random((40, 24)), -np.ones((4, 24))):
        for kernel, steps in (nearest(weight), least_error(weight, seen)):
            assert 120 < largest_pairs(kernel).max() <= 128
            assert (steps >= np.abs(weight).max(1) / 127 - 1e-12).all()
    odd = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 2.0]])
    assert np.array_equal(nearest(odd)[0], [[64, 64, 64], [0, 0, 127]])
    wide = rng.normal(size=(8, 6, 3, 3))
    kernel = nearest(wide)[0].transpose(0, 2, 3, 1).reshape(8, -1)
    assert 120 < largest_pairs(kernel).max() <= 128


def test_covariances_follow_the_units() -> None:
    rng = np.random.default_rng(2)
    x, level, middle = rng.normal(size=(3, 50)), np.array([2.0, 3.0, 0.5]), np.array([1.0, -4.0, 9.0])
    seen = Range(np.ones(3), np.zeros(3), x.mean(1), np.cov(x, bias=True)).times(level).shifted(middle)
    real = x * level[:, None] + middle[:, None]
    assert np.allclose(seen.mean, real.mean(1)) and np.allclose(seen.covariance, np.cov(real, bias=True))
    assert np.allclose((7 - seen.zero) * seen.scale, 7 * level + middle)
    assert seen.repeated(9).covariance is None


def swinging(rng: np.random.Generator, channels: int, factor: float) -> np.ndarray:
    """Samples as `collect` has them, `factor` times as far at the lowest quality as at the highest."""
    shrink = factor ** (-levels_of(CROPS) / (LEVELS - 1))
    samples = rng.normal(size=(channels, CROPS, PER_CROP + 2)) * shrink[:, None]
    return samples.reshape(channels, -1)


def test_a_swing_is_found_and_taken_away() -> None:
    samples = swinging(np.random.default_rng(3), 6, 8.0)
    swing = swing_of(samples, 5 * samples)
    assert swing.shape == (CLASSES,) and (np.diff(swing) < 0).all()
    assert swing[0] / swing[-1] == pytest.approx(8.0 ** ((CLASSES - 1) / CLASSES), rel=0.1)
    before, after = (s.reshape(6, CROPS, -1).std((0, 2)) for s in (samples, without_swing(samples, swing)))
    assert after.max() / after.min() < 1.3 < 6 < before.max() / before.min()


def test_crops_of_nothing_do_not_decide_the_swing() -> None:
    samples = swinging(np.random.default_rng(3), 6, 8.0)
    samples[:, : 3 * (PER_CROP + 2)] = 0
    swing = swing_of(samples)
    assert swing.max() <= 8 and swing.min() >= 1 / 8
    assert np.array_equal(swing_of(0 * samples), np.ones(CLASSES))
    with pytest.raises(ValueError, match="no whole number of crops"):
        swing_of(samples[:, 1:])


def test_the_middle_of_a_channel_lies_between_its_ends() -> None:
    samples = np.stack([np.linspace(90, 110, 5000), np.linspace(-3, 1, 5000)])
    middle, reach = centred(samples[:, :2500], samples[:, 2500:])
    assert middle == pytest.approx([100, -1], rel=0.01) and reach == pytest.approx([10, 2], rel=0.01)


def stage_and_samples() -> tuple[nn.Sequential, nn.Conv2d, dict[str, np.ndarray]]:
    """A block behind which a layer reads, and what they see at all qualities: trunks far from 0."""
    torch.manual_seed(4)
    stage, reader = nn.Sequential(Block(WIDTH)), nn.Conv2d(WIDTH, 4 * WIDTH, 1)
    block = stage[0]
    with torch.no_grad():
        for layer in (block.mix_in, block.spatial, block.mix_out, block.expand, block.contract):
            layer.bias.normal_(std=0.5)
    kept: dict[str, list[np.ndarray]] = {}

    def keep(name: str) -> object:
        def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            flat = inputs[0].transpose(0, 1).flatten(1)
            kept.setdefault(name, []).append(flat[:, : PER_CROP + 2].detach().numpy().astype(float))

        return hook

    kinds = ("mix_in", "spatial", "mix_out", "expand", "contract")
    for kind in kinds:
        getattr(block, kind).register_forward_pre_hook(keep(f"trunk.0.{kind}"))
    reader.register_forward_pre_hook(keep("reader"))
    with torch.no_grad():
        for level in levels_of(CROPS):
            reader(stage(inputs(level)))
    return stage, reader, {name: np.concatenate(parts, 1) for name, parts in kept.items()}


def inputs(level: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + int(level * 100))
    reach = 6.0 ** (1 - level / (LEVELS - 1))
    return torch.randn(1, WIDTH, 12, 12, generator=generator) * reach


def graph_of(
    kind: type[Trunk],
    stage: nn.Sequential,
    reader: nn.Conv2d,
    samples: dict[str, np.ndarray],
    alone: bool = False,
) -> object:
    g = Int8Builder("trunk")
    x = g.input("x", TensorProto.FLOAT, [1, "h", "w", WIDTH])
    quality = g.input("quality", TensorProto.FLOAT, [1])
    g.quality_class(quality)
    trunk = kind(g, "trunk", stage, samples, "reader")
    swing = trunk.swing if trunk.swing is not None else np.ones(CLASSES)
    x = g.op("Sub", x, g.const(trunk.middle))
    x = trunk.run(g.op("Mul", x, g.chosen(1 / (swing[:, None] * trunk.level))))
    q, seen = (trunk.rounded_alone if alone else trunk.rounded)(x, "reader")
    out = g.to_float(q, *plain(reader), seen, None if trunk.swing is None else swing)
    model = g.finish({"out": (out, TensorProto.FLOAT, [1, "h", "w", 4 * WIDTH])})
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def noise(session: object, stage: nn.Sequential, reader: nn.Conv2d, level: float) -> float:
    """Relative squared error on inputs that the ranges were not found on."""
    x = inputs(level, seed=7)
    with torch.no_grad():
        wanted = reader(stage(x)).permute(0, 2, 3, 1).numpy()
    feed = {"x": x.permute(0, 2, 3, 1).contiguous().numpy(), "quality": np.array([level], np.float32)}
    (found,) = session.run(None, feed)
    return float(np.square(found - wanted).mean() / wanted.var())


@pytest.mark.parametrize("level", [0.0, 3.99, 4.0, 31.6, 62.2, 63.0])
def test_a_swinging_trunk_is_as_exact_at_every_quality(level: float) -> None:
    stage, reader, samples = stage_and_samples()
    swung = noise(graph_of(SwingingTrunk, stage, reader, samples), stage, reader, level)
    assert swung < 1e-3
    if level > 60:
        assert swung < 0.3 * noise(graph_of(Trunk, stage, reader, samples), stage, reader, level)


@pytest.mark.parametrize("alone", [False, True])
def test_trunks_far_from_zero_lose_no_steps(alone: bool) -> None:
    """A constant of a hundred times what varies in every channel."""
    stage, reader, samples = stage_and_samples()
    far = np.where(np.arange(WIDTH) % 2, 300.0, -300.0)
    moved = torch.from_numpy(far).float()
    with torch.no_grad():
        for layer in (stage[0].mix_in, stage[0].expand, reader):
            layer.bias -= layer.weight[:, :, 0, 0] @ moved
    for name in ("trunk.0.mix_in", "trunk.0.expand", "reader"):
        samples[name] = samples[name] + far[:, None]
    x = inputs(20.0) + moved[None, :, None, None]
    with torch.no_grad():
        wanted = reader(stage(x)).permute(0, 2, 3, 1).numpy()
    session = graph_of(Trunk, stage, reader, samples, alone)
    feed = {"x": x.permute(0, 2, 3, 1).contiguous().numpy(), "quality": np.zeros(1, np.float32)}
    assert np.square(session.run(None, feed)[0] - wanted).mean() < 2e-3 * wanted.var()


def test_a_layer_can_give_a_trunk_in_the_middle() -> None:
    """twice_as_fine into a centred trunk, and back out of it by a float layer."""
    stage, _, samples = stage_and_samples()
    up = nn.Conv2d(8, 4 * WIDTH, 1)
    g = Int8Builder("up")
    q = g.input("q", TensorProto.UINT8, [1, "h", "w", 8])
    trunk = Trunk(g, "trunk", stage, samples, "reader")
    trunk.middle = trunk.middle + 3.0
    seen = Range(np.full(8, 0.02), np.full(8, 128.0))
    fine = twice_as_fine(g, q, up, seen, trunk)
    out = g.linear(fine, *trunk.reading(np.eye(WIDTH), np.zeros(WIDTH)))
    model = g.finish({"out": (out, TensorProto.FLOAT, [1, "h", "w", WIDTH])})
    values = np.random.default_rng(5).integers(0, 256, (1, 5, 6, 8), np.uint8)
    x = torch.from_numpy((values - 128.0) * 0.02).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = nn.functional.pixel_shuffle(up(x), 2).permute(0, 2, 3, 1).numpy()
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"q": values})
    assert np.abs(found - wanted).max() < 0.05


def test_rows_by_quality_need_a_quality() -> None:
    with pytest.raises(ValueError, match="before quality_class"):
        Int8Builder("layer").chosen(np.zeros((CLASSES, 3)))


def test_no_layer_gives_a_trunk_that_swings() -> None:
    stage, reader, samples = stage_and_samples()
    trunk = SwingingTrunk(Int8Builder("trunk"), "trunk", stage, samples, "reader")
    with pytest.raises(ValueError, match="trunk: no layer gives"):
        trunk.giving(*plain(reader))


def made(model: CodecModel) -> dict[str, onnx.ModelProto]:
    samples = calibrated(model, "relu", pictures(), crops=4)
    assert samples is not None
    return int8_graphs(model, samples)


@pytest.mark.parametrize("part", ["g_s.patch", "g_a.patch", "h_s.up1"])
def test_constant_trunks_make_no_nan(part: str) -> None:
    model = fresh()
    with torch.no_grad():
        model.get_submodule(part).weight.zero_()
        model.get_submodule(part).bias.fill_(3.0)
    for name, graph in made(model).items():
        for tensor in graph.graph.initializer:
            assert np.isfinite(onnx.numpy_helper.to_array(tensor)).all(), name


def test_stages_without_live_units_are_exported() -> None:
    model = silenced(fresh(), 1.0)
    with torch.no_grad():
        for block in (*blocks_of(model.g_a.blocks), *blocks_of(model.g_a.deep)):
            block.mix_in.bias.fill_(-1e4)
    prune(model, pictures(), crops=2, side=64)
    assert model.g_a.deep[0].mix_in is None and model.g_a.deep[0].expand is None
    assert made(model).keys() >= {"analysis", "synthesis"}
