"""Whose a dead letter is. Pure."""

from dataclasses import dataclass

from mainstem.dead_letters.letters import DeadLetter
from schemas.refs import DEFAULT_NAMESPACE, EntityRef, entity_key, parse_entity_key
from schemas.topics import RESERVED_CONNECTORS, Topics
from streams.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Belonging:
    """*connector*: which said it, None behind the processor. *entity_ref*: of whom it speaks, as its key says; None
    where the key is none of the tenant's.
    """

    connector: str | None
    entity_ref: str | None


def belonging(letter: DeadLetter, topics: Topics, policy: Policy, tenant: str) -> Belonging | None:
    """Return whose *letter* is within *tenant*; None: it is another tenant's, or nobody can say.

    The letter of a connector is of the connector's tenant, any other of the tenant that its key names.
    """
    if letter.aside is None:
        return None
    connector, ref = topics.connector_of(letter.aside.topic), _ref(letter.key or b"", tenant)
    if connector is None or connector in RESERVED_CONNECTORS:
        return None if ref is None else Belonging(connector=connector, entity_ref=ref)
    if policy.of(connector).tenant != tenant:
        return None
    return Belonging(connector=connector, entity_ref=ref)


def own_connector(team_ref: str) -> str | None:
    """Return the id of the connector that is the team's own: its name, where its namespace is the default."""
    found = EntityRef.parse(team_ref)
    return found.name if found.namespace == DEFAULT_NAMESPACE else None


def _ref(key: bytes, tenant: str) -> str | None:
    try:
        found, text = parse_entity_key(key)
        ref = EntityRef.parse(text)
    except ValueError:
        return None
    return str(ref) if found == tenant and entity_key(tenant, ref) == key else None
