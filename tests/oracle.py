"""What contracts.md and merge.md say, once more: naive, slow, and written from those two documents alone.

Everything is worked out anew from all the changes that ever came. Of the product only the patterns of Backstage
(`schemas.descriptors.faults`) are used.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from schemas.descriptors import faults
from tests.oracle_rules import Claimed, OracleRule, coupled, decided, rule_for, tokens

FOREVER = float("inf")
WEEK = 7 * 24 * 60 * 60
FIVE_MINUTES_MS = 5 * 60 * 1000
LONG = range(-(2**63), 2**63)
UNIONS_OF_REFS = ("dependsOn", "dependencyOf", "providesApis", "consumesApis")
LOCATION = tuple(
    f"backstage.io/{name}" for name in ("managed-by-location", "managed-by-origin-location", "view-url", "edit-url")
)


@dataclass(frozen=True)
class Connector:
    """The configuration of one connector; durations in seconds."""

    priority: int = 0
    ttl: float = FOREVER
    grace: float = 0
    max_stale: float = 24 * 60 * 60
    asserts_existence: bool = True
    complete: bool = False
    tenant: str = "default"


@dataclass(frozen=True)
class World:
    """All connectors, per connector its outages as (begin, end) in epoch ms, and the rules."""

    connectors: dict[str, Connector] = field(default_factory=dict)
    outages: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    rules: tuple[OracleRule, ...] = ()

    def of(self, connector: str) -> Connector:
        if connector == "override":
            return Connector(asserts_existence=False)
        return self.connectors.get(connector, Connector())


@dataclass(frozen=True)
class Said:
    """A decoded change, who said it, and the timestamp of the Kafka record that carried it."""

    connector: str
    timestamp: int
    document: dict


@dataclass(frozen=True)
class Understood:
    """A change that keeps all rules."""

    connector: str
    key: str
    namespace: str
    rank: tuple
    observed_at: int
    timestamp: int
    ttl: object  # "absent", None (never) or seconds
    priority: int | None
    body: dict | None  # None: a delete


class RefusedError(Exception):
    pass


# -- canonical JSON and hashes


def canonical(value) -> bytes:
    """Keys by code point, no spaces, UTF-8. Floats of everyday size are written alike by Python and by orjson."""
    if _has_odd_float(value):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _has_odd_float(value) -> bool:
    if isinstance(value, dict):
        return any(_has_odd_float(entry) for entry in value.values())
    if isinstance(value, list):
        return any(_has_odd_float(entry) for entry in value)
    return isinstance(value, float) and value != 0 and not 1e-4 <= abs(value) < 1e15


def hashed(value) -> str:
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


# -- which changes are understood


def understand(said: Said, connector: Connector) -> Understood:
    """Raises RefusedError where contracts.md sends the change to the dead letters (control records aside)."""
    document = {name: value for name, value in said.document.items() if value is not None or name == "ttlSeconds"}
    op = document.get("op", "upsert")
    _demand(op in ("upsert", "delete"))
    _demand(document.get("tenant", connector.tenant) == connector.tenant)
    observed_at = _observed_at(document, said.timestamp)
    version = _long(document, "version", observed_at)
    generation = _long(document, "generation", 0)
    priority = _long(document, "priority", None)
    ttl = document.get("ttlSeconds", "absent")
    _demand(generation >= 0)
    _demand(ttl in ("absent", None) or (type(ttl) is int and ttl in LONG and ttl >= 1))
    stated = _full_ref(document["entityRef"]) if "entityRef" in document else None
    body, ref = None, stated
    if op == "upsert":
        body, ref = _body(document, connector)
        _demand(stated in (None, ref))
    _demand(ref is not None)
    kind, namespace, name = ref
    text = f"{kind}:{namespace}/{name}"
    content = "" if body is None else hashed(body)
    ttl_rank = {"absent": -1, None: FOREVER}.get(ttl, ttl)
    priority_rank = -FOREVER if priority is None else priority
    return Understood(
        connector=said.connector,
        key=text if connector.tenant == "default" else f"{connector.tenant}|{text}",
        namespace=namespace,
        rank=(generation, version, observed_at, body is None, content, ttl_rank, priority_rank),
        observed_at=observed_at,
        timestamp=said.timestamp,
        ttl=ttl,
        priority=priority,
        body=body,
    )


def _demand(condition) -> None:
    if not condition:
        raise RefusedError


def _long(document, name, default):
    if name not in document:
        return default
    _demand(type(document[name]) is int and document[name] in LONG)
    return document[name]


def _observed_at(document, timestamp) -> int:
    value = document.get("observedAt", timestamp)
    if isinstance(value, str):
        value = _rfc3339(value)
    _demand(type(value) is int and value in LONG)
    return min(value, timestamp + FIVE_MINUTES_MS)


def _rfc3339(text) -> int:
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, flags=re.ASCII)
    _demand(match)
    day, hour, minute, second, fraction, zone = match.groups()
    _demand(int(hour) < 24 and int(minute) < 60 and int(second) <= 60)
    try:
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError from None
    moment += timedelta(hours=int(hour), minutes=int(minute), seconds=int(second))
    if zone not in "Zz":
        away = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        _demand(int(zone[1:3]) < 24 and int(zone[4:6]) < 60)
        moment = moment - away if zone[0] == "+" else moment + away
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds * 1000 + int(((fraction or ".") + "000")[1:4])


def _full_ref(text):
    _demand(isinstance(text, str))
    ref = parse_ref(text, kind=None, namespace="default")
    _demand(ref)
    return ref


def parse_ref(text, *, kind, namespace):
    """Return (kind, namespace, name) lower-cased, or None when it is no reference by Backstage's patterns."""
    match = re.fullmatch(r"(?:([^:/]+):)?(?:([^:/]+)/)?([^:/]+)", text)
    if not match:
        return None
    kind, namespace, name = (match[1] or kind), (match[2] or namespace), match[3]
    if kind is None:
        return None
    label = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
    fits = (
        re.fullmatch(r"[a-zA-Z][a-z0-9A-Z]{0,62}", kind)
        and re.fullmatch(r"[a-z0-9]+(?:-+[a-z0-9]+)*", namespace.lower())
        and re.fullmatch(label, name)
        and max(len(kind), len(namespace), len(name)) <= 63
    )
    return (kind.lower(), namespace.lower(), name.lower()) if fits else None


