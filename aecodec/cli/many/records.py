"""What a collection's runs remember, in DST/_aecodec: settings, manifest, failures.

A *unit* is what is written at once: a file, or a shard with all its pictures. The manifest has a row for each
picture that has a result, and the row of a shard behind those of its pictures; so a unit's rows are complete
exactly when its last one is there, and a run that was killed leaves none that are believed wrongly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from aecodec import remote
from aecodec.cli import common, files, plan
from aecodec.cli.many.journal import Journal
from aecodec.errors import InputError, OutputError, UsageError

FOLDER = "_aecodec"
Row: TypeAlias = dict[str, Any]
LATER = {"effort": 0}
"""Settings that came later, and what was done before."""


class Done(NamedTuple):
    """A unit in the manifest."""

    input_bytes: int
    output_bytes: int
    sha256: str
    failed: int
    """Pictures of a shard that have no result."""
    input_version: str | None
    """See Item.version; None in rows of earlier versions, which knew none."""


class Records:
    """The tables of one DST. Only one run at a time may write them, which a lock ensures where the
    file system has locks."""

    def __init__(self, dst: str) -> None:
        self.folder = plan.join(dst, FOLDER)
        self.spare: str | None = None
        """The folder for files that are not complete; None at URLs."""
        self.done: dict[str, Done] = {}
        self.failed: dict[str, list[Row]] = {}
        self._lock: Any = None
        if not remote.is_url(remote.local_path(self.folder)):
            self.spare = os.path.join(remote.local_path(self.folder), "tmp")
            files.make_parent(os.path.join(self.spare, "any"))
            self._lock = _lock(Path(self.spare).parent / "lock")
            self.sweep()
        self._manifest = Journal(plan.join(self.folder, "manifest.jsonl"))
        self._failures = Journal(plan.join(self.folder, "failures.jsonl"))
        self._untidy = self._loaded = False
        """Has the manifest rows that hold no more?"""

    # -- what is there ---------------------------------------------------------------------------

    def check_settings(self, settings: Row, force: bool) -> None:
        """UsageError when what is there was made in another way; with force it is forgotten."""
        name = plan.join(self.folder, "settings.json")
        if files.is_finished(name) and not force:
            before = LATER | _settings_of(name)
            changed = [key for key in settings if settings[key] != before.get(key)]
            if changed and any(self._manifest.lines()):
                told = ", ".join(f"{key} {before.get(key)!r}, now {settings[key]!r}" for key in changed)
                raise UsageError(
                    f"what is in {self.folder!r} was made with {told}; "
                    "take another DST, or --force to do everything again"
                )
        if force:  # first: results of old settings must not be found under new ones
            self._manifest.replace([])
        files.write_output(name, (json.dumps(settings, indent=1) + "\n").encode(), force=True)

    def load(self) -> None:
        """InputError where a row cannot be read, except a last one that was torn."""
        torn, complete = 0, True
        for number, line in enumerate(self._manifest.lines(), 1):
            if torn:
                raise InputError(f"{self._manifest.name!r}, line {torn}: no row; mend or remove the line")
            try:
                row = _row(line)
            except ValueError:
                torn = number
                continue
            complete = row["shard"] is None
            if complete:
                self._untidy |= row["input"] in self.done
                self.done[row["input"]] = _done(row)
        if torn or not complete:
            self._untidy = True
            self._tidy()
        for line in self._failures.lines():
            try:
                row = _row(line)
            except ValueError:
                continue  # torn; its input is tried again
            unit = row["shard"] or row["input"]
            if unit not in self.done or self.done[unit].failed:
                self.failed.setdefault(unit, []).append(row)
        self._loaded = True

    # -- what happens ----------------------------------------------------------------------------

    def add(self, unit: str, rows: Iterable[Row]) -> None:
        """The rows of a unit that was tried; those with an "error" are failures. Older ones are forgotten."""
        good = [row for row in rows if "error" not in row]
        bad = [row for row in rows if "error" in row]
        older = self.done.pop(unit, None)
        self._untidy |= older is not None
        kept = older.sha256 if older else self._kept(unit)
        if kept and not good:  # what is there is still a result of this command
            bad = [row | {"older_sha256": kept} for row in bad]
        if good and good[-1]["shard"] is None:
            self.done[unit] = _done(good[-1])
            self._manifest.append(json.dumps(row) for row in good)
        self.failed.pop(unit, None)
        if bad:
            self.failed[unit] = bad
            self._failures.append(json.dumps(row) for row in bad)

    def is_ours(self, unit: str) -> bool:
        """Is what DST has of it a result of this command? An older one, where the last try failed."""
        return unit in self.done or self._kept(unit) is not None

    def _kept(self, unit: str) -> str | None:
        return next((row["older_sha256"] for row in self.failed.get(unit, []) if "older_sha256" in row), None)

    def input_checksums(self, units: set[str]) -> dict[str, str | None]:
        """SHA-256 of the inputs of units, where the manifest has it."""
        rows = (json.loads(block[-1]) for unit, block in self._blocks() if unit in units)
        return {row["input"]: row.get("input_sha256") for row in rows}

    def confirm(self, unit: str, version: str) -> None:
        """Its input has another version and the contents that it had."""
        self.done[unit] = self.done[unit]._replace(input_version=version)
        self._untidy = True

    def close(self, parquet: bool = False) -> None:
        """Tables without rows that hold no more; as Parquet, too, where that is asked for."""
        try:
            if self._loaded:
                if self._untidy:
                    self._tidy()
                self._manifest.close()
                self._failures.replace(json.dumps(row) for rows in self.failed.values() for row in rows)
                if parquet:
                    self._write_parquet()
        finally:
            if self.spare is not None:
                self.sweep()
                with suppress(OSError):  # a worker of a run that was killed may still write there
                    os.rmdir(self.spare)
            if self._lock is not None:
                self._lock.close()

    def _write_parquet(self) -> None:
        from aecodec.cli.many import tables

        for journal in (self._manifest, self._failures):
            rows = map(json.loads, journal.lines())
            tables.write_rows(journal.name.removesuffix("jsonl") + "parquet", rows)

    def sweep(self) -> None:
        """What workers that were killed have left."""
        if self.spare is not None:
            for path in Path(self.spare).iterdir():
                path.unlink(missing_ok=True)

    @property
    def failures(self) -> str:
        return self._failures.name

    def _tidy(self) -> None:
        """The last rows of each unit only, with the version of its input that was seen last."""
        last = {unit: number for number, (unit, _) in enumerate(self._blocks())}
        lines: list[str] = []
        for number, (unit, block) in enumerate(self._blocks()):
            if last[unit] == number and unit in self.done:
                lines += [*block[:-1], self._confirmed(unit, block[-1])]
        self._manifest.replace(lines)
        self._untidy = False

    def _confirmed(self, unit: str, line: str) -> str:
        row, version = json.loads(line), self.done[unit].input_version
        return line if row.get("input_version") == version else json.dumps(row | {"input_version": version})

    def _blocks(self) -> Iterator[tuple[str, list[str]]]:
        """The units of the manifest and their lines; those that are not complete are left out."""
        block: list[str] = []
        for line in self._manifest.lines():
            try:
                row = _row(line)
            except ValueError:
                return
            block.append(line)
            if row["shard"] is None:
                own = (text for text in block[:-1] if json.loads(text)["shard"] == row["input"])
                yield row["input"], [*own, line]
                block = []


def _settings_of(name: str) -> Row:
    with suppress(ValueError):
        found = json.loads(files.read_input(name))
        if isinstance(found, dict):
            return found
    raise InputError(f"{name!r} is damaged; mend it, or do everything again with --force")


def _row(line: str) -> Row:
    """ValueError for what is no row."""
    row = json.loads(line)
    if not isinstance(row, dict) or not {"input", "shard"} <= row.keys():
        raise ValueError(line)
    if row["shard"] is None and "error" not in row:
        _done(row)
    return row


def _done(row: Row) -> Done:
    try:
        sizes = row["input_bytes"], row["output_bytes"]
        return Done(*sizes, row["sha256"], row.get("failed", 0), row.get("input_version"))
    except KeyError as error:
        raise ValueError(f"no {error}") from None


def _lock(path: Path) -> Any:
    """The system lets go of it when this process ends, however it does."""
    try:
        stream = path.open("w")
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass  # Windows
    except BlockingIOError:
        stream.close()
        raise UsageError(f"another run is writing to {str(path.parent.parent)!r}; wait for its end") from None
    except OSError as error:  # a network file system that locks nothing
        where = f"{str(path.parent.parent)!r} cannot be locked"
        common.note(f"{where} ({error.strerror or error}); see to it that no other run writes there")
    return stream
