"""Wider models that start where a narrow one ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from aecodec.training.checkpoint import warm_start  # noqa: E402
from aecodec.training.model import SIZES, SKIP, CodecModel, Size  # noqa: E402
from aecodec.training.widen import widened  # noqa: E402

TINY = replace(SIZES["tiny"], n=64)
WIDER = {"c": 40, "width": 56, "scale_width": 40, "scale_width_second": 64}
X, LEVEL = torch.rand(2, 3, 128, 64, generator=torch.Generator().manual_seed(3)), torch.tensor([12.0, 50.0])


@pytest.fixture(scope="module")
def narrow() -> CodecModel:
    """Its weights moved, so that no gain is 1 and no bias 0."""
    torch.manual_seed(5)
    model = CodecModel(TINY).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            little = p.dim() > 2 or "scales" in name or "spread" in name
            p.add_(torch.randn_like(p) * (0.02 if little else 0.1))
    return model


def grown(narrow: CodecModel, size: Size, path: Path) -> tuple[CodecModel, list[str]]:
    torch.manual_seed(6)
    shape = {"n": TINY.n}
    torch.save({"model": narrow.state_dict(), "config": {"size": "tiny", "shape": shape}}, path)
    model = CodecModel(size).eval()
    return model, warm_start(model, str(path))


def test_a_wider_model_computes_the_same(narrow: CodecModel, tmp_path: Path) -> None:
    wide, new = grown(narrow, replace(TINY, **WIDER), tmp_path / "w.pt")
    assert new == []
    with torch.no_grad():
        a, b = (m(X, LEVEL, True, True) for m in (narrow, wide))
    assert torch.equal(a.index, b.index) and torch.equal(a.symbols, b.symbols)
    assert float(a.symbols.abs().sum()) > 1000 and len(a.index.unique()) > 10
    torch.testing.assert_close(b.x_hat, a.x_hat, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(b.y_bits + b.z_bits, a.y_bits + a.z_bits, atol=0.1, rtol=1e-5)


def test_new_channels_are_heard_and_learn(narrow: CodecModel, tmp_path: Path) -> None:
    """New rows and columns have a gradient, from the second step on those that the first one opens, too."""
    size = replace(TINY, **WIDER, n=80, z=24)
    wide, _ = grown(narrow, size, tmp_path / "w.pt")
    for _ in range(2):
        wide.zero_grad()
        out = wide(X, LEVEL)
        ((out.x_hat - X).square().sum() * 100 + out.y_bits.sum() + out.z_bits.sum()).backward()
        with torch.no_grad():
            for p in wide.parameters():
                if p.grad is not None:
                    p.sub_(1e-5 * p.grad.clamp(-1, 1))
    for name in (
        "g_a.patch",
        "g_a.head.conv",
        "g_s.patch",
        "g_s.deep.0.mix_in",
        "h_a.head.conv",
        "h_s.head.conv",
    ):
        grad = wide.get_submodule(name).weight.grad
        assert grad is not None
        assert (grad.flatten(1).abs().sum(1) > 0).float().mean() > 0.9, f"outputs of {name}"
        # Of latents that are still 0 there is nothing to learn yet.
        columns = grad if name == "g_s.patch" else grad.transpose(0, 1)
        assert (columns.flatten(1).abs().sum(1) > 0).float().mean() > 0.9, f"inputs of {name}"


def test_more_latents_say_nothing_at_first(narrow: CodecModel, tmp_path: Path) -> None:
    """The old ones keep their halves of the checkerboard, their symbols and their picture."""
    wide, _ = grown(narrow, replace(TINY, **WIDER, n=80, z=24), tmp_path / "w.pt")
    with torch.no_grad():
        a, b = (m(X, LEVEL, True, True) for m in (narrow, wide))
    old = torch.cat([torch.arange(32), 40 + torch.arange(32)])
    others = torch.ones(80, dtype=torch.bool)
    others[old] = False
    assert torch.equal(b.symbols[:, old], a.symbols) and torch.equal(b.index[:, old], a.index)
    assert not b.symbols[:, others].any() and not b.z_hat[:, 16:].any()
    assert set(b.index[:, others].unique().tolist()) == {SKIP + 1.0}, "nearly free, and not yet skipped"
    assert ((b.y_bits - a.y_bits) / b.symbols[0, others].numel() < 0.01).all()
    assert ((b.z_bits - a.z_bits) / b.z_hat[0, 16:].numel() < 0.4).all()
    torch.testing.assert_close(b.x_hat, a.x_hat, atol=2e-4, rtol=1e-3)


def test_new_hyper_latents_change_no_bits_of_the_others(narrow: CodecModel, tmp_path: Path) -> None:
    """Although their prior looks at a mean over all channels."""
    wide, _ = grown(narrow, replace(TINY, z=32), tmp_path / "w.pt")
    z = torch.zeros(2, 32, 8, 8)
    z[:, :16] = torch.randn(2, 16, 8, 8, generator=torch.Generator().manual_seed(1)).mul(4).round()
    assert narrow.hyper_prior.neighbours.spread.abs().min() > 0
    with torch.no_grad():
        a = narrow.hyper_prior.bits(z[:, :16], z[:, :16], LEVEL)
        b = wide.hyper_prior.bits(z, z, LEVEL)
    torch.testing.assert_close(b[:, :16], a, atol=1e-3, rtol=1e-3)


def test_what_cannot_be_widened_is_refused(narrow: CodecModel) -> None:
    few = SIZES["tiny"]  # 48 latents, of which the 32 that lap over are of both halves
    with pytest.raises(ValueError, match="lap over"):
        widened(CodecModel(few).state_dict(), few, CodecModel(replace(few, n=64)))
    with pytest.raises(ValueError, match="float_scales"):
        widened(narrow.state_dict(), TINY, CodecModel(replace(TINY, width=56), float_scales=True))


def test_a_narrower_model_is_refused(narrow: CodecModel) -> None:
    with pytest.raises(ValueError, match=r"g_a.patch.weight.*can only grow"):
        widened(narrow.state_dict(), TINY, CodecModel(replace(TINY, c=24)))
