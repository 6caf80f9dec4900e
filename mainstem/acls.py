"""Who may do what in Kafka: the least that each role and each connector needs, one principal for each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.topics import Topics

Resource = Literal["topic", "group"]

_OPERATIONS: Final = {
    "Create": "CREATE",
    "Describe": "DESCRIBE",
    "DescribeConfigs": "DESCRIBE_CONFIGS",
    "Read": "READ",
    "Write": "WRITE",
}
"""As `kafka-acls.sh` writes them, and as programs do. Read and Write allow Describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """One resource that a principal may use. *name* begins the names of all that are meant if *is_prefix*."""

    role: str
    principal: str
    resource: Resource
    name: str
    is_prefix: bool
    operations: tuple[str, ...]

    def command(self, servers: str) -> str:
        """Return the line that grants it."""
        operations = " ".join(f"--operation {each}" for each in self.operations)
        kind = " --resource-pattern-type prefixed" if self.is_prefix else ""
        return (
            f'kafka-acls.sh --bootstrap-server {servers} --command-config "$ADMIN" --add'
            f" --allow-principal '{self.principal}' {operations} --{self.resource} {self.name}{kind}"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "role": self.role,
            "principal": self.principal,
            "resource_type": self.resource.upper(),
            "resource_name": self.name,
            "pattern_type": "PREFIXED" if self.is_prefix else "LITERAL",
            "operations": [_OPERATIONS[each] for each in self.operations],
        }


class _Role:
    """Collects what one principal may do."""

    def __init__(self, name: str, principal_prefix: str) -> None:
        self._name = name
        self._principal = f"User:{principal_prefix}{name}"
        self.acls: list[Acl] = []

    def topic(self, name: str, *operations: str, is_prefix: bool = False) -> "_Role":
        # Whoever uses a topic looks first whether it is as it should be.
        return self._add("topic", name, (*operations, "DescribeConfigs"), is_prefix=is_prefix)

    def group(self, name: str) -> "_Role":
        return self._add("group", name, ("Read",), is_prefix=False)

    def _add(self, resource: Resource, name: str, operations: tuple[str, ...], *, is_prefix: bool) -> "_Role":
        acl = Acl(
            role=self._name,
            principal=self._principal,
            resource=resource,
            name=name,
            is_prefix=is_prefix,
            operations=operations,
        )
        self.acls.append(acl)
        return self


def acls(topics: Topics, connectors: Iterable[str], sinks: Iterable[str], *, principal_prefix: str) -> list[Acl]:
    """Return the ACLs of an installation, role by role."""
    changes = topics.changes("")
    roles = [
        _Role("admin", principal_prefix)
        .topic(f"{topics.prefix}.", "Create", "Describe", is_prefix=True)
        .topic(topics.changelog, "Create", "Describe"),
        _Role("processor", principal_prefix)
        .topic(changes, "Read", "Write", is_prefix=True)
        .topic(topics.entities, "Write")
        .topic(topics.changelog, "Read", "Write")
        .topic(topics.dead_letters, "Write")
        .topic(topics.service_updated, "Describe")
        .group(topics.processor_group),
        # What people write, and where the topic of entities ends, to know when it can be read; the events that it sends
        # on, and the dead letters of a team. Nobody joins the group.
        _Role("api", principal_prefix)
        .topic(topics.changes("override"), "Write")
        .topic(topics.changes("manual"), "Write")
        .topic(topics.entities, "Describe")
        .topic(topics.dead_letters, "Read")
        .topic(topics.service_updated, "Read")
        .group(topics.operator_group),
        _Role("operator", principal_prefix)
        .topic(topics.dead_letters, "Read")
        .topic(topics.changelog, "Read")
        .topic(topics.entities, "Read")
        .topic(changes, "Write", is_prefix=True)
        .group(topics.operator_group),
        *(_Role(f"connector-{each}", principal_prefix).topic(topics.changes(each), "Write") for each in connectors),
        *(_sink(_Role(f"sink-{each}", principal_prefix), topics, each) for each in sinks),
    ]
    return [acl for role in roles for acl in role.acls]


def _sink(role: _Role, topics: Topics, name: str) -> _Role:
    """Every sink reads the entities and sets poison aside; those of our own do one thing more."""
    role.topic(topics.entities, "Read").topic(topics.dead_letters, "Write").group(topics.sink_group(name))
    if name == "postgres":
        role.topic(topics.changelog, "Read")
    if name == "incidents":
        role.topic(topics.service_updated, "Write")
    return role