def _body(document, connector):
    entity = document.get("entity")
    _demand(isinstance(entity, dict))
    entity = received(entity)
    service = document.get("service", {})
    _demand(isinstance(service, dict))
    for name, key in (("dependencies", "target"), ("runbooks", "url")):
        elements = service.get(name)
        _demand(elements is None or isinstance(elements, list))
        for element in elements or []:
            _demand(element is None or (isinstance(element, dict) and key in element and _is_text(element[key])))
    _demand(not faults(entity, complete=connector.complete))
    metadata = entity["metadata"]
    return {"entity": entity, "service": service}, (
        entity["kind"].lower(),
        metadata["namespace"],
        metadata["name"].lower(),
    )


def _is_text(value) -> bool:
    placeholder = isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$")
    return value is None or isinstance(value, str) or placeholder


def received(entity):
    """Less what is always dropped, and in its namespace."""
    entity = {name: value for name, value in entity.items() if name not in ("relations", "status")}
    if isinstance(entity.get("metadata"), dict):
        metadata = dict(entity["metadata"])
        for name in ("uid", "etag", "generation"):
            metadata.pop(name, None)
        metadata.setdefault("namespace", "default")
        if isinstance(metadata.get("annotations"), dict):
            metadata["annotations"] = {
                key: value for key, value in metadata["annotations"].items() if key != "backstage.io/orphan"
            }
        entity["metadata"] = metadata
    return entity


# -- which record counts, and for how long


def counting(said: list[Said], world: World) -> dict[str, dict[str, Understood]]:
    """Return by key and connector the greatest change of all that were understood."""
    greatest: dict[str, dict[str, Understood]] = {}
    for one in said:
        try:
            change = understand(one, world.of(one.connector))
        except RefusedError:
            continue
        of_key = greatest.setdefault(change.key, {})
        if one.connector not in of_key or change.rank > of_key[one.connector].rank:
            of_key[one.connector] = change
    return greatest


