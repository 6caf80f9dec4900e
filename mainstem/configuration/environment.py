"""`MAINSTEM_…` variables: `__` nests, and what they say is written over the file."""

from collections.abc import Mapping
from typing import Any

from mainstem.configuration.faults import Faults, KeyPath, nearest
from mainstem.configuration.shape import annotation_at, is_text, keys_at, variable_paths
from sources.yaml_reader import YamlError, read_yaml

PREFIX = "MAINSTEM_"
_OF_TESTS = "MAINSTEM_TEST_"
_OF_CLIENTS = "MAINSTEM_TOKEN"
"""What a program sends to the API that somebody else runs."""


def variable(path: KeyPath) -> str:
    """Return the name of the variable that overrides *path*."""
    return PREFIX + "__".join(str(step).upper() for step in path)


def apply_variables(document: dict[str, Any], environ: Mapping[str, str], faults: Faults) -> tuple[str, ...]:
    """Write what the variables say into *document*, and return warnings about those that are perhaps not meant."""
    warnings = []
    # Sections before the keys in them: a key says more than the section that holds it.
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        if not name.startswith(PREFIX) or name.startswith(_OF_TESTS) or name == _OF_CLIENTS:
            continue
        path: KeyPath = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if name.isupper() and annotation_at(path) is not None:
            _override(document, path, environ[name].strip(), faults)
        elif _is_meant(name):
            faults.add_line(f"{name}: unknown variable; {_remedy(name)}")
        else:
            warnings.append(f"{name}: ignored, it is no variable of Mainstem; {_remedy(name)}")
    return tuple(warnings)


def _is_meant(name: str) -> bool:
    """Say whether a name that is not known can only be a mistake: it nests, or begins with a key."""
    rest = name.removeprefix(PREFIX).lower()
    return "__" in rest or any(rest == key or rest.startswith(f"{key}_") for key in keys_at(()))


def _remedy(name: str) -> str:
    near = nearest(
        name.removeprefix(PREFIX).upper(), (variable(path).removeprefix(PREFIX) for path in variable_paths())
    )
    sentence = f"did you mean {PREFIX}{near}?" if near else "the keys of mainstem.yaml can be set, with __ between them"
    return sentence if "__" in name else f"{sentence} (if Kubernetes injects it, set enableServiceLinks: false)"


def _override(document: dict[str, Any], path: KeyPath, text: str, faults: Faults) -> None:
    name = variable(path)
    faults.forget(path)
    faults.comes_from(path, name)
    if not text:
        faults.add(path, "the variable is empty; give it a value or unset it")
        return
    here = document
    for step in path[:-1]:
        inner = here.setdefault(str(step), {})
        if not isinstance(inner, dict):
            return  # the section itself is wrong, which is told of it
        here = inner
    here[str(path[-1])] = text if is_text(path) else _read(text)


def _read(text: str) -> Any:
    """Read *text* as YAML or JSON where it is more than plain text."""
    try:
        value = read_yaml(text)
    except YamlError:
        return text
    return text if value is None else value
