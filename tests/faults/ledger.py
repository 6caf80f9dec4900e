"""After the faults: all that was acknowledged, merged by the oracle, against what topics and tables hold."""

import json
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from schemas.codec import decode_entity, records_version
from schemas.topics import RESERVED_PREFIX
from tests import oracle
from tests.faults.installed import Installed
from tests.integration.kill.checks import WORLD, Checks, Owners, entity_version
from tests.integration.kill.kafka_io import Published

EVENT_KINDS = ("component", "api", "system", "resource")
_RECORDS = """
SELECT entity_ref, data_source, metadata, spec, service, content_hash, deleted, generation, source_version, last_touched
FROM entity_records
"""


class Ledger:
    """All that was acknowledged, merged by the oracle, against what the topics and tables hold.

    Every method but the first returns sentences about what is wrong.
    """

    def __init__(self, installed: Installed, published: list[Published], now: int) -> None:
        self._installed = installed
        self._now = now
        self.topics = Checks(installed.facts["kafka"], installed.topics, published, now)
        said = [
            oracle.Said(each.drawn.connector, each.timestamp, json.loads(each.drawn.value))
            for each in published
            if each.drawn.way != "poison"
        ]
        self._counting = oracle.counting(said, WORLD)
        self._merged = {
            key: oracle.merged_entity(list(records.values()), WORLD, now) for key, records in self._counting.items()
        }
        written = installed.read(installed.topics.entities)
        self._last = {message.key().decode(): message for message in written}
        # A worker that follows one that was killed may end an entity that nobody had published.
        self._existed = {message.key().decode() for message in written if message.value() is not None}

    def wrong(self) -> list[str]:
        return [*self.topics.all(), *self.versions(), *self.entities(), *self.records(), *self.events()]

    def versions(self) -> list[str]:
        """No version falls, but for what a worker that was cut off wrote late, and that is written anew behind it.

        In the changelog either: compaction keeps the last record of a key, not the highest.
        """
        fallen = self.topics.figures["version regressions"]
        wrong = [f"entities topic: a version did not rise, {fallen} times"] if fallen else []
        highest: dict[bytes, int] = {}
        last: dict[bytes, int] = {}
        owners = Owners()
        for message in self._installed.read(self._installed.topics.changelog):
            key, value = message.key(), message.value()
            if key.startswith(RESERVED_PREFIX):
                continue
            version = int(dict(message.headers())["version"]) if value is None else records_version(value)
            is_late = owners.is_late(message, version)
            if version < highest.get(key, 0) and not is_late:
                wrong.append(f"changelog: {key.decode()} fell from version {highest[key]} to {version}")
            highest[key] = max(version, highest.get(key, 0))
            last[key] = version
        return wrong + [
            f"changelog: the last record of {key.decode()} has version {last[key]}, an earlier one {version}"
            for key, version in highest.items()
            if last[key] != version
        ]

    def entities(self) -> list[str]:
        """The table holds what the topic's last value of each key says, and that is what the oracle says."""
        rows = self._installed.entities()
        wrong = [f"table entities: {ref} was never said" for ref in rows.keys() - self._merged.keys()]
        for ref, merged in self._merged.items():
            row, message = rows.pop(ref, None), self._last.get(ref)
            if row is None:
                if merged is not None or ref in self._existed:
                    wrong.append(f"table entities: {ref} is missing")
                continue
            found = None if row["deleted_at"] else _content_of(row)
            expected = merged and (
                merged["entity"], merged["service"], merged["provenance"], merged["contentHash"], merged["stale"]
            )  # fmt: skip
            if found != expected:
                wrong.append(f"table entities: {ref} is {found}, by the oracle {expected}")
            if message is not None and message.value() is None:
                headers = dict(message.headers())
                told = (int(headers["version"]), _moment(int(headers["mergedAt"])))
                if told != (row["version"], row["deleted_at"]):
                    wrong.append(f"table entities: {ref} vanished as {row['version']}, {row['deleted_at']}, not {told}")
        return wrong

    def records(self) -> list[str]:
        """The unmerged view has one row for each record that counts."""
        found = {
            (row["entity_ref"], row["data_source"]): (
                row["metadata"], row["spec"], row["service"], row["content_hash"], row["deleted"],
                row["generation"], row["source_version"], row["last_touched"],
            )
            for row in self._installed.rows(_RECORDS)
        }  # fmt: skip
        expected = {
            (key, connector): _record_row(record)
            for key, records in self._counting.items()
            for connector, record in records.items()
        }
        return [
            f"table entity_records: {place} is {found.get(place)}, by the oracle {expected.get(place)}"
            for place in found.keys() | expected.keys()
            if found.get(place) != expected.get(place)
        ]

    def events(self) -> list[str]:
        """Repeats aside, a key's events rise in version, and tell each content of the entities topic, in order."""
        wrong, told = [], dict[str, list[tuple[int, Any]]]()
        data_of: dict[str, bytes] = {}
        for message in self._installed.read(self._installed.topics.service_updated):
            identity = dict(message.headers())["ce_id"].decode()
            if identity in data_of:
                self.topics.figures["repeated events"] += 1
                if data_of[identity] != message.value():
                    wrong.append(f"events: {identity} was said twice with other data")
                continue
            data_of[identity] = message.value()
            data = json.loads(message.value())
            told.setdefault(message.key().decode(), []).append((data["version"], data["contentHash"]))
        history = self._history()
        for ref in told.keys() | history.keys():
            versions = [version for version, _ in told.get(ref, [])]
            if versions != sorted(set(versions)):
                wrong.append(f"events: the versions of {ref} do not rise: {versions}")
            found = [each for each, _ in groupby(content for _, content in told.get(ref, []))]
            if found != history.get(ref, []):
                wrong.append(f"events: {ref} was told as {found}, it was {history.get(ref, [])}")
            final = self._merged.get(ref)
            if found and found[-1] != (final and final["contentHash"]):
                wrong.append(f"events: the last one of {ref} tells {found[-1]}, by the oracle it is {final}")
        self.topics.figures["events"] += len(data_of)
        return wrong

    def _history(self) -> dict[str, list[Any]]:
        """Return the contents that each key had, by the entities topic, of the kinds that events are sent for.

        Of what a worker that was cut off wrote late nobody is told.
        """
        contents: dict[str, list[Any]] = {}
        owners = Owners()
        for message in self._installed.read(self._installed.topics.entities):
            ref = message.key().decode()
            if owners.is_late(message, entity_version(message)):
                continue
            if ref.partition(":")[0] in EVENT_KINDS:
                content = None if message.value() is None else _content_hash(message)
                contents.setdefault(ref, []).append(content)
        return {ref: [each for each, _ in groupby(hashes)] for ref, hashes in contents.items()}


def _content_hash(message: Any) -> str:
    return decode_entity(message.value()).content_hash


def _content_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["entity"], row["service"], row["provenance"], row["content_hash"], sorted(row["stale"])


def _record_row(record: oracle.Understood) -> tuple[Any, ...]:
    generation, version, observed_at, is_delete, content, *_ = record.rank
    body = record.body
    parts = (
        (None, None, None)
        if body is None
        else (body["entity"]["metadata"], body["entity"].get("spec"), body["service"])
    )
    return *parts, content, is_delete, generation, version, _moment(observed_at)


def _moment(epoch_ms: int) -> datetime:
    seconds, milliseconds = divmod(epoch_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
