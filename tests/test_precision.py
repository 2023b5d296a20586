"""Precision of the float networks: who gets which, same symbols in all, how far pixels differ."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aecodec import _core, container, decoding, model_bundle, precision, session
from aecodec.cli.main import main
from aecodec.codec import Codec
from aecodec.errors import DeviceError, ModelError, UsageError

TINY = Path(__file__).parent / "data" / "bundles" / "tiny"
FAST, SATURATES, SLOW = 1, 0, 2


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.fixture(scope="module")
def int8_codec(bundle):
    if "int8" not in bundle.precisions:
        pytest.skip("the default model has no int8 graphs")
    if _core.dot_product() == SATURATES and not bundle.fits_16_bits:
        pytest.skip("int8 networks are refused on this CPU")
    return Codec(device="cpu", threads=2, precision="int8")


@pytest.fixture(scope="module")
def fp32_codec():
    return Codec(device="cpu", threads=2, precision="fp32")


def test_what_no_machine_can_do():
    with pytest.raises(UsageError, match="'fp16' needs device 'cuda'"):
        Codec(precision="fp16")
    with pytest.raises(UsageError, match="'int8' is for the CPU"):
        Codec(precision="int8", device="cuda")
    with pytest.raises(UsageError, match="precision 'half' is unknown; use one of auto, fp32, int8, fp16"):
        Codec(precision="half")


@pytest.mark.parametrize(
    ("dot", "avx2", "fits", "device", "cuda", "chosen"),
    [
        (FAST, 1, True, "cpu", False, "int8"),
        (FAST, 0, False, "auto", False, "int8"),
        (FAST, 1, True, "auto", True, "fp32"),
        (FAST, 1, True, "cuda", True, "fp32"),
        (SATURATES, 1, True, "cpu", False, "int8"),
        (SATURATES, 1, True, "auto", True, "fp32"),
        (SATURATES, 1, False, "cpu", False, "fp32"),
        (SATURATES, 0, True, "cpu", False, "fp32"),
        (SLOW, 1, True, "cpu", False, "fp32"),
    ],
)
def test_auto_follows_the_machine(bundle, monkeypatch, dot, avx2, fits, device, cuda, chosen):
    monkeypatch.setattr(_core, "dot_product", lambda: dot)
    monkeypatch.setattr(_core, "simd_available", lambda: avx2)
    monkeypatch.setattr(session, "providers", lambda: [session.CUDA] if cuda else [session.CPU])
    assert precision.choose("auto", replace(bundle, fits_16_bits=fits), device) == chosen
    assert precision.choose("auto", model_bundle.load(TINY), device) == "fp32"  # it has no int8 graphs


def test_sums_that_would_saturate_are_refused(bundle, monkeypatch):
    monkeypatch.setattr(_core, "dot_product", lambda: SATURATES)
    with pytest.raises(DeviceError, match="no VNNI.*use precision fp32 or auto"):
        precision.choose("int8", replace(bundle, fits_16_bits=False), "cpu")
    assert precision.choose("int8", replace(bundle, fits_16_bits=True), "cpu") == "int8"
    monkeypatch.setattr(_core, "dot_product", lambda: SLOW)
    assert precision.choose("int8", bundle, "cpu") == "int8"


def test_a_bundle_without_the_graphs(budgie):
    with pytest.raises(ModelError, match="model 'tiny' has no int8 graphs; use precision fp32 or auto"):
        Codec(TINY, "cpu", precision="int8").encode(budgie)
    assert Codec(TINY, "cpu").encode(budgie) == Codec(TINY, "cpu", precision="fp32").encode(budgie)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86")
def test_the_core_knows_the_cpu():
    try:
        flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].split("\n")[0].split())
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    vnni = flags & {"avx512_vnni", "avx_vnni"}
    assert _core.dot_product() == (FAST if vnni else SATURATES)


@pytest.mark.parametrize("quality", [0, 30, 60, 95])
def test_pixels_differ_by_fractions_of_a_level(int8_codec, fp32_codec, city, quality):
    data = fp32_codec.encode(city, quality)
    exact, rounded = fp32_codec.decode(data), int8_codec.decode(data)
    difference = np.abs(exact.astype(int) - rounded)
    assert 0.01 < difference.mean() < 1.0  # they do differ: these are other graphs
    assert psnr(rounded, city) > psnr(exact, city) - 0.12


@pytest.mark.parametrize("quality", [5, 90])
def test_symbols_are_read_alike_by_all(int8_codec, fp32_codec, city, quality):
    """The encoder's own rounding may differ; what is in the file is the same for every reader."""
    for writer in (int8_codec, fp32_codec):
        parsed = container.read_file(writer.encode(city, quality))
        header = parsed.header
        found = [
            decoding.decode_symbols(reader._loader.model_of(header), header, parsed.groups)[:2]
            for reader in (int8_codec, fp32_codec)
        ]
        for one, other in zip(*found, strict=True):
            assert np.array_equal(one, other)
    plain = (Codec(device="cpu", threads=2, precision=p, pixel_blocks=False) for p in ("int8", "fp32"))
    a, b = (len(codec.encode(city, quality)) for codec in plain)  # a block coded as pixels is a choice
    assert abs(a - b) < 0.02 * b


