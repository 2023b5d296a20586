"""Hidden units that have stopped to act start again, and Muon's steps leave the means of outputs alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aecodec.training.dormant import Dormant, hidden_layers, layer_inputs
from aecodec.training.model import SIZES, CodecModel
from aecodec.training.optim import Ema, Muon


@pytest.fixture
def model() -> CodecModel:
    torch.manual_seed(0)
    return CodecModel(SIZES["tiny"])


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 3, 128, 128), torch.tensor([10.0, 50.0])


def silence(model: CodecModel, share: float) -> None:
    with torch.no_grad():
        for h in hidden_layers(model):
            bias = model.get_parameter(f"{h.before}.bias")
            bias[: round(share * len(bias))] = -1e4
            model.get_parameter(f"{h.after}.bias").normal_()
            if h.spatial:
                model.get_parameter(f"{h.spatial}.bias").normal_()


def train_step(model: CodecModel, dormant: Dormant) -> None:
    x, level = batch()
    output = model(x, level)
    (output.x_hat.square().mean() + output.y_bits.mean() * 1e-6).backward()
    dormant.watch()


def test_units_start_again_without_a_change_of_what_is_computed(model: CodecModel) -> None:
    silence(model, 0.5)
    dormant, ema = Dormant(model), Ema(model, 0.9)
    train_step(model, dormant)
    x, level = batch()
    before = model(x, level, exact=True, hard=True)
    count, total = dormant.revive(layer_inputs(model, x, level), ema.weights, [])
    assert 0.5 * total <= count < 0.9 * total
    after = model(x, level, exact=True, hard=True)
    torch.testing.assert_close(after.x_hat, before.x_hat, rtol=0, atol=1e-4)
    assert torch.equal(after.index, before.index)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ema.weights[name], value)  # the averages hold the same new units

    acting: dict[str, float] = {}
    for h in hidden_layers(model):
        model.get_submodule(h.before).register_forward_hook(
            lambda _, __, out, name=h.before: acting.__setitem__(
                name, float((out > 0).float().mean((0, 2, 3))[: out.shape[1] // 2].min())
            )
        )
    model(x, level)
    assert min(acting.values()) > 0.02, "every new unit acts somewhere"


def test_new_units_learn_and_living_ones_are_left_alone(model: CodecModel) -> None:
    silence(model, 0.25)
    dormant, ema = Dormant(model), Ema(model, 0.9)
    train_step(model, dormant)
    kept = {h.before: model.get_parameter(f"{h.before}.weight").clone() for h in dormant.layers}
    acted = {name: value.clone() for name, value in dormant.acted.items()}
    x, level = batch()
    dormant.revive(layer_inputs(model, x, level), ema.weights, [])
    for h in dormant.layers:
        same = (model.get_parameter(f"{h.before}.weight") == kept[h.before]).flatten(1).all(1)
        assert torch.equal(same, acted[h.before])
    assert not any(value.any() for value in dormant.acted.values()), "a new look begins"
    model.zero_grad()
    train_step(model, dormant)
    for h in dormant.layers:  # outgoing weights are zero at first, and have a gradient
        grad = model.get_parameter(f"{h.after}.weight").grad
        assert grad is not None and (grad.flatten(2).norm(dim=(0, 2)) > 0).all()


def test_a_frozen_layer_counts_as_acting(model: CodecModel) -> None:
    model.g_a.requires_grad_(False)
    silence(model, 0.5)
    dormant = Dormant(model)
    train_step(model, dormant)
    assert all(value.all() for name, value in dormant.acted.items() if name.startswith("g_a"))
    assert not all(value.all() for name, value in dormant.acted.items() if name.startswith("g_s"))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_centred_step_keeps_the_mean_of_every_output(decay: float) -> None:
    torch.manual_seed(2)
    layer = torch.nn.Conv2d(6, 4, 1)
    x = torch.randn(3, 6, 5, 5) + 4
    mean = x.mean((0, 2, 3))
    weight, bias = layer.weight, layer.bias
    muon = Muon([weight], lr=0.3, weight_decay=decay, biases={weight: bias})
    muon.centre(weight, mean)
    before = layer(x)
    layer(x).relu().sum().backward()
    muon.step()
    after = layer(x)
    assert (after - before).abs().max() > 0.1
    torch.testing.assert_close(after.mean((0, 2, 3)), before.mean((0, 2, 3)), rtol=0, atol=1e-4)

    plain = torch.nn.Conv2d(6, 4, 1)
    plain(x).relu().sum().backward()
    moved = plain(x).mean((0, 2, 3)).detach()
    Muon([plain.weight], lr=0.3).step()
    assert (plain(x).mean((0, 2, 3)) - moved).abs().max() > 1
