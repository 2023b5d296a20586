"""benchmarks/speed.py: what is timed and weighed, and the learned networks that stand beside aecodec."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aecodec import model_bundle, models
from benchmarks import codecs, graphs, learned, one, processes, speed, startup, timing, untrained
from benchmarks.codecs import compressai_networks

PARAMETERS = {
    "mbt2018-mean": {"g_a": 3505664, "g_s": 3505347, "h_a": 2396736, "h_s": 8142240},
    "cheng2020-anchor": {"g_a": 4175040, "g_s": 11750796, "h_a": 1659840, "h_s": 6140640},
    "elic2022": {"g_a": 7337792, "g_s": 7337475, "h_a": 2396736, "h_s": 3300192},
}
"""Of CompressAI 1.2.8's mbt2018_mean(8), cheng2020_anchor(6) and Elic2022Official(), counted there."""
CONTEXT = {
    "mbt2018-mean": 0,
    "cheng2020-anchor": 1843584 + 1017344,
    "elic2022": 6158816 + 12832 * 2 + 51264 + 204928 + 1843584 + 320288 + 332576 + 369472 + 530389 + 1853312,
}
"""The parts that look at decoded latents, there."""


def run_speed(place: Path, out: Path, *more: str) -> dict[str, Any]:
    fast = ["--rounds", "1", "--skip-large", "--peers", "jpeg-baseline", "--threads", "1"]
    assert speed.main([str(place), *fast, "--out", str(out), *more]) == 0
    return json.loads(out.read_text())


def test_speed_runs(folder: Path, tmp_path: Path) -> None:
    result = run_speed(folder, tmp_path / "speed.json", "--skip-cold", "--learned", "--rounds", "5")
    assert "processes" not in result and "learned" not in result
    assert result["environment"]["threads"] == 1
    found = result["pictures"]["192 x 192"]
    assert found["ratios"]["jpeg-baseline"]["encode"] > 0
    for what in ("encode", "decode"):
        parts = found["breakdown_ms"][what]
        total = parts.pop("total")
        assert sum(parts.values()) == pytest.approx(total)
        assert {"entropy coder", "pixels", "container", "graph scales_first"} <= set(parts)
        assert 0 < found["entropy"][what]["ms_min"] < total
    bits = 192 * 192 * found["codecs"]["aecodec"]["bpp"]
    assert 0 < found["entropy"]["bytes"] < bits / 8, "the file is the coded groups and a header"


def test_whole_processes(folder: Path, tmp_path: Path) -> None:
    image = Image.open(folder / "b.png")
    found = processes.measure(image, 40, None, {"jpeg-baseline": 50}, 1, 1)
    nothing = found["python -c pass"]
    time = "ms" if nothing["cpu_ms"] is None else "cpu_ms"  # which does not grow while other programs run
    for name in ("aecodec encode", "aecodec decode", "jpeg-baseline encode", "jpeg-baseline decode"):
        assert found[name]["ms"] > 0 and found[name][time] > nothing[time]
        if nothing["peak_mb"] is not None:
            assert found[name]["peak_mb"] > nothing["peak_mb"]


@pytest.mark.skipif(sys.platform == "win32", reason="scripts of a shell")
def test_avifenc_stands_beside_where_it_is_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("avifenc", "avifdec"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} $* >> {tmp_path / 'log'}\n")
        (tmp_path / name).chmod(0o755)
    image = Image.open(folder / "b.png")
    monkeypatch.setenv("PATH", str(folder))
    assert "avifenc -s 6" not in processes.commands(tmp_path, 40, None, {}, 1)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    found = processes.measure(image, 40, None, {}, 2, 1)
    calls = (tmp_path / "log").read_text().splitlines()
    assert calls[0].split()[:5] == ["avifenc", "-s", "6", "-j", "2"]
    assert calls[1].split()[:3] == ["avifdec", "-j", "2"]
    processes.report("192 x 192", found)
    ratio = found["aecodec encode"]["ms"] / found["avifenc -s 6"]["ms"]
    assert f"aecodec encode's time / avifenc's: {ratio:.2f}; processor time: " in capsys.readouterr().out


