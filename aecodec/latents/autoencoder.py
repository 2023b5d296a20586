"""A small autoencoder's bundle on disk -> its encoder and decoder as callables.  See docs/autoencoders.md.

x float32 [B, C, H, W] in 0..1 -encoder.onnx-> h [B, D] (and std [B, D] of a variational one)
h [B, D] -decoder.onnx-> x_hat [B, C, H, W]"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aecodec.errors import ModelError, UsageError
from aecodec.session import Device, Run, open_session, runner

FORMAT = "aecodec-autoencoder"
VERSION = 1
WANTED = "the folder of a small autoencoder is wanted, and no model of the codec (docs/autoencoders.md)"
GRAPHS = ("encoder.onnx", "decoder.onnx")
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Autoencoder:
    """An encoder and a decoder between pictures [C, H, W] in 0..1 and `latent` numbers.

    All methods raise UsageError for arrays of other shapes or of numbers that are not finite, and DeviceError
    where onnxruntime fails."""

    name: str
    objective: str
    """The variant: undercomplete, linear, sparse-l1, sparse-kl, contractive, denoising, variational."""
    input: tuple[int, int, int]
    """C, H, W of the pictures."""
    latent: int
    variational: bool
    manifest: dict[str, Any] = field(repr=False, compare=False)
    _encode: Run = field(repr=False, compare=False)
    _decode: Run = field(repr=False, compare=False)
    _loaded: tuple[str, Device, int | None] = field(repr=False, compare=False)
    """What load() was given, the folder with its whole path: another process loads it once more."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Autoencoder.load, self._loaded

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: Device = "cpu", threads: int | None = None
    ) -> Autoencoder:
        """The bundle in this folder. ModelError when a file is missing, damaged or of another format."""
        folder = Path(path)
        manifest = _manifest(folder)
        try:
            shape, latent = tuple(int(v) for v in manifest["input"]), int(manifest["latent"])
            channels, height, width = shape
            if min(channels, height, width, latent) < 1:
                raise ValueError(f"input {shape}, latent {latent}")
            graphs = [_read(folder, name, manifest["files"][name]["sha256"]) for name in GRAPHS]
            return cls(
                name=str(manifest["name"]),
                objective=str(manifest["objective"]),
                input=(channels, height, width),
                latent=latent,
                variational=bool(manifest["variational"]),
                manifest=manifest,
                _encode=runner(open_session(graphs[0], device, threads), folder.name, "encoder"),
                _decode=runner(open_session(graphs[1], device, threads), folder.name, "decoder"),
                _loaded=(os.path.abspath(folder), device, threads),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder / 'manifest.json'} is not a valid manifest: {error!r}") from None

    def encode(self, x: Array) -> Array:
        """float32 [B, C, H, W] in 0..1 -> h [B, D]; of a variational one, the mean."""
        result: Array = self._encode(x=self._checked(x))[0]
        return result

    def encode_distribution(self, x: Array) -> tuple[Array, Array]:
        """float32 [B, C, H, W] in 0..1 -> mean [B, D], standard deviation [B, D] of q(h | x).

        UsageError for an autoencoder that is not variational."""
        self._wants_prior("has no distribution of latents")
        mean, std = self._encode(x=self._checked(x))
        return mean, std

    def decode(self, h: Array, clip: bool = True) -> Array:
        """h float32 [B, D] -> x_hat [B, C, H, W], clipped to 0..1 unless `clip` is False."""
        h = self._numbers(h)
        if h.ndim != 2 or h.shape[1] != self.latent:
            raise UsageError(f"{self.name}: latents of shape (B, {self.latent}) wanted, not {h.shape}")
        x_hat: Array = self._decode(h=h)[0]
        return np.clip(x_hat, 0, 1) if clip else x_hat

    def reconstruct(self, x: Array) -> Array:
        """float32 [B, C, H, W] -> the same shape, through the bottleneck (the mean of a variational one)."""
        return self.decode(self.encode(x))

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Pictures [count, C, H, W] of latents from the prior N(0, 1). UsageError if not variational."""
        self._wants_prior("has no prior to draw from")
        return self.decode(rng.standard_normal((count, self.latent), np.float32))

    def interpolate(self, first: Array, last: Array, steps: int) -> Array:
        """Two pictures [C, H, W] -> [steps, C, H, W]: the decoder along the line between their latents.

        UsageError for less than 2 steps."""
        if not isinstance(steps, Integral) or steps < 2:
            raise UsageError(
                f"{steps} steps do not lead from one picture to another; give a whole number, at least 2"
            )
        ends = self.encode(np.concatenate([self._checked(np.asarray(end)[None]) for end in (first, last)]))
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode(ends[0] * (1 - share) + ends[1] * share)

    def _wants_prior(self, what: str) -> None:
        if not self.variational:
            raise UsageError(f"{self.name} {what}: it is {self.objective}; use a variational one")

    def _numbers(self, given: object) -> Array:
        try:
            array = np.asarray(given, np.float32)
        except (TypeError, ValueError):
            raise UsageError(f"{self.name}: arrays of numbers wanted, not {type(given).__name__}") from None
        if not np.isfinite(array).all():
            raise UsageError(f"{self.name}: some of the numbers are not finite")
        return array

    def _checked(self, x: Array) -> Array:
        x = self._numbers(x)
        if x.ndim != 4 or x.shape[1:] != self.input:
            raise UsageError(f"{self.name}: pictures of shape (B, {self.input}) wanted, not {x.shape}")
        return x


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{folder}: manifest.json: {error.strerror}; {WANTED}") from None
    except ValueError as error:
        raise ModelError(f"{folder / 'manifest.json'} is damaged: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelError(f"{folder}: its manifest does not say {FORMAT!r}; {WANTED}")
    if manifest.get("version") != VERSION:
        raise ModelError(f"{folder}: bundle version {manifest.get('version')}; this release reads {VERSION}")
    return manifest


def _read(folder: Path, name: str, expected: str) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {folder / name}: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise ModelError(f"{folder / name} is damaged (sha256); export or copy it again")
    return data
