"""The context of z in training and in the exporter; the coder's own part is in test_entropy.py."""

from __future__ import annotations

import numpy as np
import pytest
import reference_coder

torch = pytest.importorskip("torch")

from aecodec import entropy  # noqa: E402
from aecodec.tables import make_tables  # noqa: E402
from aecodec.training.entropy_model import HyperPrior  # noqa: E402
from aecodec.training.z_context import neighbours, passes  # noqa: E402
from export.tables import quantise, symbol_probabilities  # noqa: E402
from export.z_context import fit_context, look, predict  # noqa: E402

LOWEST = 4
SCALES = np.geomspace(0.05, 12, 20)


def test_neighbours_are_those_of_the_format() -> None:
    """Against the plain Python of the tests: a full weight predicts the rounded mean."""
    z = torch.randn(2, 7, 6).mul(9).round()
    weight, nothing = [[64, 64]] * 4, [[[0] * 5] * 7] * 5
    symbols, index = reference_coder.z_symbols(
        z.long().tolist(), [1, 1], [1], weight, [1, 2, 3, 4], nothing, 1, 2
    )
    mean, size, way = neighbours(z[None])
    coded = torch.tensor(index)[:, 0] > 0  # [5, 7, 6]
    assert torch.equal(coded.long().argmax(0), passes(7, 6)) and torch.equal(way, passes(7, 6))
    predicted = z - torch.tensor(symbols).sum(0)
    torch.testing.assert_close(predicted, (mean[0] + 0.5 + 1e-6).floor(), atol=0, rtol=0)
    assert (size[0] >= mean[0].abs()).all()
    lonely = neighbours(z[None, :, :1, :1])
    assert not any(part.any() for part in lonely)


def drawn(pictures: int, seed: int) -> np.ndarray:
    """[pictures, 4, 8, 8]: two channels nearly constant over a picture, all loud or quiet as a whole."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 6, (pictures, 4, 1, 1)) * np.array([1, 1, 0, 0])[:, None, None]
    loudness = np.exp(rng.normal(0, 1, (pictures, 1, 1, 1)))
    return np.clip(np.round(level + loudness * rng.laplace(0, 1, (pictures, 4, 8, 8))), -127, 127)


def test_a_prior_learns_what_neighbours_say() -> None:
    torch.manual_seed(1)
    z = torch.from_numpy(drawn(32, 1)).float()
    level, cost = torch.full((32,), 20.0), {}
    for context in (False, True):
        prior = HyperPrior(4)
        prior.neighbours.requires_grad_(context)
        optimiser = torch.optim.Adam(prior.parameters(), lr=0.01)
        for _ in range(200):
            bits = prior.bits(z, z, level).mean()
            optimiser.zero_grad()
            bits.backward()
            optimiser.step()
        cost[context] = float(bits.detach())
    assert cost[True] < 0.85 * cost[False]


def test_a_fitted_context_makes_z_cheaper() -> None:
    """Other z than that of the fit; and the exporter's own prediction is the coder's."""
    row = np.array([16, 16, 12, 12])
    priors = np.stack([symbol_probabilities(s) for s in SCALES])
    seen = look([(z.astype(np.int16), row) for z in drawn(150, 2)])
    context = fit_context(seen, priors)
    assert (context.weight[:, :2] > 40).all() and (np.abs(context.weight[:, 2:]) < 20).all()
    assert (np.diff(context.size.astype(int)) >= 0).all() and (
        np.diff(context.activity.astype(int)) >= 0
    ).all()
    for way in range(1, 5):  # louder neighbours, wider rows
        assert context.step[way, 6].max() > context.step[way, 0].min()

    starts = np.concatenate([np.zeros((LOWEST, 255)), priors])
    lengths = -np.log2((starts + 1e-9) / (starts + 1e-9).sum(1, keepdims=True))
    rows = np.stack([quantise(np.ones(16))] * len(starts))
    shifts, z_row = np.zeros(len(starts), np.uint8), np.broadcast_to((row + LOWEST).astype(np.uint8), (64, 4))
    bits = []
    for known in (None, context):
        tables = make_tables(rows, shifts, LOWEST, z_row, known)
        total = 0.0
        for z in drawn(40, 3).astype(np.int16):
            symbols, index = entropy.symbols_of_z(tables, z, z_row[0])
            coded = index > 0
            total += lengths[index[coded], np.clip(symbols[coded], -127, 127) + 127].sum()
        bits.append(total)
    assert bits[1] < 0.9 * bits[0]

    one = drawn(1, 4)[0].astype(np.int16)
    tables = make_tables(rows, shifts, LOWEST, z_row, context)
    symbols, index = entropy.symbols_of_z(tables, one, z_row[0])
    alone = look([(one, row)])
    assert np.array_equal((one.ravel() - predict(alone, context.weight)), symbols.sum(0).ravel())
