"""One file or one picture of a collection, done: bytes in, bytes out, and its row for the manifest.

A Task is all that a worker needs to know; it can be sent to other processes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import gettempdir
from typing import IO, TYPE_CHECKING

from aecodec import container, remote
from aecodec.cli import decode, encode, files, unfinished
from aecodec.cli.attempt import attempt, explain
from aecodec.cli.many.collection import checksum, digest
from aecodec.cli.outcome import DONE, SALVAGED, Outcome
from aecodec.cli.plan import Job
from aecodec.errors import SALVAGED as SALVAGED_CODE
from aecodec.errors import AecodecError, DeviceError, InputError, OutputError

if TYPE_CHECKING:
    from aecodec.cli.many.records import Row
    from aecodec.codec import Codec

NAMES = {e.exit_code: e.__name__.removesuffix("Error").lower() for e in AecodecError.__subclasses__()}
"""Exit code -> the `kind` of a failure."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A picture that was coded: the bytes of its result, and what the manifest says about it."""

    data: bytes
    facts: Row
    status: str = DONE


@dataclass(frozen=True, slots=True)
class Task:
    """The work of a run."""

    args: Namespace
    kind: str
    suffix: str
    """Of results that are files, or members of shards."""
    form: str
    """Pillow's name of the format that decode writes."""
    spare: str | None
    """See Records."""
    wanted: frozenset[str]
    """Suffixes of pictures that are inputs, lower-case."""

    def __call__(self, codec: Codec, job: Job) -> Outcome:
        if job.target is not None:
            files.make_parent(job.target)
        if self.kind == "files":
            return self._file(codec, job)
        if self.kind == "parquet":
            from aecodec.cli.many.tables import code_shard
        else:
            from aecodec.cli.many.tars import code_shard
        return code_shard(self, codec, job)

    def code(self, codec: Codec, source: bytes, name: str) -> Coded:
        """The contents of a file -> those of its result. Errors begin with `name`."""
        began = time.perf_counter()
        if self.args.action == "decode":
            decoded = decode.decode(codec, self.args, source, name, self.form)
            with files.about(name):
                data = files.in_memory(decoded.contents)
            aec, notes = source, decoded.notes
            status = SALVAGED if decoded.lost else DONE
        else:
            if self.args.action == "encode":
                encoded = encode.encode(codec, self.args, source, name)
            else:
                with files.about(name):
                    encoded = encode.encode_picture(codec, self.args, codec.read(source), len(source))
            data, aec, notes, status = encoded.data, encoded.data, encoded.notes, DONE
        header = container.read_header(aec, codec.limits)
        facts: Row = {"status": status, "width": header.width, "height": header.height}
        facts |= {"bpp": round(8 * len(aec) / (header.width * header.height), 6)}
        facts |= {"input_bytes": len(source), "output_bytes": len(data)}
        facts |= {"sha256": hashlib.sha256(data).hexdigest()}
        facts |= {"seconds": round(time.perf_counter() - began, 4), "notes": list(notes)}
        return Coded(data, facts, status)

    def _file(self, codec: Codec, job: Job) -> Outcome:
        source = files.read_input(job.source)
        coded = self.code(codec, source, job.source)
        target = str(job.target)
        if job.replace or not self._is_there(target, coded.facts["sha256"]):
            files.write_output(target, coded.data, job.replace, self.spare)
        facts = coded.facts | {"input_sha256": hashlib.sha256(source).hexdigest()}
        size = facts["input_bytes" if self.args.action == "decode" else "output_bytes"]
        code = SALVAGED_CODE if coded.status == SALVAGED else 0
        return Outcome(
            job.source,
            target,
            coded.status,
            size,
            facts["bpp"],
            exit_code=code,
            notes=tuple(facts["notes"]),
            rows=(facts,),
        )

    @staticmethod
    def _is_there(target: str, sha256: str) -> bool:
        """Has a run that was killed before it could say so made this result? Anything else is not touched."""
        if not files.is_finished(target):
            return False
        if checksum(target) != sha256:
            raise OutputError(f"{target!r} exists and is no result of this command; --force replaces it")
        return True

    @contextmanager
    def new_shard(self, job: Job) -> Iterator[NewShard]:
        """A file to write a shard to. Left without an error it becomes the target, as a whole."""
        target = remote.local_path(str(job.target))
        far = remote.is_url(target)
        folder = gettempdir() if far else os.path.dirname(target) or "."
        if self.spare is not None and not far and os.stat(self.spare).st_dev == os.stat(folder).st_dev:
            folder = self.spare
        with _disk_full(target), unfinished.new_file(folder) as stream:
            shard = NewShard(stream)
            yield shard
            stream.flush()
            os.fsync(stream.fileno())
            shard.size, shard.sha256 = stream.tell(), checksum(stream.name)
            if job.replace or not self._is_there(target, shard.sha256):
                _place(stream.name, target)

    def picture(self, codec: Codec, shard: str, name: str, source: bytes | None) -> tuple[bytes | None, Row]:
        """A picture of a shard -> its result, or None where it failed; its row of a table.

        name: of the picture within the shard. source None: there is none."""
        began, whole = time.perf_counter(), f"{shard}#{name}"
        try:
            if source is None:
                raise InputError(f"{whole!r}: no picture, the value is null")
            coded = self.code(codec, source, whole)
        except DeviceError:
            raise  # all others would fail with the same words
        except Exception as error:
            text, code = explain(whole, error)
            return None, failure_row(text, code, time.perf_counter() - began) | {"picture": name}
        return coded.data, coded.facts | {"picture": name}


