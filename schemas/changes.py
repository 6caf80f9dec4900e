"""A change: what a connector says happened to one entity, as it travels and as it is understood.

Only `entity` is required of an upsert and `entityRef` of a delete; the format is `schemas/json/change.schema.json`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from schemas.canonical import canonical_json, content_hash, pointer
from schemas.descriptor_rules import is_placeholder
from schemas.descriptors import faults, received
from schemas.errors import ValidationError
from schemas.records import NEVER, Record
from schemas.refs import EntityRef

FIELDS: Final = (
    "op",
    "entityRef",
    "tenant",
    "entity",
    "service",
    "observedAt",
    "version",
    "generation",
    "ttlSeconds",
    "priority",
    "id",
)
"""What a change may say; anything else in it is ignored."""
CONTROL_OPS: Final = ("outage", "recovered")
MAX_AHEAD_MS: Final = 5 * 60 * 1000
"""How far `observedAt` may lie after the record's timestamp; what lies later is clamped."""

_INT64 = 2**63
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.(\d{1,3})\d*)?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_LEAP_SECOND = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a change came from: its connector, and the Kafka record that first carried it."""

    connector: str
    tenant: str
    is_complete: bool
    """Whether an upsert must be a whole entity by Backstage's rules."""
    timestamp: int
    """Epoch ms of the Kafka record."""
    id: str
    """`topic/partition/offset`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An upsert or a delete that keeps all rules."""

    ref: EntityRef
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A connector's word about itself: it cannot reach its source, or can again. `observed_at` is epoch ms."""

    op: Literal["outage", "recovered"]
    connector: str
    observed_at: int


class Timeless(NamedTuple):
    """A change that states neither a time nor an id: coming again, it differs in nothing but when it came."""

    ref: EntityRef
    generation: int
    version: int | None
    """None: it states none."""
    ttl: float | None
    priority: int | None
    content_hash: str
    content: bytes | None

    @classmethod
    def of(cls, document: Mapping[str, Any], change: Change) -> "Timeless | None":
        """Return what is timeless in *change*, as read from *document*; None where it is not."""
        if document.get("observedAt") is not None or document.get("id") is not None:
            return None
        record = change.record
        version = None if document.get("version") is None else record.version
        content = record.content_hash, record.content
        return cls(change.ref, record.generation, version, record.ttl, record.priority, *content)

    def at(self, origin: Origin) -> Change:
        """Return what would be read at *origin*, which has the first one's tenant and demand for completeness."""
        record = Record(
            connector=origin.connector,
            generation=self.generation,
            version=origin.timestamp if self.version is None else self.version,
            observed_at=origin.timestamp,
            timestamp=origin.timestamp,
            ttl=self.ttl,
            priority=self.priority,
            content_hash=self.content_hash,
            content=self.content,
            id=origin.id,
        )
        return Change(ref=self.ref, record=record)


def read_change(document: Mapping[str, Any], origin: Origin) -> Change | Control:
    """Return what a decoded change says. Raises ValidationError that lists every fault found."""
    op = document.get("op")
    if op is None or op == "upsert":
        return _read_upsert(document, origin)
    if op == "delete":
        return _read_delete(document, origin)
    if op in CONTROL_OPS:
        found: list[tuple[str, str]] = []
        observed_at = _observed_at(document, origin, found)
        _refuse(found)
        return Control(op=op, connector=origin.connector, observed_at=observed_at)
    raise ValidationError(("/op", "must be upsert, delete, outage or recovered"))


def _read_upsert(document: Mapping[str, Any], origin: Origin) -> Change:
    if document.get("entity") is None:
        raise ValidationError(("/entity", "an upsert needs the entity"))
    if not isinstance(document["entity"], dict):
        raise ValidationError(("/entity", "must be an object"))
    entity = received(document["entity"])
    found = faults(entity, complete=origin.is_complete)
    service = document.get("service")
    found += _service_faults(service)
    _check_tenant(document, origin, found)
    ref = _ref_of(entity) if not found else None
    stated = _stated_ref(document, found)
    if ref and stated and ref != stated:
        found.append(("/entityRef", "names another entity than the one that the change carries"))
    body = {"entity": entity, "service": {} if service is None else service}
    record = _record(document, origin, found, body)
    if ref is None or record is None:
        raise ValidationError(*found)
    return Change(ref=ref, record=record)


