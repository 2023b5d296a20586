"""Loads models, each once: for several threads, for processes that are forked, for copies of a Codec.

header of a file, or the bundle that encodes -> models.py -> tables.bin, networks -> loaded.Model
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from aecodec import models
from aecodec.container import Header
from aecodec.errors import ModelError
from aecodec.forks import renew_in_children
from aecodec.loaded import Model, check_groups, rounding_of
from aecodec.model_bundle import Bundle
from aecodec.networks import Networks
from aecodec.parallel import cpus
from aecodec.precision import Precision
from aecodec.session import Device
from aecodec.tables import CodingTables, load_tables

LOADED = ("_bundle", "_models", "_lock")
"""What does not go to another process."""


class ModelLoader:
    """What a Codec needs of models. Their arguments are those of Codec, and have been checked."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None,
        device: Device,
        threads: int | None,
        optimise: bool,
        precision: Precision,
    ) -> None:
        """ModelError where the model is not installed."""
        self._device, self._threads, self._precision, self._optimise = device, threads, precision, optimise
        self._model = model
        self._begin()
        # The working directory may be another one where this is unpickled.
        if self._bundle and self._bundle.path == Path(str(model)).absolute():
            self._model = self._bundle.path.resolve()

    def _begin(self) -> None:
        """With nothing loaded."""
        self._bundle = None if self._model is None else models.find(self._model)
        self._models: dict[bytes, Model] = {}
        self._renew()
        renew_in_children(self)

    def _renew(self) -> None:
        """In a process that was forked, whose parent's thread may have held the lock."""
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Without what is loaded; the model by the name or folder that was given."""
        return {name: value for name, value in vars(self).items() if name not in LOADED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """ModelError where the model is not installed."""
        vars(self).update(state)
        self._begin()

    @property
    def bundle(self) -> Bundle:
        """The model that encodes."""
        with self._lock:
            if self._bundle is None:
                self._bundle = models.find()
            return self._bundle

    @property
    def threads(self) -> int:
        """CPU threads of each network, and of what is done beside them."""
        return self._threads or cpus()

    def load(self, bundle: Bundle) -> Model:
        """Once for each model id."""
        with self._lock:
            if bundle.model_id not in self._models:
                tables = _tables_of(bundle)
                networks = Networks(
                    bundle, self._device, self._threads, self._optimise, precision=self._precision
                )
                self._models[bundle.model_id] = Model(bundle, tables, networks, rounding_of(bundle))
            return self._models[bundle.model_id]

    def model_of(self, header: Header) -> Model:
        """The model that a file was made with. ModelError, FormatError."""
        with self._lock:
            known, own = self._models.get(header.model_id), self._bundle
        if known is None:
            is_own = own is not None and own.model_id == header.model_id
            known = self.load(own if own and is_own else models.find_id(header.model_id))
        check_groups(known.bundle, header)
        return known


def _tables_of(bundle: Bundle) -> CodingTables:
    tables = load_tables(bundle.read("tables.bin"))
    channels = tables.z_row.shape[1]
    if channels != bundle.z:
        raise ModelError(
            f"model {bundle.name!r}: tables.bin is for {channels} channels of z, "
            f"the manifest says {bundle.z}; install the model again"
        )
    return tables
