"""The processes below one: their CPU time, and the workers of Ray among them. Linux only: it reads /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

RAY_WORKER = "ray::Worker.work"
"""How Ray names a process while it is at a job of aecodec."""


class Process(NamedTuple):
    parent: int
    seconds: float
    """Of CPU time, user and system."""
    title: str


def snapshot() -> dict[int, Process]:
    """{pid: process} of all that can be read."""
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            title = (place / "cmdline").read_text("utf-8", "replace").replace("\0", " ").strip()
        except OSError:
            continue  # it has ended
        found[int(place.name)] = Process(int(fields[1]), (int(fields[11]) + int(fields[12])) / tick, title)
    return found


def below(top: int) -> dict[int, Process]:
    """The process and all that it, and those, have started."""
    every = snapshot()
    found = {top: every[top]} if top in every else {}
    new = set(found)
    while new:
        new = {pid for pid, process in every.items() if process.parent in new} - set(found)
        found |= {pid: every[pid] for pid in new}
    return found
