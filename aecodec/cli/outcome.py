"""What came of one input of a command: its line of --json, and its notes and errors for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DONE, SKIPPED, FAILED, SALVAGED = "done", "skipped", "failed", "salvaged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fields of a line of --json."""

    input: str
    output: str | None
    status: str = DONE
    """done, skipped, failed, or salvaged: a picture with parts missing."""
    bytes: int | None = None
    """Of the .aec file."""
    bpp: float | None = None
    """Of the .aec file, over the pixels of the whole picture."""
    seconds: float = 0.0
    """From reading to writing."""
    error: str | None = None
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    """Of the tables that `batch` keeps; no field of --json."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What some commands tell beside these."""

    def as_json(self) -> str:
        fields: dict[str, Any] = {
            name: getattr(self, name) for name in self.__slots__ if name not in ("rows", "found")
        }
        fields |= self.found
        return json.dumps(fields | {"seconds": round(self.seconds, 4), "notes": list(self.notes)})
