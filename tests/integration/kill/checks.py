"""After the kills: is what the topics hold exactly what was published, merged by the oracle?"""

import io
import json
from collections import Counter
from functools import cache
from typing import Any

import fastavro

from schemas.codec import AVRO_DIRECTORY, decode_records, records_version
from schemas.records import NEVER
from schemas.topics import FORWARDED_FROM, RESERVED_PREFIX, Topics
from tests import oracle
from tests.integration.kill.changes import POLICY
from tests.integration.kill.kafka_io import Published, by_highest_version, partition_of, read_all

WORLD = oracle.World(
    connectors={
        name: oracle.Connector(
            priority=policy.priority, ttl=policy.ttl, grace=policy.grace, asserts_existence=policy.asserts_existence
        )
        for name, policy in POLICY.connectors.items()
    }
)


class Owners:
    """The owners of the partitions of one topic, by the epochs of what was written, read in order."""

    def __init__(self) -> None:
        self._epochs: dict[int, int] = {}

    def is_late(self, message: Any, version: int) -> bool:
        """Whether the record of that version came behind one of a later owner: its writer had been cut off."""
        highest = self._epochs[message.partition()] = max(version >> 20, self._epochs.get(message.partition(), 0))
        return version >> 20 < highest


class Checks:
    """Every check returns sentences about what is wrong; none when all is right."""

    def __init__(self, bootstrap: str, topics: Topics, published: list[Published], now: int) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._published = published
        self._now = now
        self.figures: Counter[str] = Counter(each.drawn.way for each in published)

    def all(self) -> list[str]:
        said = self._said()
        self._counting = oracle.counting(said, WORLD)
        return [*self.entities(), *self.records(), *self.forwarded(), *self.dead_letters()]

    def _said(self) -> list[oracle.Said]:
        return [
            oracle.Said(each.drawn.connector, each.timestamp, json.loads(each.drawn.value))
            for each in self._published
            if each.drawn.way != "poison"
        ]

    # -- the entities topic

    def entities(self) -> list[str]:
        """The last value of each key is the oracle's merge, byte for byte, and has the key's highest version."""
        wrong, last, highest, late, owners = [], {}, {}, set(), Owners()
        for message in self._read(self._topics.entities):
            version = entity_version(message)
            self.figures["entity writes"] += 1
            late.discard(message.key())
            if owners.is_late(message, version):
                self.figures["late writes"] += 1
                late.add(message.key())
            else:
                self.figures["version regressions"] += version <= highest.get(message.key(), -1)
            highest[message.key()] = max(version, highest.get(message.key(), -1))
            last[message.key()] = message
            if message.partition() != partition_of(message.key(), self._topics.partitions):
                wrong.append(f"entities: {message.key()} lies in partition {message.partition()}")
        wrong += [
            f"entities: the last value of {key} has version {entity_version(message)}, an earlier one {highest[key]}"
            for key, message in last.items()
            if entity_version(message) != highest[key]
        ]
        wrong += [f"entities: the last value of {key} was written late, and nothing follows it" for key in late]
        self._content_hashes = {key: _entity(message).get("contentHash", "") for key, message in last.items()}
        for key, records in self._counting.items():
            expected = _expected(oracle.merged_entity(list(records.values()), WORLD, self._now))
            message = last.pop(key.encode(), None)
            found = None if message is None or message.value() is None else _view(_entity(message))
            self.figures["entities" if expected else "vanished"] += 1
            if found != expected:
                wrong.append(f"entities: {key} is {found}, by the oracle {expected}; {self._history(key)}")
        return wrong + [f"entities: {key} was never published" for key in last]

    def _history(self, key: str) -> str:
        """Return the versions (epoch, counter) and content hashes of all that was ever written of *key*."""
        rows = []
        for message in self._read(self._topics.entities):
            if message.key() == key.encode():
                version = entity_version(message)
                rows.append((version >> 20, version & 0xFFFFF, "entity", _entity(message).get("contentHash", "")[:8]))
        for message in self._read(self._topics.changelog):
            if message.key() == key.encode() and message.value() is not None:
                held = decode_records(message.value())
                rows.append((held.version >> 20, held.version & 0xFFFFF, "state", held.content_hash[:8]))
        return str(sorted(rows))

    # -- the changelog

    def records(self) -> list[str]:
        """The highest version of each key holds exactly the record of each connector that counts."""
        messages = (
            message
            for message in self._read(self._topics.changelog)
            if not message.key().startswith(RESERVED_PREFIX)
        )  # fmt: skip
        wrong = []
        newest = by_highest_version(messages, lambda message: records_version(message.value() or b""))
        for key, expected in self._counting.items():
            message = newest.pop(key.encode(), None)
            if message is None:
                wrong.append(f"changelog: {key} is missing")
                continue
            held = decode_records(message.value())
            found = {name: (*_rank(record), record.content) for name, record in held.by_connector.items()}
            wanted = {name: (*_wanted_rank(record), _content(record)) for name, record in expected.items()}
            if found != wanted:
                wrong.append(f"changelog: {key} is {found}, by the oracle {wanted}")
            if held.content_hash != self._content_hashes.get(key.encode(), ""):
                wrong.append(f"changelog: {key} has another contentHash than the entities topic")
        return wrong + [f"changelog: {key} was never published" for key in newest]

    # -- accounting

    def forwarded(self) -> list[str]:
        """What was misplaced is forwarded, at least once, as it came; nothing else is."""
        wanted = {
            each.origin(self._topics): each for each in self._published if each.is_misplaced(self._topics.partitions)
        }
        wrong, seen = [], set()
        for connector in POLICY.connectors:
            for message in self._read(self._topics.changes(connector)):
                origin = dict(message.headers() or ()).get(FORWARDED_FROM, b"").decode()
                if not origin:
                    continue
                self.figures["forwarded"] += 1
                seen.add(origin)
                if origin not in wanted or not _is_as_it_came(message, wanted[origin], self._topics.partitions):
                    wrong.append(f"forwarded: {origin} is not as it came, or was not misplaced")
        self.figures["misplaced"] = len(wanted)
        return wrong + [f"forwarded: {origin} was not" for origin in wanted.keys() - seen]

    def dead_letters(self) -> list[str]:
        """The poison and nothing else is there, at least once, byte for byte, with where it came from and why."""
        wanted = {each.origin(self._topics): each for each in self._published if each.drawn.way == "poison"}
        wrong, seen = [], set()
        for message in self._read(self._topics.dead_letters):
            self.figures["dead letters"] += 1
            headers = dict(message.headers())
            origin = "/".join(headers[f"mainstem-origin-{name}"].decode() for name in ("topic", "partition", "offset"))
            seen.add(origin)
            each = wanted.get(origin)
            if each is None:
                wrong.append(f"dead letters: {origin} was no poison ({headers['mainstem-reason']})")
            elif not (
                (message.key(), message.value()) == (each.drawn.key, each.drawn.value)
                and tuple(message.headers()[: len(each.drawn.headers)]) == each.drawn.headers
                and headers["mainstem-origin-timestamp"] == b"%d" % each.timestamp
                and headers["mainstem-stage"] in (b"decode", b"validate")
                and headers["mainstem-attempts"] == b"1"
                and headers["mainstem-error"]
                and headers["mainstem-reason"]
            ):
                wrong.append(f"dead letters: {origin} is not as it came: {message.key()} {headers}")
        return wrong + [f"dead letters: {origin} is missing" for origin in wanted.keys() - seen]

    def _read(self, topic: str) -> Any:
        return read_all(self._bootstrap, topic, self._topics.partitions)


