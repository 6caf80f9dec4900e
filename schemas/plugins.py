"""What other packages add: classes under an entry-point group. Built-ins are registered the same way."""

from importlib.metadata import entry_points
from typing import TypeVar

from schemas.errors import ConfigError

T = TypeVar("T")


def installed(group: str) -> list[str]:
    """Return the names under which classes are registered, sorted."""
    return sorted(entry_points(group=group).names)


def find(group: str, name: str, base: type[T]) -> type[T]:
    """Return the subclass of *base* registered as *name*. Raises ConfigError that lists what is installed."""
    what = _singular(group)
    found = tuple(entry_points(group=group, name=name))
    if not found:
        raise ConfigError(f"there is no {what} {name}; installed are: {', '.join(installed(group)) or 'none'}")
    if len(found) > 1:
        owners = ", ".join(sorted(point.value for point in found))
        raise ConfigError(f"several packages register a {what} {name}: {owners}; uninstall all but one")
    try:
        loaded = found[0].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {what} {name} ({found[0].value}) cannot be imported: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise ConfigError(f"the {what} {name} ({found[0].value}) is no subclass of {base.__module__}.{base.__name__}")
    return loaded


def _singular(group: str) -> str:
    """Return what one entry of *group* is called: of `mainstem.merge_strategies`, merge strategy."""
    name = group.rpartition(".")[2].replace("_", " ")
    return name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")
