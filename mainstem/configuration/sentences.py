"""What pydantic finds wrong, in sentences of ours: what is expected, and never the value that was given."""

from typing import Any

from pydantic import BaseModel, ValidationError

from mainstem.config import Config
from mainstem.configuration.faults import Faults, KeyPath, did_you_mean
from mainstem.configuration.shape import keys_at

_SENTENCES = {
    "missing": "is missing; add it",
    "string_type": "must be text; put it in quotes",
    "path_type": "must be the path of a file or folder",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number, not infinite",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_OTHERWISE = "holds a value that cannot be used here; see the documentation of this key"


def add_faults(error: ValidationError, faults: Faults) -> None:
    """Add each of pydantic's errors to *faults*."""
    for fault in error.errors(include_url=False, include_input=False):
        faults.add_unless_known(fault["loc"], sentence(fault["type"], fault["loc"], fault.get("ctx", {})))


def sentence(kind: str, path: KeyPath, context: dict[str, Any], *, root: type[BaseModel] = Config) -> str:
    """Return what is wrong at *path* of *root*, the configuration: pydantic's *kind* of error and its *context*."""
    if kind == "extra_forbidden":
        return f"unknown key; {did_you_mean(str(path[-1]), keys_at(path[:-1], root=root))}"
    values = {name: str(value).replace("'", "") for name, value in context.items() if name != "error"}
    return _SENTENCES.get(kind, _OTHERWISE).format(**values, error=context.get("error", ""))
