"""aecodec inside other programs: imageio, torchvision, WebDataset."""

from __future__ import annotations

import gc
import gzip
import importlib
import importlib.util
import io
import os
import pickle
import subprocess
import sys
import tarfile
import warnings

import numpy as np
import pytest
from batches import PATIENCE
from conftest import psnr
from PIL import Image
from synthetic import smooth

import aecodec
from aecodec import pixels
from aecodec.container import MAGIC
from aecodec.errors import UsageError
from aecodec.integrations.webdataset import decoder, encoder


@pytest.fixture
def registered():
    aecodec.register()


def test_imageio(registered, tmp_path, city, codec):
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "a.aec"
    iio.imwrite(path, city, quality=80)
    assert path.read_bytes().startswith(MAGIC)
    read = iio.imread(path)
    assert read.dtype == np.uint8 and read.shape == city.shape and psnr(read, city) > 25
    assert np.array_equal(read, aecodec.decode(path))
    assert iio.improps(path).shape == city.shape and iio.immeta(path)["mode"] == "RGB"
    iio.imwrite(tmp_path / "b.aec", city, quality=5)
    assert (tmp_path / "b.aec").stat().st_size < path.stat().st_size / 4
    stream = io.BytesIO()
    iio.imwrite(stream, city[:, :, 0], plugin="pillow", extension=".aec", quality=80)
    assert iio.imread(stream.getvalue()).shape == city.shape[:2]


OPERATORS = []


