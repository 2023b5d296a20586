"""Every error a user can meet, and the exit code the command line gives it.

Imported by everything, imports nothing. A message says what failed, where, and what to do.
"""

from __future__ import annotations


class AecodecError(Exception):
    """Base of all errors that aecodec raises on purpose."""

    exit_code = 1


class UsageError(AecodecError):
    """A call or a command line that makes no sense."""

    exit_code = 2


class InputError(AecodecError):
    """A picture that cannot be read or that is of an unsupported kind."""

    exit_code = 3


class FormatError(AecodecError):
    """Not an aec file, or a version or feature that this release does not know."""

    exit_code = 4


class CorruptError(AecodecError):
    """A damaged aec file: a checksum, a cut, or contents that no encoder writes."""

    exit_code = 5


class LimitError(AecodecError):
    """Larger than the limits in force; see aecodec.limits."""

    exit_code = 6


class ModelError(AecodecError):
    """The model bundle is missing, unknown or damaged."""

    exit_code = 7


class DeviceError(AecodecError):
    """No onnxruntime, or the provider asked for is not there."""

    exit_code = 8


class OutputError(AecodecError):
    """The output cannot be written, or exists already."""

    exit_code = 9


OF_AN_INPUT = (InputError, FormatError, CorruptError, LimitError, ModelError, UsageError)
"""What one of several inputs may raise while the others are sound."""

_NO_MEMORY = (
    *("bad_alloc", "bad allocation", "Failed to allocate memory", "Cannot allocate memory"),
    *("cannot allocate memory", "failed to map segment", "can't start new thread", "pthread_create failed"),
)
"""What the system, Python and onnxruntime say where there is no memory, or none for a thread's stack."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Libraries raise it under many names."""
    return isinstance(error, MemoryError) or (
        not isinstance(error, AecodecError) and any(words in str(error) for words in _NO_MEMORY)
    )


SALVAGED = 10
"""Exit code of a command that gave a picture with parts missing."""

_FROM_CORE: dict[str, type[AecodecError]] = {
    "NOT_AEC": FormatError,
    "BAD_VERSION": FormatError,
    "UNSUPPORTED": FormatError,
    "TRUNCATED": CorruptError,
    "CORRUPT": CorruptError,
    "BAD_CRC": CorruptError,
    "DUPLICATE_SECTION": CorruptError,
    "MISSING_SECTION": CorruptError,
    "BAD_ORDER": CorruptError,
    "TRAILING_DATA": CorruptError,
    "BAD_INDEX": CorruptError,  # only a file whose model has other tables has such an index
    "LIMIT": LimitError,
}


def from_core(name: str, message: str) -> AecodecError:
    """The error for a status of the C core, by its name. The caller's own mistakes become UsageError."""
    return _FROM_CORE.get(name, UsageError)(message)
