"""What failed, told without payload: the text of a foreign exception may hold what the source said, or a secret."""

import traceback
from pathlib import PurePath
from typing import Final

from schemas.errors import MainstemError

_MOST_FRAMES: Final = 20


def reason(error: Exception) -> str:
    """Return a sentence that Postgres can hold. An error of ours is one; of another's: its class, and where it rose."""
    told = str(error) if isinstance(error, MainstemError) else _foreign(error)
    return told.encode("utf-8", "replace").decode().replace("\0", "?")


def frames(error: Exception) -> list[str]:
    """Return through which lines a foreign *error* rose, the line that raised it last; nothing of an error of ours."""
    if isinstance(error, MainstemError):
        return []
    # Without the text of the lines: they are in the files.
    found = traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
    return [f"{'/'.join(PurePath(each.filename).parts[-2:])}:{each.lineno} in {each.name}" for each in found]


def _foreign(error: Exception) -> str:
    at = "".join(f" at {each}" for each in frames(error)[-1:])
    return f"the source failed: {type(error).__name__}{at}"