def _read_delete(document: Mapping[str, Any], origin: Origin) -> Change:
    found: list[tuple[str, str]] = []
    _check_tenant(document, origin, found)
    ref = _stated_ref(document, found)
    if ref is None and not found:
        found.append(("/entityRef", "a delete needs the entityRef"))
    record = _record(document, origin, found, None)
    if ref is None or record is None:
        raise ValidationError(*found)
    return Change(ref=ref, record=record)


def _record(
    document: Mapping[str, Any], origin: Origin, found: list[tuple[str, str]], body: dict[str, Any] | None
) -> Record | None:
    observed_at = _observed_at(document, origin, found)
    version = _integer(document, "version", found)
    generation = _integer(document, "generation", found, least=0)
    priority = _integer(document, "priority", found)
    ttl: float | None = _integer(document, "ttlSeconds", found, least=1)
    if ttl is None and "ttlSeconds" in document:
        ttl = NEVER
    change_id = document.get("id")
    if not (change_id is None or isinstance(change_id, str)):
        found.append(("/id", "must be a text"))
    if found:
        return None
    content = None if body is None else canonical_json(body)
    return Record(
        connector=origin.connector,
        generation=generation or 0,
        version=observed_at if version is None else version,
        observed_at=observed_at,
        timestamp=origin.timestamp,
        ttl=ttl,
        priority=priority,
        content_hash="" if content is None else content_hash(content),
        content=content,
        id=change_id or origin.id,
        _body=body,
    )


def parse_time(value: object) -> int:
    """Return the epoch ms of an RFC 3339 text (fractions beyond ms are cut) or of an integer of epoch ms.

    Raises ValueError with a sentence that does not repeat the value.
    """
    if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
        return value
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a time: RFC 3339 with a time zone, or epoch milliseconds")
    date, minutes, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    if int(second) > _LEAP_SECOND:
        raise ValueError("must be a time: there is no such second")
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}:00+00:00")
    except ValueError:
        raise ValueError("must be a time: there is no such date or time of day") from None
    seconds = round(moment.timestamp()) + int(second)
    if sign:
        offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1000 + int((fraction or "0").ljust(3, "0"))


def _observed_at(document: Mapping[str, Any], origin: Origin, found: list[tuple[str, str]]) -> int:
    value = document.get("observedAt")
    if value is None:
        return origin.timestamp
    try:
        return min(parse_time(value), origin.timestamp + MAX_AHEAD_MS)
    except ValueError as error:
        found.append(("/observedAt", str(error)))
        return origin.timestamp


def _integer(
    document: Mapping[str, Any], name: str, found: list[tuple[str, str]], *, least: int = -_INT64
) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if type(value) is int and least <= value < _INT64:
        return value
    limit = "a signed 64-bit integer" if least < 0 else f"an integer of at least {least}"
    found.append((pointer(name), f"must be {limit}"))
    return None


def _stated_ref(document: Mapping[str, Any], found: list[tuple[str, str]]) -> EntityRef | None:
    value = document.get("entityRef")
    if value is None:
        return None
    if not isinstance(value, str):
        found.append(("/entityRef", "must be a text"))
        return None
    try:
        return EntityRef.parse(value)
    except ValueError as error:
        found.append(("/entityRef", str(error)))
        return None


def _ref_of(entity: Mapping[str, Any]) -> EntityRef:
    metadata = entity["metadata"]
    return EntityRef(entity["kind"].lower(), metadata["namespace"], metadata["name"].lower())


def _check_tenant(document: Mapping[str, Any], origin: Origin, found: list[tuple[str, str]]) -> None:
    tenant = document.get("tenant")
    if tenant is not None and tenant != origin.tenant:
        found.append(("/tenant", "must be the connector's tenant"))


def _service_faults(service: object) -> list[tuple[str, str]]:
    if service is None:
        return []
    if not isinstance(service, dict):
        return [("/service", "must be an object")]
    found = []
    for name, key in (("dependencies", "target"), ("runbooks", "url")):
        elements = service.get(name)
        if elements is None:
            continue
        if not isinstance(elements, list):
            found.append((pointer("service", name), "must be a list of objects"))
            continue
        found += [
            (pointer("service", name, str(place)), f"must be an object with a text {key}")
            for place, element in enumerate(elements)
            if not _has_text(element, key)
        ]
    return found


def _has_text(element: object, key: str) -> bool:
    """A null passes wherever it stands; an object with one `$` key stands for a text."""
    if element is None:
        return True
    if not isinstance(element, dict) or key not in element:
        return False
    value = element[key]
    return value is None or isinstance(value, str) or is_placeholder(value)


def _refuse(found: list[tuple[str, str]]) -> None:
    if found:
        raise ValidationError(*found)
