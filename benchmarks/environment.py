"""What a result file says about where its numbers come from, and how result files are written."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from aecodec import models

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "aecodec",
    "numpy",
    "pillow",
    "pillow-heif",
    "pillow-jxl-plugin",
    "onnxruntime",
    "onnxruntime-gpu",
    "ssimulacra2",
    "constriction",
    "torch",
    "compressai",
    "scikit-learn",
    "scikit-image",
    "bm3d",
)


def cpu_model() -> str:
    """As the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpus() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str | None:
    """The checkout's commit, '+' behind it when files differ; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def versions() -> dict[str, str]:
    """Installed packages that matter for the numbers."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(model: str | None, threads: int | None, others: Iterable[str | None] = ()) -> dict[str, Any]:
    """The block 'environment' of every result file. model: a bundle's name or folder; None: the default.

    others: bundles that were measured beside it."""
    bundle = models.find(model)
    known = {found.name: found.model_id.hex() for found in map(models.find, others)}
    return {
        "commit": commit(),
        "model": bundle.name,
        "model_id": bundle.model_id.hex(),
        "models": {bundle.name: bundle.model_id.hex(), **known},
        "versions": versions(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cpus": cpus(),
        "threads": threads,
        "load_average": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    os.replace(temporary, path)


def fail(message: str) -> int:
    """For main(): says what is wrong and gives the exit status of a usage error."""
    print(f"error: {message}", file=sys.stderr)
    return 2
