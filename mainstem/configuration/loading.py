"""Files, substitution and variables in, one configuration out, or every fault at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mainstem.config import Config, Origin
from mainstem.configuration import crosschecks, doubts, sentences
from mainstem.configuration.documents import mapping, read_text
from mainstem.configuration.environment import apply_variables
from mainstem.configuration.faults import Faults
from mainstem.configuration.substitution import Nothing, substitute
from schemas.errors import ConfigError

DEFAULT_FILE = Path("mainstem.yaml")
CONNECTORS_FOLDER = "connectors.d"


def is_written_here() -> bool:
    """Whether :func:`load` would find something without being told a file."""
    return DEFAULT_FILE.exists() or any(Path(CONNECTORS_FOLDER).glob("*.yaml"))


def load(file: Path | None = None, *, environ: Mapping[str, str], base_dir: Path | None = None) -> Config:
    """Read *file*, the connectors in the folder beside it, and the variables over it.

    Without *file*, `./mainstem.yaml` where it exists; a file that is named must exist. *base_dir*: where the paths
    in it begin, if that is not its own directory. Nothing below this function reads the environment. Raises
    ConfigError with every fault, one per line: file, key, remedy.
    """
    chosen = file or DEFAULT_FILE
    faults = Faults(chosen.name)
    texts: dict[str, str] = {}
    document, warnings = _document(file, environ, faults, texts)
    base_dir = base_dir or chosen.parent
    config = _validated(document, faults, {"environ": environ, "base_dir": base_dir})
    warnings += tuple(doubts.about(config, faults))
    config._origin = Origin(  # noqa: SLF001 - set once, here, on a frozen value that nobody has seen yet
        file=chosen.name,
        base_dir=base_dir,
        texts=texts,
        warnings=warnings,
        places={each.connector_id: faults.place(("connectors", n)) for n, each in enumerate(config.connectors)},
    )
    return config


def load_rest(file: Path | None = None, *, environ: Mapping[str, str]) -> Config | None:
    """Read what :func:`load` refuses, less the keys that it refuses it for, so that the rest can be looked at as well.

    None where too little is left.
    """
    chosen = file or DEFAULT_FILE
    faults = Faults(chosen.name)
    document, _ = _document(file, environ, faults, {})
    context = {"environ": environ, "base_dir": chosen.parent}
    places = dict(enumerate(document["connectors"])) if isinstance(document.get("connectors"), list) else {}
    try:
        Config.model_validate(document, context=context)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False, include_input=False):
            _drop(document, places, fault["loc"])
    places = _told_apart(places)
    document["connectors"] = list(places.values())
    try:
        config = Config.model_validate(document, context=context)
    except ValidationError:
        return None
    kept = {
        each.connector_id: faults.place(("connectors", n)) for n, each in zip(places, config.connectors, strict=True)
    }
    config._origin = Origin(file=chosen.name, base_dir=chosen.parent, texts={}, warnings=(), places=kept)  # noqa: SLF001
    return config


def _told_apart(connectors: Mapping[int, Any]) -> dict[int, Any]:
    """Return the first connector of each id: a fault is placed by the id, and would be told of the wrong one."""
    first: dict[object, int] = {}
    for number, each in connectors.items():
        first.setdefault(each.get("connector_id", number) if isinstance(each, dict) else number, number)
    return {number: connectors[number] for number in first.values()}


def _drop(document: dict[str, Any], connectors: dict[int, Any], path: tuple[int | str, ...]) -> None:
    """Take what stands at *path* away: the key of a connector or, where it is none without, all of the connector."""
    section, *steps = path or ("",)
    if section != "connectors" or not steps or not isinstance(steps[0], int):
        document.pop(str(section), None)
        return
    number, keys = steps[0], steps[1:]
    if keys and keys[0] not in ("connector_id", "type") and isinstance(connectors.get(number), dict):
        connectors[number].pop(keys[0], None)
    else:
        connectors.pop(number, None)


def _document(
    file: Path | None, environ: Mapping[str, str], faults: Faults, texts: dict[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what was written, variables and all, and warnings."""
    chosen = file or DEFAULT_FILE
    document = _main_document(chosen, faults, texts) if file is not None or chosen.exists() else {}
    document = substitute(document, environ, faults)
    warnings = apply_variables(document, environ, faults)
    warnings += _append_connectors(document, chosen.parent, environ, faults, texts)
    return document, warnings


def _main_document(file: Path, faults: Faults, texts: dict[str, str]) -> dict[str, Any]:
    try:
        texts[file.name] = read_text(file)
        return mapping(texts[file.name])
    except ConfigError as error:
        faults.add((), str(error))
        return {}


def _append_connectors(
    document: dict[str, Any], folder: Path, environ: Mapping[str, str], faults: Faults, texts: dict[str, str]
) -> tuple[str, ...]:
    """Append the connector of each file of `connectors.d` to those of the main file; return warnings."""
    found = sorted((folder / CONNECTORS_FOLDER).glob("*"))
    connectors = document.setdefault("connectors", [])
    if isinstance(connectors, list):
        for file in found:
            if file.suffix == ".yaml":
                _append_connector(connectors, file, environ, faults, texts)
    mistaken = [file.name for file in found if file.suffix == ".yml"]
    return tuple(f"{CONNECTORS_FOLDER}/{name}: not read; rename it to end in .yaml" for name in mistaken)


def _append_connector(
    connectors: list[Any], file: Path, environ: Mapping[str, str], faults: Faults, texts: dict[str, str]
) -> None:
    name = f"{CONNECTORS_FOLDER}/{file.name}"
    path = ("connectors", len(connectors))
    faults.comes_from(path, name, cut=len(path))
    try:
        texts[name] = read_text(file)
        connectors.append(substitute(mapping(texts[name]), environ, faults, path))
    except ConfigError as error:
        connectors.append(Nothing())
        faults.add(path, str(error))


def _validated(document: dict[str, Any], faults: Faults, context: dict[str, Any]) -> Config:
    try:
        config = Config.model_validate(document, context=context)
    except ValidationError as error:
        sentences.add_faults(error, faults)
        config = Config()
    crosschecks.add_faults(document, faults)
    faults.stop_if_any()
    return config