@cache
def _schema() -> Any:
    return fastavro.parse_schema(json.loads((AVRO_DIRECTORY / "MergedEntity.avsc").read_text()))


def _entity(message: Any) -> dict[str, Any]:
    """Read the Avro of a merged entity without the product's decoder: its JSON texts stay bytes to compare."""
    if message.value() is None:
        return {}
    return fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), _schema(), None)


def entity_version(message: Any) -> int:
    """Return the version of a record of the entities topic."""
    if message.value() is None:
        return int(dict(message.headers())["version"])
    return _entity(message)["version"]


def _view(fields: dict[str, Any]) -> tuple[Any, ...]:
    return (*(fields[name] for name in ("entity", "service", "provenance", "contentHash")), sorted(fields["stale"]))


def _expected(merged: dict[str, Any] | None) -> tuple[Any, ...] | None:
    if merged is None:
        return None
    texts = (oracle.canonical(merged[name]).decode() for name in ("entity", "service", "provenance"))
    return (*texts, merged["contentHash"], merged["stale"])


def _rank(record: Any) -> tuple[Any, ...]:
    ttl = {None: "absent", NEVER: None}.get(record.ttl, record.ttl)
    return (record.generation, record.version, record.observed_at, record.is_delete, record.content_hash, ttl,
            record.priority)  # fmt: skip


def _wanted_rank(record: oracle.Understood) -> tuple[Any, ...]:
    return (*record.rank[:5], record.ttl, record.priority)


def _content(record: oracle.Understood) -> bytes | None:
    return None if record.body is None else oracle.canonical(record.body)


def _is_as_it_came(message: Any, each: Published, partitions: int) -> bool:
    ref = each.drawn.ref.encode()
    headers = tuple(header for header in message.headers() if header[0] != FORWARDED_FROM)
    return (
        message.key() == ref
        and message.partition() == partition_of(ref, partitions)
        and message.value() == each.drawn.value
        and headers == each.drawn.headers
        and message.timestamp()[1] == each.timestamp
    )
