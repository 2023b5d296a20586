"""A Codec that is copied or pickled, also for processes that are not forked."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

import aecodec
from aecodec import api, model_folders
from aecodec.codec import Codec
from aecodec.errors import LimitError, ModelError, UsageError
from aecodec.limits import Limits

TINY = Path(__file__).parent / "data" / "bundles" / "tiny"


@pytest.fixture
def tiny():
    return Codec(TINY, "cpu", 1, Limits(max_metadata=5000), pixel_blocks=False)


@pytest.mark.parametrize("twin", [lambda c: pickle.loads(pickle.dumps(c)), copy.copy, copy.deepcopy])
def test_copies_before_and_after_use(twin, tiny, city):
    part = city[:96, :80]
    unused = twin(tiny)
    data = tiny.encode(part, 50)
    for other in (unused, twin(tiny)):
        assert other.encode(part, 50) == data and np.array_equal(other.decode(data), tiny.decode(data))
        assert other.limits == tiny.limits and other.bundle == tiny.bundle
        assert _arguments(other) == _arguments(tiny)
        assert (other._loader is tiny._loader) == (twin is copy.copy)  # or nothing loaded goes along


def _arguments(codec):
    return {**vars(codec), **vars(codec._loader), "_loader": 0, "_models": 0, "_lock": 0}


def test_other_limits_of_what_is_loaded(tiny, city):
    data, strict = tiny.encode(city[:96, :80], 50), tiny.with_limits(Limits(max_pixels=1000))
    with pytest.raises(LimitError, match="1000 pixels"):
        strict.decode(data)
    assert tiny.limits.max_metadata == 5000 and np.array_equal(
        tiny.decode(data), strict.with_limits(tiny.limits).decode(data)
    )
    assert tiny.bundle.model_id in strict._loader._models
    with pytest.raises(UsageError, match="limits"):
        tiny.with_limits(7)


def test_shared_networks_of_all_limits(monkeypatch, city):
    monkeypatch.setattr(api, "_shared", {})
    for pixels in range(10_000, 10_020):
        aecodec.encode(city[:64, :64], model=TINY, device="cpu", threads=1, limits=Limits(max_pixels=pixels))
    assert len(api._shared) == 1


def test_pickled_with_the_model_that_was_asked_for(monkeypatch):
    default = Codec(device="cpu")
    assert default.bundle
    assert (
        pickle.loads(pickle.dumps(default))._loader._bundle is None
    )  # it looks for the default of its own machine
    monkeypatch.setenv(model_folders.PATH_VARIABLE, str(TINY.parent))
    named = pickle.dumps(Codec(TINY.name, "cpu"))
    assert pickle.loads(named).bundle.path == TINY
    monkeypatch.delenv(model_folders.PATH_VARIABLE)
    with pytest.raises(ModelError, match="tiny"):
        pickle.loads(named)
    for folder in (Path(TINY.name), f"./{TINY.name}", TINY.name):
        monkeypatch.chdir(TINY.parent)
        named = pickle.dumps(Codec(folder, "cpu"))
        monkeypatch.chdir(TINY)
        assert pickle.loads(named).bundle.path == TINY


def test_pool_of_spawned_processes(tiny, city):
    data = tiny.encode(city[:64, :64])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(tiny.decode, (data,)).get(100)
    assert np.array_equal(found, tiny.decode(data))
