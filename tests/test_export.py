"""Export: the exact scale networks everywhere the same, the 2^24 bound, the bundle on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from export_models import bundle, fresh  # noqa: E402

from aecodec import decoding, model_bundle  # noqa: E402
from aecodec.codec import Codec  # noqa: E402
from aecodec.container import read_file  # noqa: E402
from aecodec.tables import load_tables  # noqa: E402
from aecodec.training.model import SIZES, SKIP, CodecModel  # noqa: E402
from aecodec.training.scales import SUM_LIMIT  # noqa: E402
from export import reference, verify  # noqa: E402
from export.cost import macs_per_pixel  # noqa: E402
from export.finished import finished  # noqa: E402
from export.graphs import all_graphs  # noqa: E402
from export.tables import codes_of, quantise  # noqa: E402

__all__ = ["bundle"]  # a fixture


def session(folder: Path, name: str) -> Any:
    return ort.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])


def test_exact_networks_agree_everywhere(bundle: tuple[CodecModel, Path]) -> None:
    said: list[str] = []
    assert verify.check_exact(*bundle, said.append, rounds=1) > 100_000
    assert "torch and int64 numpy" in said[0]


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="it may load here")
def test_a_provider_that_does_not_load_is_not_counted(
    bundle: tuple[CodecModel, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime runs the graphs on the CPU then, and says nothing."""
    providers = [*ort.get_available_providers(), "CUDAExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: providers)
    said: list[str] = []
    verify.check_exact(*bundle, said.append, rounds=1)
    assert [line.split()[0] for line in said[:-1]] == ["CUDAExecutionProvider"] * 2
    assert all("left out" in line for line in said[:-1]) and "under 6 settings" in said[-1]


def test_a_wrong_weight_is_found(bundle: tuple[CodecModel, Path]) -> None:
    """The comparison can fail: the weights of one input of one layer are one too large."""
    model, folder = bundle
    for layer in (model.scales.f4, model.scales.s2):
        kept = layer.weight.detach().clone()
        try:
            with torch.no_grad():
                layer.weight[:, 0] += 2.0**-layer.weight_bits
            with pytest.raises(ValueError, match="int64"):
                verify.check_exact(model, folder, lambda _: None, rounds=1)
        finally:
            with torch.no_grad():
                layer.weight.copy_(kept)


def test_exact_networks_spread(bundle: tuple[CodecModel, Path]) -> None:
    """An agreement of networks that say the same everywhere would prove nothing."""
    model, _ = bundle
    rng = np.random.default_rng(1)
    index, features = reference.first(model, rng.integers(-20, 21, (16, 8, 8)), 30)
    assert len(np.unique(index)) > 10 and len(np.unique(features)) > 10
    other, _ = reference.first(model, np.zeros((16, 8, 8), np.int64), 60)
    assert not np.array_equal(index, other)


def test_padded_groups_equal_unpadded_ones(bundle: tuple[CodecModel, Path]) -> None:
    """Partial groups, stacked and padded with a mask, against the network on the valid part alone."""
    model, folder = bundle
    rng = np.random.default_rng(2)
    sizes = [(8, 8), (8, 3), (1, 8), (5, 2), (1, 1)]
    z_hat, mask = np.zeros((5, 16, 8, 8), np.float32), np.zeros((5, 1, 8, 8), np.float32)
    for g, (a, b) in enumerate(sizes):
        z_hat[g, :, :a, :b] = rng.integers(-127, 128, (16, a, b))
        mask[g, :, :a, :b] = 1
    level = np.array([41])
    index, features = session(folder, "scales_first").run(
        None, {"z_hat": z_hat, "mask": mask, "level": level}
    )
    assert index.dtype == np.uint8
    for g, (a, b) in enumerate(sizes):
        part = torch.from_numpy(z_hat[g : g + 1, :, :a, :b].copy())
        with torch.no_grad():
            want, want_features = model.scales.first(part, torch.tensor([41]), exact=True)
        i, j = np.mgrid[: 4 * a, : 4 * b]
        first = np.stack([(i + j) % 2 == (0 if c < 24 else 1) for c in range(48)])
        np.testing.assert_array_equal(index[g, :, : 4 * a, : 4 * b], want[0].numpy() * first)
        np.testing.assert_array_equal(features[g, :, : 4 * a, : 4 * b], want_features[0].numpy())
        assert not index[g, :, 4 * a :].any() and not index[g, :, :, 4 * b :].any()


def test_float_graphs_agree_with_torch(bundle: tuple[CodecModel, Path]) -> None:
    rng = np.random.default_rng(3)
    picture = rng.random((1, 3, 64, 128), np.float32)
    verify.check_floats(*bundle, picture, lambda _: None)


@pytest.mark.parametrize("output", ["symbols_first", "residual_second"])
def test_a_wrong_context_is_found(bundle: tuple[CodecModel, Path], tmp_path: Path, output: str) -> None:
    """No other check of an export compares it with torch."""
    model, folder = bundle[0], Path(shutil.copytree(bundle[1], tmp_path / "copy"))
    graph = onnx.load(folder / "context.onnx")
    for node in graph.graph.node:
        node.output[:] = [f"{name}_right" if name == output else name for name in node.output]
        node.input[:] = [f"{name}_right" if name == output else name for name in node.input]
    graph.graph.node.append(onnx.helper.make_node("Neg", [f"{output}_right"], [output]))
    onnx.save(graph, folder / "context.onnx")
    picture = np.random.default_rng(3).random((1, 3, 64, 128), np.float32)
    with pytest.raises(ValueError, match="float graphs disagree with torch"):
        verify.check_floats(model, folder, picture, lambda _: None)


@pytest.mark.parametrize("level", [5, 16])
def test_the_codec_makes_the_symbols_of_torch(bundle: tuple[CodecModel, Path], level: int) -> None:
    """Dead zone, skip rule and checkerboard included; a value on the edge of rounding may fall either way."""
    model, folder = bundle
    picture = np.random.default_rng(4).integers(0, 256, (64, 192, 3), np.uint8)
    codec = Codec(folder, device="cpu", pixel_blocks=False)
    parsed = read_file(codec.encode(picture, quality=level * 100 / 63))
    own = codec._loader.model_of(parsed.header)
    symbols, z_hat, _ = decoding.decode_symbols(own, parsed.header, parsed.groups)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255

    def differing() -> int:
        with torch.no_grad():
            out = model(x, torch.tensor([float(level)]), exact=True, hard=True)
        assert (out.z_hat.numpy() == z_hat).mean() > 0.99
        return int((out.symbols.numpy() != symbols).sum())

    assert differing() <= 4
    try:
        model.dead_zone_strength = 0.0
        assert differing() > 40
    finally:
        model.dead_zone_strength = 8.0


@pytest.mark.parametrize(
    "name", ["f1", "f2", "f3", "f4", "f5", "head_first", "s1", "s2", "s3", "head_second"]
)
def test_sums_beyond_float32_are_refused(name: str) -> None:
    model = fresh()
    layer = model.scales.layers()[name]
    with torch.no_grad():
        layer.bias[1] = -(2.0**24) / layer.bias_unit
    with pytest.raises(ValueError, match=rf"layer {name}: .*2\^24"):
        all_graphs(model, "relu")


def test_the_bound_counts_weights_and_levels_exactly() -> None:
    model = fresh()
    layer = model.scales.f1
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.level_bias.knots.zero_()
        layer.weight[0, 0] = 1000  # is clipped to 127 / 64
        assert layer.worst_case_sum() == 127 * 127
        layer.level_bias.knots[8, 5] = (SUM_LIMIT - 64) / layer.bias_unit
        assert layer.worst_case_sum() == SUM_LIMIT - 64
        all_graphs(model, "relu")
        layer.weight[5, 0] = 2.0**-6
        with pytest.raises(ValueError, match="layer f1"):
            all_graphs(model, "relu")


def test_bundle_loads_and_its_hashes_hold(bundle: tuple[CodecModel, Path]) -> None:
    model, folder = bundle
    loaded = model_bundle.load(folder)
    assert (loaded.n, loaded.z, loaded.group, loaded.skip) == (48, 16, 32, SKIP)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest["files"]) == sorted(p.name for p in folder.iterdir() if p.name != "manifest.json")
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    tables = load_tables(loaded.read("tables.bin"))
    assert len(tables.rows) == 64 + 48 and tables.z_row.min() >= 64 and tables.z_row.shape == (64, 16)


