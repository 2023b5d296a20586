"""The numerical parts of training: optimiser, KLT start, densities, checkerboard, quality vectors."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import smooth

torch = pytest.importorskip("torch")
F = torch.nn.functional

from aecodec.training import optim  # noqa: E402
from aecodec.training.config import Config  # noqa: E402
from aecodec.training.data import klt_basis  # noqa: E402
from aecodec.training.entropy_model import HyperPrior, symbol_bits  # noqa: E402
from aecodec.training.layers import QualityVector, checkerboard, depth_to_space, space_to_depth  # noqa: E402
from aecodec.training.model import SIZES, CodecModel  # noqa: E402
from aecodec.training.objectives.rate import seam_error  # noqa: E402
from aecodec.training.optim import Muon, orthogonalise  # noqa: E402
from aecodec.training.train import schedule  # noqa: E402
from aecodec.training.transforms import Lapped, Refinement, half_order  # noqa: E402


@pytest.mark.parametrize("shape", [(3, 24, 64), (2, 64, 24), (1, 48, 48)])
@pytest.mark.parametrize("fast", [False, True])
def test_orthogonalise(shape: tuple[int, int, int], fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optim, "multiplies_bfloat16", lambda _: fast)
    torch.manual_seed(0)
    g = torch.randn(shape)
    out = orthogonalise(g)
    assert out.shape == g.shape
    values = torch.linalg.svdvals(out)
    if shape[1] != shape[2]:  # a square random matrix has singular values near 0, which five steps keep
        assert 0.6 < float(values.min())
    assert float(values.max()) < 1.3
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    nearest = (u @ v).flatten(1)
    cosine = torch.nn.functional.cosine_similarity(out.flatten(1), nearest)
    assert float(cosine.min()) > 0.95, "the singular vectors are those of g"


def test_muon_step_has_the_size_of_the_learning_rate() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(32, 16, 1, 1))
    weight.grad = torch.randn(32, 16, 1, 1) * 1e-4
    Muon([weight], lr=0.01).step()
    norm = torch.linalg.svdvals(weight.detach().flatten(1)).max().item()
    assert norm == pytest.approx(0.01 * 2**0.5, rel=0.3)
    assert float((weight.detach() * weight.grad).sum()) < 0, "against the gradient"


def test_a_rate_that_is_constant_to_the_end() -> None:
    cfg = Config(warmup=4, constant=1.0)
    assert [schedule(step, 0.3, cfg) for step in (0, 3, 9)] == [0.25, 1.0, 1.0]
    assert schedule(9, 0.999, cfg) == 1.0


def test_klt_basis_and_start() -> None:
    pictures = [torch.from_numpy(smooth(i)).permute(2, 0, 1).contiguous() for i in range(4)]
    basis, deviation = klt_basis(pictures, 48, patches=3000)
    assert basis.shape == (48, 768)
    torch.testing.assert_close(basis @ basis.T, torch.eye(48), atol=1e-4, rtol=0)
    assert (deviation[:-1] >= deviation[1:]).all()

    deviation = deviation.clamp(min=1e-3)
    torch.manual_seed(0)
    model = CodecModel(SIZES["tiny"])
    gain = model.gain(torch.tensor([20.0]))
    model.start_from_klt(basis, deviation)
    for net in (model.g_a, model.g_s):
        torch.nn.init.zeros_(net.head.conv.weight)
        torch.nn.init.zeros_(net.head.conv.bias)
    level = torch.tensor([20.0])
    x = torch.from_numpy(smooth(9, 64, 128)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        y = model.g_a(x, level)
        mse = float((model.g_s(y, level) - x).square().mean())
        assert 10 * np.log10(1 / mse) > 35, "the shortcut alone is a working transform"
        torch.testing.assert_close(model.gain(level) * model.inverse_gain(level), torch.ones(1, 48, 1, 1))
        torch.testing.assert_close(model.gain(level) / gain, deviation[None, :, None, None])


def test_lapped_functions_reach_one_patch_and_no_further() -> None:
    torch.manual_seed(0)
    lapped = Lapped(48)
    y, level = torch.randn(1, 48, 5, 5), torch.tensor([10.0])
    assert not lapped(y, level).any(), "it starts from nothing"
    torch.nn.init.normal_(lapped.conv.weight)
    changed = y.clone()
    changed[:, :32, 0, 0] += 1
    difference = (lapped(changed, level) - lapped(y, level)).abs().sum(1)[0]
    assert (
        (difference[:2, :2] > 0.01).all() and difference[2:].max() < 1e-4 and difference[:, 2:].max() < 1e-4
    )
    changed = y.clone()
    changed[:, 32:] += 1
    assert torch.equal(lapped(changed, level), lapped(y, level)), "only the leading latents lap"
    assert lapped(y, level).std() > 2 * lapped(y, torch.tensor([40.0])).std(), "less where latents are finer"


def test_seam_error_is_of_steps_at_patch_edges_in_flat_areas() -> None:
    flat = torch.zeros(2, 3, 48, 64)
    ramp = torch.linspace(0, 0.5, 64).expand_as(flat)
    assert float(seam_error(flat + 0.1, flat).max()) < 1e-12, "no step"
    assert float(seam_error(flat + ramp, flat).max()) < 0.003, "a slope is hardly one"
    step = flat.clone()
    step[1, :, :, 16:] += 0.1  # one of three upright edges; those across count as much
    found = seam_error(step, flat)
    assert float(found[0]) == 0 and float(found[1]) == pytest.approx(0.1**2 / 3 / 2)
    inside = flat.clone()
    inside[:, :, :, 24:] += 0.1
    assert float(seam_error(inside, flat).max()) == 0, "not at an edge of patches"
    assert float(seam_error(flat + step, flat + 2 * step)[1]) < 0.05 * float(found[1]), "the picture hides it"


def test_rearrangements_are_those_of_pixel_shuffle() -> None:
    x = torch.randn(2, 3, 32, 48)
    assert torch.equal(space_to_depth(x, 8), F.pixel_unshuffle(x, 8))
    for side in (8, 16):
        patches = torch.randn(2, 3 * side * side, 3, 2)
        picture = depth_to_space(half_order(patches.transpose(0, 1), side).transpose(0, 1), side // 2)
        assert torch.equal(F.pixel_shuffle(picture, 2), F.pixel_shuffle(patches, side))


def test_refinement_starts_from_nothing_and_sees_four_pixels() -> None:
    torch.manual_seed(0)
    refine = Refinement(8, 16)
    picture, features = torch.randn(1, 12, 16, 16), torch.randn(1, 8, 4, 4)
    assert not refine(picture, features).any()
    torch.nn.init.normal_(refine.correct.weight)
    changed = picture.clone()
    changed[:, :, 0, 0] += 1
    difference = (refine(changed, features) - refine(picture, features)).abs().sum(1)[0]
    assert difference[:3, :3].min() > 0 and not difference[3:].any() and not difference[:, 3:].any()
    other = features.clone()
    other[:, :, 3, 3] += 1
    difference = (refine(picture, other) - refine(picture, features)).abs().sum(1)[0]
    assert difference[11:, 11:].all() and not difference[:11].any() and not difference[:, :11].any()


@pytest.mark.parametrize("index", [0.0, 3.0, 17.5, 40.0, 63.0])
def test_symbol_bits_are_those_of_a_distribution(index: float) -> None:
    value = torch.arange(-3000, 3001, dtype=torch.float64)
    bits = symbol_bits(value, torch.tensor(index, dtype=torch.float64))
    assert float((2.0**-bits).sum()) == pytest.approx(1, abs=2e-3)
    assert torch.equal(bits, bits.flip(0)) and (bits >= 0).all()
    scale = 0.11 * (64 / 0.11) ** (index / 63)
    spread = float((2.0**-bits * value**2).sum()) ** 0.5
    if scale > 1:
        assert spread == pytest.approx((scale**2 + 1 / 12) ** 0.5, rel=0.03)


def test_hyper_prior_is_a_distribution() -> None:
    """Of each symbol, whatever its neighbours are."""
    prior = HyperPrior(3)
    around = torch.randn(1, 3, 5, 6).mul(5).round()
    values = torch.arange(-2000.0, 2001.0)[:, None, None, None].expand(-1, 3, 5, 6)
    with torch.no_grad():
        prior.scale.knots += torch.tensor([-1.0, 0.0, 2.0])
        prior.neighbours.weight.normal_(std=0.05)
        prior.neighbours.spread.normal_(std=0.03)
        total = (2.0 ** -prior.bits(values, around, torch.tensor([12.0]))).sum(0)
    torch.testing.assert_close(total, torch.ones(3, 5, 6), atol=1e-3, rtol=0)


def test_checkerboard_halves_are_a_partition() -> None:
    first = checkerboard(6, 5, 7, torch.device("cpu"))[0]
    assert first.shape == (6, 5, 7) and set(first.unique().tolist()) == {0.0, 1.0}
    assert first[0, 0, 0] == 1 and first[3, 0, 0] == 0, "halves of the channels start differently"
    assert torch.equal(first[:3] + first[3:], torch.ones(3, 5, 7))
    assert not (first[:, 1:] * first[:, :-1]).any() and not (first[:, :, 1:] * first[:, :, :-1]).any()


def test_quality_vector_interpolates() -> None:
    torch.manual_seed(0)
    for log in (True, False):
        vector = QualityVector(4, knots=9, start=0.5, slope=0.01, log=log)
        torch.nn.init.normal_(vector.knots)

        def value(level: float, vector: QualityVector = vector, log: bool = log) -> torch.Tensor:
            out = vector(torch.tensor([level])).detach()[0, :, 0, 0]
            return out.log() if log else out

        torch.testing.assert_close(value(0.0), vector.knots[0].detach() + 0.5)
        torch.testing.assert_close(value(63.0), vector.knots[8].detach() + 0.5 + 0.63)
        torch.testing.assert_close(value(63 / 8), vector.knots[1].detach() + 0.5 + 0.63 / 8)
        torch.testing.assert_close(value(63 / 16), (value(0.0) + value(63 / 8)) / 2)
        torch.testing.assert_close(vector.table()[20], value(20.0))
    levels = torch.tensor([3.0, 40.0])
    assert vector(levels).shape == (2, 4, 1, 1)
    torch.testing.assert_close(vector(levels)[1, :, 0, 0].detach(), value(40.0))
