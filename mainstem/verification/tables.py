"""What the tables hold about the entities that are asked for."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import psycopg
from psycopg.types.json import set_json_loads

from mainstem.verification.digests import digest, seconds
from mainstem.verification.models import found_digest, wanted_digest
from mainstem.verification.sides import Found, View
from mainstem.verification.topics import record_digest
from schemas.database import sentences
from schemas.refs import entity_key, parse_entity_key
from schemas.statements import statements
from sinks.base import DEFAULT_SERVICE_KINDS, Positions

_QUERIES: Final = statements(Path(__file__).with_name("queries.sql"))
PAGE: Final = 500
_RECORD: Final = (
    *(
        "tenant",
        "entity_ref",
        "data_source",
        "state_version",
        "id",
        "api_version",
        "kind",
        "metadata",
        "spec",
        "service",
    ),
    *("priority_score", "content_hash", "last_touched", "expiration_date", "deleted", "generation", "source_version"),
    "change_id",
)


class Tables:
    """One connection, and the keys that were looked at over it."""

    def __init__(self, dsn: str, sink: str, service_kinds: Collection[str] = DEFAULT_SERVICE_KINDS) -> None:
        self._dsn = dsn
        self._kinds = service_kinds
        self._sink = sink
        with sentences(dsn):
            self._connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
            set_json_loads(orjson.loads, self._connection)
            self._connection.execute(_QUERIES["begin"])

    def close(self) -> None:
        self._connection.close()

    def missing(self, ends: Positions) -> int:
        """Return how many records before *ends* the sink has not written yet."""
        topics, partition = [topic for topic, _ in ends], next(iter(ends))[1]
        asked = {"sink": self._sink, "topics": topics, "partition": partition}
        stored: dict[str, int] = dict(self._rows("positions", asked))
        return sum(max(0, end - stored.get(topic, 0)) for (topic, _), end in ends.items())

    def look(self, keys: Iterable[bytes]) -> Iterator[dict[bytes, Found]]:
        """Yield what is held about *keys*, a page at a time; every key of a page has its entry."""
        left = iter(keys)
        while page := list(islice(left, PAGE)):
            pairs = [parse_entity_key(key) for key in page]
            asked = {"tenants": [tenant for tenant, _ in pairs], "refs": [ref for _, ref in pairs]}
            found = {key: Found() for key in page}
            for tenant, ref, version, is_there, *rest in self._rows("entities", asked):
                held = found[entity_key(tenant, ref)]
                held.version, held.view = version, _view(*rest) if is_there else None
                if is_there:
                    entity = dict(zip(("entity", "service", "provenance"), rest, strict=False))
                    row = {"tenant": tenant, "entity_ref": ref, **entity}
                    held.wanted_model = wanted_digest(row, self._kinds)
            for tenant, ref, *model in self._rows("models", asked):
                found[entity_key(tenant, ref)].model = found_digest(*model)
            for row in self._rows("records", asked):
                record = dict(zip(_RECORD, row, strict=True))
                times = {name: seconds(record[name]) for name in ("last_touched", "expiration_date")}
                held = found[entity_key(record["tenant"], record["entity_ref"])]
                held.records[record["data_source"]] = record_digest({**record, **times})
            yield found

    def note(self, keys: Collection[bytes]) -> None:
        """Keep in mind that *keys* were looked at."""
        statement = _QUERIES["looked_at"]
        with sentences(self._dsn), self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for key in keys:
                copy.write_row(parse_entity_key(key))

    def others(self) -> set[bytes]:
        """Return the keys of all rows that were not looked at."""
        return {entity_key(tenant, ref) for tenant, ref in self._rows("others")}

    def _rows(self, query: str, asked: dict[str, Any] | None = None) -> list[Any]:
        with sentences(self._dsn):
            return self._connection.execute(_QUERIES[query], asked).fetchall()


def _view(entity: Any, service: Any, *origin: Any) -> View:
    return View(digest([entity, service]), digest(list(origin)))