def test_cost_of_a_block() -> None:
    """One more block of C channels at 1/8: (2 + 2 * 2) C^2 + 9 C a position, a position is 64 pixels."""
    sizes = [SIZES["tiny"], replace(SIZES["tiny"], decoder_blocks=2)]
    one, two = (macs_per_pixel(all_graphs(CodecModel(s), "relu")["synthesis.onnx"]) for s in sizes)
    assert two - one == (6 * 32**2 + 9 * 32) / 64
    assert one > 500


def test_table_rows() -> None:
    starts = quantise(np.array([1.0] + [0.0] * 15))
    assert starts[0] == 0 and (np.diff(starts.astype(int)) >= 1).all() and starts[15] < 32768
    symbols = np.array([0, 1, -1, 7, -7, 8, -8, 32767])
    assert codes_of(symbols, 0).tolist() == [0, 1, 2, 13, 14, 15, 15, 15]
    assert codes_of(np.array([-2, 1, 2, 5, 6, -3]), 2).tolist() == [0, 0, 1, 1, 3, 2]


def test_a_bundle_that_fails_its_checks_is_not_there(tmp_path: Path) -> None:
    """Nor does it replace what was."""
    folder = tmp_path / "made"
    for fails in (True, False, True):
        before = {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None
        with suppress(ValueError), finished(folder) as beside:
            (beside / "manifest.json").write_text(str(fails))
            (beside / "tables.bin").write_text("new")
            if fails:
                raise ValueError("an index differs")
        after = {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None
        assert after == (before if fails else {"manifest.json": "False", "tables.bin": "new"})
        assert [path.name for path in tmp_path.iterdir()] == ([] if after is None else ["made"])
