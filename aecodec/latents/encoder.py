"""Which encoder latents come from: what they are compared with has to come from the same one.

Files name the id of their model. Encoders that share a decoder (nano, nano-denoise) share that id and make
other latents; so what learns from latents keeps the encoder's name, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aecodec import models
from aecodec.model_bundle import Bundle


class Encoder(NamedTuple):
    """A model, and which of the encoders for its decoder."""

    model_id: bytes
    name: str = ""
    """Bundle.encoder"""

    @classmethod
    def of(cls, bundle: Bundle) -> Encoder:
        return cls(bundle.model_id, bundle.encoder)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Encoder:
        """What facts() gave, or wrote before there were names. KeyError, TypeError, ValueError."""
        found = cls(bytes.fromhex(facts["model_id"]), str(facts.get("encoder", "")))
        if len(found.model_id) != 8:
            raise ValueError(f"model id {found.model_id.hex()}")
        return found

    def facts(self) -> dict[str, str]:
        """For a file. Without a name as it was before there were names."""
        return {"model_id": self.model_id.hex()} | ({"encoder": self.name} if self.name else {})

    def bundle(self) -> Bundle:
        """The model on disk. ModelError where it is not installed."""
        return models.find_id(self.model_id, self.name)

    def __str__(self) -> str:
        return f"{self.model_id.hex()} {self.name}".rstrip()
