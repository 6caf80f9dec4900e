# ruff: noqa: E501 - one case to a line
"""What a decoded change says, and what is refused of it."""

from dataclasses import replace

import pytest

from schemas.changes import Control, Origin, read_change
from schemas.errors import ValidationError
from schemas.records import NEVER

T = 1_777_777_777_000
ORIGIN = Origin(connector="git", tenant="default", is_complete=False, timestamp=T, id="mainstem.changes.git/1/2")
ENTITY = {"apiVersion": "v1", "kind": "Component", "metadata": {"name": "Pay"}}
DAY = 24 * 3600 * 1000


def upsert(origin=ORIGIN, **fields):
    return read_change({"entity": ENTITY, **fields}, origin)


def faults(document, origin=ORIGIN):
    with pytest.raises(ValidationError) as refused:
        read_change(document, origin)
    return [at for at, _ in refused.value.faults]


def test_five_lines_are_enough_and_all_else_has_a_default():
    record = upsert().record
    assert (record.generation, record.version, record.observed_at, record.timestamp, record.ttl, record.priority, record.id) == (
        0, T, T, T, None, None, ORIGIN.id,
    )  # fmt: skip


def test_null_is_the_same_as_absent():
    names = ("op", "entityRef", "tenant", "service", "observedAt", "version", "generation", "priority", "id")
    assert upsert(**dict.fromkeys(names)) == upsert()


def test_the_namespace_becomes_default_before_anything_else():
    assert upsert().record.body["entity"]["metadata"] == {"name": "Pay", "namespace": "default"}


def test_with_or_without_the_default_namespace_a_change_has_the_same_hash():
    spelled = {**ENTITY, "metadata": {"name": "Pay", "namespace": "default"}}
    assert upsert(entity=spelled).record.content_hash == upsert().record.content_hash


def test_what_is_always_dropped_is_not_in_the_hash():
    metadata = {"name": "Pay", "uid": "u", "etag": 1, "generation": {}, "annotations": {"backstage.io/orphan": "true"}}
    entity = {**ENTITY, "metadata": metadata, "relations": [], "status": None}
    plain = {**ENTITY, "metadata": {"name": "Pay", "annotations": {}}}
    assert upsert(entity=entity).record.content_hash == upsert(entity=plain).record.content_hash


def test_nulls_and_empty_strings_stay_in_the_hash():
    hashes = {upsert(entity={**ENTITY, "spec": spec}).record.content_hash for spec in ({}, {"x": None}, {"x": ""})}
    assert len(hashes) == 3


def test_without_facts_service_is_an_empty_object_in_the_hash():
    assert upsert(service={}).record.content_hash == upsert(service=None).record.content_hash


def test_the_given_entity_is_not_altered():
    upsert()
    assert ENTITY["metadata"] == {"name": "Pay"}


def test_a_delete_has_no_content_and_an_empty_hash():
    record = read_change({"op": "delete", "entityRef": "Component:Pay"}, ORIGIN).record
    assert (record.is_delete, record.content, record.content_hash) == (True, None, "")


@pytest.mark.parametrize("text", ["component:default/pay", "Component:Pay", "COMPONENT:Default/PAY"])
@pytest.mark.parametrize("op", ["upsert", "delete"])
def test_an_entity_ref_is_read_in_any_case_and_without_its_namespace(op, text):
    assert str(upsert(op=op, entityRef=text).ref) == "component:default/pay"


@pytest.mark.parametrize(
    "text", ["pay", "default/pay", "", "component:", "a b:pay", "component:default/pay/x", 1, ["x"]]
)
@pytest.mark.parametrize("op", ["upsert", "delete"])
def test_what_is_no_full_reference_is_refused(op, text):
    assert faults({"op": op, "entity": ENTITY, "entityRef": text}) == ["/entityRef"]


@pytest.mark.parametrize("text", ["component:default/cart", "api:pay", "component:team/pay"])
def test_the_ref_of_an_upsert_must_agree_with_its_entity(text):
    assert faults({"entity": ENTITY, "entityRef": text}) == ["/entityRef"]


@pytest.mark.parametrize("tenant", ["acme", "", 1])
def test_the_tenant_must_be_the_connectors(tenant):
    assert faults({"entity": ENTITY, "tenant": tenant}) == ["/tenant"]


def test_the_connectors_own_tenant_may_be_said():
    origin = replace(ORIGIN, tenant="acme")
    assert upsert(origin, tenant="acme") == upsert(origin)


@pytest.mark.parametrize(("given", "expected"), [({}, None), ({"ttlSeconds": None}, NEVER), ({"ttlSeconds": 1}, 1)])
def test_a_ttl_is_absent_never_or_a_number(given, expected):
    assert upsert(**given).record.ttl == expected


LIMITS = {
    "ttlSeconds": (1, 2**63 - 1),
    "generation": (0, 2**63 - 1),
    "version": (-(2**63), 2**63 - 1),
    "priority": (-(2**63), 2**63 - 1),
}


@pytest.mark.parametrize("name", LIMITS)
def test_integers_pass_up_to_their_limits(name):
    for limit in LIMITS[name]:
        upsert(**{name: limit})


@pytest.mark.parametrize("name", LIMITS)
def test_integers_beyond_their_limits_are_refused(name):
    least, most = LIMITS[name]
    assert [faults({"entity": ENTITY, name: value}) for value in (least - 1, most + 1)] == [[f"/{name}"]] * 2


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [True, 1.5, "1", [], {}])
def test_what_is_no_integer_is_refused(name, value):
    assert faults({"entity": ENTITY, name: value}) == [f"/{name}"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (-5, -5),
        (T, T),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:01z", 1000),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("1970-01-01T05:30:00+05:30", 0),
        ("1969-12-31T16:00:00-08:00", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2017-01-01T05:29:60+05:30", 1_483_228_800_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0001-01-01T00:00:00+01:00", -62_135_600_400_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
    ],
)
def test_observed_at_is_epoch_ms_or_rfc_3339(value, expected):
    assert upsert(observedAt=value).record.observed_at == expected


