"""A change that comes again is understood as if it were read anew, at any origin."""

from dataclasses import replace

import orjson
import pytest

from schemas.changes import Origin, read_change
from schemas.codec import decode_change
from schemas.errors import ValidationError
from streams.repeats import Repeats

FIRST = Origin(connector="git", tenant="default", is_complete=False, timestamp=1_000, id="t/0/1")
LATER = replace(FIRST, timestamp=9_000_000, id="t/0/2")
ENTITY = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "pay"}, "spec": {"owner": "é"}}


def anew(value, origin):
    return read_change(decode_change(value), origin)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": 7, "generation": 2, "ttlSeconds": None, "priority": 3, "service": {"tier": "1"}},
        {"version": None, "observedAt": None, "id": "", "ttlSeconds": 60},
        {"observedAt": 900_000_000},
        {"observedAt": "1970-01-01T00:00:02Z", "version": 1},
        {"id": "mine"},
        {"op": "delete", "entityRef": "component:pay", "entity": None},
        {"op": "outage", "entity": None},
    ],
    ids=["bare", "all", "nulls", "clamped", "a time of its own", "an id of its own", "delete", "control"],
)
@pytest.mark.parametrize("later", [LATER, replace(LATER, connector="cmdb"), replace(LATER, timestamp=0)])
def test_what_comes_again_is_what_would_be_read_anew(fields, later):
    value, repeats = orjson.dumps({"entity": ENTITY, **fields}), Repeats()
    found = [repeats.read(value, origin) for origin in (FIRST, FIRST, later, FIRST)]
    assert found == [anew(value, origin) for origin in (FIRST, FIRST, later, FIRST)]


def test_what_was_a_part_is_refused_where_it_must_be_whole():
    value, repeats = orjson.dumps({"entity": ENTITY}), Repeats()
    repeats.read(value, FIRST)
    with pytest.raises(ValidationError):
        repeats.read(value, replace(FIRST, is_complete=True))


def test_another_tenants_connector_is_refused_what_names_the_first():
    value, repeats = orjson.dumps({"entity": ENTITY, "tenant": "default"}), Repeats()
    repeats.read(value, FIRST)
    with pytest.raises(ValidationError):
        repeats.read(value, replace(FIRST, tenant="acme"))


def test_no_more_is_remembered_than_there_is_room_for():
    repeats = Repeats(limit=10_000)
    values = [orjson.dumps({"entity": {**ENTITY, "spec": {"owner": "a" * 4_000, "at": at}}}) for at in range(9)]
    for value in values:
        repeats.read(value, FIRST)
    kept = [known.at(FIRST) for known in repeats._known.values()]
    assert kept == [anew(value, FIRST) for value in values[-2:]]


def test_what_alone_is_larger_than_the_room_is_not_remembered():
    repeats = Repeats(limit=1_000)
    repeats.read(orjson.dumps({"entity": {**ENTITY, "spec": {"owner": "a" * 4_000}}}), FIRST)
    assert repeats._known == {}
