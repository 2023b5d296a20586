"""MS-SSIM as a share of the codec's distortion: the metric's value, and a gradient that helps."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import smooth

torch = pytest.importorskip("torch")

from aecodec import metrics  # noqa: E402
from aecodec.training.objectives import Forward  # noqa: E402
from aecodec.training.objectives.distortion import Distortion  # noqa: E402
from aecodec.training.objectives.structure import SCALE, WithStructure, ms_ssim  # noqa: E402


def test_ms_ssim_is_the_metric() -> None:
    """That of aecodec.metrics, sample by sample."""
    x = smooth(4, 192, 208)
    noise = np.random.default_rng(5).normal(0, 1, x.shape)
    others = [np.clip(np.round(x + sigma * noise), 0, 255).astype(np.uint8) for sigma in (2, 20)]
    batch = [torch.from_numpy(np.stack(p)).permute(0, 3, 1, 2).float() / 255 for p in ((x, x), others)]
    found = ms_ssim(batch[1], batch[0])
    for value, other in zip(found.tolist(), others, strict=True):
        assert value == pytest.approx(metrics.ms_ssim(x, other), abs=2e-4)
    out = Forward(batch[0], batch[0], batch[1], batch[0])
    mse = Distortion("mse", 255.0, mean=True)
    mixed = WithStructure(mse, 0.25)(out)
    torch.testing.assert_close(mixed, 0.75 * mse(out) + 0.25 * SCALE * (1 - found))


def test_ms_ssim_has_a_gradient_that_helps() -> None:
    x = torch.from_numpy(smooth(6, 176, 176)).permute(2, 0, 1)[None].float() / 255
    worse = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    for start in (worse, torch.full_like(x, 0.5).requires_grad_()):
        (slope,) = torch.autograd.grad(ms_ssim(start, x).sum(), start)
        assert torch.isfinite(slope).all()
    before = ms_ssim(worse, x)
    (slope,) = torch.autograd.grad(before.sum(), worse)
    assert float(ms_ssim(worse + 1e-3 * slope / slope.abs().mean(), x).detach()) > float(before.detach())
