"""A folder of .aec files -> an index of what they show; a picture -> the most similar ones.

The index is one .npz file: a vector of vectors.pooled for each file, with its path, size and time of change,
so that a second run reads only what is new. Searching is exact, by inner product, in faiss.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aecodec import models
from aecodec.codec import Codec
from aecodec.errors import FormatError, InputError, ModelError, UsageError
from aecodec.latents import vectors
from aecodec.latents.reading import arrays_of, read_file, read_first
from aecodec.source import Source

Float = NDArray[np.float32]
FORMAT = "aecodec-index"
INSTALL = "run: pip install 'aecodec[latents]'"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the index."""

    path: str
    """Relative to the folder of the index, with forward slashes; absolute if it is on another drive."""
    size: int
    """Bytes."""
    changed: int
    """Time of change, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Hit:
    path: str
    score: float
    """Cosine of the two vectors: 1 for the same latents."""


class Index:
    """Vectors [D] of files, all made with one model."""

    def __init__(self, model_id: bytes | None = None) -> None:
        """model_id: None takes that of the first file."""
        self.model_id = model_id
        self._entries: dict[str, tuple[Entry, Float]] = {}
        self._searcher: Any = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, entry: Entry) -> bool:
        """Is the file in it, unchanged?"""
        known = self._entries.get(entry.path)
        return known is not None and known[0] == entry

    @property
    def paths(self) -> list[str]:
        return sorted(self._entries)

    def vectors(self) -> Float:
        """[files, D] in the order of `paths`; [0, 0] without any."""
        if not self._entries:
            return np.zeros((0, 0), np.float32)
        return np.stack([self._entries[path][1] for path in self.paths])

    def add(self, entry: Entry, vector: ArrayLike, model_id: bytes) -> None:
        """A file's vector, in place of what is there under its path. UsageError for another model's, for
        another length than that of the others, for what are no finite numbers, and for a path that an index
        file cannot hold."""
        numbers = _vector(vector)
        if not entry.path or "\0" in entry.path:
            raise UsageError(f"the path {entry.path!r} is that of no file")
        self.model_id = self.model_id or model_id
        if model_id != self.model_id:
            raise UsageError(
                f"{entry.path!r} was made with model {models.called(model_id)}, the index is of "
                f"{models.called(self.model_id)}; their latents cannot be compared. "
                "Encode it again, or make another index"
            )
        self._check_length(numbers)
        self._entries[entry.path] = entry, numbers
        self._searcher = None

    def fill(self, other: Index) -> None:
        """Takes what another index has and it has not; nothing where that is of another model."""
        if (self.model_id or other.model_id) == other.model_id:
            self.model_id = other.model_id
            self._entries = other._entries | self._entries
            self._searcher = None

    def keep(self, paths: Iterable[str]) -> int:
        """Forgets all other files -> how many these were."""
        wanted = set(paths)
        gone = [path for path in self._entries if path not in wanted]
        for path in gone:
            del self._entries[path]
        if not self._entries:
            self.model_id = None
        self._searcher = None
        return len(gone)

    def search(self, vector: ArrayLike, count: int = 10) -> list[Hit]:
        """[D], of any length -> the nearest files by cosine, best first. UsageError without faiss, for
        another D, for what are no finite numbers, and for a count below 1."""
        if not isinstance(count, Integral) or count < 1:
            raise UsageError(f"count {count!r} of files to find: give a whole number, 1 or more")
        numbers = _vector(vector)
        if not self._entries:
            return []
        self._check_length(numbers)
        if self._searcher is None:
            faiss = _faiss()
            self._searcher = faiss.IndexFlatIP(len(numbers))
            self._searcher.add(_unit(self.vectors()))
        scores, rows = self._searcher.search(_unit(numbers[None]), min(int(count), len(self)))
        paths = self.paths
        return [Hit(paths[row], float(score)) for row, score in zip(rows[0], scores[0], strict=True)]

    def _check_length(self, vector: Float) -> None:
        there = next((len(known) for _, known in self._entries.values()), len(vector))
        if there != len(vector):
            raise UsageError(
                f"the index has vectors of {there} numbers, this one has {len(vector)}; take pooled features "
                "of its model, or build it again"
            )

    def pack(self) -> bytes:
        """The bytes of an index file."""
        facts = {"format": FORMAT, "version": vectors.VERSION}
        facts["model_id"] = self.model_id.hex() if self.model_id else ""
        entries = [self._entries[path][0] for path in self.paths]
        out = io.BytesIO()
        np.savez(
            out,
            facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
            paths=np.frombuffer(
                "\0".join(e.path for e in entries).encode("utf-8", "surrogateescape"), np.uint8
            ),
            files=np.array([[e.size, e.changed] for e in entries], np.int64).reshape(-1, 2),
            vectors=self.vectors(),
        )
        return out.getvalue()


def is_index(source: Source) -> bool:
    """Of any version; its vectors may be damaged."""
    try:
        with np.load(io.BytesIO(arrays_of(source, "the index")[0]), allow_pickle=False) as parts:
            return bool(json.loads(parts["facts"].tobytes())["format"] == FORMAT)
    except Exception:  # a damaged zip or array raises many types
        return False


def load(source: Source) -> Index:
    """An index file -> Index. FormatError when it is none, or of another version of the features."""
    data, where = arrays_of(source, "the index")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            facts = json.loads(parts["facts"].tobytes())
            text = parts["paths"].tobytes().decode("utf-8", "surrogateescape")
            files, rows = parts["files"], parts["vectors"].astype(np.float32, copy=False)
        if facts["format"] != FORMAT:
            raise ValueError(facts["format"])
        version, model_id = int(facts["version"]), bytes.fromhex(facts["model_id"])
        paths = text.split("\0") if text else []
        if not len(paths) == len(files) == len(rows) or files.shape != (len(paths), 2):
            raise ValueError(f"{len(paths)} paths, {len(files)} files, {len(rows)} vectors")
        if rows.ndim != 2 or (paths and not rows.size):
            raise ValueError(f"vectors {rows.shape}")
        if not np.isfinite(rows).all() or (paths and not model_id):
            raise ValueError("vectors that cannot be compared")
    except Exception as error:  # a damaged zip or array raises many types
        raise FormatError(f"{where} is no index of aecodec, or is damaged") from error
    if version != vectors.VERSION:
        raise FormatError(f"{where} has features of version {version}, not {vectors.VERSION}; build it again")
    _check_width(where, rows, model_id)
    index = Index()
    for path, (size, changed), row in zip(paths, files.tolist(), rows, strict=True):
        index.add(Entry(path, size, changed), row, model_id)
    return index


def _check_width(where: str, rows: Float, model_id: bytes) -> None:
    """FormatError where the model, if it is installed, makes longer or shorter vectors."""
    with suppress(ModelError):
        wanted = vectors.length(models.find_id(model_id)) if len(rows) else rows.shape[1]
        if rows.shape[1] != wanted:
            raise FormatError(
                f"{where} has vectors of {rows.shape[1]} numbers, its model makes {wanted}; build it again"
            )


def folder_of(index: str) -> str:
    """Where an index really lies: what the paths in it are relative to."""
    return os.path.dirname(os.path.realpath(index))


def path_of(path: str, folder: str) -> str:
    """A file's path as an index in the folder has it. A link is named itself; of its folders it counts where
    they really lie: '..' behind a link is not what it seems."""
    own = os.path.join(os.path.realpath(os.path.dirname(path) or os.curdir), os.path.basename(path))
    with suppress(ValueError):  # another drive
        own = os.path.relpath(own, os.path.realpath(folder))
    return own.replace(os.sep, "/")


def entry_of(path: str, folder: str) -> Entry:
    """A file as it is now, no URL, its path relative to the folder. InputError when it is not there."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror or error}") from None
    return Entry(path_of(path, folder), facts.st_size, facts.st_mtime_ns)


