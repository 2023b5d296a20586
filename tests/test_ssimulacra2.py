"""SSIMULACRA 2 as a share of the codec's distortion: the metric's value, and a gradient that helps."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import smooth

torch = pytest.importorskip("torch")

from aecodec.training.objectives import Forward, codec_objective  # noqa: E402
from aecodec.training.objectives.settings import ObjectiveSettings  # noqa: E402
from aecodec.training.objectives.ssimulacra2 import SCALE, SHORTEST_SIDE, WEIGHTS, errors, score  # noqa: E402


def tensor(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def worse(picture: np.ndarray) -> list[np.ndarray]:
    """Noise of two strengths, blur, blocks with edges, and less colour; none of them at the borders, where
    blurs of one metric differ from those of another."""
    noise = np.random.default_rng(5).normal(0, 1, picture.shape)
    means = picture.reshape(picture.shape[0] // 8, 8, -1, 8, 3).mean((1, 3))
    blurred = sum(np.roll(picture.astype(float), k, a) for k in range(-3, 4) for a in (0, 1)) / 14
    grey = picture.mean(2, keepdims=True)
    found = [
        picture + 2 * noise,
        picture + 15 * noise,
        blurred,
        means.repeat(8, 0).repeat(8, 1),
        0.9 * picture + 0.1 * grey,
    ]
    inside = np.pad(np.ones((picture.shape[0] - 96, picture.shape[1] - 96, 1)), ((48, 48), (48, 48), (0, 0)))
    return [np.clip(np.round(np.where(inside, p, picture)), 0, 255).astype(np.uint8) for p in found]


def test_it_is_the_metric() -> None:
    """That of the package which the benchmarks use."""
    pytest.importorskip("ssimulacra2")
    from benchmarks.perceptual import ssimulacra2

    picture = smooth(4, 320, 384)
    others = worse(picture)
    found = score(errors(tensor(*others), tensor(*[picture] * len(others)))).tolist()
    wanted = [ssimulacra2(picture, other) for other in others]
    assert found == pytest.approx(wanted, rel=0.04, abs=2)
    assert max(wanted) - min(wanted) > 40


def test_equal_pictures_have_no_errors() -> None:
    x = tensor(smooth(4, SHORTEST_SIDE, SHORTEST_SIDE))
    roots = sum(sum(w[3:]) for channels in WEIGHTS for w in channels.values()) * 1e-18**0.25
    assert float(errors(x, x)) == pytest.approx(roots, rel=0.02)
    assert float(score(torch.zeros(1))) == 100


def test_gradients_are_finite_and_help() -> None:
    x = tensor(smooth(6, 160, 160))
    noisy = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    for start in (noisy, x.clone(), torch.zeros_like(x), torch.full_like(x, 1.5) - noisy):
        start.requires_grad_()
        (slope,) = torch.autograd.grad(errors(start, x).sum(), start)
        assert torch.isfinite(slope).all()
    before = errors(noisy, x)
    (slope,) = torch.autograd.grad(before.sum(), noisy)
    after = errors(noisy - 1e-3 * slope / slope.abs().mean(), x)
    assert float(after.detach()) < float(before.detach())


def test_the_share_of_the_distortion() -> None:
    picture = smooth(4, 192, 192)
    x, x_hat = tensor(picture, picture), tensor(*worse(picture)[:2])
    out = Forward(x, x, x_hat, x, bits=torch.zeros(2))
    parts = [
        codec_objective(ObjectiveSettings(**shares)).distortion(out)
        for shares in ({}, {"structure": 1.0}, {"structure": 0.5, "ssimulacra2": 0.6})
    ]
    torch.testing.assert_close(parts[2], 0.2 * parts[0] + 0.2 * parts[1] + 0.6 * SCALE * errors(x_hat, x))
    for shares in ({"ssimulacra2": 1.1}, {"structure": -0.1}):
        with pytest.raises(ValueError, match=f"'{next(iter(shares))}' wants 0 to 1"):
            codec_objective(ObjectiveSettings(**shares))


def test_borders_count() -> None:
    """Lines in the outermost rows are as bad as lines inside: with zeros beyond the border they were not."""
    x = tensor(smooth(4, 192, 192))
    found = []
    for top in (0, 96):
        lines = x.clone()
        lines[:, :, top : top + 8 : 2] += 0.06
        found.append(float(errors(lines, x)))
    assert found[0] > 0.6 * found[1]
