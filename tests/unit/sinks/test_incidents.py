"""What incident tools receive, byte for byte."""

import pytest

from schemas.entities import MergedEntity, Vanished
from schemas.errors import ConfigError, DecodeError
from schemas.topics import Topics
from sinks.base import DEFAULT_SERVICE_KINDS, SinkSettings
from sinks.incidents import IncidentsSink, service_updated
from sinks.outbox import Outgoing, waves

PAY = MergedEntity(
    tenant="acme",
    entity_ref="component:default/pay",
    version=1_800_000_000 << 20 | 7,
    content_hash="00ff",
    entity={"kind": "Component", "apiVersion": "backstage.io/v1alpha1", "metadata": {"name": "Pay", "title": "é"}},
    service={"tier": 1},
    provenance={},
    change="updated",
    changed=["/metadata/title", "/service/tier"],
    stale=[],
    merged_at=1_700_000_000_120,
)


def event(entity: MergedEntity | Vanished, kinds=DEFAULT_SERVICE_KINDS) -> Outgoing | None:
    return service_updated(entity, "mainstem.service.updated", kinds)


def test_an_update_is_a_cloud_event_in_binary_mode():
    expected = Outgoing(
        topic="mainstem.service.updated",
        key=b"acme|component:default/pay",
        value=(
            '{"change":"updated","changed":["/metadata/title","/service/tier"],"contentHash":"00ff","entity":'
            '{"apiVersion":"backstage.io/v1alpha1","kind":"Component","metadata":{"name":"Pay","title":"é"}},'
            '"entityRef":"component:default/pay","service":{"tier":1},"tenant":"acme","version":1887436800000007}'
        ).encode(),
        headers=[
            ("ce_specversion", b"1.0"),
            ("ce_type", b"service.updated"),
            ("ce_source", b"/mainstem/acme"),
            ("ce_id", b"acme|component:default/pay@1887436800000007"),
            ("ce_subject", b"component:default/pay"),
            ("ce_time", b"2023-11-14T22:13:20.120Z"),
            ("ce_partitionkey", b"acme|component:default/pay"),
            ("content-type", b"application/json"),
        ],
    )
    assert expected == event(PAY)


def test_a_vanished_entity_is_told_without_content():
    gone = Vanished(tenant="default", entity_ref="api:default/pay", version=9, merged_at=0, reason="expired")
    found = event(gone)
    assert found is not None
    expected = (
        b'{"change":"deleted","changed":[],"contentHash":null,"entity":null,"entityRef":"api:default/pay",'
        b'"service":null,"tenant":"default","version":9}'
    )
    assert (found.value, dict(found.headers)["ce_id"]) == (expected, b"api:default/pay@9")


def test_a_version_that_changed_no_content_is_not_told():
    quiet = MergedEntity(**{**{name: getattr(PAY, name) for name in PAY.__slots__}, "changed": []})
    assert event(quiet) is None


def test_other_kinds_are_not_told():
    assert event(PAY, ("system",)) is None


def test_a_time_that_no_calendar_has_is_refused():
    gone = Vanished(tenant="default", entity_ref="api:default/pay", version=9, merged_at=2**62, reason="expired")
    with pytest.raises(DecodeError):
        event(gone)


def test_kinds_are_configured_in_any_case():
    sink = IncidentsSink(SinkSettings(name="incidents", client={}, options={"kinds": ["Group"]}))
    assert frozenset({"group"}) == sink._kinds


@pytest.mark.parametrize("options", [{"kinds": "component"}, {"kinds": ["a b"]}, {"kindes": []}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ConfigError, match=r"sinks\.incidents"):
        IncidentsSink(SinkSettings(name="incidents", client={}, options=options))


def test_the_topic_follows_the_prefix():
    sink = IncidentsSink(SinkSettings(name="incidents", client={}, topics=Topics(prefix="x")))
    assert tuple(sink.topics) == ("x.entities",)


def test_records_of_one_key_are_sent_one_after_the_other():
    sent = [
        Outgoing(topic="t", key=key, value=value, headers=())
        for key, value in [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
    ]
    assert [[record.value for record in wave] for wave in waves(sent)] == [[b"1", b"2"], [b"3"]]