def vector_of(source: Source, codec: Codec, verify: bool = False) -> tuple[Float, bytes]:
    """An .aec file -> its vector, its model's id. Raises what decode() does.

    No more of the latents is read than the vector needs. The checksums of all bytes are verified; that of
    the symbols, which needs all of them, where `verify` says so. The vector is the same."""
    latents = (read_file if verify else read_first)(source, codec)
    return vectors.pooled(latents), latents.header.model_id


def build(paths: Sequence[str], folder: str, codec: Codec, verify: bool = False) -> Index:
    """Files -> their index, paths relative to `folder`; verify: see vector_of. Raises what decode() does."""
    index = Index()
    for path in paths:
        index.add(entry_of(path, folder), *vector_of(path, codec, verify))
    return index


def _vector(found: ArrayLike) -> Float:
    """UsageError for what is no list of finite numbers."""
    try:
        with np.errstate(over="ignore"):  # too large ones become infinite
            vector = np.asarray(found, np.float32)
    except (TypeError, ValueError):
        raise UsageError(f"a vector of numbers is needed, not {type(found).__name__}") from None
    if vector.ndim != 1 or not vector.size:
        raise UsageError(f"a vector [D] is needed, not an array {list(vector.shape)}; take pooled features")
    if not np.isfinite(vector).all():
        raise UsageError("the vector has numbers that are not finite; nothing compares with them")
    return vector


def _unit(rows: Float) -> Float:
    """[files, D], each divided by its length; zeros stay zeros, whose cosine is 0 with everything."""
    squared = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)  # float32 may not hold it
    unit = np.empty_like(rows)
    np.divide(rows, np.sqrt(np.where(squared > 0, squared, 1))[:, None], out=unit, casting="same_kind")
    return unit


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise UsageError(f"searching needs faiss; {INSTALL}") from None
    return faiss