@pytest.mark.parametrize(
    "value",
    ["", "now", "2026-05-04", "2026-05-04T03:02:01", "2026-05-04 03:02:01Z", "2026-05-04T03:02Z", "2026-02-30T00:00:00Z",
     "2026-05-04T24:00:00Z", "2026-05-04T03:60:00Z", "2026-05-04T03:02:61Z", "2026-05-04T03:02:01+24:00",
     "2026-05-04T03:02:01.Z", "2026-05-04T03:02:01+0530", "٢٠٢٦-05-04T03:02:01Z", "2026-05-04T03:02:01Z\n", True, 1.0, 2**63, [], {}],
)  # fmt: skip
def test_what_is_no_time_is_refused(value):
    assert faults({"entity": ENTITY, "observedAt": value}) == ["/observedAt"]


@pytest.mark.parametrize("value", ["2026-05-04T03:02:\u0660\u0661Z", "2026-05-04T03:02:01.\u0665Z"])
def test_digits_of_other_scripts_are_no_time(value):
    assert faults({"entity": ENTITY, "observedAt": value}) == ["/observedAt"]


@pytest.mark.parametrize(
    ("ahead", "kept"),
    [(300_000, 300_000), (300_001, 300_000), (10 * 365 * DAY, 300_000), (-10 * 365 * DAY, -10 * 365 * DAY)],
)
def test_observed_at_is_at_most_five_minutes_after_the_record(ahead, kept):
    assert upsert(observedAt=T + ahead).record.observed_at == T + kept


def test_the_version_defaults_to_the_clamped_observed_at():
    assert upsert(observedAt=T + DAY).record.version == T + 300_000


@pytest.mark.parametrize("op", ["outage", "recovered"])
def test_a_control_record_needs_no_more_than_its_op(op):
    assert read_change({"op": op}, ORIGIN) == Control(op=op, connector="git", observed_at=T)


def test_a_control_records_time_is_read_like_a_changes():
    assert read_change({"op": "outage", "observedAt": "1970-01-01T00:00:00Z"}, ORIGIN).observed_at == 0


@pytest.mark.parametrize("op", ["UPSERT", "patch", "", 1, [], {}, True])
def test_any_other_op_is_refused(op):
    assert faults({"op": op, "entity": ENTITY}) == ["/op"]


@pytest.mark.parametrize(
    "document", [{}, {"entity": None}, {"entity": []}, {"entity": "x"}, {"op": "upsert", "entityRef": "component:pay"}]
)
def test_an_upsert_needs_an_entity(document):  # fmt: skip
    assert faults(document) == ["/entity"]


def test_a_delete_needs_a_ref():
    assert faults({"op": "delete", "entity": ENTITY}) == ["/entityRef"]


@pytest.mark.parametrize(
    ("service", "at"),
    [
        ([], "/service"),
        ("x", "/service"),
        ({"dependencies": "x"}, "/service/dependencies"),
        ({"dependencies": ["x"]}, "/service/dependencies/0"),
        ({"dependencies": [{"target": "a"}, {}]}, "/service/dependencies/1"),
        ({"runbooks": [{"url": 1}]}, "/service/runbooks/0"),
        ({"runbooks": [{"url": {"a": 1}}]}, "/service/runbooks/0"),
    ],
)
def test_facts_of_a_wrong_shape_are_refused(service, at):
    assert faults({"entity": ENTITY, "service": service}) == [at]


@pytest.mark.parametrize(
    "service",
    [{"tier": [1]}, {"onCall": 5}, {"dependencies": None}, {"dependencies": [None]}, {"runbooks": [{"url": None}]},
     {"dependencies": [{"target": {"$text": "x"}, "isCritical": "perhaps"}]}, {"anything": {"else": None}}],
)  # fmt: skip
def test_nothing_else_in_the_facts_is_checked(service):
    assert upsert(service=service).record.body["service"] == service


def test_every_fault_is_listed():
    document = {"entity": ENTITY, "tenant": "x", "version": "1", "ttlSeconds": 0, "observedAt": "?", "service": 1}
    assert sorted(faults(document)) == ["/observedAt", "/service", "/tenant", "/ttlSeconds", "/version"]


def test_unknown_fields_of_a_change_are_ignored():
    assert upsert(unknown=1) == upsert()


def test_a_greater_rank_counts():
    """By generation, version, observedAt, delete, hash, ttl, priority, in this order."""
    entity = {**ENTITY, "spec": {"x": 1}}
    one, other = sorted((upsert(version=1), upsert(version=1, entity=entity)), key=lambda of: of.record.content_hash)
    rising = [
        one.record,
        other.record,
        replace(other.record, priority=-(2**63)),
        replace(other.record, priority=0),
        replace(other.record, ttl=1),
        replace(other.record, ttl=2),
        replace(other.record, ttl=NEVER),
        read_change({"op": "delete", "entityRef": "component:pay", "version": 1}, ORIGIN).record,
        replace(one.record, observed_at=T + 1),
        replace(one.record, version=2, observed_at=0),
        replace(one.record, generation=1, version=0, observed_at=0),
    ]
    ranks = [record.rank for record in rising]
    assert ranks == sorted(set(ranks))
