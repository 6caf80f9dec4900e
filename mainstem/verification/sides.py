"""What each side says about one entity, and what is to be said where they differ. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from mainstem.verification.digests import digest

Side = Literal["topic", "entities", "entity_records", "model"]


NO_MODEL: Final = digest([None, None, []])
"""Of an entity that is not there."""


class View(NamedTuple):
    """An entity that is there: digests of its content, and of who gave it, with its own hash."""

    content: str
    origin: str


@dataclass(slots=True, kw_only=True)
class Wanted:
    """What the topics say about one entity. Of each topic the highest version counts, as it does for sinks."""

    state: int = -1
    """Version of what the processor holds; -1: nothing, or not any more."""
    merged: View | None = None
    """What the held records merge into."""
    records: Mapping[str, str] = field(default_factory=dict)
    """Digest of each held record, by connector."""
    version: int = -1
    published: View | None = None
    """What the entities topic holds last."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What the tables hold about one entity."""

    version: int = -1
    view: View | None = None
    """Of a row that has not vanished."""
    wanted_model: str = NO_MODEL
    """What that row makes in the canonical model."""
    model: str = NO_MODEL
    """What the tables of the canonical model hold."""
    records: dict[str, str] = field(default_factory=dict)


class Difference(NamedTuple):
    """One way in which two sides differ about one entity. No text of a payload."""

    tenant: str
    entity_ref: str
    side: Side
    sentence: str
    details: Mapping[str, Any]


_CONTENT: Final = "its content"
_ORIGIN: Final = "where its fields come from, or which connectors are stale,"


def differences(tenant: str, ref: str, wanted: Wanted, found: Found) -> Iterator[Difference]:
    """Yield each difference between neighbours: merge and topic, topic and `entities`, records and `entity_records`,
    `entities` and the canonical model.
    """
    rows = list(_entities(wanted, found))
    # Of a row that is wrong anything may follow.
    models = () if rows else _model(found)
    for side, sentence, details in (*_topic(wanted), *rows, *_records(wanted, found), *models):
        yield Difference(tenant, ref, side, sentence, details)


_Telling = tuple[Side, str, Mapping[str, Any]]


def _topic(wanted: Wanted) -> Iterator[_Telling]:
    details = {"merged": _told(wanted.merged), "published": _told(wanted.published), "version": wanted.version}
    if wanted.merged is None and wanted.published is not None:
        yield "topic", "the topic holds the entity, and no held record vouches for it", details
    elif wanted.published is None and wanted.merged is not None:
        yield "topic", "the held records make an entity, and the topic does not hold it", details
    elif wanted.merged is not None and wanted.published is not None:
        for what, one, other in _unequal(wanted.merged, wanted.published):
            yield (
                "topic",
                f"{what} is not what the held records merge into",
                {**details, "expected": one, "found": other},
            )


def _entities(wanted: Wanted, found: Found) -> Iterator[_Telling]:
    details = {"published": _told(wanted.published), "row": _told(found.view)}
    versions = {"expected_version": wanted.version, "found_version": found.version}
    if wanted.published is None and found.view is not None:
        yield "entities", "there is a row, and the topic does not hold the entity", {**details, **versions}
    elif wanted.published is not None and found.view is None:
        state = "has no row" if found.version < 0 else "has a row that says it vanished"
        yield "entities", f"the topic holds the entity, which {state}", {**details, **versions}
    elif wanted.published is not None and found.view is not None:
        if wanted.version != found.version:
            yield "entities", "the row has another version than the topic", versions
        for what, one, other in _unequal(wanted.published, found.view):
            yield "entities", f"{what} is not what the topic holds", {**versions, "expected": one, "found": other}


def _records(wanted: Wanted, found: Found) -> Iterator[_Telling]:
    for connector in sorted(wanted.records.keys() | found.records.keys()):
        one, other = wanted.records.get(connector), found.records.get(connector)
        details = {"connector": connector, "expected": one, "found": other}
        if other is None:
            yield "entity_records", f"the record of {connector} is held and has no row", details
        elif one is None:
            yield "entity_records", f"there is a row of {connector}, whose record is not held", details
        elif one != other:
            yield "entity_records", f"the row of {connector} is not the record that is held", details


def _model(found: Found) -> Iterator[_Telling]:
    if found.model != found.wanted_model:
        details = {"expected": found.wanted_model, "found": found.model}
        yield "model", "services, teams or relations are not what the row of the entity makes", details


def _unequal(one: View, other: View) -> Iterator[tuple[str, str, str]]:
    if one.content != other.content:
        yield _CONTENT, one.content, other.content
    if one.origin != other.origin:
        yield _ORIGIN, one.origin, other.origin


def _told(view: View | None) -> dict[str, str] | None:
    return None if view is None else view._asdict()
