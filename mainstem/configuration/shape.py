"""Which keys there are: the models, walked by path."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from mainstem.config import Config
from mainstem.configuration.faults import KeyPath


def _bare(annotation: Any) -> Any:
    """Strip Annotated and `| None` off; of a union, the first arm."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _bare(next(arm for arm in get_args(annotation) if arm is not types.NoneType))
    return annotation


def _model(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def annotation_at(path: KeyPath, *, root: type[BaseModel] = Config) -> Any:
    """Return the type of the value at *path* in *root*, Any in free-form parts, None where there is no such key."""
    here: Any = root
    for step in path:
        model = _model(here)
        if here is Any:
            return Any
        if model is not None and step in model.model_fields:
            here = _bare(model.model_fields[str(step)].annotation)
        elif model is not None:
            here = Any if model.model_config.get("extra") == "allow" else None
        elif get_origin(here) is dict:
            here = _bare(get_args(here)[1])
        elif get_origin(here) is tuple and isinstance(step, int):
            here = _bare(get_args(here)[0])
        else:
            return None
    return here


def keys_at(path: KeyPath, *, root: type[BaseModel] = Config) -> list[str]:
    """Return the keys that the section at *path* of *root* has, none where it has no fixed ones."""
    model = _model(annotation_at(path, root=root))
    return list(model.model_fields) if model else []


def is_text(path: KeyPath) -> bool:
    """Say whether the value at *path* is taken as it is written, never read as a number or a list."""
    return annotation_at(path) in (str, SecretStr, Path)


def is_free(path: KeyPath) -> bool:
    """Say whether *path* lies in a part whose keys are not Mainstem's: a connection, a sink's options."""
    return annotation_at(path) is Any


def variable_paths(model: type[BaseModel] = Config, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every key that a variable can name, sections included."""
    for name, info in model.model_fields.items():
        yield (*above, name)
        section = _model(_bare(info.annotation))
        if section is not None:
            yield from variable_paths(section, (*above, name))
