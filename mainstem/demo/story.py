"""The demo's steps, after the start. Each is shown, and checked against Kafka and Postgres before the next begins."""

import time
from typing import Any, Final

from mainstem.demo import voices
from mainstem.demo.catalogue import Catalogue
from mainstem.demo.checks import PATIENCE_SECONDS, Checks, Disproved
from mainstem.demo.evidence import Evidence, api_status
from mainstem.demo.hero import Hero
from mainstem.demo.place import TTL_SECONDS
from mainstem.demo.screen import Screen
from mainstem.demo.stage import Stage
from mainstem.demo.voices import GIT, INCIDENT_TOOL, TEAM
from mainstem.terminal import counted
from schemas.canonical import canonical_json, content_hash

BOUNDARY_SECONDS: Final = 2.0
"""How late the end of a record's life may take effect."""
MERGES_PER_SECOND: Final = 100
"""Below this, a catalogue of the reader's own counts as stuck."""

_NOT_FOUND: Final = 404
_TEAM_SERVICES: Final = 8
_SHOWN_POINTERS: Final = 3


class Story:
    """One telling: the steps are called once each, in order."""

    def __init__(self, stage: Stage, screen: Screen, catalogue: Catalogue, evidence: Evidence) -> None:
        self._stage = stage
        self._screen = screen
        self._catalogue = catalogue
        self._evidence = evidence
        self._checks = Checks(stage, evidence)
        self._services = catalogue.services()
        self._hero = Hero(catalogue.hero, evidence, self._checks)
        self._newcomer = _free_ref(catalogue)
        self._deadline_ms = 0

    def tell(self) -> None:
        """Raises Disproved at the first step that did not come out as promised."""
        self._files()
        self._three_connectors()
        self._expiry()
        self._deletes()
        self._events()
        self._row()

    def _files(self) -> None:
        wanted = set(self._catalogue.entities)
        self._screen.step(2, f"Files: connector git (priority 50) publishes {counted(len(wanted), 'entity')}")
        self._hero.said[GIT] = voices.git(self._catalogue.entities[self._hero.ref])
        seconds = PATIENCE_SECONDS + len(wanted) / MERGES_PER_SECOND
        with self._screen.waiting(f"{counted(len(wanted), 'entity')} in Postgres"):
            self._checks.expect("entities", len(wanted), self._evidence.existing_count, seconds=seconds)
            self._checks.expect("their references", wanted, self._evidence.existing)
            self._hero.expect()
        refused = f"; refused: {counted(self._catalogue.refused, 'document')}" if self._catalogue.refused else ""
        taken = self._evidence.merge_seconds()
        self._screen.say(f"all merged {taken:.1f} s after the first one was published{refused}")

    def _three_connectors(self) -> None:
        by_team = self._services[:_TEAM_SERVICES]
        self._screen.step(3, f"Three connectors on the same services; we follow {self._hero.ref}")
        self._screen.say(
            f"incident-tool (priority 80, ttl {TTL_SECONDS} s) speaks about {len(self._services)} of them,"
            f" team-payments (priority 60) about {len(by_team)} and a new one"
        )
        self._publish(by_team)
        with self._screen.waiting("the merged entities"):
            self._hero.expect()
            self._checks.expect("entities with a tier", len(self._services), self._tiers)
            everybody = {*self._catalogue.entities, self._newcomer}
            self._checks.expect("all entities", everybody, self._evidence.existing)
        self._screen.table(("field", "value", "won by"), self._hero.fields())

    def _publish(self, by_team: list[str]) -> None:
        entities, now = self._catalogue.entities, time.time_ns() // 1_000_000
        told = [voices.incident_tool(entities[ref], observed_at=now) for ref in self._services]
        by_team_told = [voices.team(entities[ref]) for ref in by_team]
        newcomer = voices.newcomer(entities[self._hero.ref], self._newcomer.rpartition("/")[2])
        teams = [voices.incident_tool_of_team(entities[ref], observed_at=now) for ref in self._catalogue.teams()]
        self._stage.publish(INCIDENT_TOOL, [*told, *teams])
        self._stage.publish(TEAM, [*by_team_told, newcomer])
        self._hero.said |= {INCIDENT_TOOL: told[0], TEAM: by_team_told[0]}
        self._deadline_ms = now + TTL_SECONDS * 1000

    def _expiry(self) -> None:
        self._screen.step(4, f"The incident tool falls silent: after {TTL_SECONDS} s its word no longer counts")
        del self._hero.said[INCIDENT_TOOL]
        with self._screen.waiting("its records to expire; nobody publishes anything"):
            self._hero.expect(seconds=TTL_SECONDS + PATIENCE_SECONDS)
            self._checks.expect("entities with a tier", 0, self._tiers)
        late = (self._hero.merged().merged_at - self._deadline_ms) / 1000
        if not 0 <= late <= BOUNDARY_SECONDS:
            expected = f"expected within {BOUNDARY_SECONDS} s of the deadline, found {late:.2f} s after it"
            raise Disproved(f"the demo's check failed: the fallback\n  {expected}")
        self._screen.say(f"all {len(self._services)} fell back by themselves, ours {late:.2f} s after the deadline")
        self._screen.table(("field", "value", "won by", "before"), self._hero.changes())

    def _deletes(self) -> None:
        self._screen.step(5, f"team-payments deletes two: {self._hero.ref} and {self._newcomer}")
        del self._hero.said[TEAM]
        self._stage.publish(TEAM, [voices.delete(self._hero.ref), voices.delete(self._newcomer)])
        with self._screen.waiting("both deletes to take effect"):
            self._hero.expect()
            self._checks.expect_gone(self._newcomer)
        self._checks.expect("the API's answer", _NOT_FOUND, lambda: api_status(self._stage.api, self._newcomer))
        self._screen.say("the first stays, since git still vouches for it, without what the team said:")
        self._screen.table(("field", "value", "won by", "before"), self._hero.changes())
        self._screen.say("nobody else vouched for the second: a tombstone in Kafka, deleted_at in Postgres, 404")

    def _events(self) -> None:
        hero, newcomer = self._hero.ref, self._newcomer
        self._screen.step(6, f"What incident tools heard: service.updated about {hero}")
        version = self._hero.merged().version
        with self._screen.waiting("the last event"):
            self._checks.expect("the newest event's version", [version], lambda: self._told(hero, "version")[-1:])
            self._checks.expect(f"the end of {newcomer}", ["deleted"], lambda: self._told(newcomer, "change")[-1:])
        versions, changes = self._told(hero, "version"), self._told(hero, "change")
        self._checks.expect_now("rising versions", sorted(set(versions)), versions)
        self._checks.expect_now("created once, then updated", ["created", *["updated"] * (len(changes) - 1)], changes)
        types = [event.headers["ce_type"] for event in self._evidence.events(hero)]
        pointers = [_list(each) for each in self._told(hero, "changed")]
        rows = zip(types, changes, map(str, versions), pointers, strict=True)
        self._screen.table(("type", "change", "version", "changed"), rows)

    def _told(self, ref: str, name: str) -> list[Any]:
        return [event.data[name] for event in self._evidence.events(ref)]

    def _row(self) -> None:
        self._screen.step(7, f"The row in Postgres: table entities, {self._hero.ref}")
        merged, row = self._hero.merged(), self._evidence.row(self._hero.ref) or {}
        content = canonical_json({"entity": row.get("entity"), "service": row.get("service")})
        found = {"version": row.get("version"), "content_hash": row.get("content_hash"), "hash": content_hash(content)}
        expected = {"version": merged.version, "content_hash": merged.content_hash, "hash": merged.content_hash}
        self._checks.expect_now("the row, held against the topic", expected, found)
        columns = ("entity_ref", "version", "content_hash", "merged_at")
        self._screen.table(columns, [tuple(str(row[name]) for name in columns)])

    def _tiers(self) -> int:
        return self._evidence.won_by(INCIDENT_TOOL)


def _list(changed: list[str]) -> str:
    if changed == [""]:
        return "everything"
    more = f" and {len(changed) - _SHOWN_POINTERS} more" if len(changed) > _SHOWN_POINTERS else ""
    return ", ".join(changed[:_SHOWN_POINTERS]) + more


def _free_ref(catalogue: Catalogue) -> str:
    """Return the reference of a component that no file names."""
    refs = ["component:default/instant-refunds", *(f"component:default/instant-refunds-{n}" for n in range(2, 99))]
    return next(ref for ref in refs if ref not in catalogue.entities)