def test_parts_of_a_process(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = startup.parts(Image.open(folder / "b.png"), 40, None, 1, 1)
    spent = dict(found["parts"])
    total = spent.pop("total")
    assert sum(spent.values()) == pytest.approx(total) and min(spent.values()) >= -0.5
    wanted = {"numpy imported", "onnxruntime imported", "picture read", "networks", "entropy coder"}
    assert wanted | {"file written", "rest", "exit"} <= set(spent)
    assert all(spent[name] > 0 for name in wanted)
    assert found["beside"]["sessions made"] > 0 and found["beside"]["model files read, hashed"] > 0
    startup.report("192 x 192", found)
    assert "meanwhile, in the thread that makes sessions" in capsys.readouterr().out


def test_a_part_that_fails_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit status 7: aecodec: .*no-such-model"):
        startup.parts(Image.open(folder / "b.png"), 40, str(tmp_path / "no-such-model"), 1, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="no wait4")
def test_peak_memory_is_the_childs_own() -> None:
    """A parent that holds much must not be counted: forked children begin with its memory."""
    ballast = np.ones(300 << 20, np.uint8)
    small = processes.run([sys.executable, "-c", "pass"]).peak_bytes
    large = processes.run(
        [sys.executable, "-c", "x = bytearray(200 << 20); x[::4096] = x[::4096]"]
    ).peak_bytes
    assert ballast.all() and small is not None and large is not None
    assert small < 100e6
    assert 200e6 < large - small < 260e6


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="exit status 3: no such luck"):
        processes.run(
            [sys.executable, "-c", "import sys; sys.exit(print('no such luck', file=sys.stderr) or 3)"]
        )


def test_one_picture_there_and_back(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coded, back = tmp_path / "x.webp", tmp_path / "x.png"
    assert one.main(["encode", "webp", str(folder / "b.png"), str(coded), "--quality", "90"]) == 0
    assert one.main(["decode", "webp", str(coded), str(back)]) == 0
    with Image.open(folder / "b.png") as a, Image.open(back) as b:
        assert b.format == "PNG" and np.abs(np.asarray(a).astype(int) - np.asarray(b)).mean() < 8
    assert one.main(["decode", "webp", str(tmp_path / "none"), str(back)]) == 2
    assert "none" in capsys.readouterr().err


def test_alternating_rounds() -> None:
    calls: list[str] = []
    jobs = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    times = timing.alternate(jobs, 3)
    assert "".join(calls) == "abcbcacab"
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}


