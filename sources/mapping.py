"""What a connector makes of an entity before it is published: which ones it takes, under which rules, and what it adds.

Expressions look at the entity as the source gave it, with its `relations`; nothing they find is looked at again.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.canonical import canonical_json, pointer
from schemas.descriptor_rules import is_placeholder
from schemas.errors import ConfigError, ValidationError
from schemas.refs import DEFAULT_NAMESPACE, EntityRef
from sources.expressions import Expression, compiled

_REVISION: Final = 1
"""Raised when the same settings come to mean something else."""
_UPSTREAM: Final = "dependency_extraction.upstream"
_DOWNSTREAM: Final = "dependency_extraction.downstream"
_TEXTS: Final = ("name", "tier", "ownerTeam", "lifecycle", "description", "scheduleId", "slackChannel", "email")
_TYPES: Final = {**dict.fromkeys(_TEXTS, str), "onCall": dict, "dependencies": list, "runbooks": list}
"""The keys of `service` whose type is known; any other takes what is found."""
_NAMES: Final = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """*expression* must be true of every entity; *message* is told of one of which it is not."""

    expression: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings:
    """The mapping of one connector, as it was configured. All that may hold an expression is JMESPath."""

    connector: str
    entity_types: tuple[str, ...] | None = None
    """Kinds in any case; None: every kind."""
    filters: tuple[str, ...] = ()
    """All must be true of an entity, or it is left out."""
    field_mapping: Mapping[str, str] = field(default_factory=dict)
    """Keys of `service` in snake_case, and what each is taken from."""
    upstream: str | None = None
    downstream: str | None = None
    rules: tuple[Rule, ...] = ()

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Yield each expression behind the key that it was written under."""
        yield from ((f"filters[{number}]", each) for number, each in enumerate(self.filters))
        yield from ((f"validation[{number}].rule", each.expression) for number, each in enumerate(self.rules))
        yield from ((f"field_mapping.{key}", each) for key, each in self.field_mapping.items())
        if self.upstream is not None:
            yield _UPSTREAM, self.upstream
        if self.downstream is not None:
            yield _DOWNSTREAM, self.downstream


class Mapper:
    """Maps the changes of one connector; threads may share it. Raises ConfigError with every faulty expression."""

    def __init__(self, settings: MappingSettings) -> None:
        found = _compiled(settings)
        self.fingerprint: Final = _fingerprint(settings)
        """Another one whenever the mapping of some entity may be another; the same in every process."""
        kinds = settings.entity_types
        self._kinds = None if kinds is None else frozenset(kind.lower() for kind in kinds)
        self._filters = [found[f"filters[{number}]"] for number in range(len(settings.filters))]
        self._rules = [
            (found[f"validation[{number}].rule"], each.message) for number, each in enumerate(settings.rules)
        ]
        self._fields = [(_camel_case(key), found[f"field_mapping.{key}"]) for key in settings.field_mapping]
        self._upstream, self._downstream = found.get(_UPSTREAM), found.get(_DOWNSTREAM)
        self._is_identity = self._kinds is None and not found
        dependencies = [(key, found[key]) for key in (_UPSTREAM, _DOWNSTREAM) if key in found]
        self.adding: Final = {key: each.name for key, each in [*self._fields, *dependencies]}
        """The expressions that add something to an entity: of each a key, and the name for messages."""

    def map(self, change: Mapping[str, Any], silent: set[str] | None = None) -> Mapping[str, Any] | None:
        """Return *change* with what the mapping adds, or None where `entity_types` or a filter leaves its entity out.

        A delete, and what is no change, comes back as it is: whoever checks it says what is wrong. *change* is never
        altered, but parts of it are shared with the answer. Raises ValidationError, which names the entity, for a rule
        that does not hold and for an expression that finds what cannot be used. From *silent*, keys
        of :attr:`adding`, those are taken whose expression found something.
        """
        entity, op = change.get("entity"), change.get("op")
        if self._is_identity or not (op is None or op == "upsert") or not isinstance(entity, dict):
            return change
        kind = entity.get("kind")
        if self._kinds is not None and isinstance(kind, str) and kind.lower() not in self._kinds:
            return None
        try:
            if not all(each.holds(entity) for each in self._filters):
                return None
            self._check(entity)
            return self._extended(change, entity, silent)
        except ValidationError as error:
            name = _entity_name(entity)
            raise ValidationError(*((place, f"{sentence} ({name})") for place, sentence in error.faults)) from None

    def _check(self, entity: dict[str, Any]) -> None:
        faults = [("/entity", message) for rule, message in self._rules if not rule.holds(entity)]
        if faults:
            raise ValidationError(*faults)

    def _extended(
        self, change: Mapping[str, Any], entity: dict[str, Any], silent: set[str] | None
    ) -> Mapping[str, Any]:
        found = {key: value for key, each in self._fields if not _is_nothing(value := _found(each, entity, key))}
        added = _targets(self._upstream, entity, "/service/dependencies")
        dependents = _targets(self._downstream, entity, "/entity/spec/dependencyOf")
        if silent:
            silent.difference_update(found, [_UPSTREAM] if added else (), [_DOWNSTREAM] if dependents else ())
        extended = dict(change)
        service = change.get("service")
        if (found or added) and (service is None or isinstance(service, dict)):
            extended["service"] = _with_dependencies({**(service or {}), **found}, added)
        spec = entity.get("spec")
        if dependents and (spec is None or isinstance(spec, dict)):
            extended["entity"] = {**entity, "spec": _with_dependents(spec or {}, dependents)}
        return extended


