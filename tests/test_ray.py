"""Ray: columns of pictures, and the engine of `aecodec batch` on a real cluster of two CPUs."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace

import numpy as np
import pytest
from batches import PATIENCE
from conftest import psnr
from PIL import Image
from synthetic import smooth
from test_many import results, table

import aecodec
from aecodec import pixels
from aecodec.cli import files
from aecodec.cli.many import on_ray
from aecodec.cli.outcome import Outcome
from aecodec.cli.plan import Job
from aecodec.codec import Codec
from aecodec.errors import UsageError
from aecodec.integrations.ray import DecodeBatch, EncodeBatch
from aecodec.limits import DEFAULT_LIMITS


def png(picture):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def column(values):
    found = np.empty(len(values), object)
    found[:] = values
    return found


# -- the classes, without Ray ------------------------------------------------------------------------


def test_grey_of_16_bits_is_not_cut_at_255(codec):
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))
    data = codec.encode(ramp, 90)
    wanted = pixels.sixteen_to_eight(codec.decode(data))
    for mode, shape in (("RGB", (64, 64, 3)), ("L", (64, 64))):
        image = DecodeBatch(mode=mode, device="cpu")({"aec": column([data])})["image"][0]
        assert image.shape == shape and np.array_equal(image.reshape(64, 64, -1)[:, :, 0], wanted)


def test_tune_is_known_at_once(codec):
    encode = EncodeBatch(30, tune="perceptual", device="cpu")
    coded = encode({"image": column([smooth(1)])})["aec"][0]
    assert coded == aecodec.encode(smooth(1), 30, device="cpu", tune="perceptual")
    for wrong in ({"tune": "x"}, {"limits": 5}, {"threads": 0}, {"model": 3}):
        with pytest.raises(UsageError):
            EncodeBatch(30, **wrong)


def test_batches_there_and_back(codec):
    encode, decode = EncodeBatch(30, device="cpu"), DecodeBatch(device="cpu")
    batch = {"id": np.arange(4), "bytes": column([png(smooth(1)), b"nothing", None, png(smooth(2, 40, 56))])}
    coded = encode(batch)
    assert list(coded) == ["id", "aec", "bpp", "error"] and list(coded["id"]) == [0, 1, 2, 3]
    assert coded["aec"][0] == codec.encode(smooth(1), 30) and coded["aec"][1] == coded["aec"][2] == b""
    assert coded["bpp"][3] == pytest.approx(8 * len(coded["aec"][3]) / (40 * 56))
    assert np.isnan(coded["bpp"][1]) and coded["error"][0] == ""
    assert coded["error"][1].startswith("InputError: no picture") and "null" in coded["error"][2]
    coded["aec"][3] = coded["aec"][3][:-1]
    back = decode(coded)
    assert list(back) == ["id", "bpp", "error", "image"]
    assert [image.shape for image in back["image"]] == [(96, 112, 3), (0, 0, 3), (0, 0, 3), (0, 0, 3)]
    assert psnr(back["image"][0], smooth(1)) > 25
    assert back["error"][1] == coded["error"][1] and back["error"][3].startswith("CorruptError")


def test_batches_of_arrays_and_of_files(codec):
    pictures = np.stack([smooth(1), smooth(2)])
    coded = EncodeBatch(30, device="cpu", keep=True)({"image": pictures})
    assert coded["image"] is pictures and coded["aec"][1] == codec.encode(pictures[1], 30)
    grey = DecodeBatch(device="cpu", mode="L", scale=1 / 2)(coded)["image"]
    assert grey[0].shape == (48, 56) and grey[0].dtype == np.uint8
    files = {"aec": column([coded["aec"][0], b""])}
    stored = DecodeBatch(device="cpu", mode=None, format="png")(files)
    with Image.open(io.BytesIO(stored["image"][0])) as image:
        assert image.size == (112, 96)
    assert stored["image"][1] == b"" and stored["error"][1].startswith("FormatError")
    small = EncodeBatch(90, device="cpu", max_size=len(coded["aec"][0]), column="photo")
    assert len(small({"photo": pictures})["aec"][0]) <= len(coded["aec"][0])
    exact = EncodeBatch(30, device="cpu", thumbnail=True, precision="fp32")
    other = Codec(device="cpu", precision="fp32")
    assert exact({"image": pictures})["aec"][0] == other.encode(pictures[0], 30, thumbnail=True)


def test_batches_can_be_sent_to_processes():
    encode = EncodeBatch(30, device="cpu")
    encode({"bytes": column([png(smooth(1, 40, 56))])})
    other = pickle.loads(pickle.dumps(encode))
    assert other._codec is None and other({"bytes": column([b""])})["aec"][0] == b""


def test_batches_usage():
    for wrong in (
        lambda: EncodeBatch(101),
        lambda: EncodeBatch(device="tpu"),
        lambda: EncodeBatch(device="cpu", precision="fp16"),
        lambda: DecodeBatch(mode="CMYK"),
        lambda: DecodeBatch(mode=None),
        lambda: DecodeBatch(format=3),
        lambda: EncodeBatch(device="cpu")({"x": np.zeros(1)}),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_formats_are_known_at_once():
    for name in ("jpg", "", "none", "hdf5"):
        with pytest.raises(UsageError, match=f"^format '{name}' is unknown; use one of .*jpeg, .*png"):
            DecodeBatch(format=name)
    for name in ("png", "JPEG", "WebP"):
        DecodeBatch(format=name)


def test_without_ray(tmp_path):
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from aecodec.integrations.ray import EncodeBatch\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['batch', 'encode', sys.argv[1], sys.argv[1] + '/out', '--engine', 'ray']))\n"
    )
    Image.fromarray(smooth(1, 40, 56)).save(tmp_path / "a.png")
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert run.returncode == 2 and "pip install 'aecodec[ray]'" in run.stderr
    assert "Traceback" not in run.stderr


# -- a cluster ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt '.[ray]'")
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("this system has no SIGKILL")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # as the engine does for a cluster of its own
        patch.setenv("RAY_memory_monitor_refresh_ms", "0")  # it kills workers where other programs hold much
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=128 << 20,
        )
    yield ray
    ray.shutdown()


@pytest.fixture
def engines(monkeypatch):
    """The engines that are made."""
    made = []
    begin = on_ray.RayEngine.__init__

    def remember(self, *arguments):
        begin(self, *arguments)
        made.append(self)

    monkeypatch.setattr(on_ray.RayEngine, "__init__", remember)
    return made


def test_a_worker_is_killed(cluster, engines, cli, tmp_path, monkeypatch):
    """One waits for a picture, a pipe, when it is killed: nothing is lost, nothing is done twice."""
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for number in range(24):
        Image.fromarray(smooth(number, 40, 56)).save(source / "deep" / f"{number:02}.png")
    (source / "bad.png").write_bytes(b"nothing")
    whole = (source / "deep" / "11.png").read_bytes()
    (source / "deep" / "11.png").unlink()
    os.mkfifo(source / "deep" / "11.png")
    monkeypatch.setattr(files, "irregular", lambda name: None)  # which would leave the pipe out
    killed = []

    def kill():
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            time.sleep(0.05)
            engine = engines[0] if engines else None
            if engine and len(engine._sent) == 1 and not engine._todo:  # all others are done
                [(actor, numbers)] = engine._sent.values()
                (source / "deep" / "11.png").unlink()
                (source / "deep" / "11.png").write_bytes(whole)
                killed.append((actor.process, len(numbers)))
                os.kill(actor.process, signal.SIGKILL)
                return
        (source / "deep" / "11.png").write_bytes(whole)  # through the pipe: the test fails, and ends

    killer = threading.Thread(target=kill)
    killer.start()
    fast = ("-q", "5", "--device", "cpu")
    ray_command = ("batch", "encode", source, tmp_path / "ray", *fast, "--engine", "ray", "--workers", "2")
    result = cli(*ray_command, "--json")
    killer.join()
    assert killed and killed[0][1] > 1, "it had several pictures, and died at one of them"
    assert result.code == 3 and "24 of 25 done, 1 failed" in result.err
    told = [json.loads(line)["input"] for line in result.out.splitlines()]
    assert sorted(told) == sorted(str(path) for path in source.rglob("*.png"))

    cli("batch", "encode", source, tmp_path / "local", *fast, "--jobs", "2")
    names = results(tmp_path / "ray")
    assert len(names) == 24 and names == results(tmp_path / "local")
    for name in names:
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    there, here = (
        {row["input"]: (row["output"], row["output_bytes"], row["sha256"]) for row in table(tmp_path / kind)}
        for kind in ("ray", "local")
    )
    assert there == here and len(table(tmp_path / "ray")) == 24
    assert [row["input"] for row in table(tmp_path / "ray", "failures")] == ["bad.png"]
    again = cli(*ray_command)
    assert again.code == 3 and "0 of 25 done, 24 skipped" in again.err


class Poison:
    """A task that kills its process at every job called "bad"."""

    kind = "files"
    args = Namespace(model=None, device="cpu", precision="auto", **DEFAULT_LIMITS._asdict())

    def __call__(self, codec, job):
        if job.source == "bad":
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(job.source, job.target)


def test_a_picture_that_kills_every_worker(cluster):
    """It costs a row of the failures, and no other job."""
    cluster.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    arguments = Namespace(address=None, num_gpus=None, threads=None, jobs=1)
    jobs = [Job("bad" if number == 3 else f"{number}") for number in range(16)]
    found = list(on_ray.RayEngine(Poison(), arguments)(jobs))
    assert sorted(number for number, _ in found) == list(range(16))
    assert all(outcome.input == jobs[number].source for number, outcome in found)
    [bad] = [outcome for _, outcome in found if outcome.status != "done"]
    assert bad.input == "bad" and "died 3 times" in bad.error and bad.exit_code == 1


def test_ray_data(cluster):
    data = pytest.importorskip("ray.data", reason="ray[data] is not installed")
    data.DataContext.get_current().enable_progress_bars = False
    rows = [{"id": n, "bytes": png(smooth(n, 40, 56 + n)) if n != 5 else b"nothing"} for n in range(8)]
    pool = data.ActorPoolStrategy(size=1)
    coded = data.from_items(rows).map_batches(
        EncodeBatch, fn_constructor_kwargs={"quality": 20, "device": "cpu"}, compute=pool, batch_size=3
    )
    back = coded.map_batches(
        DecodeBatch, fn_constructor_kwargs={"device": "cpu", "keep": True}, compute=pool, batch_size=4
    )
    found = {row["id"]: row for row in back.take_all()}
    assert sorted(found) == list(range(8))
    for n, row in found.items():
        if n == 5:
            assert row["aec"] == b"" and row["error"].startswith("InputError: no picture")
            continue
        assert row["error"] == ""
        assert row["aec"] == aecodec.encode(smooth(n, 40, 56 + n), 20, device="cpu", threads=1)
        assert np.array_equal(row["image"], aecodec.decode(row["aec"], device="cpu", threads=1))
