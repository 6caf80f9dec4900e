"""What failed, told without payload: the text of a foreign exception may hold what the source said, or a secret."""

import sysconfig
import traceback
from pathlib import PurePath
from typing import Final

from schemas.errors import MainstemError

_MOST_FRAMES: Final = 20
_PYTHON, _INSTALLED = sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")


def reason(error: Exception) -> str:
    """Return a sentence that Postgres can hold. An error of ours is one; of another's: its class, and where it rose."""
    told = str(error) if isinstance(error, MainstemError) else _foreign(error)
    return told.encode("utf-8", "replace").decode().replace("\0", "?")


def frames(error: Exception) -> list[str]:
    """Return through which lines a foreign *error* rose, the line that raised it last; nothing of an error of ours."""
    return [] if isinstance(error, MainstemError) else [*map(_told, _lines(_innermost(error)))]


def _foreign(error: Exception) -> str:
    inner = _innermost(error)
    lines = _lines(inner)
    # Of a plugin that reads what is no JSON: the line that asked for it, not one of Python's own.
    own = [line for line in lines if not _is_pythons(line.filename)] or lines
    at = "".join(f" at {_told(line)}" for line in own[-1:])
    return f"the source failed: {type(inner).__name__}{at}"


def _is_pythons(file: str) -> bool:
    # What is installed may lie below Python's own library.
    return file.startswith(_PYTHON) and not file.startswith(_INSTALLED)


def _innermost(error: BaseException) -> BaseException:
    """Return the first of those that tasks raised together."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _lines(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES))


def _told(line: traceback.FrameSummary) -> str:
    """Without its text, which is in the file."""
    return f"{'/'.join(PurePath(line.filename).parts[-2:])}:{line.lineno} in {line.name}"
