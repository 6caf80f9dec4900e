"""Tells incident tools that a service changed: CloudEvents on `<prefix>.service.updated`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from schemas.canonical import canonical_json
from schemas.entities import MergedEntity, Vanished
from schemas.errors import ConfigError, DecodeError
from schemas.refs import KIND, EntityRef, entity_key
from sinks.base import DEFAULT_SERVICE_KINDS, Delivery, Positions, Sink, SinkSettings
from sinks.entities import read_entity
from sinks.outbox import Outbox, Outgoing

EVENT_TYPE: Final = "service.updated"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class IncidentsSink(Sink):
    """Sends an event for each version of an entity that changed its content, and for each that vanished.

    The option `kinds` lists the kinds to tell of, in any case.
    """

    rebuild_means: ClassVar[str] = (
        "an event of every entity that the topic holds is sent again, with the ce_id that it had: whoever follows"
        " `service.updated` gets them all once more"
    )

    def __init__(self, settings: SinkSettings) -> None:
        super().__init__(settings)
        self._kinds = _kinds(settings.options)
        self._topic = settings.topics.service_updated
        self._outbox = Outbox(settings.client)

    def write(self, batch: Sequence[Delivery], positions: Positions) -> None:
        del positions
        events = (service_updated(read_entity(delivery), self._topic, self._kinds) for delivery in batch)
        self._outbox.send([event for event in events if event is not None])

    def close(self) -> None:
        self._outbox.close()


def service_updated(entity: MergedEntity | Vanished, topic: str, kinds: Collection[str]) -> Outgoing | None:
    """Return the event that says what became of *entity*; None when there is nothing to tell."""
    if EntityRef.parse(entity.entity_ref).kind not in kinds:
        return None
    if isinstance(entity, MergedEntity) and not entity.changed:
        return None
    key = entity_key(entity.tenant, entity.entity_ref)
    headers = {
        "ce_specversion": "1.0",
        "ce_type": EVENT_TYPE,
        "ce_source": f"/mainstem/{entity.tenant}",
        "ce_id": f"{key.decode()}@{entity.version}",
        "ce_subject": entity.entity_ref,
        "ce_time": _rfc3339(entity.merged_at),
        "ce_partitionkey": key.decode(),
        "content-type": "application/json",
    }
    return Outgoing(
        topic=topic,
        key=key,
        value=canonical_json(_data(entity)),
        headers=[(name, value.encode()) for name, value in headers.items()],
    )


def _data(entity: MergedEntity | Vanished) -> dict[str, Any]:
    named = {"entityRef": entity.entity_ref, "tenant": entity.tenant, "version": entity.version}
    if isinstance(entity, Vanished):
        nothing: dict[str, Any] = {"changed": [], "contentHash": None, "entity": None, "service": None}
        return {**named, "change": "deleted", **nothing}
    return {
        **named,
        "change": entity.change,
        "changed": entity.changed,
        "contentHash": entity.content_hash,
        "entity": entity.entity,
        "service": entity.service,
    }


def _rfc3339(epoch_ms: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=epoch_ms)
    except OverflowError as error:
        raise DecodeError("mergedAt lies beyond the year 9999, or before the year 1") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kinds(options: Mapping[str, Any]) -> frozenset[str]:
    unknown = sorted(set(options) - {"kinds", "enabled"})
    if unknown:
        raise ConfigError(f"sinks.incidents has no option {', '.join(unknown)}; it has kinds and enabled")
    kinds = options.get("kinds", DEFAULT_SERVICE_KINDS)
    if not isinstance(kinds, list | tuple) or not all(isinstance(kind, str) and KIND.fullmatch(kind) for kind in kinds):
        raise ConfigError("sinks.incidents.kinds must be a list of kinds such as [component, api]")
    return frozenset(kind.lower() for kind in kinds)
