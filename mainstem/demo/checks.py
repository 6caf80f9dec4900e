"""The demo's own verification: what a step promised is waited for, and what came instead is told."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from mainstem.demo.claims import Fields, found_fields
from mainstem.demo.evidence import Evidence
from mainstem.demo.stage import Stage
from schemas.entities import MergedEntity
from schemas.errors import MainstemError

PATIENCE_SECONDS: Final = 60.0


class Disproved(MainstemError):  # noqa: N818 - the demo's word for a promise that was not kept
    """A step did not come out as promised; the message says what was expected and what was found."""


class Checks:
    """Compares promises with evidence."""

    def __init__(self, stage: Stage, evidence: Evidence) -> None:
        self._stage = stage
        self._evidence = evidence

    def expect(self, what: str, expected: Any, find: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> None:
        """Return as soon as *find* returns what is expected. Raises Disproved when it does not in time."""
        found: list[Any] = []

        def is_met() -> bool:
            found[:] = [find()]
            return bool(found[0] == expected)

        if not self._stage.wait_until(is_met, seconds):
            self.expect_now(what, expected, found[0])

    def expect_now(self, what: str, expected: Any, found: Any) -> None:
        """Raises Disproved when the two differ."""
        lines = [f"  {line}" for line in differences("", expected, found)]
        if lines:
            raise Disproved("\n".join([f"the demo's check failed: {what}", *lines]))

    def expect_fields(self, ref: str, expected: Fields, *, seconds: float) -> None:
        """Kafka and Postgres must both say of an entity what the connectors' priorities ask for."""
        wanted = {"Kafka": expected, "Postgres": expected}
        self.expect(f"the fields of {ref}, and who won them", wanted, lambda: self._fields(ref), seconds=seconds)

    def expect_gone(self, ref: str) -> None:
        """Neither Kafka nor Postgres may have the entity any more; its last row stays, marked."""

        def find() -> dict[str, bool]:
            on_topic, row = self._evidence.on_topic(ref), self._evidence.row(ref)
            return {
                "tombstone in Kafka": on_topic is not None and not isinstance(on_topic, MergedEntity),
                "deleted_at in Postgres": row is not None and row["deleted_at"] is not None,
            }

        self.expect(f"{ref} is gone", {"tombstone in Kafka": True, "deleted_at in Postgres": True}, find)

    def _fields(self, ref: str) -> dict[str, Fields]:
        on_topic, row = self._evidence.on_topic(ref), self._evidence.row(ref)
        seen: dict[str, Fields] = {"Kafka": {}, "Postgres": {}}
        if isinstance(on_topic, MergedEntity):
            view = {"entity": on_topic.entity, "service": on_topic.service, "provenance": on_topic.provenance}
            seen["Kafka"] = found_fields(view)
        if row is not None and row["deleted_at"] is None:
            seen["Postgres"] = found_fields(row)
        return seen


def differences(at: str, expected: Any, found: Any) -> Iterator[str]:
    """Yield a line for each part in which two values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys(), key=str):
            yield from differences(f"{at} > {name}" if at else name, expected.get(name), found.get(name))
    elif expected != found:
        place = f"{at}: " if at else ""
        yield f"{place}expected {expected!r}, found {found!r}"