def ttl_of(record: Understood, world: World) -> float:
    if record.ttl == "absent":
        return world.of(record.connector).ttl
    return FOREVER if record.ttl is None else record.ttl


def life(record: Understood, world: World, now: int) -> str:
    """Return fresh, stale or dead; a delete is dead."""
    connector = world.of(record.connector)
    if record.body is None:
        return "dead"
    away = sum(
        max(0, min(now, end) - max(record.observed_at, begin)) for begin, end in world.outages.get(record.connector, [])
    )
    age = now - record.observed_at - min(away, connector.max_stale * 1000)
    ttl = ttl_of(record, world)
    if age < ttl * 1000:
        return "fresh"
    return "stale" if age < (ttl + connector.grace) * 1000 else "dead"


def is_forgotten(record: Understood, world: World, now: int) -> bool:
    """Whether its time as a tombstone is over; of an upsert that time begins with its death. Without outages."""
    ttl = ttl_of(record, world)
    if record.body is None:
        kept = WEEK if ttl == FOREVER else max(WEEK, ttl)
        return now >= max(record.observed_at, record.timestamp) + kept * 1000
    if ttl == FOREVER:
        return False
    death = record.observed_at + (ttl + world.of(record.connector).grace) * 1000
    return now >= death + max(WEEK, ttl) * 1000


# -- the merge


def entities(said: list[Said], world: World, now: int) -> dict[str, dict]:
    """Return every entity that exists at *now*: {key: {entity, service, provenance, stale, contentHash}}."""
    found = {}
    for key, records in counting(said, world).items():
        merged = merged_entity(list(records.values()), world, now)
        if merged is not None:
            found[key] = merged
    return found


def by_precedence(records: list[Understood], world: World, now: int) -> list[Understood]:
    """Return the live records, strongest first."""

    def place(record):
        own = world.of(record.connector).priority if record.priority is None else record.priority
        priority = FOREVER if record.connector == "override" else own
        return life(record, world, now) == "stale", -priority, record.connector

    return sorted((record for record in records if life(record, world, now) != "dead"), key=place)


def merged_entity(records: list[Understood], world: World, now: int) -> dict | None:
    live = by_precedence(records, world, now)
    if not any(world.of(record.connector).asserts_existence for record in live):
        return None
    folding = _Folding(live, world.rules, {one.connector for one in live if life(one, world, now) == "stale"})
    result = {"entity": folding.entity, "service": folding.service}
    return {
        **result,
        "provenance": folding.provenance,
        "stale": sorted(record.connector for record in live if life(record, world, now) == "stale"),
        "contentHash": hashed(result),
    }


ABSENT = object()


