"""TOML file and --set key=value -> a dataclass of settings, every key and type checked."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from aecodec.errors import InputError

T = TypeVar("T")


def read_values(path: str | None, overrides: list[str]) -> dict[str, Any]:
    """The keys of a TOML file and of `key=value` overrides in TOML syntax; a bare word is a string.

    InputError for a file that cannot be read or is no TOML."""
    values = _read_file(path) if path else {}
    for item in overrides:
        key, sep, text = item.partition("=")
        if not sep:
            raise ValueError(f"--set {item}: expected key=value")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text
    return values


def _read_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        why = f"cannot read {path!r}: {error.strerror or error}"
    except UnicodeDecodeError:
        why = f"{path!r} is no text"
    except tomllib.TOMLDecodeError as error:
        why = f"{path!r} is no TOML: {error}"
    raise InputError(f"{why}; give a TOML file with settings of the run")


def read_settings(cls: type[T], path: str | None, overrides: list[str]) -> T:
    """An instance of the dataclass `cls`. ValueError names the key that is unknown or of the wrong type."""
    values = read_values(path, overrides)
    defaults = cls()
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"unknown setting {key!r}; known settings: {', '.join(known)}")
        wanted = type(getattr(defaults, key))
        if wanted is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is not wanted:  # not isinstance: true is no number
            raise ValueError(f"setting {key!r} wants {wanted.__name__}, got {value!r}")
    return cls(**values)
