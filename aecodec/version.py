"""The version of this package."""

from __future__ import annotations


def number() -> str:
    """Of the installed distribution; of the compiled core where there is none, as in a frozen program or a
    folder on PYTHONPATH."""
    from importlib import metadata

    try:
        return metadata.version("aecodec")
    except metadata.PackageNotFoundError:
        from aecodec import _core

        return _core.version()
