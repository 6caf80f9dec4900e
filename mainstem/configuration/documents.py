"""YAML files in, mappings out. YAML 1.2, one document per file, no key twice."""

from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from sources.yaml_reader import YamlError, read_yaml


def read_text(file: Path) -> str:
    """Return the text of *file*. Raises ConfigError that does not name the file."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError(f"cannot be read ({reason}); check the path and its permissions") from None
    except ValueError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8") from None


def mapping(text: str) -> dict[str, Any]:
    """Return what *text* holds, nothing for an empty one. Raises ConfigError."""
    document = _parse(text)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("must be a mapping of keys to values, such as topics: {prefix: mainstem}")
    return document


def _parse(text: str) -> Any:
    try:
        return read_yaml(text)
    except YamlError as error:
        # The reason quotes nothing of the file: a value may be a secret.
        where = "" if error.line is None else f"line {error.line + 1}: "
        raise ConfigError(f"{where}not valid YAML: {error.reason}") from None