def _compiled(settings: MappingSettings) -> dict[str, Expression]:
    found: dict[str, Expression] = {}
    faults = []
    for key, expression in settings.expressions():
        try:
            found[key] = compiled(expression, place=f"connector {settings.connector}: {key}")
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _fingerprint(settings: MappingSettings) -> str:
    kinds = settings.entity_types
    said = [
        _REVISION,
        None if kinds is None else sorted({kind.lower() for kind in kinds}),
        sorted(settings.expressions()),
        [rule.message for rule in settings.rules],
    ]
    return hashlib.blake2b(canonical_json(said), digest_size=16).hexdigest()


def _camel_case(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.capitalize() for word in others)


def _is_nothing(value: Any) -> bool:
    """As in a merge: null, and a text that is empty, say nothing."""
    return value is None or value == ""


def _found(expression: Expression, entity: dict[str, Any], key: str) -> Any:
    """Return what *expression* finds for a key of `service`. Raises ValidationError where the key cannot hold it."""
    value = expression.find(entity)
    wanted = _TYPES.get(key)
    if wanted is str and is_placeholder(value):
        return value
    if value is not None and wanted and not isinstance(value, wanted):
        remedy = "; to_string() makes one of it" if wanted is str and isinstance(value, int | float) else ""
        fault = f"{expression.name} found {_name_of(value)} where {_NAMES[wanted]} is needed{remedy}"
        raise ValidationError((pointer("service", key), fault))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValidationError((pointer("service", key), f"{expression.name} found a number that JSON cannot hold"))
    return value


def _name_of(value: Any) -> str:
    return _NAMES.get(type(value), "what is no JSON")


def _targets(expression: Expression | None, entity: dict[str, Any], place: str) -> list[str]:
    """Return the texts that *expression* finds, one or a list of them, each once."""
    found = None if expression is None else expression.find(entity)
    if expression is None or found is None:
        return []
    targets = [each for each in (found if isinstance(found, list) else [found]) if not _is_nothing(each)]
    for each in targets:
        if not isinstance(each, str):
            raise ValidationError((place, f"{expression.name} found {_name_of(each)} where a text is needed"))
    return list(dict.fromkeys(targets))


def _with_dependencies(service: dict[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    """Return *service* with a dependency on each of *targets*; those that are there stay as they are."""
    there = service.get("dependencies") or []
    if not (targets and isinstance(there, list)):
        return service
    known = _texts(each.get("target") for each in there if isinstance(each, dict))
    added = [{"target": target, "type": "runtime"} for target in targets if target not in known]
    return {**service, "dependencies": [*there, *added]}


def _with_dependents(spec: dict[str, Any], targets: Sequence[str]) -> dict[str, Any]:
    there = spec.get("dependencyOf") or []
    if not isinstance(there, list):
        return spec
    known = _texts(there)
    return {**spec, "dependencyOf": [*there, *(target for target in targets if target not in known)]}


def _texts(values: Iterable[Any]) -> frozenset[str]:
    return frozenset(each for each in values if isinstance(each, str))


def _entity_name(entity: dict[str, Any]) -> str:
    """Return the entity's reference: a message holds nothing of a payload that does not follow the pattern of one."""
    metadata = entity.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    parts = entity.get("kind"), metadata.get("namespace") or DEFAULT_NAMESPACE, metadata.get("name")
    with contextlib.suppress(ValueError):
        if all(isinstance(part, str) for part in parts):
            return str(EntityRef.parse("{}:{}/{}".format(*parts)))
    return "an entity without a usable name"