@pytest.mark.parametrize("name", PARAMETERS)
def test_shapes_are_those_of_compressai(name: str) -> None:
    pytest.importorskip("torch")
    from benchmarks import learned_shapes

    network = learned_shapes.make(name)
    counts = {part: sum(p.numel() for p in getattr(network, part).parameters()) for part in PARAMETERS[name]}
    assert counts == PARAMETERS[name]
    assert sum(p.numel() for p in network.parameters()) == sum(counts.values()) + CONTEXT[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_shapes_code_latents_and_find_them_again(name: str) -> None:
    """What is restored lies within half a step of y: decoding saw the same context as encoding."""
    torch = pytest.importorskip("torch")
    from benchmarks import learned_shapes

    network = learned_shapes.make(name)
    y = 40 * torch.randn(
        1, 192 if name == "cheng2020-anchor" else 320, 4, 4, generator=torch.Generator().manual_seed(2)
    )
    with torch.inference_mode():
        params = network.h_s(torch.round(network.h_a(y)))
        symbols = network.code(y, params)
        y_hat = network.restore(symbols, params)
        x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
        assert network.decode(network.encode(x)).shape == x.shape
    assert torch.equal(symbols, symbols.round()) and symbols.abs().max() > 20
    assert (y_hat - y).abs().max() <= 0.5 + 1e-3


def test_serial_context_sees_the_past_alone() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks import learned_shapes

    network = learned_shapes.make("cheng2020-anchor")
    symbols, params = torch.zeros(1, 192, 4, 4), torch.zeros(1, 384, 4, 4)
    changed = symbols.clone()
    changed[:, :, 1, 2] = 50
    with torch.inference_mode():
        moved = (network.restore(changed, params) - network.restore(symbols, params)).abs().amax(
            (0, 1)
        ) > 1e-6
    assert moved[1, 2] and moved[1, 3] and moved[2, 1]
    assert not moved[0].any() and not moved[1, :2].any()


def test_learned_networks_beside_aecodec(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    result = run_speed(folder, tmp_path / "speed.json", "--skip-cold", "--learned", "mbt2018-mean")
    found = result["learned"]["192 x 192"]
    label = "shape of mbt2018-mean"
    assert found["weights"] == "random" and "RANDOM" in capsys.readouterr().out
    assert found["rows"][label]["parameters"] == sum(PARAMETERS["mbt2018-mean"].values())
    rows = found["rows"]
    for what in ("encode", "decode"):
        expected = rows[label][what]["ms"] / rows["aecodec"][what]["ms"]
        assert found["ratios"][label][what] == pytest.approx(expected)
    assert ("CompressAI mbt2018-mean" in rows) != bool(found["missing"])


def test_unknown_learned_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert speed.main([str(folder), "--learned", "gan"]) == 2
    assert "mbt2018-mean" in capsys.readouterr().err


def test_pictures_are_padded_for_learned_networks() -> None:
    pytest.importorskip("torch")
    x = learned.to_tensor(Image.new("RGB", (70, 64), (255, 0, 51)))
    assert tuple(x.shape) == (1, 3, 64, 128)
    assert x[0, :, 10, 127].tolist() == pytest.approx([1, 0, 0.2])


@pytest.mark.parametrize("name", PARAMETERS)
def test_compressai_itself(name: str) -> None:
    try:
        network = compressai_networks.Network(name)
    except ValueError as error:
        pytest.skip(str(error))
    x = learned.to_tensor(Image.new("RGB", (64, 64), (90, 120, 150)))
    assert network.decode(network.encode(x)).shape == x.shape


def test_precision_in_a_codecs_name() -> None:
    assert codecs.is_aecodec("aecodec@fp32") and codecs.is_aecodec("aecodec:nano@int8")
    assert codecs.model_of("aecodec:nano@int8") == "nano" and codecs.model_of("aecodec@int8") is None
    made = codecs.make("aecodec@fp32", 1)
    assert made.name == "aecodec@fp32" and made.precision == "fp32" and " fp32," in made.version
    with pytest.raises(ValueError, match="precision 'half' is unknown"):
        codecs.make("aecodec@half", 1)


def test_graphs_beside_the_peak(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    bundle = models.find()
    found = graphs.beside_peak(bundle, (120, 128), 1, 1)
    assert found is not None and found["size"] == "128 x 128"
    assert set(found["graphs"]) == {"analysis", "context", "synthesis"}
    pixels = 128 * 128
    whole = sum(rows["fp32"]["gmac"] for rows in found["graphs"].values())
    decode = found["graphs"]["synthesis"]["fp32"]["gmac"]
    stated = bundle.manifest["kmac_per_pixel"]  # these count the scale networks, too
    assert 0 < decode < stated["decode"] * pixels / 1e6 and 0 < whole < sum(stated.values()) * pixels / 1e6
    for rows in found["graphs"].values():
        assert rows["fp32"]["int8_share"] == 0 and rows["fp32"]["of_peak"] > 0
        assert rows["fp32"]["of_peak"] == pytest.approx(rows["fp32"]["of_mixed_peak"])
    if "int8" in bundle.precisions:
        assert 0.5 < found["graphs"]["synthesis"]["int8"]["int8_share"] < 1
        assert "QLinearConv" in found["graphs"]["synthesis"]["int8"]["operators"]
    assert "of the fp32 peak" in capsys.readouterr().out


def test_a_size_that_is_not_trained(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    untrained.write("tiny", Image.open(folder / "a.png"), tmp_path / "tiny-random")
    bundle = model_bundle.load(tmp_path / "tiny-random")
    assert set(bundle.precisions["int8"]) == {"analysis", "context", "synthesis"}
    assert set(bundle.exact) == set(model_bundle.SCALE_NETWORKS)
    untrained.check(["std"])
    with pytest.raises(ValueError, match="no size huge; there are nano, fast, std, hq"):
        untrained.check(["huge"])
