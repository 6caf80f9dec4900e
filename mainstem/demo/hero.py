"""The entity that the demo follows: what was said about it, and so what must have come of it."""

from typing import Any

from mainstem.demo.checks import PATIENCE_SECONDS, Checks, Disproved
from mainstem.demo.claims import Fields, Said, expected_fields, value_in
from mainstem.demo.evidence import Evidence
from mainstem.demo.screen import shown
from schemas.entities import MergedEntity


class Hero:
    """Knows whose word still counts; `said` is in nobody's hands but the story's."""

    def __init__(self, ref: str, evidence: Evidence, checks: Checks) -> None:
        self.ref = ref
        self.said: Said = {}
        self._evidence = evidence
        self._checks = checks
        self._fields: Fields = {}
        self._before: Fields = {}

    def expect(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until Kafka and Postgres both have what `said` asks for. Raises Disproved when they do not."""
        self._before, self._fields = self._fields, expected_fields(self.said)
        self._checks.expect_fields(self.ref, self._fields, seconds=seconds)

    def merged(self) -> MergedEntity:
        """Return it as it stands on the topic."""
        merged = self._evidence.on_topic(self.ref)
        if not isinstance(merged, MergedEntity):
            raise Disproved(f"the demo's check failed: {self.ref} is no longer on the topic")
        return merged

    def fields(self) -> list[tuple[str, ...]]:
        """Return field, value and winner of each watched field."""
        values = self._values()
        return [(at, shown(values[at]), winner) for at, (winner, _) in self._fields.items()]

    def changes(self) -> list[tuple[str, ...]]:
        """Return field, value, winner and earlier winner of what the last step altered."""
        values, nobody = self._values(), ("nobody", None)
        return [
            (at, shown(values.get(at)), self._fields.get(at, nobody)[0], winner)
            for at, (winner, value) in self._before.items()
            if self._fields.get(at, nobody) != (winner, value)
        ]

    def _values(self) -> dict[str, Any]:
        merged = self.merged()
        return {at: value_in({"entity": merged.entity, "service": merged.service}, at) for at in self._fields}
