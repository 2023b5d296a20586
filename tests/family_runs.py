"""Short runs of small autoencoders on the digits of scikit-learn, for their tests. Needs torch."""

from __future__ import annotations

from typing import Any

import pytest

from aecodec.training.family.config import FamilyConfig
from aecodec.training.family.data import Pictures, load
from aecodec.training.family.train import FamilyTrainer


def run(pictures: Pictures, **changes: Any) -> FamilyTrainer:
    trainer = FamilyTrainer(FamilyConfig(**{"steps": 20, "batch": 50, "threads": 1, **changes}), pictures)
    for _ in range(trainer.cfg.steps):
        trainer.train_step()
    return trainer


@pytest.fixture(scope="module")
def digits() -> Pictures:
    pytest.importorskip("sklearn")
    return load("digits")