@pytest.fixture
def datasets():
    """torchvision.datasets.

    The wheels are built for CUDA: beside a torch without it their operators do not load, and then the import
    fails. No dataset needs them; so they are declared here."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        assert "operator torchvision::" in str(error)
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    OPERATORS.append(torch.library.Library("torchvision", "DEF"))
    for name in ("nms", "qnms"):
        OPERATORS[0].define(f"{name}(Tensor boxes) -> Tensor")
    return importlib.import_module("torchvision.datasets")


def test_torchvision_folder(registered, tmp_path, codec, datasets):
    """As pictures sorted into a folder for each class."""
    for label, name in enumerate(("cats", "dogs")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.aec").write_bytes(codec.encode(smooth(label), 60))
    found = datasets.DatasetFolder(tmp_path, datasets.folder.default_loader, extensions=(".aec",))
    assert found.classes == ["cats", "dogs"] and [label for _, label in found] == [0, 1]
    assert [psnr(np.asarray(image), smooth(label)) > 25 for image, label in found] == [True, True]


@pytest.fixture
def wds():
    return pytest.importorskip("webdataset")


@pytest.fixture
def shard(tmp_path, wds):
    """Three samples: a picture as aec, its class, and a JPEG."""
    path = tmp_path / "train-000.tar"
    with wds.TarWriter(str(path), encoder=encoder(quality=60, device="cpu")) as tar:
        for number in range(3):
            jpeg = Image.fromarray(smooth(9))
            picture = smooth(number) if number else Image.fromarray(smooth(number))
            tar.write({"__key__": f"{number:04}", "aec": picture, "jpg": jpeg, "cls": number})
    return path


def samples(wds, shard, *handlers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to the garbage collector
        found = list(wds.WebDataset(str(shard), shardshuffle=False).decode(*handlers))
        gc.collect()
    return found


def test_webdataset(wds, shard):
    with tarfile.open(shard) as tar:
        assert tar.getnames()[:3] == ["0000.aec", "0000.cls", "0000.jpg"]
        assert tar.extractfile("0001.aec").read(8) == MAGIC
    found = samples(wds, shard, decoder("rgb8"), "rgb8")
    assert [sample["cls"] for sample in found] == [0, 1, 2]
    for sample in found:
        assert sample["aec"].dtype == np.uint8 and psnr(sample["aec"], smooth(sample["cls"])) > 25
        assert psnr(sample["jpg"], smooth(9)) > 25  # what is not ours goes to the other handlers


@pytest.mark.parametrize(
    "kind, shape, dtype",
    [("l8", (96, 112), "uint8"), ("rgb", (96, 112, 3), "float32"), ("l", (96, 112), "float32")],
)
def test_webdataset_kinds(wds, shard, kind, shape, dtype):
    found = samples(wds, shard, decoder(kind))[1]["aec"]
    assert found.shape == shape and found.dtype == dtype
    assert 0 <= found.min() and 1 / 255 < found.max() <= (255 if dtype == "uint8" else 1)
    grey = np.asarray(Image.fromarray(smooth(1)).convert("L" if len(shape) == 2 else "RGB"))
    assert psnr(found * (1 if dtype == "uint8" else 255), grey) > 25


def test_webdataset_pil(wds, shard):
    image = samples(wds, shard, decoder())[0]["aec"]
    assert isinstance(image, Image.Image) and image.mode == "RGB" and image.size == (112, 96)


def test_webdataset_goes_by_contents(wds, tmp_path, codec):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (("1.left.img", codec.encode(smooth(1), 5)), ("1.aec", b"Adobe After Effects")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    [sample] = samples(wds, path, decoder("rgb8"))
    assert sample["left.img"].shape == (96, 112, 3) and sample["aec"] == b"Adobe After Effects"


def test_webdataset_damage(wds, codec):
    sample = {"__key__": "1", "aec": codec.encode(smooth(1), 5)[:-3]}
    with pytest.raises(Exception) as caught:
        list(wds.decode(decoder())(iter([sample])))
    assert isinstance(caught.value.__cause__, aecodec.errors.CorruptError)


def test_webdataset_has_the_options_of_encode(wds, tmp_path):
    with wds.TarWriter(
        str(tmp_path / "a.tar"), encoder=encoder(30, device="cpu", effort=1, tune="perceptual")
    ) as tar:
        tar.write({"__key__": "0001", "aec": smooth(1)})
    with tarfile.open(tmp_path / "a.tar") as tar:
        data = tar.extractfile("0001.aec").read()
    assert data == aecodec.encode(smooth(1), 30, device="cpu", effort=1, tune="perceptual")
    with pytest.raises(aecodec.errors.UsageError, match="option 'qualty' is unknown"):
        encoder(qualty=30)
    for odd in ({"effort": 9}, {"quality": 101}, {"image": 3}, {"target_bpp": 1, "target_size": 5}):
        with pytest.raises(aecodec.errors.UsageError):
            encoder(**odd)


def test_webdataset_takes_paths_and_files(wds, tmp_path):
    """TarWriter by itself stores text and bytes as they are, before it asks a handler."""
    path = tmp_path / "a.png"
    Image.fromarray(smooth(1)).save(path)
    coded = aecodec.encode(path, 30, device="cpu")
    given = {
        "aec": str(path),
        "right.aec": path.read_bytes(),
        "own.AEC": coded,
        "view.aec": memoryview(coded),
    }
    kept = {"txt": str(path), "__key__": "1"}
    write = encoder(30, device="cpu")
    found = write(given | kept)
    assert {name: found[name] for name in given} == dict.fromkeys(given, coded)
    assert found["txt"] == str(path).encode()
    assert gzip.decompress(write({"__key__": "1", "aec.gz": str(path)})["aec.gz"]) == coded
    for bad in (str(tmp_path / "none.png"), b"no picture"):
        with pytest.raises(aecodec.errors.InputError):
            write({"__key__": "1", "aec": bad})


def test_webdataset_in_processes(shard):
    """A forked worker must not use the networks of its parent, whose threads it does not have."""
    for handler in (decoder("l8", threads=2), encoder()):
        assert pickle.loads(pickle.dumps(handler)) == handler
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    code = (
        "import os, sys, tarfile\n"
        "from aecodec.integrations.webdataset import decoder\n"
        "data = tarfile.open(sys.argv[1]).extractfile('0001.aec').read()\n"
        "handler = decoder('rgb8', 'cpu', threads=2)\n"
        "first = handler('.aec', data).tobytes()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(0 if handler('.aec', data).tobytes() == first else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, shard]
    assert subprocess.run(command, timeout=PATIENCE).returncode == 0


def test_webdataset_usage():
    with pytest.raises(UsageError, match="rgb8"):
        decoder("rgba8")
    for make in (decoder, encoder):
        with pytest.raises(UsageError, match="device"):
            make(device="tpu")


def test_webdataset_grey_of_16_bits_is_not_cut_at_255(codec):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    data = codec.encode(ramp, 90)
    wanted = pixels.sixteen_to_eight(codec.decode(data))
    assert np.array_equal(decoder("l8", "cpu")("aec", data), wanted)
    assert np.allclose(decoder("rgb", "cpu")("aec", data)[:, :, 1], wanted / 255)


@pytest.mark.parametrize(
    "options", [{"tune": "x"}, {"precision": "x"}, {"precision": "fp16"}, {"limits": 3}, {"threads": 0}]
)
def test_webdataset_refuses_options_at_once(options):
    with pytest.raises(UsageError):
        encoder(50, **options)