def test_command_line(int8_codec, city_file, tmp_path, capsys):
    (tmp_path / "a.aec").write_bytes(city_file)
    source, target = str(tmp_path / "a.aec"), str(tmp_path / "a.png")
    for chosen in ("int8", "fp32", "auto"):
        assert main(["decode", source, target, "--precision", chosen, "--device", "cpu", "--force"]) == 0
    assert main(["decode", source, target, "--precision", "fp16", "--force"]) == 2
    assert "fp16' needs device 'cuda'" in capsys.readouterr().err
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    model = next(m for m in facts["models"] if m["name"] == int8_codec.bundle.name)
    assert model["precisions"] == ["fp32", "int8"]
    assert model["precision"] == precision.choose("auto", int8_codec.bundle, "cpu")


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "copy")
    return tmp_path / "copy"


def edited(folder, **changes):
    place = folder / "manifest.json"
    manifest = json.loads(place.read_text())
    place.write_text(json.dumps({**manifest, **changes}))
    return manifest


def test_the_id_holds_tables_and_scale_networks(copy):
    manifest = edited(copy)
    files, identity = manifest["files"], manifest["identity"]
    # a float graph may be another one, as long as it is what the manifest says
    other = {**files, "synthesis.onnx": {**files["synthesis.onnx"], "sha256": "0" * 64}}
    edited(copy, files=other)
    loaded = model_bundle.load(copy)
    assert loaded.model_id.hex() == manifest["model_id"]
    with pytest.raises(ModelError, match="synthesis.onnx is damaged"):
        loaded.read("synthesis.onnx")
    for name in model_bundle.EXACT:
        edited(copy, files={**files, name: {**files[name], "sha256": "0" * 64}})
        with pytest.raises(ModelError, match="model id"):
            model_bundle.load(copy)
    edited(copy, files=files, identity={**identity, "context.onnx": "0" * 64})
    with pytest.raises(ModelError, match="model id"):
        model_bundle.load(copy)


def test_precisions_must_name_files_of_the_bundle(copy):
    for wrong in ({"int8": {"synthesis": "nowhere.onnx"}}, {"int8": {"scales_first": "scales_first.onnx"}}):
        edited(copy, precisions=wrong)
        with pytest.raises(ModelError, match="not a valid manifest.*precisions"):
            model_bundle.load(copy)


def test_prepared_codecs_do_the_same(city, city_file):
    codec = Codec(device="cpu", threads=1)
    codec.prepare()
    assert codec.encode(city, 40) == Codec(device="cpu", threads=1).encode(city, 40)
    codec = Codec(device="cpu", threads=1)
    codec.prepare(city_file)
    networks = codec._loader.model_of(container.read_header(city_file)).networks
    assert np.array_equal(codec.decode(city_file), Codec(device="cpu", threads=1).decode(city_file))
    assert set(networks._sessions) == {"synthesis"}
    assert set(networks._exact) == set(model_bundle.SCALE_NETWORKS)


def test_errors_come_when_a_graph_is_used(copy, city):
    exact = model_bundle.load(copy).exact
    file = exact["scales_second"].file if exact else "scales_second.onnx"
    (copy / file).write_bytes(b"no graph")
    codec = Codec(copy, device="cpu", threads=1)
    codec.prepare()
    with pytest.raises(ModelError, match=f"{file} is damaged"):
        codec.encode(city)
