"""The records of the entities topic, as sinks read them."""

import re
from typing import Any, Final

from schemas.codec import decode_entity, entity_fields
from schemas.entities import MergedEntity, Vanished
from schemas.errors import DecodeError
from schemas.refs import EntityRef, entity_key, parse_entity_key
from sinks.base import Delivery

_NUMBER: Final = re.compile(rb"-?[0-9]{1,19}")


def read_entity(delivery: Delivery) -> MergedEntity | Vanished:
    """Return what the record says about its entity. Raises DecodeError for what no processor wrote."""
    if delivery.value is None:
        return read_vanished(delivery)
    read_key(delivery.key)
    try:
        entity = decode_entity(delivery.value)
    except ValueError as error:
        raise DecodeError("the value holds a text that is not JSON") from error
    _require_key(delivery, entity.tenant, entity.entity_ref)
    return entity


def read_texts(delivery: Delivery) -> tuple[EntityRef, dict[str, Any]]:
    """Return the fields of an entity that is there, its JSON texts unread: whoever takes them must look at them."""
    _, ref = read_key(delivery.key)
    fields = entity_fields(delivery.value or b"")
    _require_key(delivery, fields["tenant"], fields["entityRef"])
    return ref, fields


def read_vanished(delivery: Delivery) -> Vanished:
    """Return what a null value says."""
    tenant, ref = read_key(delivery.key)
    reason = delivery.header("reason") or b"deleted"
    return Vanished(
        tenant=tenant,
        entity_ref=str(ref),
        version=header_number(delivery, "version"),
        merged_at=header_number(delivery, "mergedAt"),
        reason=reason.decode(errors="replace"),
    )


def read_key(key: bytes) -> tuple[str, EntityRef]:
    """Return tenant and reference of an entity key. Raises DecodeError for any other key."""
    try:
        tenant, text = parse_entity_key(key)
        ref = EntityRef.parse(text)
    except ValueError as error:
        raise DecodeError("the key is no entity key") from error
    if entity_key(tenant, ref) != key:
        raise DecodeError("the key is no entity key as a processor writes it")
    return tenant, ref


def header_number(delivery: Delivery, name: str) -> int:
    value = delivery.header(name)
    if value is None or not _NUMBER.fullmatch(value):
        raise DecodeError(f"the null value has no header {name} with a number: another producer wrote it")
    return int(value)


def _require_key(delivery: Delivery, tenant: str, entity_ref: str) -> None:
    if entity_key(tenant, entity_ref) != delivery.key:
        raise DecodeError("the key is not that of the entity in the value")
