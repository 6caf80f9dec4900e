"""YAML files in, mappings out. YAML 1.2, one document per file, no key twice."""

import re
from pathlib import Path
from typing import Any

import ryaml

from schemas.errors import ConfigError

_LINE = re.compile(r" at line (\d+) column (\d+)")
_DUPLICATE = re.compile(r"duplicate entry with key \"(?P<key>.*)\"", re.DOTALL)
_QUOTED = re.compile(r"`[^`]*`")


def read_mapping(file: Path) -> dict[str, Any]:
    """Return what *file* holds, nothing for an empty one. Raises ConfigError that does not name the file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError(f"cannot be read ({reason}); check the path and its permissions") from None
    except ValueError:
        raise ConfigError("is not UTF-8 text; save it as UTF-8") from None
    document = _parse(text)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError("must be a mapping of keys to values, such as topics: {prefix: mainstem}")
    return document


def _parse(text: str) -> Any:
    try:
        return ryaml.loads(text)
    except ryaml.InvalidYamlError as error:
        message = str(error)
    except ValueError:
        raise ConfigError("a key is no plain text; write keys as text") from None
    if "more than one document" in message:
        raise ConfigError("holds more than one document; remove the --- between them")
    found = _LINE.search(message)
    line, column = (int(found[1]), int(found[2])) if found else (1, 1)
    duplicate = _DUPLICATE.search(message)
    if duplicate:
        line = _second_line(text, duplicate["key"], line=line, column=column)
        raise ConfigError(f"line {line}: the key {duplicate['key']} stands twice in one mapping; remove one")
    # What the parser quotes is a value, and a value may be a secret.
    reason = _QUOTED.sub("…", _LINE.sub("", message, count=1))
    raise ConfigError(f"line {line}: not valid YAML: {reason}")


def _second_line(text: str, key: str, *, line: int, column: int) -> int:
    """Return the line of the second *key* in the block that begins at *line* and *column*, else that line."""
    written = re.compile(rf"(?:{re.escape(key)}|\"{re.escape(key)}\"|'{re.escape(key)}')\s*:")
    lines = text.splitlines()
    hits = [
        number
        for number, content in enumerate(lines[line - 1 :], start=line)
        if written.match(content, column - 1) and (number == line or not content[: column - 1].strip())
    ]
    return hits[1] if len(hits) > 1 else line
