"""Catalogue files: the descriptors in a YAML stream or a JSON file, each with its line."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Never

from sources.core_schema import read_float, read_integer
from sources.yaml_reader import MAX_DEPTH, YamlError, read_yaml

_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_MARKER: Final = re.compile(r"(---|\.\.\.)(?:[ \t\r\n]|\Z)")
_NO_CONTENT: Final = re.compile(r"(?:---(?=[ \t\r\n]|\Z))?[ \t]*(?:#.*)?[\r\n]*|%.*[\r\n]*")
_JSON_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_JSON_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")

NO_OBJECT: Final = "a document must be an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file: its entity, or the reason why it could not be read. Never both."""

    file: str
    line: int
    """The first line of its content, from 1."""
    entity: dict[str, Any] | None = None
    error: str | None = None
    """A sentence, with the line of the fault where it is known, without text of the file."""
    hides: bool = False
    """Whether what could not be read may be a Location, and brings in nobody knows which other files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One document of a file as it stands there: any value but null, or the reason why it could not be read."""

    line: int
    value: Any = None
    error: str | None = None


def read_documents(name: str, data: bytes) -> list[Document]:
    """Return the documents of a file in order, empty ones left out. Takes any bytes and never raises.

    A document that cannot be read does not spoil the others. YAML is 1.2, as Backstage reads it.
    """
    return [_document(name, each) for each in read_values(name, data)]


def read_values(name: str, data: bytes) -> list[Value]:
    """Return the same documents as :func:`read_documents`, lists and single values among them."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        return [Value(line=1, error=f"the file is not UTF-8 (line {line})")]
    if name.endswith(".json") or text.startswith("{"):
        try:
            return [Value(line=_first_content(text, 0), value=_read_json(text))]
        except (ValueError, RecursionError):
            pass
    return [value for line, part in _split(text) for value in _read_part(line, part)]


def _read_part(start: int, text: str) -> Iterator[Value]:
    line = _first_content(text, start)
    try:
        value = read_yaml(text)
    except YamlError as error:
        where = "" if error.line is None else f" (line {start + error.line + 1})"
        yield Value(line=line, error=f"it cannot be read: {error.reason}{where}")
    else:
        if value is not None:
            yield Value(line=line, value=value)


def _document(name: str, found: Value) -> Document:
    if found.error is None and isinstance(found.value, dict):
        return Document(file=name, line=found.line, entity=found.value)
    return Document(file=name, line=found.line, error=found.error or NO_OBJECT)


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yield (lines before it, text) of every document: comments and directives belong to the `---` below them."""
    start, lines, has_content = 0, list[str](), False
    for number, line in enumerate(_LINE.findall(text)):
        marker = _MARKER.match(line)
        if marker and (has_content or marker[1] == "..."):
            yield start, "".join(lines)
            start, lines, has_content = number + (marker[1] == "..."), [], False
        if marker and marker[1] == "...":
            continue
        lines.append(line)
        has_content = has_content or marker is not None or not _NO_CONTENT.fullmatch(line)
    yield start, "".join(lines)


def _first_content(text: str, start: int) -> int:
    first = 1
    for number, line in enumerate(_LINE.findall(text), start=1):
        if line and not _NO_CONTENT.fullmatch(line):
            first = number
            break
    return start + first


def _read_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises ValueError or RecursionError where it is none, or none that can be kept: the YAML reader says why.
    """
    if _JSON_NUL.search(text):
        raise ValueError("the character U+0000")
    value = json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=read_float,
        parse_int=read_integer,
    )
    if _JSON_SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_deep(value)
    return value


def _refuse_deep(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise ValueError("nested too deeply")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is given twice")
    return found


def _refuse_constant(_: str) -> Never:
    raise ValueError("infinity and NaN are no numbers in JSON")
