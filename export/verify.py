"""Proof that a bundle computes what was trained, and that its exact networks are exact.

Indices: torch, ONNX Runtime with 1 and n threads, graph optimisation off and on, CUDA when present, and
an int64 numpy reference must agree in every value, on realistic and on extreme inputs.  Float graphs
must agree with torch within a stated tolerance, a wider one where they round their means (means.py), and
the graphs in 8 bits with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from aecodec import cutting
from aecodec.model_bundle import SCALE_NETWORKS, Bundle, load
from aecodec.scale_networks import InBytes
from aecodec.session import CPU, CUDA, Session, runner, runtime
from aecodec.training.entropy_model import INDEX_COUNT
from aecodec.training.layers import checkerboard
from aecodec.training.model import CodecModel, Output

from . import reference
from .graphs import GROUP

Array = np.ndarray
PIXEL_TOLERANCE = 0.5 / 255
LATENT_TOLERANCE = 2e-3
CONTEXT_TOLERANCE = 0.05
"""Energy of what differs in the context's symbols and residuals, as a share of theirs.  Rounded means of the
shipped models: up to 0.011."""
INT8_TOLERANCE = 2 / 255
INT8_LATENTS = 0.25
"""Root mean square, in quantiser steps, by which an analysis in int8 may move y."""
MEANS_TOLERANCE = 2 / 255
"""Root mean square of what rounded means change, where the symbols are those of other means."""
SAME_MEANS = 1e-3
"""Noise that means of another precision may add, as a share of that of rounding symbols."""


def sessions(
    paths: list[Path], say: Callable[[str], None], cuda: bool = True
) -> Iterator[tuple[str, list[Session]]]:
    """The same graphs under every setting that could change the order of their sums.

    ONNX Runtime quietly runs a graph on the CPU where it cannot load CUDA: that setting is left out, and
    told."""
    ort = runtime()
    levels = ort.GraphOptimizationLevel
    settings = [(CPU, t, o) for t in (1, 2, 5) for o in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL)]
    if cuda and CUDA in ort.get_available_providers():
        settings += [(CUDA, 1, o) for o in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL)]
    for provider, threads, optimisation in settings:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = optimisation
        options.log_severity_level = 3
        chosen = (provider, {"use_tf32": "0"}) if provider == CUDA else provider
        made = [ort.InferenceSession(str(path), options, providers=[chosen]) for path in paths]
        name = f"{provider} threads={threads} {optimisation.name}"
        if all(session.get_providers()[0] == provider for session in made):
            yield name, made
        else:
            say(f"{name}: left out, ONNX Runtime cannot load it")


Case = tuple[Array, Array, int, Array, tuple[Array, ...]]


def _cases(model: CodecModel, seed: int, rounds: int) -> Iterator[Case]:
    """Ordinary, sparse and extreme values: z_hat [Z, a, b], first-half symbols [N, 4a, 4b], level, where the
    first half is [N, 4a, 4b], and what int64 makes of them: index_first, features, index_second."""
    rng = np.random.default_rng(seed)
    n, z = model.size.n, model.size.z
    for case, (a, b) in enumerate([(8, 8), (8, 8), (8, 5), (3, 8), (1, 1), (8, 8)] * rounds):
        spread = (1.0, 4.0, 20.0, 60.0, 127.0, 0.3)[case % 6]
        z_hat = np.clip(np.rint(rng.normal(0, spread, (z, a, b))), -127, 127)
        if case % 6 == 4:
            z_hat = rng.choice([-127.0, 127.0], (z, a, b))
        symbols = np.rint(rng.standard_t(2, (n, 4 * a, 4 * b)) * spread / 4).clip(-32767, 32767)
        first = checkerboard(n, 4 * a, 4 * b, torch.device("cpu"))[0].numpy()
        symbols, level = symbols * first, int(rng.integers(64))
        index_first, features = reference.first(model, z_hat.astype(np.int64), level)
        index_second = reference.second(model, features, symbols.astype(np.int64), level)
        yield z_hat, symbols, level, first, (index_first * first, features, index_second * (1 - first))


def _pad(array: Array, side: int) -> Array:
    _, h, w = array.shape
    return np.pad(array, ((0, 0), (0, side - h), (0, side - w)))[None].astype(np.float32)


def check_exact(model: CodecModel, folder: Path, say: Callable[[str], None], rounds: int = 2) -> int:
    """Compare every implementation of the scale networks; returns how many indices were compared.

    Raises ValueError naming the setting, layer output and first differing value."""
    found = list(sessions([folder / f"{name}.onnx" for name in SCALE_NETWORKS], say))
    compared = 0
    for z_hat, symbols, number, half, wants in _cases(model, 7, rounds):
        with torch.no_grad():
            q = torch.tensor([number])
            t1, tf = model.scales.first(torch.from_numpy(z_hat[None]).float(), q, True)
            t2 = model.scales.second(tf, torch.from_numpy(symbols[None]).float(), q, True)
        _same("torch", (t1[0].numpy() * half, tf[0].numpy(), t2[0].numpy() * (1 - half)), wants)
        h, w = half.shape[1:]
        shared = {"mask": _pad(np.ones((1, h // 4, w // 4)), GROUP // 4), "level": np.array([number])}
        for name, (first, second) in found:
            i1, f1 = first.run(None, shared | {"z_hat": _pad(z_hat, GROUP // 4)})
            (i2,) = second.run(None, shared | {"features": f1, "symbols_first": _pad(symbols, GROUP)})
            _same(name, tuple(x[0, :, :h, :w] for x in (i1, f1, i2)), wants)
            if any(x[0, :, h:].any() or x[0, :, :, w:].any() for x in (i1, i2)):
                raise ValueError(f"{name}: an index outside the picture is not 0")
            compared += i1.size + i2.size
    say(f"exact networks: {compared} indices equal under {len(found)} settings, torch and int64 numpy")
    return compared


def check_exact_int8(model: CodecModel, folder: Path, say: Callable[[str], None], rounds: int = 2) -> int:
    """The scale networks in bytes, if the bundle has them, as check_exact does; groups are not padded."""
    bundle = load(folder)
    if not bundle.exact:
        return 0
    paths = [folder / bundle.exact[graph].file for graph in SCALE_NETWORKS]
    found = [
        (name, [InBytes(runner(session, bundle.name, "of bytes")) for session in pair])
        for name, pair in sessions(paths, say, cuda=False)
    ]
    compared = 0
    for z_hat, symbols, number, _, wants in _cases(model, 8, rounds):
        level = np.array([number])
        for name, (first, second) in found:
            i1, f1 = first.first(z_hat[None].astype(np.float32), level)
            i2 = second.second(f1, symbols[None].astype(np.int16), level)
            _same(f"bytes, {name}", (i1[0], f1[0].transpose(2, 0, 1), i2[0]), wants)
            compared += i1.size + i2.size
    say(f"exact networks in bytes: {compared} indices equal under {len(found)} settings and int64 numpy")
    return compared


def _same(name: str, found: tuple[Array, ...], wanted: tuple[Array, ...]) -> None:
    for what, got, want in zip(("index_first", "features", "index_second"), found, wanted, strict=True):
        if not np.array_equal(got.astype(np.int64), want):
            at = tuple(int(v) for v in np.argwhere(got.astype(np.int64) != want)[0])
            raise ValueError(f"{name}: {what}{list(at)} is {got[at]:g}, int64 says {want[at]:g}")


def open_cpu(folder: Path, name: str) -> Session:
    return runtime().InferenceSession(str(folder / f"{name}.onnx"), providers=[CPU])


def _preview(folder: Path, divisor: int, form: str) -> Session:
    """form: "" or ".int8", of synthesis."""
    parts = (folder / name for name in (f"synthesis{form}.onnx", f"small_{divisor}.onnx"))
    joined = cutting.preview(*(part.read_bytes() for part in parts))
    return runtime().InferenceSession(joined, providers=[CPU])


def too_far(bundle: Bundle, x_hat: Array, wanted: Array) -> bool:
    """Is this not what `wanted`, of torch from the same symbols, says?  Both 0 .. 1.

    Written, as all tests here, so that NaN is too far."""
    off = x_hat - wanted
    if bundle.rounds_means:
        return not np.sqrt(np.square(off).mean()) <= MEANS_TOLERANCE
    return not np.abs(off).max() <= PIXEL_TOLERANCE


def check_int8(folder: Path, picture: Array, say: Callable[[str], None]) -> None:
    """The 8-bit graphs of a bundle, if it has any, against its float ones; picture as for check_floats.

    Raises ValueError where pixels are further apart than INT8_TOLERANCE on average."""
    if "synthesis" not in load(folder).precisions.get("int8", {}):
        return
    names = ("analysis", "context", "synthesis", "analysis.int8", "synthesis.int8")
    run = {name: open_cpu(folder, name) for name in names}
    for level in (0.0, 20.4, 63.0):
        quality = np.array([level], np.float32)
        y, z_hat = run["analysis"].run(None, {"x": picture, "quality": quality})
        y_int8, _ = run["analysis.int8"].run(None, {"x": picture, "quality": quality})
        everywhere = np.full(y.shape, INDEX_COUNT - 1, np.uint8)  # no symbol is skipped
        feed = {"y": y, "z_hat": z_hat, "quality": quality, "index_first": everywhere}
        first, second = run["context"].run(None, feed)
        half = checkerboard(y.shape[1], *y.shape[2:], torch.device("cpu")).numpy()
        feed = {"symbols": np.where(half, first, np.rint(second)), "z_hat": z_hat, "quality": quality}
        x_hat, x_hat_int8 = (run[n].run(None, feed)[0] for n in ("synthesis", "synthesis.int8"))
        latents, pixels = np.sqrt(np.square(y_int8 - y).mean()), np.abs(x_hat_int8 - x_hat).mean()
        for divisor in load(folder).previews:
            small, small_int8 = (_preview(folder, divisor, form).run(None, feed)[0] for form in ("", ".int8"))
            if not np.abs(small_int8 - small).mean() <= INT8_TOLERANCE:
                raise ValueError(f"level {level}: 1/{divisor} in int8 is too far from the float one")
        say(f"level {level}: int8 moves y by {latents:.4f} steps (rms), pixels by {pixels * 255:.3f} / 255")
        if not (pixels <= INT8_TOLERANCE and latents <= INT8_LATENTS):
            raise ValueError(f"level {level}: the int8 graphs are too far from the float ones")


def check_means(folder: Path, picture: Array, say: Callable[[str], None]) -> None:
    """Those of the 8-bit graphs, if there are any, against those of the float ones; picture as for
    check_floats.  Raises ValueError where the difference is noise that matters."""
    if not load(folder).rounds_means:
        return
    run = {name: open_cpu(folder, name) for name in ("analysis", "context", "context.int8")}
    for level in (0.0, 20.4, 63.0):
        quality = np.array([level], np.float32)
        y, z_hat = run["analysis"].run(None, {"x": picture, "quality": quality})
        feed = {"y": y, "z_hat": z_hat, "quality": quality}
        feed["index_first"] = np.full(y.shape, INDEX_COUNT - 1, np.uint8)  # no symbol is skipped
        one, other = (run[name].run(None, feed)[1] for name in ("context", "context.int8"))
        noise = float(12 * np.square(one - other).mean())
        say(f"level {level}: means in int8 add {noise:.1e} of the noise of rounding")
        if not noise < SAME_MEANS:
            raise ValueError(f"level {level}: the int8 graphs have other means than the float ones")


def _of_context(context: Session, out: Output, y: Array, quality: Array) -> float:
    """How far the graph's symbols of the first half and residuals of the second are from torch's, for the y
    in quantiser steps [1, N, h, w] and the indices that torch has: see CONTEXT_TOLERANCE."""
    half = checkerboard(y.shape[1], *y.shape[2:], torch.device("cpu")).numpy()
    feed = {"y": y, "z_hat": out.z_hat.numpy(), "quality": quality}
    first, second = context.run(None, feed | {"index_first": (out.index.numpy() * half).astype(np.uint8)})
    wanted = np.where(half, out.symbols.numpy(), y - (out.y_hat - out.symbols).numpy())
    off = np.square(np.where(half, first, second) - wanted).mean()
    return float(off / max(np.square(wanted).mean(), 0.01))  # below a tenth of a step nothing is coded


def check_floats(model: CodecModel, folder: Path, picture: Array, say: Callable[[str], None]) -> None:
    """y, z_hat, symbols and x_hat against torch; picture float32 [1, 3, H, W] with sides multiples of 64."""
    names = ("analysis", "context", "synthesis")
    bundle, run = load(folder), {name: open_cpu(folder, name) for name in names}
    for level in (0.0, 20.4, 63.0):
        quality = np.array([level], np.float32)
        y, z_hat = run["analysis"].run(None, {"x": picture, "quality": quality})
        with torch.no_grad():
            out = model(torch.from_numpy(picture), torch.tensor([level]), exact=True, hard=True)
            wanted = (out.y * model.gain(torch.tensor([level]))).numpy()
        latent_error = float(np.abs(y - wanted).max() / max(1.0, np.abs(y).max()))
        context_error = _of_context(run["context"], out, wanted, quality)
        feed = {"symbols": out.symbols.numpy(), "z_hat": out.z_hat.numpy(), "quality": quality}
        (x_hat,) = run["synthesis"].run(None, feed)
        pixel_error = float(np.abs(x_hat - out.x_hat.clamp(0, 1).numpy()).max())
        z_error = float((z_hat != out.z_hat.numpy()).mean())
        say(
            f"level {level}: y within {latent_error:.1e}, z_hat differs in {z_error:.1%}, "
            f"symbols by {context_error:.1e} of their energy, x_hat within {pixel_error * 255:.5f} / 255"
        )
        far = too_far(bundle, x_hat, out.x_hat.clamp(0, 1).numpy()) or not context_error < CONTEXT_TOLERANCE
        if far or not (latent_error <= LATENT_TOLERANCE and z_error <= 0.01):
            reason = ", or 8 bits are too few for its means" if bundle.rounds_means else ""
            raise ValueError(f"level {level}: the exported float graphs disagree with torch{reason}")