@dataclass(slots=True)
class NewShard:
    stream: IO[bytes]
    size: int = 0
    """Bytes, and the checksum: known when it is complete."""
    sha256: str = ""


def input_facts(name: str, stream: IO[bytes]) -> Row:
    """What a shard's row says about its input. From a URL all of it would be sent again for a checksum."""
    facts: Row = {"input_bytes": stream.seek(0, io.SEEK_END)}
    if not remote.is_url(remote.local_path(name)):
        stream.seek(0)
        facts["input_sha256"] = digest(stream)
    return facts


def shard_outcome(job: Job, rows: list[Row], shard: NewShard, source: Row, seconds: float) -> Outcome:
    """rows: of its pictures, as Task.picture gives them; source: see input_facts. The exit code is that of
    the first that failed."""
    bad = [row for row in rows if "error" in row]
    good = [row for row in rows if "error" not in row]
    pixels = sum(row["width"] * row["height"] for row in good)
    bits = sum(row["bpp"] * row["width"] * row["height"] for row in good)
    bpp = round(bits / pixels, 6) if pixels else None
    own: Row = {"status": DONE, "pictures": len(good), "failed": len(bad), "bpp": bpp}
    own |= source | {"output_bytes": shard.size, "sha256": shard.sha256}
    own |= {"seconds": round(seconds, 4), "notes": []}
    notes = (f"{len(bad)} of {len(rows)} pictures failed",) if bad else ()
    code = bad[0]["exit_code"] if bad else 0
    return Outcome(
        job.source, job.target, DONE, shard.size, bpp, exit_code=code, notes=notes, rows=(*rows, own)
    )


@contextmanager
def _disk_full(target: str) -> Iterator[None]:
    """OutputError where there is no room for a shard; what reading its source raises goes on."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OutputError(f"cannot write {target!r}: {error.strerror or error}") from None


def _place(temporary: str, target: str) -> None:
    if remote.is_url(target):
        remote.upload(target, temporary)
        return
    try:
        os.chmod(temporary, unfinished.mode_of(target))
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot write {target!r}: {error.strerror or error}") from None


def failure_row(error: str, exit_code: int, seconds: float) -> Row:
    kind = NAMES.get(exit_code, "unexpected")
    return {"kind": kind, "error": error, "exit_code": exit_code, "seconds": round(seconds, 4)}


def do(task: Task, codec: Codec, job: Job) -> Outcome:
    """task(), its errors as an outcome."""
    return attempt(job, lambda: task(codec, job))
