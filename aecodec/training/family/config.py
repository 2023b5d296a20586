"""Configuration of a small autoencoder's run: network, data, objective, schedule."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from aecodec.training.objectives import ObjectiveSettings
from aecodec.training.ranges import COUNT, NOT_NEGATIVE, RATE, SEED, SHARE, check_ranges
from aecodec.training.settings_file import read_settings

from .networks import Shape

RANGES = (
    (COUNT, ("steps", "batch", "side")),
    (RATE, ("lr",)),
    (NOT_NEGATIVE, ("threads",)),
    (SHARE, ("constant",)),
    (SEED, ("seed",)),
)


@dataclass
class FamilyConfig(ObjectiveSettings):
    """network: fc or conv, see networks.py.  data: digits, or a file or folder, see data.py.

    side, grey: of pictures cut from larger ones.  optimiser: adam, or muon for the weight matrices with Adam
    for the rest.  The learning rate is constant for a share `constant` of the steps, then falls to zero."""

    network: str = "fc"
    hidden: list[int] = dataclasses.field(default_factory=lambda: [128, 64])
    latent: int = 32
    activation: str = "relu"
    latent_activation: str = "linear"
    output: str = "sigmoid"
    tied: bool = False

    data: str = "digits"
    side: int = 32
    grey: bool = False
    out: str = "runs/family"
    seed: int = 1

    steps: int = 3000
    batch: int = 128
    optimiser: str = "adam"
    lr: float = 1e-3
    constant: float = 0.4
    threads: int = 0

    @classmethod
    def load(cls, path: str | None, overrides: list[str]) -> FamilyConfig:
        """From TOML and `key=value` overrides. ValueError names an unknown key or one of the wrong type."""
        return read_settings(cls, path, overrides)

    def check(self) -> None:
        """ValueError naming the setting that is out of its range."""
        check_ranges(self, RANGES)

    def shape(self, picture: tuple[int, int, int]) -> Shape:
        """The network for pictures [C, H, W]. ValueError names the setting that cannot be."""
        return Shape(
            self.network,
            picture,
            self.latent,
            tuple(self.hidden),
            self.activation,
            self.latent_activation,
            self.output,
            self.tied,
            self.beta > 0,
        )

    def variant(self) -> str:
        """What the run is, as the literature calls it; parts that are combined are joined by +."""
        parts = [
            name
            for name, on in (
                ("denoising", bool(self.noise)),
                ("sparse-l1", self.sparse_l1 > 0),
                ("sparse-kl", self.sparse_kl > 0),
                ("contractive", self.contractive > 0),
                ("variational", self.beta > 0),
            )
            if on
        ]
        linear = self.network == "fc" and self.activation == self.latent_activation == self.output == "linear"
        return "+".join(parts) or ("linear" if linear else "undercomplete")
