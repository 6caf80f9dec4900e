"""The configuration as `up` read it, kept for its roles: what is edited meanwhile counts from its next start on."""

import os
import shutil
from pathlib import Path

from mainstem.config import Origin


def keep(origin: Origin, directory: Path) -> Path:
    """Write the files that *origin* was read from into *directory*, and nothing else; return the main one.

    For their owner alone: they may hold secrets. Without a main file, an empty one says the same.
    """
    forget(directory)
    directory.mkdir(mode=0o700)
    for name, text in {origin.file: "", **origin.texts}.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return directory / origin.file


def forget(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
