"""WebDataset: a tar file of samples -> a tar file of the same samples with other pictures in them.

Members whose names are equal up to the first dot are a sample. Of these the pictures are coded, and get
another suffix; all other members stay as they are. A sample whose picture fails is left out: a training loop
expects whole ones. Headers of files, folders and links are written anew; members of any other type, which may
mean what only their makers know, are copied with headers and data, byte for byte.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import IO, TYPE_CHECKING, TypeAlias

from aecodec.cli import files
from aecodec.cli.many.work import Task, failure_row, input_facts, shard_outcome
from aecodec.errors import InputError

if TYPE_CHECKING:
    from aecodec.cli.many.records import Row
    from aecodec.cli.outcome import Outcome
    from aecodec.cli.plan import Job
    from aecodec.codec import Codec

Member: TypeAlias = tuple[tarfile.TarInfo, bytes]
"""Of a file its contents, of a folder or a link nothing, of anything else all that the tar file has of it."""
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)")
"""Key, extension: up to the first dot of the last part, and behind it."""
LARGEST = 1 << 28
"""Bytes of a file that was stored without its holes: they cost nothing in the source, and memory here."""
HOSTILE = (tarfile.TarError, OSError, EOFError, ValueError, ArithmeticError, LookupError)
"""What tarfile raises for what is no tar file, or is made to look like one."""


def code_shard(task: Task, codec: Codec, job: Job) -> Outcome:
    """InputError where the file is no tar file or is cut; pictures fail one by one."""
    began = time.perf_counter()
    rows: list[Row] = []
    with files.opened(job.source) as stream, task.new_shard(job) as shard:
        with tarfile.open(fileobj=shard.stream, mode="w", format=tarfile.PAX_FORMAT) as out:
            for _, members in groupby(_members(job.source, stream), key=lambda member: _key(member[0].name)):
                results, own = _code_sample(task, codec, job.source, list(members))
                for info, data in results:
                    _add(out, info, data, job.source)
                rows += own
        source_facts = input_facts(job.source, stream)
    return shard_outcome(job, rows, shard, source_facts, time.perf_counter() - began)


def _members(name: str, stream: IO[bytes]) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            for info in tar:
                if info.issparse() and info.size > LARGEST:  # a few bytes may ask for any number of zeros
                    size = f"{info.size} bytes; the limit is {LARGEST}"
                    raise InputError(f"{name!r}: {info.name!r} is a sparse file of {size}")
                if _is_copied(info):
                    yield info, _raw(name, info, tar, stream)
                else:
                    opened = tar.extractfile(info) if info.isfile() else None
                    data = b"" if opened is None else opened.read()
                    yield _whole(info, data), data
                tar.members.clear()  # type: ignore[attr-defined]  # it would remember all headers
            _check_end(tar, stream)
    except HOSTILE as error:
        raise InputError(f"{name!r}: cannot be read as tar file: {error}") from None


def _is_copied(info: tarfile.TarInfo) -> bool:
    """Devices and pipes, and types that only some programs write: volume labels, contents of folders."""
    return not (info.isfile() or info.isdir() or info.issym() or info.islnk())


def _raw(name: str, info: tarfile.TarInfo, tar: tarfile.TarFile, stream: IO[bytes]) -> bytes:
    """A member from its first header to the end of its data's last block.

    InputError where a global header says something about it, too: the result has none."""
    if tar.pax_headers:
        kind = info.type.decode("latin-1")
        raise InputError(
            f"{name!r}: {info.name!r}, of type {kind!r}, cannot be copied: a global header is before it; "
            "write the file anew without"
        )
    if stream.seek(0, io.SEEK_END) < tar.offset:
        raise tarfile.ReadError("unexpected end of data")
    stream.seek(info.offset)
    return stream.read(tar.offset - info.offset)


def _check_end(tar: tarfile.TarFile, stream: IO[bytes]) -> None:
    """ReadError where a header behind the first is damaged, which tarfile takes for the end."""
    stream.seek(tar.offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"damaged header at byte {tar.offset}")


def _whole(info: tarfile.TarInfo, data: bytes) -> tarfile.TarInfo:
    """A member as it is written: a file has all its bytes, also where the source leaves out holes, and
    headers that say again what its fields say are made anew."""
    if info.isfile():
        info.size = len(data)
        if info.type != tarfile.CONTTYPE:
            info.type = tarfile.REGTYPE
    info.pax_headers = {
        key: value
        for key, value in info.pax_headers.items()
        if key not in ("path", "linkpath", "size") and not key.startswith("GNU.sparse.")
    }
    return info


def _add(out: tarfile.TarFile, info: tarfile.TarInfo, data: bytes, shard: str) -> None:
    """InputError for fields that can be read and not written, such as a time that is no number."""
    if _is_copied(info):
        out.fileobj.write(data)  # type: ignore[union-attr]
        out.offset += len(data)  # by which the end is padded
        return
    try:
        out.addfile(info, io.BytesIO(data) if info.isfile() else None)
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"{shard!r}: the header of {info.name!r} cannot be written: {error}") from None


def _code_sample(
    task: Task, codec: Codec, shard: str, members: list[Member]
) -> tuple[list[Member], list[Row]]:
    """-> the members of the result, none where a picture failed; the rows of its pictures."""
    results: list[Member] = []
    rows: list[Row] = []
    for info, source in members:
        if info.isdir() or info.issym() or info.islnk():
            results.append((_linked(task, info), source))
            continue
        if _is_copied(info) or not _is_picture(task, info.name):
            results.append((info, source))
            continue
        data, row = task.picture(codec, shard, info.name, source)
        rows.append(row)
        if data is not None:
            info.name = _renamed(info.name, task.suffix)
            info.size = len(data)
            results.append((info, data))
    names = Counter(info.name for info, _ in results)
    problem = next((f"two members would be {n!r}" for n, count in names.items() if count > 1), None)
    problem = problem or next((f"{r['picture']!r} failed" for r in rows if "error" in r), None)
    if problem is None:
        return results, rows
    whole = [row for row in rows if "error" not in row]
    told = (f"{shard + '#' + row['picture']!r}: the sample is left out: {problem}" for row in whole)
    lost = [
        failure_row(t, InputError.exit_code, r["seconds"]) | {"picture": r["picture"]}
        for t, r in zip(told, whole, strict=True)
    ]
    return [], [row for row in rows if "error" in row] + lost


def _linked(task: Task, info: tarfile.TarInfo) -> tarfile.TarInfo:
    """A folder, or a link, which takes part when the picture that it names gets another name."""
    info.size = 0
    if info.issym() or info.islnk():
        info.name, info.linkname = (
            _renamed(name, task.suffix) if _is_picture(task, name) else name
            for name in (info.name, info.linkname)
        )
    return info


def _key(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match[1] if match else name


def _is_picture(task: Task, name: str) -> bool:
    match = _NAME.fullmatch(name)
    if match is None:
        return False
    extension = match[2].lower()
    if task.args.members:
        return extension in task.args.members.lower().split(",")
    if task.args.action == "encode":  # 1.seg.png is more likely a mask than a photograph
        return f".{extension}" in task.wanted
    return extension.rpartition(".")[2] == "aec"


def _renamed(name: str, suffix: str) -> str:
    return name.rpartition(".")[0] + suffix
