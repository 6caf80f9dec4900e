"""The JSON Schema for publishers in other languages agrees with what the decoder accepts."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

import schemas
from schemas.changes import Origin, read_change
from schemas.errors import ValidationError
from tests.properties import changes

FILE = Path(schemas.__file__).parent / "json" / "change.schema.json"
SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
ENTITY = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}}
ORIGIN = Origin(connector="git", tenant="default", is_complete=False, timestamp=changes.EPOCH, id="t/0/0")


def understood(document):
    try:
        read_change(document, ORIGIN)
    except ValidationError:
        return False
    return True


def in_entity(**fields):
    return {"entity": {**ENTITY, **fields}}


def in_metadata(**fields):
    return in_entity(metadata={"name": "pay", **fields})


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


@settings(max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes.histories())
def test_whatever_the_decoder_accepts_validates(history):
    for said in history:
        if understood(said.document):
            VALIDATOR.validate(said.document)


ACCEPTED = {
    "five lines": {"entity": ENTITY},
    "nulls": {
        "op": None,
        "entityRef": None,
        "service": None,
        "version": None,
        "ttlSeconds": None,
        **in_entity(spec=None),
    },
    "delete": {"op": "delete", "entityRef": "Component:Team-A/Pay"},
    "delete with nonsense beside it": {"op": "delete", "entityRef": "component:pay", "entity": None, "x": 1},
    "outage": {"op": "outage", "observedAt": "2026-05-04T23:59:60Z"},
    "largest numbers": {"entity": ENTITY, "version": 2**63 - 1, "priority": -(2**63), "generation": 2**63 - 1},
    "empty things": in_metadata(title=[], labels="", tags={}, links=""),
    "placeholders": in_metadata(title={"$text": "x"}, tags=[{"$text": "x"}], labels={"a": {"$text": "x"}}),
    "unknown fields": {**in_metadata(other=[1]), "unknown": 1},
    "dropped fields": in_entity(
        relations=1, status=2, metadata={"name": "pay", "uid": 1, "etag": [], "generation": "x"}
    ),
    "orphan of any type": in_metadata(annotations={"backstage.io/orphan": 1}),
    "facts": {
        "entity": ENTITY,
        "service": {"dependencies": [{"target": "a"}, None], "runbooks": [{"url": None}], "x": 1},
    },
}
REFUSED = {
    "nothing": {},
    "entity null": {"entity": None},
    "entity a text": {"entity": "x"},
    "op unknown": {"op": "rename", "entity": ENTITY},
    "delete without ref": {"op": "delete"},
    "delete with null ref": {"op": "delete", "entityRef": None},
    "ref without kind": {"op": "delete", "entityRef": "default/pay"},
    "ref with two slashes": {"op": "delete", "entityRef": "component:a/b/c"},
    "ref with a long name": {"op": "delete", "entityRef": "component:" + "n" * 64},
    "version a text": {"entity": ENTITY, "version": "1"},
    "version too large": {"entity": ENTITY, "version": 2**63},
    "version true": {"entity": ENTITY, "version": True},
    "generation negative": {"entity": ENTITY, "generation": -1},
    "ttl 0": {"entity": ENTITY, "ttlSeconds": 0},
    "ttl a fraction": {"entity": ENTITY, "ttlSeconds": 1.5},
    "time without zone": {"entity": ENTITY, "observedAt": "2026-05-04T03:02:01"},
    "second 61": {"entity": ENTITY, "observedAt": "2026-05-04T03:02:61Z"},
    "hour 24": {"entity": ENTITY, "observedAt": "2026-05-04T24:02:01Z"},
    "tenant a number": {"entity": ENTITY, "tenant": 1},
    "unknown root field": in_entity(extra=1),
    "no kind": {"entity": {"apiVersion": "v1", "metadata": {"name": "pay"}}},
    "kind null": in_entity(kind=None),
    "name with a space": in_metadata(name="a b"),
    "name of 64": in_metadata(name="n" * 64),
    "namespace null": in_metadata(namespace=None),
    "namespace upper case": in_metadata(namespace="Team"),
    "label with a space": in_metadata(labels={"a": "b c"}),
    "label key with two slashes": in_metadata(labels={"a/b/c": "d"}),
    "annotation a number": in_metadata(annotations={"a": 1}),
    "tag upper case": in_metadata(tags=["A"]),
    "link a text": in_metadata(links=["https://a"]),
    "spec a number": in_entity(spec=0),
    "service a list": {"entity": ENTITY, "service": []},
    "dependency without target": {"entity": ENTITY, "service": {"dependencies": [{}]}},
    "dependencies an object": {"entity": ENTITY, "service": {"dependencies": {}}},
    "runbook a text": {"entity": ENTITY, "service": {"runbooks": ["https://a"]}},
    "runbook url a number": {"entity": ENTITY, "service": {"runbooks": [{"url": 1}]}},
}  # fmt: skip


@pytest.mark.parametrize("document", ACCEPTED.values(), ids=ACCEPTED)
def test_schema_and_decoder_both_accept(document):
    assert (VALIDATOR.is_valid(document), understood(document)) == (True, True)


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_schema_and_decoder_both_refuse(document):
    assert (VALIDATOR.is_valid(document), understood(document)) == (False, False)
