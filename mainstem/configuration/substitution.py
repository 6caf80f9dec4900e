"""`${VAR}` and `${VAR:-default}` in values, by Backstage's rules; and values that turn out to be nothing."""

import re
from collections.abc import Mapping
from typing import Any

from mainstem.configuration.faults import Faults, KeyPath
from mainstem.configuration.shape import is_free

_PLACEHOLDER = re.compile(r"(\$?\$\{[^{}]*\})")


class Nothing:
    """Stands where a value was refused, so that later checks find no value there and their faults are left out."""


def substitute(value: Any, environ: Mapping[str, str], faults: Faults, path: KeyPath = ()) -> Any:
    """Return *value* with every variable replaced; what comes to nothing becomes a fault and `Nothing`."""
    if isinstance(value, dict):
        return {key: substitute(each, environ, faults, (*path, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [substitute(each, environ, faults, (*path, index)) for index, each in enumerate(value)]
    if isinstance(value, str):
        return _replaced(value, environ, faults, path)
    if value is None and not is_free(path) and path[:1] != ("sinks",):
        faults.add(path, "has no value; write one or remove the key")
        return Nothing()
    return value


def _replaced(text: str, environ: Mapping[str, str], faults: Faults, path: KeyPath) -> Any:
    parts = _PLACEHOLDER.split(text)
    if len(parts) == 1:
        return text
    missing = []
    for index in range(1, len(parts), 2):
        replacement = _value_of(parts[index], environ)
        if replacement is None:
            missing.append(parts[index][2:-1].partition(":-")[0].strip())
        parts[index] = replacement or ""
    result = "".join(parts)
    if missing or not result.strip():
        faults.add(path, _sentence(missing, text))
        return Nothing()
    return result


def _value_of(placeholder: str, environ: Mapping[str, str]) -> str | None:
    """Return what a placeholder stands for; None when its variable is not set and it has no default."""
    if placeholder.startswith("$$"):
        return placeholder[1:]
    name, separator, default = placeholder[2:-1].partition(":-")
    value = environ.get(name.strip())
    value = None if value is None else value.strip()
    return (value or default.strip() or None) if separator else value


def _sentence(missing: list[str], text: str) -> str:
    if "" in missing:
        return "${} names no variable; write ${NAME}, or $${} for the characters themselves"
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        return f"comes to nothing: {names} is not set; set it, write ${{{missing[0]}:-default}}, or remove the key"
    names = ", ".join(part[2:-1].partition(":-")[0].strip() for part in _PLACEHOLDER.findall(text))
    return f"comes to nothing: {names} is empty; set it, or remove the key"