class _Folding:
    """One pass over the Fields table."""

    def __init__(self, live: list[Understood], rules: tuple[OracleRule, ...], stale: set[str]) -> None:
        self.live = live
        self.rules = rules
        self.stale = stale
        self.provenance: dict = {}
        self.namespace = live[0].namespace
        top = live[0].body["entity"]
        self.kind = top["kind"].lower()
        self.is_api = top["kind"] == "API" and not any(self._rule("spec", name) for name in ("definition", "type"))
        self.entity = {"apiVersion": top["apiVersion"], "kind": top["kind"]}
        metadata = {"namespace": top["metadata"]["namespace"], "name": top["metadata"]["name"]}
        for at in ("/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"):
            self.provenance[at] = live[0].connector
        self._metadata(metadata)
        self.entity["metadata"] = metadata
        spec: dict = {}
        self._spec(spec)
        if spec:
            self.entity["spec"] = spec
        self.service: dict = {}
        self._service(self.service)
        self._groups(metadata)

    def _metadata(self, result) -> None:
        said = self._objects("entity", "metadata")
        for name in _names(said) - {"namespace", "name"}:
            if name in ("annotations", "labels"):
                self._map(result, name, self._column(said, name))
            elif self._rule("metadata", name):
                self._ruled(result, ("metadata", name), self._column(said, name))
            elif name == "tags":
                self._union(result, f"/metadata/{name}", name, self._column(said, name), key=_tag, order=True)
            elif name == "links":
                self._union(result, f"/metadata/{name}", name, self._column(said, name), key=_of("url"))
            else:
                self._first(result, "/metadata", name, self._column(said, name))

    def _spec(self, result) -> None:
        said = self._objects("entity", "spec")
        names = _names(said)
        if self.is_api:
            self._definition(result, said)
            names -= {"definition", "type"}
        for name in names:
            column = self._column(said, name)
            if self._rule("spec", name):
                self._ruled(result, ("spec", name), column)
            elif name in UNIONS_OF_REFS:
                key = self._ref_key(name)
                self._union(result, f"/spec/{name}", name, column, key=key, order=True)
            else:
                self._first(result, "/spec", name, column)

    def _service(self, result) -> None:
        said = self._objects("service")
        for name in _names(said):
            column = self._column(said, name)
            if self._rule("service", name):
                self._ruled(result, ("service", name), column)
            elif name == "runbooks":
                self._union(result, "/service/runbooks", name, column, key=_of("url"))
            elif name == "dependencies":
                self._union(result, "/service/dependencies", name, column, key=_of("target"))
                for dependency in result.get(name, []):
                    dependency["isCritical"] = self._is_critical(column, dependency["target"])
            else:
                self._first(result, "/service", name, column)

    # -- what the records say

    def _objects(self, *path):
        """Return per live record (connector, the object at *path*); anything but a filled object says nothing."""
        rows = []
        for record in self.live:
            value = record.body
            for step in path:
                value = value.get(step)
            rows.append((record.connector, value if isinstance(value, dict) else {}))
        return rows

    @staticmethod
    def _column(said, name):
        """Return per record (connector, value of the field or ABSENT)."""
        return [(connector, ABSENT if holder.get(name, ABSENT) == "" else holder.get(name, ABSENT))
                for connector, holder in said]  # fmt: skip

    # -- the rules

    def _rule(self, *place):
        return rule_for(self.rules, self.kind, place)

    def _ruled(self, result, place, column) -> None:
        """What the rule for *place* makes of *column*. Coupled groups come later, all of each at once."""
        rule = self._rule(*place)
        if rule.strategy == "coupled":
            return
        observed = {record.connector: record.observed_at for record in self.live}
        claims = [
            Claimed(connector, value, observed[connector], connector in self.stale)
            for connector, value in column
            if value is not ABSENT
        ]
        outcome = decided(rule, claims) if claims else None
        if outcome is not None:
            result[place[-1]], self.provenance["".join(f"/{_escaped(each)}" for each in place)] = outcome

    def _groups(self, metadata) -> None:
        for rule in [rule for rule in self.rules if rule.strategy == "coupled"]:
            places = [tokens(path) for path in dict.fromkeys((rule.path, *rule.options["pointers"]))]
            mine = [place for place in places if self._rule(*place) is rule]
            says = [(record.connector, self._told(record, mine)) for record in self.live]
            values, winner = coupled(says)
            for place, value in values.items():
                holder = self.service if place[0] == "service" else metadata
                if place[0] == "spec":
                    holder = self.entity.setdefault("spec", {})
                elif len(place) == 3:
                    holder = metadata.setdefault(place[1], {})
                holder[place[-1]] = value
                self.provenance["".join(f"/{_escaped(each)}" for each in place)] = winner

    @staticmethod
    def _told(record, places):
        """Return what *record* has of *places*; None where it says that one is empty."""
        found = {}
        for place in places:
            holder = {**record.body["entity"], "service": record.body["service"]}
            for step in place[:-1]:
                holder = holder.get(step, {}) if isinstance(holder, dict) else {}
            if holder is None and len(place) == 3:
                found[place] = None
            value = holder.get(place[-1], ABSENT) if isinstance(holder, dict) else ABSENT
            if value is not ABSENT and (value != "" or len(place) == 3):
                found[place] = value
        return found

    # -- the strategies

    def _first(self, result, parent, name, column) -> None:
        for connector, value in column:
            if value is ABSENT:
                continue
            if value is not None:
                result[name] = value
                self.provenance[f"{parent}/{_escaped(name)}"] = connector
            return

    def _map(self, result, name, column) -> None:
        """Per key, first by precedence. A null instead of the map hides every key of the lower records."""
        visible = []
        for connector, value in column:
            if value is None:
                break
            visible.append((connector, value if isinstance(value, dict) else {}))
        merged = {}
        keys = _names(visible)
        for key in _names([(connector, holder) for connector, holder in column if isinstance(holder, dict)]):
            if self._rule("metadata", name, key):
                told = [
                    (connector, holder if holder is None else holder.get(key, ABSENT))
                    for connector, holder in column
                    if holder is None or isinstance(holder, dict)
                ]
                self._ruled(merged, ("metadata", name, key), told)
                keys.discard(key)
        if name == "annotations":
            self._location(merged, visible)
            keys -= set(LOCATION)
        for key in keys:
            raw = [(connector, holder.get(key, ABSENT)) for connector, holder in visible]
            self._first(merged, f"/metadata/{name}", key, raw)
        if merged:
            result[name] = merged

    def _location(self, merged, visible) -> None:
        """All four from the highest record that has any; a null above it counts for its own key alone."""
        nulls = set()
        for connector, holder in visible:
            members = [key for key in LOCATION if not self._rule("metadata", "annotations", key)]
            given = {key: holder[key] for key in members if holder.get(key) is not None}
            if given:
                for key in set(given) - nulls:
                    merged[key] = given[key]
                    self.provenance[f"/metadata/annotations/{_escaped(key)}"] = connector
                return
            nulls |= {key for key in LOCATION if key in holder}

    def _definition(self, result, said) -> None:
        """Definition and type from the highest record that has a definition; a null above counts for its own field."""
        nulls = set()
        for connector, holder in said:
            if holder.get("definition") not in (None, ""):
                for name in {"definition", "type"} - nulls:
                    if holder.get(name) not in (None, ""):
                        result[name] = holder[name]
                        self.provenance[f"/spec/{name}"] = connector
                return
            nulls |= {name for name in ("definition", "type") if name in holder and holder[name] is None}

    def _union(self, result, at, name, column, *, key, order=False) -> None:
        found: dict = {}
        givers = []
        for connector, value in column:
            if value is None:
                break
            elements = [(key(element), element) for element in (value if isinstance(value, list) else [])]
            elements = [(identity, element) for identity, element in elements if identity is not None]
            if elements:
                givers.append(connector)
            for identity, element in elements:
                found.setdefault(identity, dict(element) if isinstance(element, dict) else element)
        if found:
            result[name] = [found[identity] for identity in (sorted(found) if order else found)]
            self.provenance[at] = givers

    @staticmethod
    def _is_critical(column, target) -> bool:
        identity = canonical(target)
        for _, value in column:
            if value is None:
                return False
            for element in value if isinstance(value, list) else []:
                if isinstance(element, dict) and canonical(element.get("target")) == identity:
                    if element.get("isCritical") is True:
                        return True
                    break
        return False

    def _ref_key(self, name):
        kind = "api" if name in ("providesApis", "consumesApis") else None

        def key(element):
            if element in (None, ""):
                return None
            if not isinstance(element, str):
                return canonical(element).decode(), "no text"
            ref = parse_ref(element, kind=kind, namespace=self.namespace)
            return element.lower() if ref is None else f"{ref[0]}:{ref[1]}/{ref[2]}", ""

        return key


def _names(said) -> set[str]:
    return {name for _, holder in said for name in holder}


def _tag(element):
    if element in (None, ""):
        return None
    return (element, "") if isinstance(element, str) else (canonical(element).decode(), "no text")


def _of(attribute):
    def key(element):
        value = element.get(attribute) if isinstance(element, dict) else None
        return None if value in (None, "") else canonical(value)

    return key


def _escaped(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
