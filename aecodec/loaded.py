"""A model that is loaded, as both halves of the data path use it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aecodec.container import Header
from aecodec.errors import FormatError
from aecodec.groups import Group
from aecodec.model_bundle import Bundle
from aecodec.networks import Float, Networks
from aecodec.tables import CodingTables

SYMBOL_MAX = 32767
Z_MAX = 127
"""The scale networks are proven exact up to here."""
BATCH = 8
"""Groups that go through the scale networks together."""


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that is loaded."""

    bundle: Bundle
    tables: CodingTables
    networks: Networks
    rounding: Float
    """[64] what is added to a size before floor() rounds it, by scale index; -inf where it is skipped."""


def rounding_of(bundle: Bundle) -> Float:
    """[64]: what is added to the size of a residual of each scale index before it is floored."""
    table = 0.5 - np.array(bundle.dead_zone, np.float32)
    table[: bundle.skip] = -np.inf
    return table


def check_groups(bundle: Bundle, header: Header) -> None:
    """FormatError for groups larger than the scale networks take."""
    if header.group_edge > bundle.group:
        raise FormatError(
            f"groups of {header.group_edge} positions; "
            f"those of model {bundle.name!r} have {bundle.group} at most"
        )


def zeros_of(model: Model, group: Group) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """What a payload without bytes stands for: z [Z, vh/4, vw/4] and y [N, vh, vw]."""
    z = np.zeros((model.bundle.z, group.height // 4, group.width // 4), np.int16)
    return z, np.zeros((model.bundle.n, group.height, group.width), np.int16)


def quality_of(header: Header) -> Float:
    """The fractional level that the float networks take: [1]."""
    return np.array([header.quality / 256], np.float32)


def level_of(header: Header) -> NDArray[np.int64]:
    """The whole level that the scale networks and the tables take: [1]."""
    return np.array([header.level], np.int64)
