"""The shapes of questions about the catalogue as a whole, and of their answers, for the OpenAPI document."""

from typing import Any, Final

from typing_extensions import TypedDict  # before Python 3.12, pydantic reads no other

from mainstem.api.bodies import Time

SIMULATION: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Either `without` or `policy`; `entity_ref` asks about one entity alone.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "oneOf": [{"required": ["without"]}, {"required": ["policy"]}],
                    "properties": {
                        "without": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "pattern": "^[a-z0-9-]{1,63}$"},
                            "description": "Connectors, as if they had no records.",
                        },
                        "policy": {
                            "type": "object",
                            "description": "`rules` as in the configuration's section `merge` (left out: as they are),"
                            " and `connectors`: by id, what changes of `priority`, `ttl`, `grace`, `max_stale` and"
                            " `asserts_existence`.",
                        },
                        "entity_ref": {"type": "string"},
                    },
                },
                "examples": {
                    "without": {"summary": "A connector is missing", "value": {"without": ["pagerduty"]}},
                    "rules": {
                        "summary": "Another rule",
                        "value": {
                            "policy": {
                                "rules": [{"path": "/spec/owner", "strategy": "authoritative", "connector": "git"}]
                            }
                        },
                    },
                    "priority": {
                        "summary": "Another priority, for one entity",
                        "value": {
                            "policy": {"connectors": {"team-pay": {"priority": 90}}},
                            "entity_ref": "component:default/pay",
                        },
                    },
                },
            }
        },
    }
}


class Differing(TypedDict):
    """*changed*: the fields that would differ, `[""]` of an entity that would come to be; *after* null: removed."""

    entity_ref: str
    changed: list[str]
    after: dict[str, Any] | None


class Simulation(TypedDict):
    """*changed*: entities whose content would differ; *removed*: those that would not be there any more."""

    changed: int
    removed: int
    sample: list[Differing]


class Conflict(TypedDict, total=False):
    """*values*: what each connector says, the strongest first; null: that the field is empty."""

    entity_ref: str
    pointer: str
    values: dict[str, Any]
    winners: list[str]


class ConflictList(TypedDict):
    items: list[Conflict]
    next_cursor: str | None


class Origin(TypedDict):
    topic: str
    partition: int
    offset: int


class DeadLetter(TypedDict, total=False):
    """*connector* null: it was set aside behind the processor. *entity_ref* null: its key names no entity."""

    id: str
    set_aside_at: Time | None
    connector: str | None
    entity_ref: str | None
    stage: str
    error: str
    reason: str
    attempts: int
    origin: Origin


class DeadLetterList(TypedDict):
    items: list[DeadLetter]
    next_cursor: str | None
