"""The models in the package: whole, usable, and each worth its place."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import psnr

from aecodec import container, model_folders, models
from aecodec.codec import Codec

SHIPPED = [bundle for bundle in models.installed() if str(bundle.path.parent) == model_folders.PACKAGED]


@pytest.mark.parametrize("bundle", SHIPPED, ids=lambda bundle: bundle.name)
def test_files_are_those_of_the_manifest(bundle):
    assert bundle.path.name == bundle.name
    for name in bundle.manifest["files"]:
        assert len(bundle.read(name)) == bundle.manifest["files"][name]["bytes"]
    own = {path.name for path in bundle.path.iterdir()} - {model_folders.MANIFEST}
    assert own <= set(bundle.manifest["files"])


@pytest.mark.parametrize("bundle", SHIPPED, ids=lambda bundle: bundle.name)
def test_there_and_back(bundle, codec, city):
    data = Codec(bundle.path, "cpu", 2).encode(city, 50)
    assert container.read_header(data).model_id == bundle.model_id
    assert len(data) < city.size / 10
    found = codec.decode(data)  # which has another model of its own
    assert psnr(found, city) > 26
    if "int8" in bundle.precisions:
        exact = Codec(device="cpu", threads=2, precision="fp32").decode(data)
        assert psnr(found, exact) > 38


def test_the_larger_model_takes_fewer_bytes(codec, city):
    curves = []
    for each in (codec, Codec("fast", "cpu", 2)):
        files = [each.encode(city, quality) for quality in (10, 30, 50, 70, 90)]
        curves.append([[np.log(len(data)) for data in files], [psnr(codec.decode(d), city) for d in files]])
    (rates, decibels), (fewer, better) = curves
    at = np.linspace(max(decibels[0], better[0]), min(decibels[-1], better[-1]), 20)
    assert np.mean(np.interp(at, better, fewer) - np.interp(at, decibels, rates)) < -0.02
