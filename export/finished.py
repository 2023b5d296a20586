"""A folder of files that nobody finds before they have been checked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aecodec.model_folders import MANIFEST


@contextmanager
def finished(folder: Path) -> Iterator[Path]:
    """A folder beside this one, with a name that no search looks at.  Its files move here when all has gone
    well, the manifest last, and are gone otherwise: a bundle that fails its checks replaces none."""
    folder = Path(os.path.realpath(folder))
    made = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    folder.mkdir(exist_ok=True)
    for path in sorted(made.iterdir(), key=lambda path: path.name == MANIFEST):
        shutil.move(path, folder / path.name)  # which may be on another disk
    made.rmdir()
