"""The data path: every size, the quality dial, and the same symbols on every way of running."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import z_groups
from conftest import psnr
from PIL import Image

import aecodec
from aecodec import _core, container, decoding, entropy, loaded, precision
from aecodec.codec import Codec
from aecodec.errors import CorruptError, DeviceError, InputError, LimitError, ModelError, UsageError
from aecodec.limits import Limits


def tiled(picture, height, width):
    """A cut of the photograph, mirrored as often as the size asks for."""
    return np.pad(
        picture,
        ((0, max(0, height - picture.shape[0])), (0, max(0, width - picture.shape[1])), (0, 0)),
        mode="reflect",
    )[:height, :width]


def symbols_of(codec, data):
    """What the entropy decoder gives: y symbols, z_hat. Its checksum is verified on the way."""
    parsed = container.read_file(data)
    return decoding.decode_symbols(codec._loader.model_of(parsed.header), parsed.header, parsed.groups)[:2]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (63, 65), (64, 64), (500, 3), (513, 530)])
def test_every_size_comes_back(codec, city, size):
    picture = tiled(city, *size)
    data = codec.encode(picture, 90)
    decoded = codec.decode(data)
    assert decoded.shape == picture.shape and decoded.dtype == np.uint8
    assert psnr(decoded, picture) > 18
    assert container.read_header(data).n_groups == (4 if size == (513, 530) else 1)


def test_more_groups_than_a_batch(codec, city):
    picture = tiled(city, 1100, 1600)
    data = codec.encode(picture, 30)
    assert container.read_header(data).n_groups == 20 > loaded.BATCH
    assert psnr(codec.decode(data), picture) > 18


def test_quality_is_monotone(codec, city):
    files = [codec.encode(city, q) for q in (0, 20, 40, 60, 80, 100)]
    sizes = [len(f) for f in files]
    quality = [psnr(codec.decode(f), city) for f in files]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert all(b > a - 0.05 for a, b in zip(quality, quality[1:], strict=False))
    assert quality[-1] > quality[0] + 2 and quality[3] > 24


def test_fractional_quality(codec, budgie):
    files = [codec.encode(budgie, q) for q in (50, 50.4, 50.8)]
    assert len({container.read_header(f).quality for f in files}) == 3
    assert len(files[0]) < len(files[2])
    header = container.read_header(codec.encode(budgie, 60))
    assert header.quality == round(37.8 * 256)
    assert loaded.level_of(header).tolist() == [38]  # rounded half up, as the tables of z


@pytest.mark.parametrize("quality", [-1, 100.5, float("nan")])
def test_quality_out_of_range(codec, budgie, quality):
    with pytest.raises(UsageError, match="outside 0..100"):
        codec.encode(budgie, quality)


@pytest.mark.parametrize("quality", ["60", 60j, [60]])
def test_quality_of_another_type(codec, budgie, quality):
    with pytest.raises(UsageError, match="a number from 0 to 100"):
        codec.encode(budgie, quality)


def test_no_quality_is_the_default(codec, budgie):
    assert codec.encode(budgie[:64, :64], None) == codec.encode(budgie[:64, :64], quality=60)


def test_options_of_other_types(codec, city_file):
    for region in ((1, 2, 3), (1.5, 0, 5, 5), "0,0,5,5", 5, ()):
        with pytest.raises(UsageError, match="region"):
            codec.decode(city_file, region=region)
    part = codec.decode(city_file, region=(3, 4, 5, 6))
    assert np.array_equal(codec.decode(city_file, region=np.array([3, 4, 5, 6])), part)
    for scale in ("1/8", None, 0.3):
        with pytest.raises(UsageError, match="scale"):
            codec.decode(city_file, scale=scale)
    for threads in (0, 1.5, "2", 100_000):
        with pytest.raises(UsageError, match="threads"):
            Codec(threads=threads)
    for use in (Codec, partial(aecodec.info, city_file), partial(aecodec.decode, city_file)):
        with pytest.raises(UsageError, match="limits"):
            use(limits=5)
    for name, value in (("max_pixels", 1e8), ("max_side", -1), ("max_groups", "5"), ("max_metadata", None)):
        for make in (Limits, Limits()._replace):
            with pytest.raises(UsageError, match=f"limits: {name}"):
                make(**{name: value})
    limits = pickle.loads(pickle.dumps(Limits(max_pixels=5)))
    assert limits == Limits()._replace(max_pixels=5) and type(limits) is Limits
    for options in ({"threads": [1]}, {"device": ["cpu"]}, {"precision": {}}):
        with pytest.raises(UsageError):
            aecodec.decode(city_file, **options)
    for model in (5, b"nano", 0, ["nano"]):
        with pytest.raises(UsageError, match="a name or a folder"):
            Codec(model=model)
        with pytest.raises(UsageError, match="a name or a folder"):
            aecodec.encode(np.zeros((8, 8), np.uint8), model=model, device="cpu")


def test_a_missed_target_is_a_warning(codec, budgie):
    with pytest.warns(UserWarning, match="quality 100 does not reach"):
        codec.encode(budgie, target_psnr=70)


def test_encoding_is_repeatable(codec, city, city_file):
    assert codec.encode(city, 40) == city_file


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimise", [True, False])
def test_same_symbols_on_every_setting(codec, city, city_file, threads, optimise):
    other = Codec(device="cpu", threads=threads, optimise=optimise)
    for a, b in zip(symbols_of(codec, city_file), symbols_of(other, city_file), strict=True):
        assert np.array_equal(a, b)
    difference = codec.decode(city_file).astype(int) - other.decode(city_file)
    # In int8 a value between two integers falls to either; a pixel is the sum of many.
    most, mean = (4, 0.2) if precision.choose("auto", codec.bundle, "cpu") == "int8" else (1, 0.05)
    assert np.abs(difference).max() <= most and np.abs(difference).mean() < mean
    # The other way round: what this setting writes, the usual one reads.
    written = other.encode(city, 70)
    assert psnr(codec.decode(written), city) == pytest.approx(psnr(other.decode(written), city), abs=0.01)


@pytest.mark.skipif(not _core.simd_available(), reason="this CPU has no AVX2: there is one path only")
def test_scalar_and_avx2_are_the_same(codec, city_file, monkeypatch):
    usual = symbols_of(codec, city_file)
    for simd in (0, 1):
        forced = SimpleNamespace(
            CoreError=_core.CoreError,
            crc32c=_core.crc32c,
            GroupDecoder=partial(_core.GroupDecoder, simd=simd),
        )
        monkeypatch.setattr(entropy, "_core", forced)
        for a, b in zip(usual, symbols_of(codec, city_file), strict=True):
            assert np.array_equal(a, b)


def test_another_process(codec, city, city_file, tmp_path):
    (tmp_path / "a.aec").write_bytes(city_file)
    code = (
        "import sys, zlib, aecodec, numpy\n"
        "print(zlib.crc32(aecodec.decode(sys.argv[1], 'cpu', 2).tobytes()))\n"
        "print(aecodec.info(sys.argv[1])['symbols_crc32c'])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.aec"], capture_output=True, text=True, check=True
    )
    crc, symbols = run.stdout.split()
    assert int(crc) == zlib.crc32(codec.decode(city_file).tobytes())
    assert symbols == f"{container.read_header(city_file).symbols_crc:08x}"


def test_eight_threads_share_one_codec(city, budgie):
    shared = Codec(device="cpu", threads=1)
    jobs = [(picture, q) for q in (10, 50, 90) for picture in (city[:128, :200], budgie[:130, :70])] * 2
    alone = Codec(device="cpu", threads=1)

    def both(job):
        data = shared.encode(*job)
        return data, shared.decode(data)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(both, jobs))
    for job, (data, decoded) in zip(jobs, results, strict=True):
        assert data == alone.encode(*job)
        assert np.array_equal(decoded, alone.decode(data))


def test_module_functions(city, tmp_path):
    data = aecodec.encode(city, quality=50, device="cpu", threads=1)
    assert np.array_equal(aecodec.decode(data, "cpu", 1), Codec(device="cpu", threads=1).decode(data))
    path = tmp_path / "a.aec"
    path.write_bytes(data)
    image = aecodec.open(path)
    assert (image.mode, image.size) == ("RGB", (410, 300))
    facts = aecodec.info(path)
    assert facts["quality"] == pytest.approx(50, abs=0.01) and facts["bytes"] == len(data)


def test_grey_and_alpha_shapes(codec, budgie):
    grey = budgie[:, :, 1]
    alpha = np.tile(np.arange(240, dtype=np.uint8), (200, 1))
    decoded = codec.decode(codec.encode(grey, 90))
    assert decoded.shape == grey.shape and psnr(decoded, grey) > 20
    for colour in (grey[:, :, None], budgie):
        decoded = codec.decode(codec.encode(np.dstack([colour, alpha]), 50))
        assert decoded.shape == (200, 240, colour.shape[2] + 1)
        assert np.array_equal(decoded[:, :, -1], alpha)


def test_models(bundle, city, city_file, tmp_path, monkeypatch):
    data = Codec(bundle.path, "cpu").encode(city, 40)
    assert container.read_header(data).model_id == bundle.model_id
    with pytest.raises(ModelError, match=f"no model 'nope'; installed: .*{bundle.model_id.hex()}"):
        Codec("nope")
    monkeypatch.setattr("aecodec.model_folders.PACKAGED", tmp_path)
    with pytest.raises(ModelError, match=f"needs model {bundle.model_id.hex()}.*installed: none"):
        Codec(device="cpu").decode(city_file)
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(bundle.path.parent))
    assert Codec(device="cpu").decode(city_file).shape == city.shape
    assert Codec(bundle.name, "cpu").bundle.path == bundle.path


def test_damaged_model_file(bundle, budgie, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in Path(bundle.path).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    file = bundle.exact["scales_first"].file if bundle.exact else "scales_first.onnx"
    target = folder / file
    target.write_bytes(target.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match=f"{file} is damaged"):
        Codec(folder, "cpu").encode(budgie)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(bundle.model_id.hex(), "0" * 16))
    with pytest.raises(ModelError, match="model id"):
        Codec(folder, "cpu")


def test_tables_for_another_z(tmp_path, budgie):
    folder = z_groups.bundle_with_context(tmp_path / "copy")
    manifest = folder / "manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(facts | {"Z": facts["Z"] + 1}))
    with pytest.raises(ModelError, match=r"channels of z.*manifest says 17"):
        Codec(folder, "cpu").encode(budgie)


def test_a_model_with_a_context_of_z(tmp_path, city):
    """Whole files: what is coded comes back, in parts and from several groups, too."""
    codec = Codec(z_groups.bundle_with_context(tmp_path / "tiny-context"), "cpu", pixel_blocks=False)
    picture = np.tile(city, (2, 3, 1))
    data = codec.encode(picture, 50)
    whole = codec.decode(data)
    assert codec.parse(data)[1].header.n_groups > 1 and whole.shape == picture.shape
    part = codec.decode(data, region=(70, 20, 90, 110))
    assert np.abs(part.astype(int) - whole[20:130, 70:160]).max() <= 1
    damaged = bytearray(data)
    damaged[-5] ^= 4
    with pytest.raises(CorruptError):
        codec.decode(bytes(damaged))


@pytest.mark.parametrize("text", ["utf-8", "latin-1"])
def test_files_that_are_open_for_text_are_refused(codec, aec, text):
    """Whether reading fails or gives something."""
    for read in (codec.decode, codec.encode):
        with open(aec, encoding=text) as stream, pytest.raises(InputError, match="binary mode"):
            read(stream)


def test_file_objects_that_cannot_be_read(codec, aec, tmp_path):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

    closed = io.BytesIO(aec.read_bytes())
    closed.close()
    cases = [(closed, "cannot read the file object: .*closed"), (Broken(), "Input/output error")]
    cases.append((io.BufferedReader(Broken()), "Input/output error"))
    with open(tmp_path / "new", "wb") as writer, open(tmp_path / "text", "w") as text:
        cases += [(writer, "new' is not open for reading; open it with 'rb'"), (text, "text' is not open")]
        for source, match in cases:
            for read in (codec.decode, codec.encode, aecodec.encode, aecodec.info):
                with pytest.raises(InputError, match=match):
                    read(source)


def test_limits(city, city_file):
    small = Codec(device="cpu", limits=Limits(max_pixels=1000))
    with pytest.raises(LimitError):
        small.encode(city)
    with pytest.raises(LimitError):
        small.decode(city_file)


def test_device_errors(codec, city):
    from aecodec import session

    with pytest.raises(UsageError, match="device 'tpu'"):
        Codec(device="tpu").encode(city)
    with pytest.raises(UsageError, match="threads"):
        Codec(device="cpu", threads=-1).encode(city)
    if session.CUDA not in session.providers():
        with pytest.raises(DeviceError, match=r"aecodec\[cuda\]"):
            Codec(device="cuda").encode(city)


def test_warnings_point_at_the_caller(codec):
    image, out = Image.new("CMYK", (8, 8)), io.BytesIO()
    aecodec.register()
    for call in (aecodec.encode, codec.encode, lambda image: image.save(out, "AEC")):
        with pytest.warns(UserWarning, match="CMYK") as found:
            call(image)
        assert [Path(warning.filename) for warning in found] == [Path(__file__)]
