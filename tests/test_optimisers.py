"""Optimisers and the sizes of networks that a configuration can choose."""

from __future__ import annotations

import pytest
import torch

from aecodec.training.config import Config
from aecodec.training.model import SIZES, CodecModel, size_of
from aecodec.training.optim import Muon, make_optimisers
from aecodec.training.soap import Soap


def least_squares(optimiser_of, steps: int) -> float:
    """Loss left of a badly scaled quadratic, |A (W - W*) B|^2 with condition numbers of 100."""
    torch.manual_seed(0)
    a = torch.linalg.qr(torch.randn(12, 12))[0] * torch.logspace(0, -1, 12)[:, None]
    b = torch.linalg.qr(torch.randn(20, 20))[0] * torch.logspace(0, -1, 20)
    wanted = torch.randn(12, 20)
    weight = torch.nn.Parameter(torch.zeros(12, 20, 1, 1))
    optimiser = optimiser_of([weight])
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = group.setdefault("start", group["lr"]) * (1 - step / steps)
        loss = (a @ (weight[:, :, 0, 0] - wanted) @ b).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def test_soap_is_adam_in_a_better_basis():
    """On a quadratic whose axes are turned against the coordinates it gets further than Adam does."""
    adam = min(least_squares(lambda p, lr=lr: torch.optim.Adam(p, lr), 200) for lr in (0.01, 0.03, 0.1, 0.3))
    soap = min(least_squares(lambda p, lr=lr: Soap(p, lr), 200) for lr in (0.01, 0.03, 0.1, 0.3))
    assert soap < 0.5 * adam


def test_soap_decays_weights():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    soap = Soap([weight], lr=0.1, weight_decay=0.5)
    for _ in range(2):  # the first step only gives the basis
        weight.grad = torch.zeros(4, 4)
        soap.step()
    assert torch.allclose(weight, torch.full((4, 4), 0.95))


@pytest.mark.parametrize(
    ("setting", "dense", "scales"),
    [("all", True, True), ("float", True, False), ("transforms", False, False)],
)
def test_dense_layers(setting, dense, scales):
    model = CodecModel(SIZES["tiny"])
    chosen = make_optimisers(model, Config(dense_layers=setting))[0]
    assert isinstance(chosen, Muon)
    names = {id(p): name for name, p in model.named_parameters()}
    inside = {names[id(p)].split(".")[0] for group in chosen.param_groups for p in group["params"]}
    assert ("context" in inside, "scales" in inside) == (dense, scales)
    assert {"g_a", "g_s"} <= inside


def test_centres_are_kept_for_own_weights_alone():
    """A layer that Adam has, or that is frozen, must not enter Muon's state: it could not be saved."""
    model = CodecModel(SIZES["tiny"])
    model.g_s.requires_grad_(False)
    muon = make_optimisers(model, Config(dense_layers="transforms"))[0]
    layers = (model.g_a.blocks[0].expand, model.context.blocks[0].expand, model.g_s.blocks[0].expand)
    for layer in layers:
        muon.centre(layer.weight, torch.ones(layer.in_channels))
    assert [layer.weight in muon.state for layer in layers] == [True, False, False]
    assert len(muon.state_dict()["state"]) == 1


def test_every_weight_has_one_optimiser():
    for name in ("muon", "soap", "adam"):
        model = CodecModel(SIZES["tiny"])
        optimisers = make_optimisers(model, Config(optimiser=name))
        found = [id(p) for o in optimisers for group in o.param_groups for p in group["params"]]
        assert sorted(found) == sorted(id(p) for p in model.parameters())
        assert len(optimisers) == (1 if name == "adam" else 2)


def test_unknown_settings():
    model = CodecModel(SIZES["tiny"])
    with pytest.raises(ValueError, match="'optimiser': 'sgd' is unknown; known: muon, soap, adam"):
        make_optimisers(model, Config(optimiser="sgd"))
    with pytest.raises(ValueError, match="'dense_layers'"):
        make_optimisers(model, Config(dense_layers="some"))
    with pytest.raises(ValueError, match="'shape': 'depth' is unknown; known: c, encoder_blocks"):
        size_of("tiny", {"depth": 3})


def test_shape_changes_the_size():
    cfg = Config.load(None, ["size=tiny", "shape={c = 40, deep = 0}"])
    size = size_of(cfg.size, cfg.shape)
    assert (size.c, size.deep, size.n) == (40, 0, SIZES["tiny"].n)
    assert len(CodecModel(size).g_a.deep) == 0
